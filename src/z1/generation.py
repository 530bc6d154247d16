"""One reply of an engine: options, the reply and its parts, and the coroutine that generates it.

`z1.llm.LLM` is the Python API above it; the command line and the tests of engines use `generate_reply` directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self, TypedDict, Unpack, cast

from z1 import profiles, synthetic
from z1.engines import Control, DriverOptions, Engine, Sampling, run_flow
from z1.errors import UserError
from z1.families import AnswerKind
from z1.models import SHIPPED
from z1.prompts import prompt_token_ids
from z1.think import THINKING, Bucket, Flow, Ledger, Window
from z1.think.answer_detector import overlap

ANSWER = 512
"""Default `max_answer_tokens`; a quarter of the context where that is less."""

UNLIMITED = -1
"""The thinking budget that has no limit but the context."""

Message = Mapping[str, str]
"""One turn of a conversation: `role` and `content`."""

TextListener = Callable[[Bucket, str], None]
"""Called with each new piece of text and the bucket that its tokens are counted in."""


class GenerationSettings(TypedDict, total=False):
    """The keyword arguments of `LLM.generate`, `LLM.chat` and `LLM.stream`; see `GenerationOptions`."""

    thinking_budget: int | None
    max_answer_tokens: int | None
    deadline: float | None
    temperature: float
    seed: int
    top_p: float
    top_k: int
    stop: str | Sequence[str]
    answer_kind: str
    repetition: bool
    max_nudges: int
    soft_tokens: int
    grace_tokens: int


class Steering(NamedTuple):
    """What acts on a thought besides its budget; each as in `GenerationOptions`."""

    repetition: bool = False
    max_nudges: int = 0
    soft_tokens: int = 0
    grace_tokens: int = 0


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How one reply is generated. Raises UserError for a value out of range.

    `thinking_budget` is the maximum of thinking tokens: 0 means no thinking, -1 or None unlimited. `max_answer_tokens`
    counts from the first token of the answer. After `deadline` seconds the thought is shifted to its answer.
    `temperature` 0 is greedy. `stop` strings end the answer and are not part of it; they have no effect in the thought.
    `answer_kind` is "text", "number", "letter" or "code": a thought that is ended early is followed by a hint for that
    kind, which is a box for a number or a letter, and a block for code. `repetition` ends loops in thought and answer;
    a nudge follows the first `max_nudges` of a thought instead. Within `soft_tokens` of the budget the end of the
    thought becomes likelier; within `grace_tokens` the hint waits for the end of a sentence.
    """

    thinking_budget: int | None = None
    max_answer_tokens: int | None = None
    deadline: float | None = None
    temperature: float = 0.0
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    answer_kind: str = AnswerKind.TEXT
    repetition: bool = False
    max_nudges: int = 0
    soft_tokens: int = 0
    grace_tokens: int = 0

    def __post_init__(self) -> None:
        if self.thinking_budget is not None and self.thinking_budget < UNLIMITED:
            raise UserError("thinking_budget", self.thinking_budget, "give 0 (no thinking) or more, or -1 (unlimited)")
        if self.max_answer_tokens is not None and self.max_answer_tokens < 1:
            raise UserError("max_answer_tokens", self.max_answer_tokens, "give 1 or more")
        if self.deadline is not None and self.deadline < 0:
            raise UserError("deadline", self.deadline, "give 0 or more seconds")
        if self.temperature < 0:
            raise UserError("temperature", self.temperature, "give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise UserError("top_p", self.top_p, "give more than 0 and at most 1 (1 keeps every token)")
        if self.top_k < 0:
            raise UserError("top_k", self.top_k, "give the number of tokens to keep, or 0 for all")
        AnswerKind.parse(self.answer_kind)
        if self.max_nudges and not self.repetition:
            raise UserError("max_nudges", self.max_nudges, "set repetition, or leave it out")

    @property
    def steering(self) -> Steering:
        """The options that act on the thought besides its budget."""
        return Steering(self.repetition, self.max_nudges, self.soft_tokens, self.grace_tokens)

    @classmethod
    def of(cls, **settings: Unpack[GenerationSettings]) -> Self:
        """Options from keyword arguments; `stop` may be one string."""
        stop = settings.pop("stop", ())
        return cls(**cast(dict[str, Any], settings), stop=(stop,) if isinstance(stop, str) else tuple(stop))


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `ledger` counts its tokens; `shift` is why thinking stopped, `end` how the reply ended.

    `shift` is a value of `think.Shift` ("natural", "budget", "deadline", "context", ...), `end` one of `think.End`
    ("stop", "cut", "string"). `seconds` is wall-clock time.
    """

    thinking: str
    hint: str
    answer: str
    ledger: Ledger
    shift: str
    end: str
    seconds: float
    model: str

    @property
    def text(self) -> str:
        """The whole reply: thinking, hint and answer."""
        return self.thinking + self.hint + self.answer

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        buckets = (*Bucket, "probe")
        ledger = {str(bucket): getattr(self.ledger, bucket) for bucket in buckets}
        texts = {"model": self.model, "thinking": self.thinking, "hint": self.hint, "answer": self.answer}
        return {**texts, "ledger": ledger, "shift": self.shift, "end": self.end, "seconds": round(self.seconds, 3)}


class ReplyDelta(NamedTuple):
    """New text of a streamed reply; `part` is "thinking", "hint" or "answer"."""

    part: str
    text: str


async def generate_reply(
    engine: Engine,
    prompt: str | Sequence[Message],
    options: GenerationOptions = GenerationOptions(),
    on_text: TextListener | None = None,
    on_start: Callable[[Control], None] | None = None,
) -> Reply:
    """One reply of `engine`, which has been entered, to a prompt or a conversation; `on_text` gets the text as it is
    generated, and `on_start` what ends the thought on request.

    Raises UserError for a prompt that does not fit the context or that the built-in model does not support.
    """
    started = time.monotonic()
    profile, tokenizer = profiles.get_profile(engine.profile), engine.tokenizer
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(one) for one in prompt]
    if profile.name == SHIPPED:
        messages[-1]["content"] = builtin_question(messages[-1]["content"])
    chosen = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k", "seed")}
    sampling = Sampling(profiles.stop_token_ids(tokenizer, profile), **chosen)
    session = await engine.open(prompt_token_ids(tokenizer, profile, messages), sampling)
    try:
        budget = None if options.thinking_budget == UNLIMITED else options.thinking_budget
        answer = options.max_answer_tokens or max(1, min(ANSWER, session.free_tokens // 4))
        kind = AnswerKind(options.answer_kind)
        window = steered(profiles.make_window(tokenizer, profile, budget, answer, kind), engine, options.steering)
        detector = profiles.make_detector(tokenizer, profile)
        part = partial(profiles.answer_part, profile, kind=kind)
        strings = profiles.make_stop_strings(tokenizer, options.stop, part)
        flow = Flow(window, session.free_tokens, detects_answer=detector is not None, stop_strings=strings)
        text = _TextAssembler(tokenizer, on_text, options.stop, part) if on_text else None
        driving = DriverOptions(detector, 1 if text else None, options.deadline, text.add if text else None)
        control = Control(flow, session)
        if on_start is not None:
            on_start(control)
        await run_flow(flow, session, driving, control)
    finally:
        await session.close()
    if text is not None:
        text.finish()
    return _reply(flow, engine, options, time.monotonic() - started)


def steered(window: Window, engine: Engine, steering: Steering) -> Window:
    """`window` with this treatment of loops and this soft landing. Raises UserError if the engine cannot do it."""
    tokenizer, profile = engine.tokenizer, profiles.get_profile(engine.profile)
    if steering.soft_tokens and profile.think_end and not engine.capabilities.can_bias:
        do = f"leave it out: {engine.name} cannot add a bias to its think end tag"
        raise UserError("soft_tokens", steering.soft_tokens, do)
    repetition = profiles.make_repetition(tokenizer, steering.max_nudges) if steering.repetition else None
    landing = profiles.make_landing(tokenizer, profile, steering.soft_tokens, steering.grace_tokens)
    return replace(window, repetition=repetition, landing=landing)


def builtin_question(prompt: str, *, with_unsure: bool = False) -> str:
    """`prompt` in the form that the shipped model was trained on: a normalised program that its generator can draw.

    Raises UserError for anything else, and unless `with_unsure` for the forms that the model often gets wrong, which an
    evaluation may not leave out. Another profile (`--profile plain`) sends the prompt as it is.
    """
    if not prompt.strip():
        return prompt  # refused with a better message when the prompt is rendered
    return synthetic.to_question(prompt, SHIPPED, with_unsure=with_unsure)


class _TextAssembler:
    """Turns tokens into text as they are generated.

    An incomplete character is held back until it is complete, and so is text that may become a stop string. The part
    of a hint that belongs to the answer is searched for stop strings together with the answer.
    """

    def __init__(
        self,
        tokenizer: profiles.Tokenizer,
        on_text: TextListener,
        strings: tuple[str, ...],
        answer_part: Callable[[str], str],
    ) -> None:
        self._tokenizer, self._on_text, self._strings, self._answer_part = tokenizer, on_text, strings, answer_part
        self._bucket: Bucket | None = None
        self._token_ids: list[int] = []
        self._emitted = 0
        self._prefix = ""

    def add(self, bucket: Bucket, token_ids: tuple[int, ...]) -> None:
        """New tokens of `bucket`."""
        if bucket is not self._bucket and (self._bucket, bucket) != (Bucket.HINT, Bucket.ANSWER):
            self.finish()
            self._emitted = 0
        self._token_ids = self._token_ids if bucket is self._bucket else []
        self._bucket = bucket
        self._token_ids += token_ids
        text = profiles.decode(self._tokenizer, self._token_ids)
        if bucket is Bucket.HINT:
            self._prefix = self._answer_part(text)
            if thought := text.removesuffix(self._prefix):
                self._on_text(bucket, thought)
            text = ""
        if bucket is Bucket.STOP or text.endswith("\ufffd"):
            return
        if bucket in (Bucket.ANSWER, Bucket.HINT):
            complete = profiles.truncate_at_stop(self._prefix + text, self._strings)
            if complete == self._prefix + text:
                complete = complete[: len(complete) - max((overlap(complete, one) for one in self._strings), default=0)]
            self._emit(Bucket.ANSWER, complete)
        else:
            self._emit(bucket, text)

    def finish(self) -> None:
        """Emit text that was held back for a stop string."""
        if self._bucket in (Bucket.ANSWER, Bucket.HINT) and self._strings:
            text = profiles.decode(self._tokenizer, self._token_ids) if self._bucket is Bucket.ANSWER else ""
            self._emit(Bucket.ANSWER, profiles.truncate_at_stop(self._prefix + text, self._strings))

    def _emit(self, bucket: Bucket, text: str) -> None:
        """Emit what is new in `text`; the answer's part of a hint is still hint."""
        border = len(self._prefix) if bucket is Bucket.ANSWER else 0
        for part, new in ((Bucket.HINT, text[self._emitted : border]), (bucket, text[max(self._emitted, border) :])):
            if new:
                self._on_text(part, new)
        self._emitted = max(self._emitted, len(text))


def _reply(flow: Flow, engine: Engine, options: GenerationOptions, seconds: float) -> Reply:
    texts, thinking = dict.fromkeys(Bucket, ""), ""
    for span in flow.spans():
        text = profiles.decode(engine.tokenizer, flow.token_ids[span.start : span.end])
        texts[span.bucket] += text
        thinking += text if span.bucket in THINKING else ""
    hint = texts[Bucket.HINT]
    shift, end = flow.shift_reason.value if flow.shift_reason else "", flow.end.value if flow.end else ""
    profile, kind = profiles.get_profile(engine.profile), AnswerKind(options.answer_kind)
    prefix = profiles.answer_part(profile, hint, kind=kind)
    kept = profiles.truncate_at_stop(prefix + texts[Bucket.ANSWER], options.stop)
    hint, answer = hint.removesuffix(prefix) + kept[: len(prefix)], kept[len(prefix) :]
    return Reply(thinking, hint, answer, flow.ledger(), shift, end, seconds, engine.name)
