"""Request bodies as pydantic models; the OpenAPI page is generated from them.

A null is an absent field, everywhere. Unknown fields are rejected unless their value is empty. `parameters.py` has the
fields that z1 knows and does not implement: some are ignored, the others accepted at values that ask for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from z1.families import AnswerKind
from z1.serve.api.parameters import (
    ASSISTANT_VALUES,
    EMPTY,
    IGNORED,
    MESSAGE_LABELS,
    NO_OP_VALUES,
    STREAM_OPTION_VALUES,
    TEXT_COMPLETION_VALUES,
    TEXT_PARTS,
    THOUGHT_PARTS,
    UNSET_VALUES,
    Values,
)

MAX_CHOICES = 16
"""Maximum of `n`."""


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("got a lone surrogate (half of a character); send valid Unicode") from None
    return text


def _join_parts(content: Any, info: ValidationInfo) -> Any:
    """The text of a content of parts, joined."""
    if not isinstance(content, list):
        return content
    is_assistant = info.data.get("role") == "assistant"
    return "".join([_part_text(index, part, is_assistant=is_assistant) for index, part in enumerate(content)])


def _part_text(index: int, part: Any, *, is_assistant: bool) -> str:
    """The text of a part; the thought of an assistant message is left out."""
    kind = str(part.get("type")) if isinstance(part, dict) else "none"
    if is_assistant and kind in THOUGHT_PARTS:
        return ""
    if kind not in TEXT_PARTS:
        raise ValueError(f"part {index}: got type {kind[:40]}; send parts of type text, the model reads no other")
    extra = [name for name, value in part.items() if name not in (*MESSAGE_LABELS, TEXT_PARTS[kind])]
    extra = [] if is_assistant else [name for name in extra if part[name] is not None and part[name] not in EMPTY]
    if extra:
        raise ValueError(f"part {index}: got the unknown field {extra[0][:60]}; leave it out")
    text = part.get(TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise ValueError(f"part {index}: got no text; send a string as {TEXT_PARTS[kind]}")
    return text


CleanStr = Annotated[str, AfterValidator(_without_surrogates)]
"""Text that can be encoded as UTF-8; JSON also allows lone surrogates."""


class _Strict(BaseModel):
    """A model whose fields are absent where they are null or ask for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ignored: ClassVar[frozenset[str]] = frozenset()
    """Unknown fields that are left out whatever their value."""
    no_ops: ClassVar[Mapping[str, Values]] = {}
    """Values of fields that ask for nothing, beside the empty ones of a field that is not in the model."""

    @model_validator(mode="before")
    @classmethod
    def _drop_no_ops(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        return {name: value for name, value in body.items() if value is not None and not cls._is_no_op(name, body)}

    @classmethod
    def _is_no_op(cls, name: str, body: Mapping[str, Any]) -> bool:
        value, is_known = body[name], name in cls.model_fields
        if isinstance(value, dict) and not is_known:
            value = {key: inner for key, inner in value.items() if inner is not None}
        no_ops = cls.no_ops.get(name, () if is_known else EMPTY)
        return name in cls.ignored or value in no_ops or (not is_known and bool(no_ops) and value in EMPTY)


class TextPart(BaseModel):
    """A part of a message; only text is supported."""

    type: Literal["text"]
    text: str


Content = Annotated[CleanStr, BeforeValidator(_join_parts, json_schema_input_type=str | list[TextPart])]
"""The text of a message. Parts are joined."""


class Message(_Strict):
    """One message. Labels are ignored, and so is all that an assistant message echoes, the thought included."""

    ignored = MESSAGE_LABELS
    role: Literal["system", "developer", "user", "assistant"]
    content: Content = ""

    @classmethod
    def _is_no_op(cls, name: str, body: Mapping[str, Any]) -> bool:
        if body.get("role") == "assistant" and name not in cls.model_fields:
            return name not in ASSISTANT_VALUES or body[name] in (*EMPTY, *ASSISTANT_VALUES[name])
        return super()._is_no_op(name, body)


class Thinking(_Strict):
    """Anthropic's thinking settings."""

    type: Literal["enabled", "disabled", "adaptive", "auto"] | None = None
    budget_tokens: int | None = Field(None, ge=-1)
    display: Literal["summarized", "omitted"] | None = Field(None, description="omitted: leave the thought out.")


class Reasoning(_Strict):
    """OpenRouter's thinking settings, and OpenAI's. The thought is returned whole, never as a summary."""

    ignored = frozenset({"generate_summary", "summary"})
    effort: CleanStr | None = None
    max_tokens: int | None = Field(None, ge=-1)
    enabled: bool | None = None
    exclude: bool | None = None


class OutputConfig(_Strict):
    """Anthropic's effort."""

    effort: CleanStr | None = None


class Nvext(_Strict):
    """NVIDIA NIM's thinking settings."""

    max_thinking_tokens: int | None = Field(None, ge=-1)


class CustomParams(_Strict):
    """SGLang's thinking settings."""

    thinking_budget: int | None = Field(None, ge=-1)


class TemplateSettings(_Strict):
    """Thinking settings of chat templates."""

    enable_thinking: bool | None = None
    thinking: bool | None = None
    thinking_budget: int | None = Field(None, ge=-1)
    thinking_token_budget: int | None = Field(None, ge=-1)
    reasoning_effort: CleanStr | None = None


SESSION_ID = r"[A-Za-z0-9_.:-]{1,100}"
"""Valid ids of sessions."""


class SessionBudget(_Strict):
    """A thinking budget that the requests with the same id share."""

    id: CleanStr | None = Field(None, pattern=f"^{SESSION_ID}$", description="Required here or in X-Z1-Session.")
    thinking_budget: int | None = Field(
        None, ge=-1, lt=10**15, description="Thinking tokens of the session; -1: unlimited. Set by its first request."
    )
    on_exhausted: Literal["answer_now", "refuse"] | None = Field(
        None, description="Once the budget is used up: answer without a thought, or refuse requests that would think."
    )


class ExitPolicy(_Strict):
    """When the thought ends early, and whether probes are streamed."""

    every: int = Field(64, ge=8, le=100_000, description="Thinking tokens between two probes.")
    stable: int | None = Field(None, ge=1, le=1000, description="Equal answers in a row that end the thought.")
    answer_tokens: int = Field(64, ge=1, le=4096, description="Maximum tokens of a probe's answer.")
    normalizer: Literal["equivalent", "exact"] = Field("equivalent", description="How answers are compared.")
    repetition: bool = Field(False, description="End a thought that repeats itself.")
    anytime: bool = Field(False, description="Stream the answer of each probe.")


class StreamOptions(_Strict):
    """What a stream contains besides text."""

    no_ops = STREAM_OPTION_VALUES
    include_usage: bool | None = None


TokenCount = Annotated[
    int | None, Field(ge=-1, description="Thinking budget in tokens; -1: unlimited, 0: no thinking.")
]
Effort = Annotated[CleanStr | None, Field(description="Reasoning effort; a table maps it to a thinking budget.")]
HintText = Annotated[CleanStr | None, Field(max_length=2000, description="Text that is forced when thinking is ended.")]


class ReplySettings(_Strict):
    """Fields of every API: sampling, the thinking budget under each of its names, and what only z1 has."""

    ignored = IGNORED
    no_ops = {**NO_OP_VALUES, **UNSET_VALUES}
    model: CleanStr = Field(max_length=300)
    temperature: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 and -1: no top-k filter.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stream: bool | None = None

    thinking_token_budget: TokenCount = None
    thinking_budget: TokenCount = None
    thinking_budget_tokens: TokenCount = None
    reasoning_budget: TokenCount = None
    reasoning_budget_tokens: TokenCount = None
    reasoning_max_tokens: TokenCount = None
    max_thinking_tokens: TokenCount = None
    thinking: Thinking | None = None
    reasoning: Reasoning | None = None
    nvext: Nvext | None = None
    custom_params: CustomParams | None = None
    chat_template_kwargs: TemplateSettings | None = None
    output_config: OutputConfig | None = None
    enable_thinking: bool | None = None
    think: bool | CleanStr | None = Field(None, description="On, off, or a reasoning effort.")
    reasoning_effort: Effort = None
    hint: HintText = None
    reasoning_budget_message: HintText = None
    think_stop_sentence: HintText = None
    answer_kind: Annotated[AnswerKind, Field(strict=False)] | None = Field(
        None, description="Kind of the answer, for the hint after an ended thought; text by default."
    )
    answer_tokens: int | None = Field(
        None, ge=0, description="Tokens reserved for the answer, and its maximum; 0: hard cut."
    )
    min_thinking_tokens: int | None = Field(
        None, ge=0, description="Minimum tokens before the model can end its thought."
    )
    min_tokens: int | None = Field(None, ge=0, description="Minimum tokens of a reply without thinking.")
    deadline_ms: float | None = Field(
        None, ge=0, le=1e9, allow_inf_nan=False, description="Milliseconds after which thinking is ended."
    )
    policy: ExitPolicy | None = None
    session: SessionBudget | None = None
    separate_reasoning: bool | None = Field(None, description="Return thought and answer in separate fields.")
    include_reasoning: bool | None = Field(None, description="False: leave the thought out of the response.")
    reasoning_control: bool | None = Field(None, description='Allow "answer now" for this request.')
    stop_token_ids: list[int] | None = Field(None, max_length=1000, description="Token ids that also end the reply.")
    ignore_eos: bool | None = Field(None, description="Ignore the model's own stop tokens.")
    return_token_ids: bool | None = Field(None, description="Return the token ids of the reply.")


def _check_stop(stop: str | list[str] | None) -> str | list[str] | None:
    strings = [stop] if isinstance(stop, str) else stop or []
    if len(strings) > 16 or not all(0 < len(string) <= 500 for string in strings):
        raise ValueError("give at most 16 strings of 1 to 500 characters")
    return stop


StopStrings = Annotated[
    CleanStr | list[CleanStr] | None,
    AfterValidator(_check_stop),
    Field(description="Strings that end the answer; ignored in the thought."),
]


class Request(ReplySettings):
    """Fields of chat and text completions."""

    max_tokens: int | None = Field(None, ge=1, description="Maximum tokens of thought, hint and answer together.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: StopStrings = None
    stream_options: StreamOptions | None = None
    token_ledger: bool | None = Field(
        None, description="Return each token of the reply with its bucket, whether it was forced, and its logprob."
    )

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(Request):
    """A conversation to answer."""

    messages: list[Message] = Field(min_length=1, max_length=1000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class CompletionRequest(Request):
    """A text to continue. Without a thinking setting the whole reply is answer."""

    no_ops = {**Request.no_ops, **TEXT_COMPLETION_VALUES}
    prompt: CleanStr | list[int] | list[CleanStr] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=20)


class ControlRequest(_Strict):
    """An action on a running reply."""

    id: CleanStr = Field(max_length=200)
    action: Literal["reasoning_end"]
    model: CleanStr | None = None
