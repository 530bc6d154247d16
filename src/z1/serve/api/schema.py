"""Request bodies as pydantic models; the OpenAPI page is generated from them.

Unknown fields are rejected. Unsupported parameters are accepted only at their no-op value, else the request is rejected
with status 400; informational fields are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_CHOICES = 16
"""Maximum of `n`."""

INFORMATIONAL = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"})
"""Fields that describe a request without changing its reply; they are ignored."""


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


NO_OP_VALUES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(["frequency_penalty", "presence_penalty", "min_p"], _one_of(0)),
    **dict.fromkeys(["repetition_penalty", "best_of", "length_penalty"], _one_of(1)),
    **dict.fromkeys(["logit_bias", "functions", "tools", "bad_words"], lambda value: not value),
    **dict.fromkeys(["echo", "use_beam_search", "prompt_logprobs"], lambda value: not value),
    "tool_choice": _one_of("none", "auto"),
    "parallel_tool_calls": _one_of(True, False),
    "response_format": lambda value: value == {"type": "text"},
    "modalities": lambda value: value == ["text"],
    "suffix": _one_of(""),
    "verbosity": _one_of("medium"),
    "continue_final_message": _one_of(False),
    "add_generation_prompt": _one_of(True),
    "skip_special_tokens": _one_of(False),
}
"""Unsupported parameters, each with a test of whether a value is a no-op."""


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("got a lone surrogate (half of a character); send valid Unicode") from None
    return text


CleanStr = Annotated[str, AfterValidator(_without_surrogates)]
"""Text that can be encoded as UTF-8; JSON also allows lone surrogates."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    """A part of a message; only text is supported."""

    type: Literal["text"]
    text: CleanStr


class Message(_Strict):
    """One message. The reasoning of an assistant message is accepted and left out of the prompt."""

    role: Literal["system", "developer", "user", "assistant"]
    content: CleanStr | list[TextPart] | None = None
    type: Literal["text"] | None = Field(None, description="Accepted because lm-evaluation-harness sends it.")
    reasoning: CleanStr | None = None
    reasoning_content: CleanStr | None = None
    refusal: None = None
    tool_calls: None = None
    audio: None = None
    annotations: None = None

    @property
    def text(self) -> str:
        """The text of the content, parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Thinking(_Strict):
    """Anthropic's thinking settings."""

    type: Literal["enabled", "disabled", "adaptive"] | None = None
    budget_tokens: int | None = Field(None, ge=-1)


class Reasoning(_Strict):
    """OpenRouter's thinking settings."""

    effort: CleanStr | None = None
    max_tokens: int | None = Field(None, ge=-1)
    enabled: bool | None = None
    exclude: bool | None = None


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

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


TokenCount = Annotated[
    int | None, Field(ge=-1, description="Thinking budget in tokens; -1: unlimited, 0: no thinking.")
]
Effort = Annotated[CleanStr | None, Field(description="Reasoning effort; a table maps it to a thinking budget.")]
HintText = Annotated[CleanStr | None, Field(max_length=2000, description="Text that is forced when thinking is ended.")]


class Request(_Strict):
    """Fields of chat and text completions."""

    model: CleanStr = Field(max_length=300)
    max_tokens: int | None = Field(None, ge=1, description="Maximum tokens of thought, hint and answer together.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    temperature: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 and -1: no top-k filter.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: CleanStr | list[CleanStr] | None = Field(
        None, description="Strings that end the answer; ignored in the thought."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None

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
    reasoning_effort: Effort = None
    hint: HintText = None
    reasoning_budget_message: HintText = None
    think_stop_sentence: HintText = None
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
    separate_reasoning: bool | None = Field(None, description="Return thought and answer in separate fields.")
    include_reasoning: bool | None = Field(None, description="False: leave the thought out of the response.")
    reasoning_control: bool | None = Field(None, description='Allow "answer now" for this request.')
    stop_token_ids: list[int] | None = Field(None, max_length=1000, description="Token ids that also end the reply.")
    ignore_eos: bool | None = Field(None, description="Ignore the model's own stop tokens.")
    return_token_ids: bool | None = Field(None, description="Return the token ids of the reply.")

    @model_validator(mode="before")
    @classmethod
    def _drop_no_ops(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        unsupported = [name for name in NO_OP_VALUES if name not in cls.model_fields]
        for name in unsupported:
            if body.get(name) is not None and not NO_OP_VALUES[name](body[name]):
                raise ValueError(f"{name}: this server does not support it; leave it out")
        dropped = INFORMATIONAL.union(unsupported)
        return {name: value for name, value in body.items() if name not in dropped}

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, stop: str | list[str] | None) -> str | list[str] | None:
        strings = [stop] if isinstance(stop, str) else stop or []
        if len(strings) > 16 or not all(0 < len(string) <= 500 for string in strings):
            raise ValueError("give at most 16 strings of 1 to 500 characters")
        return stop

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

    prompt: CleanStr | list[int] | list[CleanStr] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=20)


class ControlRequest(_Strict):
    """An action on a running reply."""

    id: CleanStr = Field(max_length=200)
    action: Literal["reasoning_end"]
    model: CleanStr | None = None
