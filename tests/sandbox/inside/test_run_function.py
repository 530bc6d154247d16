"""Is every result written so that it can be compared, and only equal ones are equal?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from z1.grading.function_tests import same
from z1.sandbox.inside.run_function import plain

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


@pytest.mark.parametrize(("got", "wanted", "equal"), ROWS)
def test_plain(got: Any, wanted: Any, equal: bool) -> None:
    assert same(json.loads(json.dumps(plain(got))), wanted) is equal


def test_a_value_within_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    json.dumps(plain(value))
