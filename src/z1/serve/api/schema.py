"""What may a request say?

The bodies of the routes, as pydantic models: the API page is made from them, and what they do not name is refused with
the reason. A setting that z1 knows and cannot keep is accepted where its value asks for nothing, and refused where it
asks for something; nothing is dropped in silence but what is a mere label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_CHOICES = 16
"""Replies that one request may ask for (`n`)."""

LABELS = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"})
"""Fields that say something about a request and ask for nothing; they are taken and dropped."""


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


NEUTRAL: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(["frequency_penalty", "presence_penalty", "min_p"], _is(0)),
    **dict.fromkeys(["repetition_penalty", "best_of", "length_penalty"], _is(1)),
    **dict.fromkeys(["logit_bias", "functions", "tools", "bad_words"], lambda value: not value),
    **dict.fromkeys(["echo", "use_beam_search", "prompt_logprobs"], lambda value: not value),
    "tool_choice": _is("none", "auto"),
    "parallel_tool_calls": _is(True, False),
    "response_format": lambda value: value == {"type": "text"},
    "modalities": lambda value: value == ["text"],
    "suffix": _is(""),
    "verbosity": _is("medium"),
    "continue_final_message": _is(False),
    "add_generation_prompt": _is(True),
    "skip_special_tokens": _is(False),
}
"""Settings that z1 cannot keep, and which values of them ask for nothing."""


def _whole(text: str) -> str:
    """JSON can hold half of a character; nothing here can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate); send whole ones") from None
    return text


CleanStr = Annotated[str, AfterValidator(_whole)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    """A piece of a message; only text is read."""

    type: Literal["text"]
    text: CleanStr


class Message(_Strict):
    """One turn. What an assistant's turn was thinking is taken and left out of the prompt."""

    role: Literal["system", "developer", "user", "assistant"]
    content: CleanStr | list[TextPart] | None = None
    type: Literal["text"] | None = Field(None, description="Taken because lm-evaluation-harness sends it.")
    reasoning: CleanStr | None = None
    reasoning_content: CleanStr | None = None
    refusal: None = None
    tool_calls: None = None
    audio: None = None
    annotations: None = None

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Thinking(_Strict):
    """Anthropic's way to ask for thought."""

    type: Literal["enabled", "disabled", "adaptive"] | None = None
    budget_tokens: int | None = Field(None, ge=-1)


class Reasoning(_Strict):
    """OpenRouter's way to ask for thought."""

    effort: CleanStr | None = None
    max_tokens: int | None = Field(None, ge=-1)
    enabled: bool | None = None
    exclude: bool | None = None


class Nvext(_Strict):
    """NVIDIA NIM's way to ask for thought."""

    max_thinking_tokens: int | None = Field(None, ge=-1)


class CustomParams(_Strict):
    """SGLang's way to ask for thought."""

    thinking_budget: int | None = Field(None, ge=-1)


class TemplateSettings(_Strict):
    """Templates' way to ask for thought."""

    enable_thinking: bool | None = None
    thinking: bool | None = None
    thinking_budget: int | None = Field(None, ge=-1)
    thinking_token_budget: int | None = Field(None, ge=-1)
    reasoning_effort: CleanStr | None = None


class ExitPolicy(_Strict):
    """When the thought may end early, and what is told of probes."""

    every: int = Field(64, ge=8, le=100_000, description="Tokens of thought between two probes.")
    stable: int | None = Field(None, ge=1, le=1000, description="Equal answers in a row that end the thought.")
    answer_tokens: int = Field(64, ge=1, le=4096, description="Most tokens of a probe's answer.")
    normalizer: Literal["said", "exact"] = Field("said", description="What makes answers equal.")
    repetition: bool = Field(False, description="End a thought that goes round in circles.")
    anytime: bool = Field(False, description="Tell each probe's answer as it comes.")


class StreamOptions(_Strict):
    """What a stream brings beside text."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


TokenCount = Annotated[int | None, Field(ge=-1, description="Most tokens of thought; -1 is free, 0 answers at once.")]
Effort = Annotated[CleanStr | None, Field(description="An effort; a table turns it into tokens.")]
HintText = Annotated[CleanStr | None, Field(max_length=2000, description="Forced when the thought is shifted.")]


class Request(_Strict):
    """What both ways to ask have in common."""

    model: CleanStr = Field(max_length=300)
    max_tokens: int | None = Field(None, ge=1, description="Most tokens in all: thought, hint and answer.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    temperature: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 and -1 leave every id in.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stop: CleanStr | list[CleanStr] | None = Field(None, description="Ends the answer; in a thought it ends nothing.")
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
    answer_tokens: int | None = Field(None, ge=0, description="Tokens kept for the answer; 0 is a hard cut.")
    min_thinking_tokens: int | None = Field(None, ge=0, description="Tokens before a thought may end by itself.")
    min_tokens: int | None = Field(None, ge=0, description="Tokens before a reply without a thought may end.")
    deadline_ms: float | None = Field(None, ge=0, le=1e9, allow_inf_nan=False)
    policy: ExitPolicy | None = None
    separate_reasoning: bool | None = Field(None, description="Thought and answer in fields of their own.")
    include_reasoning: bool | None = Field(None, description="False leaves the thought out of the reply.")
    reasoning_control: bool | None = Field(None, description="Allows to ask for the answer while it thinks.")
    stop_token_ids: list[int] | None = Field(None, max_length=1000, description="Ids that end the reply, too.")
    ignore_eos: bool | None = Field(None, description="The model's own ids for an end end nothing.")
    return_token_ids: bool | None = Field(None, description="The reply's ids beside its text.")

    @model_validator(mode="before")
    @classmethod
    def _neutral(cls, said: Any) -> Any:
        if not isinstance(said, Mapping):
            return said
        for name in (name for name in NEUTRAL if name in said):
            if name not in cls.model_fields and said[name] is not None and not NEUTRAL[name](said[name]):
                raise ValueError(f"{name}: this server cannot keep it; leave it out")
        passed = LABELS | {name for name in NEUTRAL if name not in cls.model_fields}
        return {name: value for name, value in said.items() if name not in passed}

    @field_validator("stop")
    @classmethod
    def _whole_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        strings = [stop] if isinstance(stop, str) else stop or []
        if len(strings) > 16 or not all(0 < len(string) <= 500 for string in strings):
            raise ValueError("at most 16 strings of 1 to 500 characters")
        return stop

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(Request):
    """A conversation, to be answered."""

    messages: list[Message] = Field(min_length=1, max_length=1000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class CompletionRequest(Request):
    """A text, to be continued. Where it says nothing of thinking, all that comes is answer."""

    prompt: CleanStr | list[int] | list[CleanStr] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=20)


class ControlRequest(_Strict):
    """What shall happen to a reply under way."""

    id: CleanStr = Field(max_length=200)
    action: Literal["reasoning_end"]
    model: CleanStr | None = None
