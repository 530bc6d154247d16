"""What does a request to vLLM ask of its window?

vLLM hands on, unread, what a client puts into `vllm_xargs`. Ours are the keys that begin with `z1_`; all others belong
to somebody else. What cannot be kept is refused with the reason, before the request reaches the model.

    {"model": "..", "prompt": "..", "max_tokens": 900, "vllm_xargs": {"z1_window": 256}}

This module reads and checks; it knows neither vLLM nor a tokenizer. Types and limits of `vllm_xargs` are vLLM's
(`entrypoints/openai/*/protocol.py`, 0.32): strings, numbers, and lists of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from z1.errors import UserError
from z1.profiles import Profile
from z1.think import Window

ANSWER = 512
"""Ids kept for the answer where nothing is said, or a quarter of `max_tokens` where that is less."""

FREE = -1
"""A window without an allowance, as in vLLM's own `thinking_token_budget`."""


@dataclass(frozen=True, slots=True)
class WindowParams:
    """The keys of one request, without `z1_`.

    `thinking_budget`: ids of thought at most, 0 answers at once, -1 thinks freely. `max_answer_tokens`: ids of answer
    at most. `answer_reserve`: ids of `max_tokens` that are kept for the answer (at least `max_answer_tokens`, where
    that is given). `hint`: text or ids in place of the profile's. `stop`: strings that end the answer, and nothing in a
    thought. `markers`: texts besides the profile's with which an answer begins, such as the opening of a tool call.
    """

    thinking_budget: int = FREE
    max_answer_tokens: int | None = None
    answer_reserve: int | None = None
    hint: str | tuple[int, ...] | None = None
    stop: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()

    def keys(self) -> dict[str, Any]:
        """What to put into `vllm_xargs`; `read` gives it back."""
        said = {f"z1_{field.name}": getattr(self, field.name) for field in fields(self)}
        kept = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
        return {name: value for name, value in kept.items() if value is not None and value != []}

    def window_of(self, hint: tuple[int, ...], close: tuple[int, ...], room: int) -> Window:
        """The window, where `room` ids fit in all. Raises UserError where hint and reserve do not.

        Without `max_answer_tokens` the answer may take whatever the thought has left, up to `room`.
        """
        left = room - len(hint)
        reserve = max(self.max_answer_tokens or 0, self.answer_reserve or 0) or max(1, min(ANSWER, room // 4, left))
        if left < reserve:
            got = f"{room} ids for {len(hint)} of hint and {reserve} of answer"
            raise UserError("max_tokens", got, "raise it, or lower z1_answer or z1_reserve")
        thinking = left - reserve if self.thinking_budget == FREE else min(self.thinking_budget, left - reserve)
        return Window(thinking, self.max_answer_tokens or left - thinking, hint, frozenset(), close)


def _whole(least: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if type(value) is not int or value < least:
            raise UserError(name, repr(value), f"give a whole number, {least} or more")
        return value

    return read


def _hint(name: str, value: Any) -> str | tuple[int, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(type(one) is int and one >= 0 for one in value):
        return tuple(value)
    raise UserError(name, repr(value), "give a text, or a list of ids")


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise UserError(name, repr(value), "give a list of texts, none of them empty")


READERS: dict[str, Callable[[str, Any], Any]] = {
    "z1_window": _whole(FREE),
    "z1_answer": _whole(1),
    "z1_reserve": _whole(1),
    "z1_hint": _hint,
    "z1_stop": _texts,
    "z1_markers": _texts,
}
"""The keys, and what each may hold."""


def read(extra: Mapping[str, Any] | None) -> WindowParams | None:
    """What `vllm_xargs` asks; None where it holds no key of ours. Raises UserError."""
    ours = {name: value for name, value in (extra or {}).items() if name.startswith("z1_")}
    if unknown := ours.keys() - READERS.keys():
        raise UserError("vllm_xargs", ", ".join(sorted(unknown)), f"known are {', '.join(READERS)}")
    if not ours:
        return None
    return WindowParams(**{name.removeprefix("z1_"): READERS[name](name, value) for name, value in ours.items()})


def check(params: Any, profile: Profile) -> None:
    """Refuse what cannot be kept. `params` are vLLM's SamplingParams; raises UserError.

    No tokenizer is at hand where vLLM asks this, so a text counts as one id a byte and one for its beginning, which it
    never outgrows.
    """
    asked = read(params.extra_args)
    if asked is None:
        return
    for name, why in _CONFLICTS.items():
        if getattr(params, name, None) is not None:
            raise UserError("z1_window", f"{name} beside it", why)
    if params.structured_outputs is not None and not profile.think_end:
        do = "a schema rules from the first id on: leave one of them out, or serve a profile that fences its thoughts"
        raise UserError("z1_window", "structured outputs beside it", do)
    if (asked.max_answer_tokens or asked.stop) and params.ignore_eos and not params.stop_token_ids:
        raise UserError("z1_answer, z1_stop", "ignore_eos", "give stop_token_ids, so that the answer can be ended")
    if params.max_tokens is not None:
        asked.window_of((0,) * _most_ids(asked, profile), (), params.max_tokens)


_CONFLICTS = {
    "thinking_token_budget": "give one of them",
    "allowed_token_ids": "the hint could not be forced: leave one of them out",
}
"""Settings of vLLM's that cannot stand beside ours, and what to do."""


def _most_ids(asked: WindowParams, profile: Profile) -> int:
    if isinstance(asked.hint, tuple):
        return len(asked.hint)
    return sum(len(text.encode()) + 1 for text in hint_texts(asked, profile))


def hint_texts(asked: WindowParams, profile: Profile) -> Sequence[str]:
    """The texts that are forced where the request gives no ids, each to be encoded by itself."""
    if isinstance(asked.hint, str):
        return (asked.hint,)
    hint = profile.no_thinking_hint if asked.thinking_budget == 0 else profile.hint
    return [text for text in (hint, profile.answer_prefix) if text]


def flags(profile: str) -> list[str]:
    """What to add to `vllm serve MODEL` so that it keeps windows of this profile; z1 must be installed beside it."""
    return ["--logits-processors", f"z1.vllm_plugin.logits_processor:{profile}"]
