"""The change to the body of one HTTP request to vLLM: a window for a client that does not know z1.

A pure function of body and settings. It never refuses: a request that z1 does not understand is left to vLLM. The
window is marked as optional, so that vLLM generates without one where it cannot be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from z1.engines.vllm_params import UNLIMITED, WindowParams
from z1.vllm_plugin.settings import ModelDefaults, PluginSettings

Body = Mapping[str, Any]

CHAT_ROUTES = ("/v1/chat/completions", "/v1/responses", "/v1/messages")

ROUTES = (*CHAT_ROUTES, "/v1/completions")
"""Routes whose bodies have `vllm_xargs`. A text completion does not think unless it asks for it."""

BUDGETS = (
    "thinking_token_budget",
    "thinking.budget_tokens",
    "thinking_budget",
    "reasoning.max_tokens",
    "chat_template_kwargs.thinking_budget",
)
"""Fields in which clients ask for a number of thinking tokens: vLLM's, Anthropic's, Qwen's, OpenRouter's."""

EFFORTS = ("reasoning_effort", "reasoning.effort", "output_config.effort", "chat_template_kwargs.reasoning_effort")

SWITCHES = (
    ("chat_template_kwargs.enable_thinking", False),
    ("chat_template_kwargs.thinking", False),
    ("thinking.type", "disabled"),
    ("reasoning.enabled", False),
    *((name, "none") for name in EFFORTS),
)
"""Fields and the value with which they turn thinking off. The whole reply is then answer, and z1 leaves it alone."""


class Decision(StrEnum):
    """What was done with a request."""

    OFF = "off"
    """The kill switch is off: vLLM's own."""
    ASKED = "asked"
    """It has z1's own keys."""
    MAPPED = "mapped"
    """It asks for a budget or an effort in a field of its own."""
    DEFAULT = "default"
    """It asks for nothing and gets the model's default, or the ceiling."""
    OUTSIDE_CANARY = "outside_canary"
    NO_THINKING = "no_thinking"
    """It turns thinking off, is a text completion, or continues a message."""
    TOOLS = "tools"
    """It has tools, and the settings have no markers for their calls."""
    NOTHING = "nothing"
    """It asks for nothing, and there is no default."""


def rewrite(
    body: Body, route: str, settings: PluginSettings, draw: Callable[[], float]
) -> tuple[dict[str, Any] | None, Decision]:
    """The changed body (None: send it as it came) and what was decided. `draw` gives numbers from 0 to 1."""
    xargs = body.get("vllm_xargs") or {}
    has_keys = isinstance(xargs, dict) and any(name.startswith("z1_") for name in xargs)
    if not settings.enabled:
        return (_without_keys(body) if has_keys else None), Decision.OFF
    _, model = settings.for_model(body.get("model"))
    if has_keys:
        return _with_ceiling(body, model), Decision.ASKED
    asked = _asked_budget(body, model)
    budget = _capped(model.thinking_budget if asked is None else asked, model)
    if (reason := _reason_to_leave(body, route, model, (asked, budget))) is not None:
        return None, reason
    if draw() >= model.canary:
        return None, Decision.OUTSIDE_CANARY
    markers = model.tool_markers if body.get("tools") else ()
    window = WindowParams(
        UNLIMITED if budget is None else budget,
        answer_reserve=model.answer_reserve,
        markers=markers,
        optional=True,
        repetition=model.repetition,
        max_nudges=model.max_nudges if model.repetition else 0,
        soft_tokens=model.soft_tokens,
        grace_tokens=model.grace_tokens,
    )
    changed = {name: value for name, value in body.items() if name != "thinking_token_budget"}
    if "budget_tokens" in _nested(body, "thinking"):
        changed["thinking"] = None  # vLLM would make a budget of its own from it
    decision = Decision.DEFAULT if asked is None else Decision.MAPPED
    return {**changed, "vllm_xargs": {**xargs, **window.to_xargs()}}, decision


def _reason_to_leave(
    body: Body, route: str, model: ModelDefaults, budgets: tuple[int | None, int | None]
) -> Decision | None:
    """Why the request is vLLM's own; None if it gets a window. `budgets`: what was asked for, and what results."""
    asked, budget = budgets
    if not isinstance(body.get("vllm_xargs") or {}, dict) or not _may_think(body):
        return Decision.NO_THINKING
    if (budget is None and not model.repetition) or (asked is None and route not in CHAT_ROUTES):
        return Decision.NOTHING
    if body.get("tools") and not model.tool_markers:
        return Decision.TOOLS
    return None


def _without_keys(body: Body) -> dict[str, Any]:
    xargs = {name: value for name, value in body["vllm_xargs"].items() if not name.startswith("z1_")}
    return {**body, "vllm_xargs": xargs or None}


def _with_ceiling(body: Body, model: ModelDefaults) -> dict[str, Any] | None:
    asked = body["vllm_xargs"].get("z1_thinking_budget", UNLIMITED)
    capped = _capped(asked, model) if type(asked) is int else asked
    if capped == asked:
        return None
    return {**body, "vllm_xargs": {**body["vllm_xargs"], "z1_thinking_budget": capped}}


def _capped(budget: int | None, model: ModelDefaults) -> int | None:
    """`budget` within the ceiling; None if there is neither."""
    ceiling = model.max_thinking_budget
    if ceiling is None:
        return budget
    return ceiling if budget in (None, UNLIMITED) else min(budget, ceiling)


def _may_think(body: Body) -> bool:
    is_off = any(_field(body, name) == value and _field(body, name) is not None for name, value in SWITCHES)
    continues = body.get("continue_final_message") or body.get("add_generation_prompt") is False
    return not (is_off or continues or body.get("use_beam_search"))


def _asked_budget(body: Body, model: ModelDefaults) -> int | None:
    """The tokens that the client asks for by a number or an effort; None if it asks for none."""
    numbers = (_field(body, name) for name in BUDGETS)
    number = next((one for one in numbers if type(one) is int and one >= UNLIMITED), None)
    if number is not None:
        return number
    efforts = (_field(body, name) for name in EFFORTS)
    return next((model.reasoning_effort_map[one] for one in efforts if one in model.reasoning_effort_map), None)


def _field(body: Body, name: str) -> Any:
    outer, _, inner = name.partition(".")
    value = _nested(body, outer).get(inner) if inner else body.get(outer)
    return value if isinstance(value, str | int) else None


def _nested(body: Body, name: str) -> Body:
    value = body.get(name)
    return value if isinstance(value, dict) else {}
