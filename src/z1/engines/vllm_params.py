"""Thinking budgets in the requests to a vLLM server: the `z1_` keys of `vllm_xargs`, parsed and validated.

vLLM passes `vllm_xargs` on without reading it. Keys that begin with `z1_` are ours; others are ignored. A request that
cannot be honoured is rejected with the reason before it reaches the model.

    {"model": "..", "prompt": "..", "max_tokens": 900, "vllm_xargs": {"z1_thinking_budget": 256}}

This module imports neither vLLM nor a tokenizer. vLLM allows strings, numbers and lists of them in `vllm_xargs`
(`entrypoints/openai/*/protocol.py`, 0.32).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from z1.errors import UserError
from z1.families import MAX_CLOSING, AnswerKind, Profile
from z1.profiles import hint_for
from z1.think import Closing, Window

DEFAULT_ANSWER_RESERVE = 512
"""Tokens reserved for the answer by default, or a quarter of `max_tokens` if that is less."""

UNLIMITED = -1
"""A thinking budget without a limit, as in vLLM's own `thinking_token_budget`."""


@dataclass(frozen=True, slots=True)
class WindowParams:
    """The keys of one request, without `z1_`.

    `thinking_budget`: maximum thinking tokens; 0 answers at once, -1 is unlimited. `max_answer_tokens`: maximum answer
    tokens. `answer_reserve`: tokens of `max_tokens` that are reserved for the answer (at least `max_answer_tokens`, if
    that is given). `hint`: text or token ids instead of the profile's hint. `stop`: strings that end the answer, but
    not a thought. `markers`: texts besides the profile's with which an answer begins, such as the start of a tool call.
    `answer_kind`: chooses the profile's hint; "text" by default.
    `optional`: a window that cannot be kept is dropped, instead of rejecting the request.
    `repetition`: a thought that repeats itself shifts to its answer, and an answer that does ends; `max_nudges` times
    the text `nudge` is forced instead, and the thought goes on. With `near_repetition` a loop's numbers may change.
    `soft_tokens`, `grace_tokens`: `think/soft_landing.py`.
    """

    thinking_budget: int = UNLIMITED
    max_answer_tokens: int | None = None
    answer_reserve: int | None = None
    hint: str | tuple[int, ...] | None = None
    stop: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    answer_kind: AnswerKind | None = None
    optional: bool = False
    repetition: bool = False
    max_nudges: int = 0
    nudge: str | None = None
    soft_tokens: int = 0
    grace_tokens: int = 0
    near_repetition: bool = False

    def __post_init__(self) -> None:
        if (self.max_nudges or self.nudge is not None or self.near_repetition) and not self.repetition:
            names = "z1_max_nudges, z1_nudge, z1_near_repetition"
            raise UserError(names, "no z1_repetition", "set z1_repetition to 1, or leave them out")

    @property
    def may_end_answer(self) -> bool:
        """Whether an answer may be ended, for which a token is needed."""
        return bool(self.max_answer_tokens or self.stop or self.repetition)

    def to_xargs(self) -> dict[str, Any]:
        """The entries for `vllm_xargs`; `parse_xargs` is the inverse."""
        values = {f"z1_{field.name}": getattr(self, field.name) for field in fields(self)}
        plain = {
            name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, AnswerKind) else value
            for name, value in values.items()
        }
        for field in fields(self):
            if field.name != "thinking_budget" and getattr(self, field.name) == field.default:
                del plain[f"z1_{field.name}"]
        plain |= {name: int(value) for name, value in plain.items() if isinstance(value, bool)}
        return {name: value for name, value in plain.items() if value is not None and value != []}

    def to_window(
        self, hint: tuple[int, ...], think_end: tuple[int, ...], free_tokens: int, closing: Closing | None = None
    ) -> Window:
        """The window for a reply of at most `free_tokens`. Raises UserError if hint and reserve do not fit.

        Without `max_answer_tokens` the answer may use all that the thought leaves of `free_tokens`. A hint of the
        request is forced as it is, without a closing.
        """
        closing = None if self.hint is not None or self.thinking_budget == 0 else closing
        forced = len(hint) + (closing.max_tokens if closing else 0)
        left = free_tokens - forced
        default = max(1, min(DEFAULT_ANSWER_RESERVE, free_tokens // 4, left))
        reserve = max(self.max_answer_tokens or 0, self.answer_reserve or 0) or default
        if left < reserve:
            got = f"{free_tokens} tokens for a hint of {forced} and an answer of {reserve}"
            raise UserError("max_tokens", got, "raise it, or lower z1_max_answer_tokens or z1_answer_reserve")
        unlimited = self.thinking_budget == UNLIMITED
        thinking = left - reserve if unlimited else min(self.thinking_budget, left - reserve)
        answer = self.max_answer_tokens or left - thinking
        return Window(thinking, answer, hint, frozenset(), think_end, closing=closing)


def _integer(minimum: int) -> Callable[[str, Any], int]:
    def parse(name: str, value: Any) -> int:
        if type(value) is not int or value < minimum:
            raise UserError(name, repr(value), f"give an integer, {minimum} or more")
        return value

    return parse


def _hint(name: str, value: Any) -> str | tuple[int, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(type(one) is int and one >= 0 for one in value):
        return tuple(value)
    raise UserError(name, repr(value), "give a text or a list of token ids")


def _flag(name: str, value: Any) -> bool:
    if type(value) not in (int, bool) or value not in (0, 1):
        raise UserError(name, repr(value), "give 0 or 1")
    return bool(value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise UserError(name, repr(value), "give a list of non-empty texts")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise UserError(name, repr(value), "give a text")


def _answer_kind(name: str, value: Any) -> AnswerKind:
    return AnswerKind.parse(str(value), name)


PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "z1_thinking_budget": _integer(UNLIMITED),
    "z1_max_answer_tokens": _integer(1),
    "z1_answer_reserve": _integer(1),
    "z1_hint": _hint,
    "z1_stop": _texts,
    "z1_markers": _texts,
    "z1_answer_kind": _answer_kind,
    "z1_optional": _flag,
    "z1_repetition": _flag,
    "z1_near_repetition": _flag,
    "z1_max_nudges": _integer(0),
    "z1_nudge": _text,
    "z1_soft_tokens": _integer(0),
    "z1_grace_tokens": _integer(0),
}
"""The keys and the parsers of their values."""


def parse_xargs(extra_args: Mapping[str, Any] | None) -> WindowParams | None:
    """The `z1_` keys of `vllm_xargs`; None if there are none. Raises UserError."""
    ours = {name: value for name, value in (extra_args or {}).items() if name.startswith("z1_")}
    if unknown := ours.keys() - PARSERS.keys():
        raise UserError("vllm_xargs", ", ".join(sorted(unknown)), f"use {', '.join(PARSERS)}")
    if not ours:
        return None
    return WindowParams(**{name.removeprefix("z1_"): PARSERS[name](name, value) for name, value in ours.items()})


def validate(params: Any, profile: Profile) -> bool:
    """Reject a request that cannot be honoured; returns False for one whose optional window cannot be kept.

    `params` are vLLM's SamplingParams. Raises UserError. vLLM gives no tokenizer here, so a text counts as one token a
    byte and one for its beginning, an upper bound.
    """
    request = parse_xargs(params.extra_args)
    if request is None:
        return True
    try:
        _check(request, params, profile)
    except UserError:
        if request.optional:
            return False
        raise
    return True


def _check(request: WindowParams, params: Any, profile: Profile) -> None:
    for name, fix in _CONFLICTS.items():
        if getattr(params, name, None) is not None:
            raise UserError("z1_thinking_budget", f"{name} as well", fix)
    if params.structured_outputs is not None and not profile.think_end:
        fix = "a schema applies from the first token on: remove one of them, or serve a profile with think tags"
        raise UserError("z1_thinking_budget", "structured outputs as well", fix)
    if request.may_end_answer and params.ignore_eos and not params.stop_token_ids:
        names = "z1_max_answer_tokens, z1_stop, z1_repetition"
        raise UserError(names, "ignore_eos", "set stop_token_ids, so that the answer can end")
    if params.max_tokens is not None:
        request.to_window((0,) * _max_hint_tokens(request, profile), (), params.max_tokens)


_CONFLICTS = {
    "thinking_token_budget": "set one of them",
    "allowed_token_ids": "the hint could not be forced: remove one of them",
}
"""vLLM settings that cannot be combined with ours, and what to do."""


def _max_hint_tokens(request: WindowParams, profile: Profile) -> int:
    if isinstance(request.hint, tuple):
        return len(request.hint)
    closing = MAX_CLOSING if request.hint is None and request.thinking_budget != 0 and profile.closes_code else 0
    return closing + sum(len(text.encode()) + 1 for text in hint_texts(request, profile))


def hint_texts(request: WindowParams, profile: Profile) -> Sequence[str]:
    """The texts that are forced if the request gives no token ids; each is tokenized by itself."""
    if isinstance(request.hint, str):
        return (request.hint,)
    hint = hint_for(profile, request.answer_kind or AnswerKind.TEXT)
    text = hint.no_thinking if request.thinking_budget == 0 else hint.text
    return [text for text in (text, hint.answer_prefix) if text]


MIDDLEWARE = "z1.vllm_plugin.middleware.RequestMiddleware"


def serve_flags(profile: str) -> list[str]:
    """The flags that add this profile's logits processor and the middleware to `vllm serve MODEL`; z1 must be installed
    beside vLLM.
    """
    return ["--logits-processors", f"z1.vllm_plugin:{profile}", "--middleware", MIDDLEWARE]
