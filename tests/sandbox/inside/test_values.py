"""Values as JSON: they come back equal, of plain types, shared as they were; and arguments show what changed."""

from __future__ import annotations

import collections
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.sandbox.inside.values import NotPlainError, ValueDecoder, ValueEncoder

Point = collections.namedtuple("Point", "x y")


class Node:
    def __init__(self, value: int, following: Node | None = None) -> None:
        self.value, self.following = value, following


def refuse(*_: Any) -> Any:
    raise NotPlainError("no data")


def sent(*values: Any) -> list[Any]:
    message = ValueEncoder(refuse, {Node: "Node"}, []).message(list(values))
    return ValueDecoder(refuse, {"Node": Node}, []).values(json.loads(json.dumps(message)))


atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner) | st.frozensets(keys) | st.sets(keys)
    ),
    max_leaves=30,
)


@given(values)
def test_data_comes_back_equal(value: Any) -> None:
    (found,) = sent(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        float("inf"),
        10**300,
        1 + 2j,
        Decimal("1.10"),
        Fraction(1, 3),
        date(2024, 2, 29),
        datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
        timedelta(days=1, microseconds=2),
        range(1, 9, 2),
        ...,
        Point(1, [2]),
        collections.deque([1, 2], maxlen=3),
        collections.Counter("abca"),
        collections.OrderedDict([("b", 1), ("a", 2)]),
        collections.defaultdict(list, {"a": [1]}),
        bytearray(b"abc"),
        "\ud800",
        np.float64(0.5),
        np.int64(3),
        np.bool_(True),
    ],
    ids=repr,
)
def test_other_data_comes_back_equal(value: Any) -> None:
    (found,) = sent(value)
    assert found == value
    assert type(found).__name__ == type(value).__name__


def test_arrays_come_back() -> None:
    for array in (np.arange(6).reshape(2, 3), np.array([0.5, np.nan]), np.array(["a", "bc"]), np.zeros((0, 2))):
        (found,) = sent(array)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
    with pytest.raises(NotPlainError):
        sent(np.array([object()]))


def test_a_number_of_a_class_with_its_own_comparisons_is_a_number() -> None:
    class Five(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

        def __sub__(self, other: int) -> int:
            return 0

    class Text(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    assert [type(one) for one in sent(Five(5), Text("a"), [Five(5)][0])] == [int, str, int]
    with pytest.raises(NotPlainError):
        sent(type("L", (list,), {"__eq__": lambda *_: True})())


def test_what_is_shared_stays_shared_and_a_cycle_ends() -> None:
    inner: list[Any] = [1]
    inner.append(inner)
    first, second = sent([inner, inner], {"a": inner})
    assert first[0] is first[1] is second["a"] is second["a"][1]


def test_a_long_list_of_nodes_needs_no_recursion() -> None:
    head = None
    for number in range(20_000):
        head = Node(number, head)
    (found,) = sent(head)
    assert (found.value, found.following.value) == (19_999, 19_998)


def test_changed_arguments_are_known_by_their_numbers() -> None:
    argument = {"rows": [[1, 2], [3]]}
    encoder = ValueEncoder(refuse, {}, [])
    message = json.loads(json.dumps(encoder.message([argument])))
    decoder = ValueDecoder(refuse, {}, [])
    (received,) = decoder.values(message)
    received["rows"][1].append([4])
    answer = ValueEncoder(refuse, {}, decoder.objects)
    now = answer.contents()
    changed = [number for number, node in enumerate(now) if node != message["nodes"][number]]
    back = ValueDecoder(refuse, {}, encoder.objects)
    back.add_nodes(json.loads(json.dumps(answer.new_nodes())))
    for number in changed:
        back.fill(encoder.objects[number], now[number])
    assert argument == {"rows": [[1, 2], [3, [4]]]}
    assert len(changed) == 1
