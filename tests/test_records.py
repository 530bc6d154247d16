"""Every record round-trips through JSON, and a line with other keys is an error."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.records import Attempt, Problem, Record, TrainingRow, TrajectorySet
from z1.think import Ledger

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
TEXT = st.text(max_size=12)
COUNT = st.integers(0, 2**40)
IDS = st.lists(COUNT, max_size=4)
STEPS = st.none() | COUNT

PROBLEMS = st.builds(Problem, TEXT, TEXT, TEXT, TEXT, TEXT, STEPS)
TRAJECTORIES = st.builds(TrajectorySet, PROBLEMS, st.dictionaries(TEXT, TEXT, max_size=3), TEXT, COUNT)
ROWS = st.builds(TrainingRow, TEXT, TEXT, TEXT, TEXT, TEXT, STEPS)
LEDGERS = st.builds(Ledger, COUNT, COUNT, COUNT, STEPS, COUNT, COUNT, COUNT).map(asdict)


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    token_ids = draw(IDS)
    ends = sorted(draw(st.lists(st.integers(0, len(token_ids)), min_size=2, max_size=3)))
    spans: list[list[Any]] = [[draw(TEXT), first, last] for first, last in pairwise(ends)]
    texts = [draw(TEXT) for _ in spans]
    end, shift, verdict, fault, tokenizer = (draw(TEXT) for _ in range(5))
    confidence = draw(st.none() | st.just({"probability": 0.5, "margin": 0.25, "entropy": 1.0}))
    how = (end, shift, verdict, fault, tokenizer, confidence)
    return Attempt(draw(TEXT), draw(STEPS), draw(COUNT), draw(IDS), token_ids, spans, texts, draw(LEDGERS), *how)


ATTEMPTS = attempts()
RECORDS = st.one_of(PROBLEMS, TRAJECTORIES, ROWS, ATTEMPTS)

PROBLEM = Problem("p1", "What?", "7", "programs", "count", 3)
LEDGER = asdict(Ledger(thought=2))
EXAMPLES: list[Record] = [
    PROBLEM,
    TrajectorySet(PROBLEM, {"direct": "", "full": "s = 7\n\n"}, "The final answer is \\boxed{7}.", 2, 12),
    TrainingRow("p1", "What?", "s = 7\n\n", "7", "full", None),
    Attempt("p1", None, 0, [1], [2, 3], [["thought", 0, 2]], ["s"], LEDGER, "stop", "none", "right", "", "t"),
]
EACH = pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)


@given(record=RECORDS)
@PROPERTY
def test_a_record_round_trips_through_json(record: Record) -> None:
    line = json.dumps(record.as_json(), ensure_ascii=False)
    assert type(record).from_json(json.loads(line)) == record


@EACH
def test_keys_are_the_field_names(record: Record) -> None:
    assert list(record.as_json()) == [field.name for field in fields(record)]


@EACH
def test_a_record_cannot_be_changed(record: Record) -> None:
    with pytest.raises(AttributeError):
        setattr(record, fields(record)[0].name, "other")


@EACH
def test_each_missing_key_is_an_error_with_its_name(record: Record) -> None:
    for key in record.as_json():
        line = {k: v for k, v in record.as_json().items() if k != key}
        if key == "answer_confidence":  # files of earlier versions lack it
            assert type(record).from_json(line) == replace(record, answer_confidence=None)  # type: ignore[call-arg]
        else:
            refused(record, line, key)


@EACH
def test_an_unknown_key_is_an_error_with_its_name(record: Record) -> None:
    refused(record, {**record.as_json(), "tempo": 3}, "tempo")


OTHER_TYPES = [None, True, 3, 2.5, "text", ["a"], [1], [None], {}, {"a": 1}, [["a", 1, "2"]]]


@EACH
def test_a_value_of_another_type_is_an_error_with_its_key(record: Record) -> None:
    """Whatever is accepted in a field is what the field holds in another record of this kind."""
    for key, own in record.as_json().items():
        kinds = {type(own), *([int, type(None)] if key in ("steps", "thinking_budget") else [])}
        kinds |= {dict, type(None)} if key == "answer_confidence" else set()
        for other in OTHER_TYPES:
            if type(other) not in kinds:
                with pytest.raises(UserError, match=f"records: got key '{key}' with "):
                    type(record).from_json({**record.as_json(), key: other})


@pytest.mark.parametrize(
    "change",
    [
        {"token_ids": [1, True]},
        {"token_ids": ["1"]},
        {"texts": []},
        {"texts": [3]},
        {"spans": [["thought", 0, 3]]},
        {"spans": [["thought", 0]]},
        {"spans": [["thought", 0, "2"]]},
        {"spans": [[0, 0, 2]]},
        {"spans": ["thought"]},
        {"ledger": {}},
        {"ledger": {**LEDGER, "more": 1}},
        {"ledger": {**LEDGER, "thought": "2"}},
    ],
    ids=str,
)
def test_an_attempt_that_does_not_fit_together_is_an_error(change: dict[str, Any]) -> None:
    attempt = EXAMPLES[-1].as_json()
    assert Attempt.from_json(attempt)
    with pytest.raises(UserError, match="Attempt records"):
        Attempt.from_json({**attempt, **change})


def test_keys_of_a_nested_problem_are_checked_too() -> None:
    value = EXAMPLES[1].as_json()
    refused(EXAMPLES[1], {**value, "problem": {**value["problem"], "tempo": 3}}, "tempo")


def refused(record: Record, value: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=f"'{key}' missing or unknown") as caught:
        type(record).from_json(value)
    assert "\n" not in str(caught.value)
