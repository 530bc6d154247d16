"""What becomes of the body of a request to vLLM, by settings and by what the client asks for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.engines.vllm_params import WindowParams, parse_xargs
from z1.vllm_plugin.request_rewriter import BUDGETS, EFFORTS, ROUTES, SWITCHES, Decision, rewrite
from z1.vllm_plugin.settings import ModelDefaults, PluginSettings

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why?"}], "max_tokens": 900}
EFFORT_MAP = {"low": 100, "high": 700, "max": -1}
DEFAULTS = ModelDefaults(thinking_budget=300, max_thinking_budget=500, reasoning_effort_map=EFFORT_MAP)


def nested(name: str, value: object) -> dict[str, Any]:
    outer, _, inner = name.partition(".")
    return {outer: {inner: value}} if inner else {outer: value}


def decided(body: dict[str, Any], model: ModelDefaults = DEFAULTS, route: str = CHAT, drawn: float = 0.0) -> Any:
    """The window of the changed body (None: not changed), and the decision."""
    before = deepcopy(body)
    changed, decision = rewrite(body, route, PluginSettings(models={"m": model}), lambda: drawn)
    assert body == before
    return (None if changed is None else parse_xargs(changed["vllm_xargs"])), decision


def test_a_request_that_asks_for_nothing_gets_the_default() -> None:
    assert decided(ASK) == (WindowParams(300, optional=True), Decision.DEFAULT)
    changed, _ = rewrite(ASK, CHAT, PluginSettings(models={"m": DEFAULTS}), lambda: 0)
    assert changed == {**ASK, "vllm_xargs": {"z1_thinking_budget": 300, "z1_optional": 1}}
    other = {**ASK, "vllm_xargs": {"session_id": "7"}}
    changed, _ = rewrite(other, CHAT, PluginSettings(default=DEFAULTS), lambda: 0)
    assert changed is not None
    assert changed["vllm_xargs"]["session_id"] == "7"


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_of_the_clients_own_is_mapped_and_capped(name: str) -> None:
    """vllm 54906, 39697: a client's thinking_token_budget was ignored or late."""
    for asked, got in ((0, 0), (77, 77), (5000, 500), (-1, 500)):
        assert decided({**ASK, **nested(name, asked)}) == (WindowParams(got, optional=True), Decision.MAPPED)
    changed, _ = rewrite({**ASK, **nested(name, 77)}, CHAT, PluginSettings(default=DEFAULTS), lambda: 0)
    assert changed is not None
    assert "thinking_token_budget" not in changed
    assert not isinstance(changed.get("thinking"), dict)
    values: list[Any] = ["77", True, 1.5, None, [], -5]
    for value in values:
        assert decided({**ASK, **nested(name, value)})[1] is Decision.DEFAULT


@pytest.mark.parametrize("name", EFFORTS)
def test_an_effort_is_mapped(name: str) -> None:
    """vllm 55382, ollama 17561: an effort should mean a number of tokens."""
    for asked, got in (("low", 100), ("high", 500), ("max", 500)):
        assert decided({**ASK, **nested(name, asked)}) == (WindowParams(got, optional=True), Decision.MAPPED)
    assert decided({**ASK, **nested(name, "unheard")}) == (WindowParams(300, optional=True), Decision.DEFAULT)


@pytest.mark.parametrize(("name", "value"), SWITCHES)
def test_a_request_without_thinking_is_left_alone(name: str, value: object) -> None:
    """The whole reply is then answer: a budget for its thought would cut it."""
    assert decided({**ASK, **nested(name, value)}) == (None, Decision.NO_THINKING)


def test_what_does_not_think_is_left_alone() -> None:
    for extra in ({"continue_final_message": True}, {"add_generation_prompt": False}, {"use_beam_search": True}):
        assert decided({**ASK, **extra}) == (None, Decision.NO_THINKING)
    text = {"model": "m", "prompt": "x = "}
    assert decided(text, route=TEXT) == (None, Decision.NOTHING)
    assert decided({**text, "thinking_token_budget": 9}, route=TEXT)[1] is Decision.MAPPED


def test_the_ceiling_holds_for_every_request() -> None:
    """sglang 19200: a server-wide ceiling."""
    for asked, got in ((100, 100), (501, 500), (-1, 500)):
        body = {**ASK, "vllm_xargs": {"z1_thinking_budget": asked, "z1_stop": ["x"]}}
        window, decision = decided(body)
        assert decision is Decision.ASKED
        assert (asked if window is None else window.thinking_budget) == got
    assert decided({**ASK, "vllm_xargs": {"z1_stop": ["x"]}})[0].thinking_budget == 500
    only_ceiling = ModelDefaults(max_thinking_budget=500)
    assert decided(ASK, only_ceiling) == (WindowParams(500, optional=True), Decision.DEFAULT)
    assert decided(ASK, ModelDefaults()) == (None, Decision.NOTHING)


def test_the_canary_is_a_share_of_the_requests_without_z1s_keys() -> None:
    canary = ModelDefaults(thinking_budget=9, max_thinking_budget=5, canary=0.3)
    assert decided(ASK, canary, drawn=0.29)[1] is Decision.DEFAULT
    assert decided({**ASK, "thinking_token_budget": 4}, canary, drawn=0.3) == (None, Decision.OUTSIDE_CANARY)
    assert decided({**ASK, "vllm_xargs": {"z1_thinking_budget": 9}}, canary, drawn=0.9)[1] is Decision.ASKED
    assert decided(ASK, ModelDefaults(thinking_budget=9, canary=0))[1] is Decision.OUTSIDE_CANARY
    assert decided(ASK, ModelDefaults(thinking_budget=9), drawn=0.9999)[1] is Decision.DEFAULT


def test_tools_need_markers() -> None:
    """vllm 44676: a budget must not end a thought in the middle of a tool call."""
    tools = {**ASK, "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert decided(tools) == (None, Decision.TOOLS)
    marked = ModelDefaults(thinking_budget=9, tool_markers=("<tool_call>",))
    assert decided(tools, marked)[0] == WindowParams(9, markers=("<tool_call>",), optional=True)
    assert decided(ASK, marked)[0] == WindowParams(9, optional=True)


def test_the_kill_switch_leaves_vllms_own_request() -> None:
    off = PluginSettings(enabled=False, default=DEFAULTS)
    assert rewrite({**ASK, "thinking_token_budget": 5}, CHAT, off, lambda: 0) == (None, Decision.OFF)
    keys = {**ASK, "vllm_xargs": {"z1_thinking_budget": 3, "session_id": "7"}}
    assert rewrite(keys, CHAT, off, lambda: 0) == ({**ASK, "vllm_xargs": {"session_id": "7"}}, Decision.OFF)
    only = {**ASK, "vllm_xargs": {"z1_thinking_budget": 3}}
    assert rewrite(only, CHAT, off, lambda: 0) == ({**ASK, "vllm_xargs": None}, Decision.OFF)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = [*BUDGETS, *EFFORTS, *(name for name, _ in SWITCHES), "vllm_xargs", "tools", "model", "vllm_xargs.z1_hint"]
NAMES += ["vllm_xargs.z1_thinking_budget", "thinking", "reasoning", "chat_template_kwargs"]


@given(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=5), st.sampled_from(ROUTES), st.booleans())
def test_no_body_raises_and_each_change_is_a_valid_window(fields: dict[str, Any], route: str, enabled: bool) -> None:
    body: dict[str, Any] = {}
    for name, value in fields.items():
        body |= nested(name, value)
    settings = PluginSettings(enabled=enabled, default=DEFAULTS)
    changed, decision = rewrite(body, route, settings, lambda: 0.0)
    assert isinstance(decision, Decision)
    if changed is not None and decision is not Decision.ASKED:
        window = parse_xargs(changed["vllm_xargs"])
        assert (window is None) == (not enabled)
        assert window is None or 0 <= window.thinking_budget <= 500


def test_loops_are_ended_without_a_budget_and_soft_landings_with_one() -> None:
    loops = ModelDefaults(repetition=True, max_nudges=2, grace_tokens=9)
    wanted = WindowParams(-1, optional=True, repetition=True, max_nudges=2, grace_tokens=9)
    assert decided(ASK, loops) == (wanted, Decision.DEFAULT)
    assert decided(ASK, ModelDefaults(grace_tokens=9, max_nudges=2)) == (None, Decision.NOTHING)
    soft = ModelDefaults(thinking_budget=300, soft_tokens=64)
    assert decided(ASK, soft) == (WindowParams(300, optional=True, soft_tokens=64), Decision.DEFAULT)
