"""The JSON form of results, and their comparison with expected values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from z1.grading.function_tests import is_expected
from z1.sandbox.inside.run_function import to_json_value

ROWS: list[tuple[Any, Any, bool]] = [
    ([1, (2, 3)], [1, [2, 3]], True),
    ({1: 2}, {1: 2}, True),
    ({1: 2}, {"1": 2}, False),
    ({2, 1}, {1, 2}, True),
    ({2, 1}, [1, 2], False),
    (float("nan"), 0, False),
    (1, 1.0, True),
    ("1", 1, False),
    (b"a", "a", False),
    ([[]], [], False),
    (10**30, 10**30 + 1, False),
]


@pytest.mark.parametrize(("got", "expected", "equal"), ROWS)
def test_only_equal_values_are_expected(got: Any, expected: Any, equal: bool) -> None:
    assert is_expected(json.loads(json.dumps(to_json_value(got))), expected) is equal


def test_a_value_that_contains_itself_is_cut_off() -> None:
    value: list[Any] = []
    value.append(value)
    json.dumps(to_json_value(value))
