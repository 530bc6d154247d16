"""May a thought end early, and is the client told the truth of it?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.serve.conftest import Served, chunks
from tests.serve.scripts import ASK, FORCED, HINT, PREFIX, scripted
from z1.engines import Convergence, RepetitionExit
from z1.serve.api.policy import Policy, exits


def budget_of(served: Served, **policy: Any) -> dict[str, Any]:
    told = served.post(**ASK, policy=policy)
    assert told.status_code == 200, told.text
    return dict(told.json()["choices"][0]["budget"])


def test_a_thought_whose_answer_stays_the_same_ends_early_and_pays_for_its_probes(served: Served) -> None:
    budget = budget_of(served, every=8, stable=3)
    assert (budget["reason"], budget["used"]) == ("converged", 24)
    assert budget["probe_tokens"] == 3 * (len(HINT) + len(FORCED) + 1)
    assert "probes" not in budget


def test_anytime_answers_come_as_events_and_in_the_whole(served: Served) -> None:
    said = PREFIX + FORCED
    expected = [{"at": at, "answer": said, "agreement": at // 16} for at in (16, 32, 48, 64)]  # 64: in the marker
    whole = budget_of(served, every=16, anytime=True)
    assert whole["probes"] == expected and whole["reason"] == "natural"
    stream = served.post(**ASK, policy={"every": 16, "anytime": True}, stream=True)
    choices = [event["choices"][0] for event in chunks(stream.text.splitlines())]
    assert [choice["probe"] for choice in choices if "probe" in choice] == expected
    text = served.post("/v1/completions", model="scripted", prompt="why?", max_tokens=400, thinking_budget=-1,
                       policy={"every": 16, "anytime": True}, stream=True)  # fmt: skip
    choices = [event["choices"][0] for event in chunks(text.text.splitlines())]
    assert [choice["probe"] for choice in choices if "probe" in choice] == expected
    assert all(choice["text"] == "" for choice in choices if "probe" in choice)


def test_a_policy_changes_no_id_of_a_thought_that_it_lets_go_on(served: Served) -> None:
    plain, watched = served.post(**ASK).json(), served.post(**ASK, policy={"every": 8, "stable": 100}).json()
    assert plain["choices"][0]["message"] == watched["choices"][0]["message"]
    assert plain["usage"] == watched["usage"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"policy": {}}, "nothing that ends or tells"),
        ({"policy": {"stable": 2}, "thinking_token_budget": 0}, "without a thought"),
        ({"policy": {"stable": 2}, "answer_tokens": 0}, "without an answer"),
        ({"policy": {"stable": 0}}, "stable"),
        ({"policy": {"stable": 2, "code": "x"}}, "no such setting"),
        ({"policy": {"stable": 2, "every": 1}}, "every"),
        ({"policy": {"stable": 2, "normalizer": "lower"}}, "normalizer"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(served: Served, body: dict[str, Any], complaint: str) -> None:
    told = served.post(**ASK, **body)
    assert told.status_code == 400 and complaint in told.json()["error"]["message"]


def test_what_a_policy_makes() -> None:
    engine = scripted()
    assert exits(Policy(), engine, lambda _: None) == ()
    circles, convergence = exits(Policy(stable=2, repetition=True, normalizer="exact"), engine, lambda _: None)
    assert isinstance(circles, RepetitionExit) and isinstance(convergence, Convergence)
    assert convergence.said([ord(character) for character in " a, B "]) == "a, B"
    (tolerant,) = exits(Policy(tell=True), engine, lambda _: None)
    assert isinstance(tolerant, Convergence) and tolerant.said([ord(c) for c in "\\boxed{0.50}"]) == "box 1/2"
