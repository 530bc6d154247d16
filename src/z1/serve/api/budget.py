"""Thinking budget and exit policy of a request.

Servers name a thinking budget differently; every name here has the same meaning: thinking tokens, -1 for unlimited, 0
for none. `Budget` is the parsed value; `make_window` turns it into a `Window` once the number of free tokens is known.
`max_tokens` always includes the hint and the answer. Names: vLLM, SGLang, llama.cpp, NVIDIA NIM, TensorRT-LLM,
FastDeploy, Qwen, OpenRouter and Anthropic, as of autumn 2026 (see docs/serve.md).

`Policy` is data that a client sends: probe interval, number of equal answers that end the thought, repetition exit, and
whether probes are streamed (*anytime* answers). `exit_rules` makes the exit rules of `engines/early_exit.py` from it.
Two answers are equal if their canonical forms (`grading/equivalence.py`) are, or with "exact" if the strings are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from z1 import profiles
from z1.engines import AgreementExit, Engine, ExitRule, Probe, RepetitionExit
from z1.errors import UserError
from z1.grading.equivalence import canonical_answer
from z1.think import Window

BUDGET_FIELDS = (
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
"""Fields that hold a number of tokens; a dot means a nested object."""

EFFORT_FIELDS = ("reasoning_effort", "reasoning.effort", "chat_template_kwargs.reasoning_effort")
"""Fields that hold a reasoning effort, which a table maps to a number of tokens."""

HINT_FIELDS = ("hint", "reasoning_budget_message", "think_stop_sentence")
"""Fields that hold the hint: the text that is forced when thinking is ended."""

SWITCH_FIELDS: dict[str, Mapping[Any, int]] = {
    "thinking.type": {"disabled": 0, "enabled": -1, "adaptive": -1},
    "reasoning.enabled": {False: 0, True: -1},
    "chat_template_kwargs.enable_thinking": {False: 0, True: -1},
    "chat_template_kwargs.thinking": {False: 0, True: -1},
}
"""Fields that turn thinking on or off, and the budget of each value. If it is on, a number or an effort applies."""

DEFAULT_EFFORT_MAP: dict[str, int] = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": -1,
}
"""Tokens of each effort for a model that was not calibrated: LiteLLM's constants, which are arbitrary."""

ANSWER_RESERVE = 512
"""Tokens reserved for the answer by default, or a quarter of `max_tokens` if that is less."""

_UNREACHABLE = 1 << 30
"""More equal answers in a row than any thought has."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of a request in tokens: `thinking_budget` (None: unlimited), `max_answer_tokens`, and `max_tokens` of
    thought, hint and answer together.

    `max_answer_tokens` 0 is a hard cut: no hint and no separate answer. `hint` replaces the profile's hint; `deadline`
    is the seconds after which thinking is ended. If `has_thinking` is False the whole reply is answer. The model cannot
    end the thought (or, without thinking, the reply) before `min_thinking_tokens`.
    """

    thinking_budget: int | None = None
    max_answer_tokens: int | None = None
    max_tokens: int | None = None
    hint: str | None = None
    deadline: float | None = None
    has_thinking: bool = True
    min_thinking_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """A probe every `every` thinking tokens, with at most `answer_tokens` tokens; the thought ends after `stable` equal
    answers in a row (None: never).

    `anytime` streams the probes to the client.
    """

    every: int = 64
    stable: int | None = None
    answer_tokens: int = 64
    normalizer: Literal["equivalent", "exact"] = "equivalent"
    repetition: bool = False
    anytime: bool = False

    @property
    def has_probes(self) -> bool:
        """Whether the engine must fork sessions."""
        return self.stable is not None or self.anytime


NO_POLICY = Policy()
"""A thought ends by itself or at its budget."""


def exit_rules(policy: Policy, engine: Engine, on_probe: Callable[[Probe], None]) -> tuple[ExitRule, ...]:
    """The exit rules of one reply; `on_probe` is called with every probe."""
    rules: list[ExitRule] = [RepetitionExit()] if policy.repetition else []
    if policy.has_probes:
        normalize = canonical_answer if policy.normalizer == "equivalent" else str.strip

        def answer_key(token_ids: Sequence[int]) -> str:
            return normalize(profiles.decode(engine.tokenizer, token_ids))

        stable = policy.stable or _UNREACHABLE
        rules.append(AgreementExit(policy.every, stable, policy.answer_tokens, answer_key, on_probe))
    return tuple(rules)


def find_fields(body: Mapping[str, Any], names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    """The fields of `body` (a request without empty fields) with one of these dotted names."""
    values = {name: _lookup(body, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def parse_thinking_budget(body: Mapping[str, Any], effort_map: Mapping[str, int]) -> int | None:
    """The thinking budget of a request in tokens, -1 for unlimited; None if the request sets none.

    A number takes precedence over an effort, and both over a switch that is on. Raises UserError if two contradict.
    """
    switches = {name: SWITCH_FIELDS[name][value] for name, value in find_fields(body, SWITCH_FIELDS).items()}
    numbers = find_fields(body, BUDGET_FIELDS)
    efforts = {
        name: _effort_tokens(name, level, effort_map) for name, level in find_fields(body, EFFORT_FIELDS).items()
    }
    tokens = single_value(numbers) if numbers else single_value(efforts)
    switch = single_value(switches)
    if switch == 0 and tokens not in (None, 0):
        got = f"{_join_names(switches)} off together with {_join_names(numbers or efforts)}"
        raise UserError("thinking", got, "leave one of them out")
    return None if tokens is switch is None else int(switch if tokens is None else tokens)


def parse_hint(body: Mapping[str, Any]) -> str | None:
    """The hint that a request sets; None if it sets none."""
    hint = single_value(find_fields(body, HINT_FIELDS))
    return None if hint is None else str(hint)


def make_window(
    tokenizer: profiles.Tokenizer, profile: profiles.Profile, budget: Budget, free_tokens: int
) -> tuple[Window, int]:
    """The window for `budget` in a context with `free_tokens` left, and the maximum tokens of the reply.

    Raises UserError if hint and answer do not fit. With a limited thinking budget the answer may use all tokens that
    the budget leaves, else the answer reserve. A thought never uses the tokens of the hint and of the reserve.
    """
    max_tokens = free_tokens if budget.max_tokens is None else min(budget.max_tokens, free_tokens)
    if not budget.has_thinking:
        stop_ids = profiles.stop_token_ids(tokenizer, profile)
        return Window(0, max_tokens, (), stop_ids, min_thinking_tokens=budget.min_thinking_tokens), max_tokens
    answer_tokens = budget.max_answer_tokens
    reserve = max(1, min(ANSWER_RESERVE, max_tokens // 4)) if answer_tokens is None else answer_tokens
    window = profiles.make_window(tokenizer, profile, budget.thinking_budget, max(1, reserve))
    text = hint_text(profile, budget)
    hint = window.hint if text is None else tuple(tokenizer.encode(text, add_special_tokens=False)) if text else ()
    if answer_tokens is None:
        answer_tokens = reserve
        if budget.thinking_budget is not None:
            answer_tokens = max(reserve, max_tokens - len(hint) - budget.thinking_budget)
    window = replace(
        window,
        max_answer_tokens=answer_tokens,
        hint=hint if answer_tokens else (),
        min_thinking_tokens=budget.min_thinking_tokens,
    )
    if max_tokens < window.reserved_tokens:
        need = window.reserved_tokens
        do = f"give at least {need}, or a smaller answer_tokens (0: a hard cut without hint and answer)"
        raise UserError("max_tokens", f"{max_tokens} tokens, hint and answer need {need}", do)
    return window, max_tokens


def hint_text(profile: profiles.Profile, budget: Budget) -> str | None:
    """The hint that a request sets; for a profile with think tags it ends with the closing tag."""
    text = budget.hint
    return text if text is None or profile.think_end in text else text + profile.think_end


def single_value(values: Mapping[str, Any]) -> Any:
    """The value that these fields share, ignoring None; None if there is none. Raises UserError if they differ."""
    given = {name: value for name, value in values.items() if value is not None}
    if len(set(given.values())) > 1:
        got = ", ".join(f"{name} {value}" for name, value in given.items())
        raise UserError("fields with the same meaning", got, "give one of them, or the same value")
    return next(iter(given.values()), None)


def _effort_tokens(name: str, level: Any, effort_map: Mapping[str, int]) -> int:
    if level not in effort_map:
        raise UserError(name, level, f"choose one of {', '.join(effort_map)}")
    return effort_map[level]


def _join_names(values: Mapping[str, Any]) -> str:
    return " and ".join(values)


def _lookup(body: Mapping[str, Any], name: str) -> Any:
    value: Any = body
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
