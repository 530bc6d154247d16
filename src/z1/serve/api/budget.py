"""How long may this request think, whatever its client calls that?

Every server has its own name for a thinking budget; all of them mean the same here. -1 is free, 0 answers at once.
`Budget` is what was asked for, a value; `window` makes it a window of the heart, once it is known how many ids fit. The
hint and the answer are kept room for inside `max_tokens`, always. Names: vLLM, SGLang, llama.cpp, NVIDIA NIM,
TensorRT-LLM, FastDeploy, Qwen, OpenRouter and Anthropic, as of autumn 2026 (see docs/serve.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from z1 import profiles
from z1.errors import UserError
from z1.think import Window

TOKENS = (
    "thinking_token_budget",
    "thinking_budget",
    "thinking_budget_tokens",
    "reasoning_budget",
    "reasoning_budget_tokens",
    "reasoning_max_tokens",
    "max_thinking_tokens",
    "thinking.budget_tokens",
    "reasoning.max_tokens",
    "nvext.max_thinking_tokens",
    "custom_params.thinking_budget",
    "chat_template_kwargs.thinking_budget",
    "chat_template_kwargs.thinking_token_budget",
)
"""Names of a number of ids; a dot stands for an object inside."""

EFFORTS = ("reasoning_effort", "reasoning.effort", "chat_template_kwargs.reasoning_effort")
"""Names of an effort, which a table turns into a number of ids."""

HINTS = ("hint", "reasoning_budget_message", "think_stop_sentence")
"""Names of the text that is forced when the thought is shifted."""

SWITCHES: dict[str, Mapping[Any, int]] = {
    "thinking.type": {"disabled": 0, "enabled": -1, "adaptive": -1},
    "reasoning.enabled": {False: 0, True: -1},
    "chat_template_kwargs.enable_thinking": {False: 0, True: -1},
    "chat_template_kwargs.thinking": {False: 0, True: -1},
}
"""Names of a switch, and what its places mean; a number of ids or an effort that is also given refines "on"."""

EFFORT_TOKENS: dict[str, int] = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": -1,
}
"""The table of efforts where none was measured for the model: LiteLLM's constants, and as arbitrary."""

RESERVE = 512
"""Ids kept for the answer where nothing is said, or a quarter of all that may come where that is less."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What was asked for, in ids: `thinking_budget` (None is free), `max_answer_tokens`, and `max_tokens` for
    everything that comes.

    `max_answer_tokens` 0 is a hard cut: no hint and no answer of its own. `hint` is text in place of the family's,
    `deadline` seconds until the thought is shifted. Where `thinks` is False nothing is a thought and all that comes is
    answer. Before `min_thinking_tokens` ids the model may not end its thought by itself, or what is no thought.
    """

    thinking_budget: int | None = None
    max_answer_tokens: int | None = None
    max_tokens: int | None = None
    hint: str | None = None
    deadline: float | None = None
    thinks: bool = True
    min_thinking_tokens: int = 0


def found(said: Mapping[str, Any], names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    """What `said` (a request, without empty fields) holds under any of these dotted names."""
    there = {name: _at(said, name) for name in names}
    return {name: value for name, value in there.items() if value is not None}


def asked_thinking(said: Mapping[str, Any], efforts: Mapping[str, int]) -> int | None:
    """The ids of thought that a request asks for, -1 for free; None where it says nothing.

    A number goes before an effort, and both before a switch that is merely on. Raises UserError where two contradict.
    """
    switches = {name: SWITCHES[name][value] for name, value in found(said, SWITCHES).items()}
    numbers = found(said, TOKENS)
    levels = {name: _tokens_of(name, level, efforts) for name, level in found(said, EFFORTS).items()}
    chosen = _one(numbers) if numbers else _one(levels)
    switch = _one(switches)
    if switch == 0 and chosen not in (None, 0):
        raise UserError(
            "thinking", f"{_names(switches)} off beside {_names(numbers or levels)}", "leave one of them out"
        )
    return None if chosen is switch is None else int(switch if chosen is None else chosen)


def asked_hint(said: Mapping[str, Any]) -> str | None:
    """The text of the hint that a request brings itself."""
    hint = _one(found(said, HINTS))
    return None if hint is None else str(hint)


def window(tokenizer: profiles.Tokenizer, profile: profiles.Profile, budget: Budget, room: int) -> tuple[Window, int]:
    """The window for `budget` where `room` ids fit, and how many ids may come in all. Raises UserError.

    What is not said is shared out so: the answer has what a limited thought leaves it, and beside a free thought the
    reserve. A thought never takes what the hint and the answer's reserve need.
    """
    total = room if budget.max_tokens is None else min(budget.max_tokens, room)
    if not budget.thinks:
        return Window(
            0, total, (), profiles.stop_ids(tokenizer, profile), min_thinking_tokens=budget.min_thinking_tokens
        ), total
    least = max(1, min(RESERVE, total // 4)) if budget.max_answer_tokens is None else budget.max_answer_tokens
    made = profiles.window(tokenizer, profile, budget.thinking_budget, max(1, least))
    own = own_hint(profile, budget)
    hint = made.hint if own is None else tuple(tokenizer.encode(own, add_special_tokens=False)) if own else ()
    answer = least
    if budget.max_answer_tokens is None and budget.thinking_budget is not None:
        answer = max(least, total - len(hint) - budget.thinking_budget)
    made = replace(
        made, max_answer_tokens=answer, hint=hint if answer else (), min_thinking_tokens=budget.min_thinking_tokens
    )
    if total < made.reserved_tokens:
        need = (
            f"give at least {made.reserved_tokens}, or a smaller answer_tokens (0: a hard cut without hint and answer)"
        )
        raise UserError("max_tokens", f"room for {total} ids, hint and answer take {made.reserved_tokens}", need)
    return made, total


def own_hint(profile: profiles.Profile, budget: Budget) -> str | None:
    """The text of a request's own hint, if it has one; where a family fences its thoughts it ends with the fence."""
    text = budget.hint
    return text if text is None or profile.think_end in text else text + profile.think_end


def _tokens_of(name: str, level: Any, efforts: Mapping[str, int]) -> int:
    if level not in efforts:
        raise UserError(name, level, f"choose one of {', '.join(efforts)}")
    return efforts[level]


def _one(values: Mapping[str, Any]) -> Any:
    """The one value under all these names; None where there is none."""
    if len(set(values.values())) > 1:
        both = ", ".join(f"{name} {value}" for name, value in values.items())
        raise UserError("names of one setting", both, "give one of them, or the same value")
    return next(iter(values.values()), None)


def _names(values: Mapping[str, Any]) -> str:
    return " and ".join(values)


def _at(said: Mapping[str, Any], name: str) -> Any:
    value: Any = said
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
