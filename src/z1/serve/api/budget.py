"""Thinking budget and exit policy of a request.

Servers name a thinking budget differently; every name here has the same meaning: thinking tokens, -1 for unlimited, 0
for none. `Budget` is the parsed value; `make_window` turns it into a `Window` once the number of free tokens is known.
`max_tokens` always includes the hint and the answer. Names: vLLM, SGLang, llama.cpp, NVIDIA NIM, TensorRT-LLM,
FastDeploy, Qwen, OpenRouter and Anthropic, as of autumn 2026 (see docs/serve.md).

`Policy` is data that a client sends or `z1 serve --exit-policy` reads: probe interval, what a probe has to reach to end
the thought, repetition exit, and whether probes are streamed (*anytime* answers). `exit_rules` makes exit rules of it.
Two answers are equal if their canonical forms (`grading/equivalence.py`) are, or with "exact" if the strings are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from z1 import profiles
from z1.engines import AnswerExit, Engine, ExitRule, Probe, Sampling, probe_sampling
from z1.errors import ContextOverflow, UserError
from z1.exit_policy import NO_MINIMUMS, ExitMinimums
from z1.families import AnswerKind
from z1.grading.equivalence import canonical_answer
from z1.prompts import refusals_as_user_errors
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

EFFORT_FIELDS = (
    "reasoning_effort",
    "reasoning.effort",
    "chat_template_kwargs.reasoning_effort",
    "output_config.effort",
    "think",
)
"""Fields that hold a reasoning effort, which a table maps to a number of tokens. `think` may be a switch instead."""

DEFAULT_EFFORTS = frozenset({"auto", "default"})
"""Efforts that mean the server's default, unless the table has them."""

HINT_FIELDS = ("hint", "reasoning_budget_message", "think_stop_sentence")
"""Fields that hold the hint: the text that is forced when thinking is ended."""

_ON_OR_OFF = {True: True, False: False}

SWITCH_FIELDS: dict[str, Mapping[Any, bool]] = {
    "enable_thinking": _ON_OR_OFF,
    "think": _ON_OR_OFF,
    "thinking.type": {"disabled": False, "enabled": True, "adaptive": True, "auto": True},
    "reasoning.enabled": _ON_OR_OFF,
    "chat_template_kwargs.enable_thinking": _ON_OR_OFF,
    "chat_template_kwargs.thinking": _ON_OR_OFF,
}
"""Fields that turn thinking on or off. If it is on, a number, an effort or the server's default applies."""

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


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of a request in tokens: `thinking_budget` (None: unlimited), `max_answer_tokens`, and `max_tokens` of
    thought, hint and answer together.

    `max_answer_tokens` 0 is a hard cut: no hint and no separate answer. `hint` replaces the profile's hint; `deadline`
    is the seconds after which thinking is ended. If `has_thinking` is False the whole reply is answer. The model cannot
    end the thought (or, without thinking, the reply) before `min_thinking_tokens`. `max_thinking_budget` is the
    server's ceiling. With `may_cut` a reply whose `max_tokens` are too few for hint and answer is cut hard;
    `max_tokens_field` is the name under which the request sets them.
    `answer_kind` chooses the profile's hint. `soft_tokens`, `grace_tokens`: `think/soft_landing.py`.
    """

    thinking_budget: int | None = None
    max_answer_tokens: int | None = None
    max_tokens: int | None = None
    hint: str | None = None
    deadline: float | None = None
    has_thinking: bool = True
    min_thinking_tokens: int = 0
    max_thinking_budget: int | None = None
    may_cut: bool = False
    max_tokens_field: str = field(default="max_tokens", compare=False)
    answer_kind: AnswerKind = AnswerKind.TEXT
    soft_tokens: int = 0
    grace_tokens: int = 0

    @property
    def limit(self) -> int | None:
        """The thinking budget within the server's ceiling; None: unlimited."""
        limits = [limit for limit in (self.thinking_budget, self.max_thinking_budget) if limit is not None]
        return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class Policy:
    """A probe every `every` thinking tokens, with at most `answer_tokens` tokens; the thought ends at the first that
    reaches `minimums`.

    `anytime` streams the probes to the client. With `repetition` loops end; the first `max_nudges` of a thought are
    followed by the text `nudge` (None: the default one) instead. With `near_repetition` a loop's numbers may change.
    With `is_observing` no probe ends the thought. `is_default`: it is the server's, not the request's own.
    """

    every: int = 64
    minimums: ExitMinimums = NO_MINIMUMS
    answer_tokens: int = 64
    normalizer: Literal["equivalent", "exact"] = "equivalent"
    repetition: bool = False
    max_nudges: int = 0
    nudge: str | None = None
    near_repetition: bool = False
    anytime: bool = False
    is_observing: bool = False
    is_default: bool = False

    @property
    def has_probes(self) -> bool:
        """Whether the engine must fork sessions."""
        return self.anytime or (self.minimums is not NO_MINIMUMS and self.minimums.can_exit)


NO_POLICY = Policy()
"""A thought ends by itself or at its budget."""


def exit_rules(
    policy: Policy, engine: Engine, sampling: Sampling, on_probe: Callable[[Probe], None]
) -> tuple[ExitRule, ...]:
    """The exit rules of one reply; `on_probe` is called with every probe."""
    rules: list[ExitRule] = []
    if policy.has_probes:
        exit_rule = AnswerExit(
            policy.every,
            policy.minimums,
            policy.answer_tokens,
            partial(profiles.decode, engine.tokenizer),
            canonical_answer if policy.normalizer == "equivalent" else str.strip,
            probe_sampling(sampling, engine),
            on_probe,
            policy.is_observing,
        )
        rules.append(exit_rule)
    return tuple(rules)


def find_fields(body: Mapping[str, Any], names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    """The fields of `body` (a request without empty fields) with one of these dotted names."""
    values = {name: _lookup(body, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def parse_thinking_budget(body: Mapping[str, Any], effort_map: Mapping[str, int]) -> int | None:
    """The thinking budget of a request in tokens, -1 for unlimited; None if the request sets none.

    A number takes precedence over an effort. Thinking that is merely on sets none. Raises UserError if two fields
    contradict each other.
    """
    numbers = find_fields(body, BUDGET_FIELDS)
    efforts = {name: _effort_tokens(name, level, effort_map) for name, level in _efforts(body).items()}
    tokens = single_value(numbers) if numbers else single_value(efforts)
    if _switch(body) is not False:
        return None if tokens is None else int(tokens)
    if tokens not in (None, 0):
        off = next(name for name, is_on in _switches(body).items() if not is_on)
        got = f"off together with {_join_names(numbers or efforts)}"
        raise UserError(off, got, "leave one of them out")
    return 0


def has_thinking_on(body: Mapping[str, Any]) -> bool:
    """Whether a request turns thinking on, or asks for the server's default effort."""
    return bool(_switch(body) or _efforts(body))


def _efforts(body: Mapping[str, Any]) -> dict[str, Any]:
    """The efforts that a request names."""
    given = find_fields(body, EFFORT_FIELDS)
    return {name: level for name, level in given.items() if level != "" and not isinstance(level, bool)}


def _switch(body: Mapping[str, Any]) -> bool | None:
    is_on: bool | None = single_value(_switches(body))
    return is_on


def _switches(body: Mapping[str, Any]) -> dict[str, bool]:
    given = find_fields(body, SWITCH_FIELDS)
    return {name: SWITCH_FIELDS[name][value] for name, value in given.items() if value in SWITCH_FIELDS[name]}


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
    window = profiles.make_window(tokenizer, profile, budget.limit, max(1, reserve), budget.answer_kind)
    text = hint_text(profile, budget)
    if text is not None:  # the client's own hint is forced as it is
        with refusals_as_user_errors("tokenizer", "hint"):
            window = replace(window, hint=tuple(tokenizer.encode(text, add_special_tokens=False)), closing=None)
    if answer_tokens is None:
        answer_tokens = reserve
        if budget.limit is not None:
            answer_tokens = max(reserve, max_tokens - window.max_hint_tokens - budget.limit)
    if answer_tokens == 0:
        window = replace(window, hint=(), closing=None)
    window = replace(window, max_answer_tokens=answer_tokens, min_thinking_tokens=budget.min_thinking_tokens)
    landing = profiles.make_landing(tokenizer, profile, budget.soft_tokens, budget.grace_tokens)
    window = replace(window, landing=landing)
    if window.reserved_tokens <= max_tokens:
        return window, max_tokens
    return _short_window(window, budget, free_tokens), max_tokens


def _short_window(window: Window, budget: Budget, free_tokens: int) -> Window:
    """A hard cut where hint and answer do not fit into `max_tokens`. Raises UserError if the request does not allow it,
    or if the context is too full for them.
    """
    need, max_tokens = window.reserved_tokens, budget.max_tokens
    if max_tokens is None or max_tokens > free_tokens:
        got = f"a prompt that leaves {free_tokens} tokens of the {need} for hint and answer"
        raise ContextOverflow("prompt", got, "send a shorter one")
    if not budget.may_cut:
        do = f"give at least {need}, or a smaller answer_tokens (0: a hard cut without hint and answer)"
        raise UserError(budget.max_tokens_field, f"{max_tokens} tokens, hint and answer need {need}", do)
    return replace(window, hint=(), closing=None, max_answer_tokens=0)


def unforced_window(window: Window) -> Window:
    """The window of a reply into which nothing can be forced. Raises UserError if something must be."""
    if window.landing is not None or (window.repetition is not None and window.repetition.max_nudges):
        got = "an upstream that ends the thought itself"
        raise UserError("soft_tokens, grace_tokens, max_nudges", got, "leave them out")
    return replace(window, thinking_budget=None, hint=())


def hint_text(profile: profiles.Profile, budget: Budget) -> str | None:
    """The hint that a request sets; for a profile with think tags it ends with the closing tag."""
    text = budget.hint
    return text if text is None or profile.think_end in text else text + profile.think_end


def single_value(values: Mapping[str, Any]) -> Any:
    """The value that these fields share, ignoring None; None if there is none. Raises UserError if they differ."""
    given = {name: value for name, value in values.items() if value is not None}
    (first, value), *others = given.items() or [("", None)]
    for name, other in others:
        if other != value:
            raise UserError(name, f"{other} together with {first} {value}", "give one of them, or the same value")
    return value


def _effort_tokens(name: str, level: Any, effort_map: Mapping[str, int]) -> int | None:
    if level in DEFAULT_EFFORTS.difference(effort_map):
        return None
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
