"""Request bodies of OpenAI's completions as pydantic models; the OpenAPI page is generated from them.

`ReplySettings` are the fields that the bodies of other APIs have too (`responses.py`, `messages.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from z1.families import AnswerKind
from z1.serve.api.body import CleanStr, Message, NamedTool, ResponseFormat, Strict, Tool
from z1.serve.api.parameters import (
    EMPTY,
    IGNORED,
    NO_OP_VALUES,
    STREAM_OPTION_VALUES,
    TEXT_COMPLETION_VALUES,
    UNSET_VALUES,
    Values,
)

MAX_CHOICES = 16
"""Maximum of `n`."""


class Thinking(Strict):
    """Anthropic's thinking settings."""

    type: Literal["enabled", "disabled", "adaptive", "auto"] | None = None
    budget_tokens: int | None = Field(None, ge=-1)
    display: Literal["summarized", "omitted"] | None = Field(None, description="omitted: leave the thought out.")


class Reasoning(Strict):
    """OpenRouter's thinking settings, and OpenAI's. The thought is returned whole, never as a summary."""

    ignored = frozenset({"generate_summary"})
    effort: CleanStr | None = None
    summary: CleanStr | None = Field(None, description="Responses: return the thought as a summary.")
    max_tokens: int | None = Field(None, ge=-1)
    enabled: bool | None = None
    exclude: bool | None = None


class OutputConfig(Strict):
    """Anthropic's effort."""

    effort: CleanStr | None = None


class Nvext(Strict):
    """NVIDIA NIM's thinking settings."""

    max_thinking_tokens: int | None = Field(None, ge=-1)


class CustomParams(Strict):
    """SGLang's thinking settings."""

    thinking_budget: int | None = Field(None, ge=-1)


class TemplateSettings(Strict):
    """Thinking settings of chat templates."""

    enable_thinking: bool | None = None
    thinking: bool | None = None
    thinking_budget: int | None = Field(None, ge=-1)
    thinking_token_budget: int | None = Field(None, ge=-1)
    reasoning_effort: CleanStr | None = None


SESSION_ID = r"[A-Za-z0-9_.:-]{1,100}"
"""Valid ids of sessions."""


class SessionBudget(Strict):
    """A thinking budget that the requests with the same id share."""

    id: CleanStr | None = Field(None, pattern=f"^{SESSION_ID}$", description="Required here or in X-Z1-Session.")
    thinking_budget: int | None = Field(
        None, ge=-1, lt=10**15, description="Thinking tokens of the session; -1: unlimited. Set by its first request."
    )
    on_exhausted: Literal["answer_now", "refuse"] | None = Field(
        None, description="Once the budget is used up: answer without a thought, or refuse requests that would think."
    )


class ExitPolicy(Strict):
    """When the thought ends early, and whether probes are streamed."""

    every: int = Field(64, ge=8, le=100_000, description="Thinking tokens between two probes.")
    stable: int | None = Field(None, ge=1, le=1000, description="Equal answers in a row that end the thought.")
    min_answer_probability: float | None = Field(
        None, gt=0, le=1, description="Probability of a probed answer that ends the thought; with stable, both."
    )
    answer_tokens: int = Field(64, ge=1, le=4096, description="Maximum tokens of a probe's answer.")
    normalizer: Literal["equivalent", "exact"] = Field("equivalent", description="How answers are compared.")
    repetition: bool = Field(False, description="End a thought, or the answer, that repeats itself.")
    near_repetition: bool = Field(False, description="With repetition: also loops in which only numbers change.")
    max_nudges: int | None = Field(
        None, ge=0, le=100, description="Loops in the thought after which a nudge is forced, and the thought goes on."
    )
    nudge: CleanStr | None = Field(None, min_length=1, max_length=2000, description="Text of a nudge.")
    anytime: bool = Field(False, description="Stream the answer of each probe.")


class StreamOptions(Strict):
    """What a stream contains besides text."""

    no_ops = STREAM_OPTION_VALUES
    include_usage: bool | None = None


TokenCount = Annotated[
    int | None, Field(ge=-1, description="Thinking budget in tokens; -1: unlimited, 0: no thinking.")
]
Effort = Annotated[CleanStr | None, Field(description="Reasoning effort; a table maps it to a thinking budget.")]
HintText = Annotated[CleanStr | None, Field(max_length=2000, description="Text that is forced when thinking is ended.")]


class ReplySettings(Strict):
    """Fields of every API: sampling, the thinking budget under each of its names, and what only z1 has."""

    ignored = IGNORED
    no_ops: ClassVar[Mapping[str, Values]] = {**NO_OP_VALUES, **UNSET_VALUES}
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
    soft_tokens: int | None = Field(
        None, ge=0, description="Thinking tokens before the budget in which the end of the thought becomes likelier."
    )
    grace_tokens: int | None = Field(
        None, ge=0, description="Thinking tokens before the budget in which the hint waits for the end of a sentence."
    )
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
    token_ledger: bool | None = Field(
        None, description="Return each token of the reply with its bucket, whether it was forced, and its logprob."
    )


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


class ChatRequest(Request):
    """A conversation to answer. Tools and response formats are the upstream's: z1 itself has none."""

    no_ops: ClassVar[Mapping[str, Values]] = {**Request.no_ops, "parallel_tool_calls": (), "tool_choice": EMPTY}
    messages: list[Message] = Field(min_length=1, max_length=1000)
    tools: list[Tool] | None = Field(None, min_length=1, max_length=1000)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class CompletionRequest(Request):
    """A text to continue. Without a thinking setting the whole reply is answer."""

    no_ops: ClassVar[Mapping[str, Values]] = {**Request.no_ops, **TEXT_COMPLETION_VALUES}
    prompt: CleanStr | list[int] | list[CleanStr] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=20)


class ControlRequest(Strict):
    """An action on a running reply."""

    id: CleanStr = Field(max_length=200)
    action: Literal["reasoning_end"]
    model: CleanStr | None = None
