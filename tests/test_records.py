"""Every record round-trips through JSON, and a line with other keys is an error."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.records import Attempt, Problem, Record, TrainingRow, TrajectorySet

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
TEXT = st.text(max_size=12)
COUNT = st.integers(0, 2**40)
IDS = st.lists(COUNT, max_size=4)
STEPS = st.none() | COUNT

PROBLEMS = st.builds(Problem, TEXT, TEXT, TEXT, TEXT, TEXT, STEPS)
TRAJECTORIES = st.builds(TrajectorySet, PROBLEMS, st.dictionaries(TEXT, TEXT, max_size=3), TEXT, COUNT)
ROWS = st.builds(TrainingRow, TEXT, TEXT, TEXT, TEXT, TEXT, STEPS)
SPANS = st.lists(st.tuples(TEXT, COUNT, COUNT).map(list), max_size=3)
ATTEMPTS = st.builds(
    Attempt, TEXT, STEPS, COUNT, IDS, IDS, SPANS, st.lists(TEXT, max_size=3), st.dictionaries(TEXT, STEPS, max_size=3)
)  # the other fields are strings, generated from their types
RECORDS = st.one_of(PROBLEMS, TRAJECTORIES, ROWS, ATTEMPTS)

PROBLEM = Problem("p1", "What?", "7", "programs", "count", 3)
EXAMPLES: list[Record] = [
    PROBLEM,
    TrajectorySet(PROBLEM, {"direct": "", "full": "s = 7\n\n"}, "The final answer is \\boxed{7}.", 2, 12),
    TrainingRow("p1", "What?", "s = 7\n\n", "7", "full", None),
    Attempt("p1", None, 0, [1], [2, 3], [["thought", 0, 2]], ["s"], {"answer": None}, "stop", "none", "right", "", "t"),
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
        refused(record, {k: v for k, v in record.as_json().items() if k != key}, key)


@EACH
def test_an_unknown_key_is_an_error_with_its_name(record: Record) -> None:
    refused(record, {**record.as_json(), "tempo": 3}, "tempo")


def test_keys_of_a_nested_problem_are_checked_too() -> None:
    value = EXAMPLES[1].as_json()
    refused(EXAMPLES[1], {**value, "problem": {**value["problem"], "tempo": 3}}, "tempo")


def refused(record: Record, value: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=f"'{key}' missing or unknown") as caught:
        type(record).from_json(value)
    assert "\n" not in str(caught.value)
