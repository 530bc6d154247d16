"""Loops, nudges and soft landings in the server: per request, and as the server's defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

from tests.serve.conftest import serving
from tests.serve.scripts import ASK
from z1.engines import Engine
from z1.engines.scripted import ScriptedEngine
from z1.families import NUDGE
from z1.serve.api.request_parser import RequestDefaults


def looping(context: Sequence[int]) -> int:
    """Thinks 1234567890 again and again, and answers so."""
    return ord("0") + len(context) % 10


def budget_from(defaults: RequestDefaults, engine: Engine | None = None, **body: Any) -> dict[str, Any]:
    with serving(engine or ScriptedEngine(looping), defaults) as served:
        response = served.post(**ASK, **body)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    return {**choice["budget"], "finish_reason": choice["finish_reason"], "text": choice["message"]["content"]}


def test_loops_are_ended_by_request_and_by_server() -> None:
    asked = budget_from(RequestDefaults(), policy={"repetition": True})
    assert (asked["reason"], asked["end"], asked["finish_reason"]) == ("repetition", "repetition", "length")
    assert asked["used"] <= 3 * 10 + 64
    nudged = budget_from(RequestDefaults(repetition=True, max_nudges=1))
    assert nudged["text"].count(NUDGE) == 1 and nudged["used"] > asked["used"] + len(NUDGE)
    own = budget_from(RequestDefaults(), policy={"repetition": True, "max_nudges": 2, "nudge": "#hm#"})
    assert own["text"].count("#hm#") == 2
    assert budget_from(RequestDefaults(repetition=True), policy={"repetition": True, "max_nudges": 0}) == {
        **asked,
        "answer_ms": ANY,
    }


def test_the_hint_waits_for_the_end_of_a_sentence_by_request_and_by_server() -> None:
    def sentences(context: Sequence[int]) -> int:
        return ord(("so it goes. " * 999)[len(context)])

    for defaults, body in ((RequestDefaults(), {"grace_tokens": 12}), (RequestDefaults(grace_tokens=12), {})):
        budget = budget_from(defaults, ScriptedEngine(sentences), **{"thinking_budget": 40, **body})
        assert budget["text"][: budget["offsets"]["hint"]].endswith("goes.")
        assert (budget["reason"], 28 <= budget["used"] <= 40) == ("budget", True)
    hard = budget_from(RequestDefaults(grace_tokens=12), ScriptedEngine(sentences), thinking_budget=40, grace_tokens=0)
    assert hard["used"] == 40


def test_soft_tokens_need_an_engine_that_can_add_a_bias() -> None:
    class Unable(ScriptedEngine):
        capabilities = replace(ScriptedEngine.capabilities, can_bias=False)

    thinking = ScriptedEngine(looping, profile="qwen3")
    soft = budget_from(RequestDefaults(), thinking, thinking_budget=90, soft_tokens=90)
    assert (soft["reason"], soft["used"]) == ("natural", 74 + len("</think>"))
    with serving(Unable(looping, profile="qwen3"), RequestDefaults()) as served:
        response = served.post(**ASK, thinking_budget=60, soft_tokens=30)
    assert response.status_code == 400 and "soft_tokens" in response.json()["error"]["message"]
