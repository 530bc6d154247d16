"""A step is an executed line; a program that is too long, fails or leaves the range gives None."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from z1.synthetic.programs import DRILLS, generate
from z1.synthetic.tracer import Trace, step_bounds, trace

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
SOURCES = st.integers(0, 10**6).map(lambda index: generate(13, index)[1])
MOST = 40


def lines(source: str) -> list[int]:
    """The line number of each step."""
    found = trace(source, MOST)
    assert found is not None
    return [step.node.lineno for step in found.steps]


@given(source=SOURCES | st.integers(0, 10**6).map(lambda index: generate(13, index, tuple(DRILLS))[1]))
@PROPERTY
def test_step_bounds_hold(source: str) -> None:
    found = trace(source, MOST)
    assume(found is not None)
    assert found is not None
    fewest, most = step_bounds(source, MOST)
    assert fewest <= len(found.steps) <= most
    if " " not in {line[0] for line in source.splitlines()}:
        assert fewest == most


@pytest.mark.parametrize(
    ("source", "visited"),
    [
        ("print(1 + 2)\n", [1]),
        ("a = 1\nb = 2\nprint(a)\n", [1, 2, 3]),
        # a header of n turns is visited n + 1 times
        ("s = 0\nfor i in range(2):\n    s += i\nprint(s)\n", [1, 2, 3, 2, 3, 2, 4]),
        ("s = 0\nfor i in range(0):\n    s += i\nprint(s)\n", [1, 2, 4]),
        ("v = [3, 4]\nt = 1\nfor x in v:\n    t = x\nprint(t)\n", [1, 2, 3, 4, 3, 4, 3, 5]),
        ('w = "AB"\nt = ""\nfor c in w:\n    t = c + t\nprint(t)\n', [1, 2, 3, 4, 3, 4, 3, 5]),
        ("n = 5\nwhile n > 3:\n    n -= 1\nprint(n)\n", [1, 2, 3, 2, 3, 2, 4]),
        ("n = 5\nwhile n > 7:\n    n -= 1\nprint(n)\n", [1, 2, 4]),
        # a condition is a step, `else` is not
        ("a = 5\nif a > 3:\n    a -= 1\nelse:\n    a += 1\nprint(a)\n", [1, 2, 3, 6]),
        ("a = 2\nif a > 3:\n    a -= 1\nelse:\n    a += 1\nprint(a)\n", [1, 2, 5, 6]),
        ("a = 2\nif a > 3:\n    a -= 1\nprint(a)\n", [1, 2, 4]),
        ("s = 0\nfor i in range(2):\n    if i > 0:\n        s += 4\nprint(s)\n", [1, 2, 3, 2, 3, 4, 2, 5]),
        # nested loops
        ("s = 0\nfor i in range(2):\n    for j in range(1):\n        s += 1\nprint(s)\n", [1, *[2, 3, 4, 3] * 2, 2, 5]),
    ],
)
def test_which_lines_are_steps(source: str, visited: list[int]) -> None:
    assert lines(source) == visited


@pytest.mark.parametrize(
    ("source", "header", "turns"),
    [
        ("s = 0\nfor i in range(3):\n    s += i\nprint(s)\n", 2, [0, 1, 2, 3]),
        ("s = 0\nfor i in range(3):\n    if i > 1:\n        s += i\nprint(s)\n", 2, [0, 1, 2, 3]),
        # an inner loop counts from zero again, an outer one continues
        ("s = 0\nfor i in range(2):\n    for j in range(2):\n        s += 1\nprint(s)\n", 3, [0, 1, 2, 0, 1, 2]),
        ("s = 0\nfor i in range(2):\n    for j in range(2):\n        s += 1\nprint(s)\n", 2, [0, 1, 2]),
        ("s = 0\nfor i in range(1):\n    s += 1\nfor j in range(1):\n    s += 1\nprint(s)\n", 4, [0, 1]),
    ],
)
def test_a_step_counts_earlier_iterations_of_its_loop(source: str, header: int, turns: list[int]) -> None:
    found = trace(source, MOST)
    assert found is not None
    assert [step.iteration for step in found.steps if step.node.lineno == header] == turns


def test_a_step_has_its_line_and_the_values_before_and_after() -> None:
    found = trace("a = 2\nif a > 1:\n    a += 3\nprint(a)\n", MOST)
    assert found is not None
    steps = [
        ("a = 2", {}, {"a": 2}, 0),
        ("if a > 1:", {"a": 2}, {"a": 2}, 0),
        ("a += 3", {"a": 2}, {"a": 5}, 0),
        ("print(a)", {"a": 5}, {"a": 5}, 0),
    ]
    assert facts(found) == (steps, "5")


def test_a_list_that_grows_later_is_recorded_as_it_was() -> None:
    found = trace("u = []\nu.append(1)\nu.append(2)\nprint(u)\n", MOST)
    assert found is not None
    assert [step.after["u"] for step in found.steps] == [[], [1], [1, 2], [1, 2]]


@pytest.mark.parametrize(
    "source",
    [
        "n = 1\nwhile n > 0:\n    n = 2\nprint(n)\n",  # does not terminate
        "a = 9\na += 1\nprint(a)\n",  # above the range
        "a = 9\na += 1\na -= 5\nprint(a)\n",  # temporarily above it
        "a = 0\na -= 1\nprint(a)\n",
        'w = "ABC"\nw = w + w\nprint(w)\n',
        "v = [1, 2, 3, 4, 5, 6]\nprint(v)\n",
        "v = [1, 12]\nprint(v)\n",
        "u = []\nu.append(10)\nprint(u)\n",
        "for i in range(12):\n    s = 1\nprint(s)\n",
        "print(a)\n",  # an undefined name
        "a = 5\nb = a % 0\nprint(b)\n",
        "open('x')\n",  # other functions are undefined
        "__import__('os')\n",
    ],
)
def test_a_program_that_is_too_long_fails_or_leaves_the_range_gives_none(source: str) -> None:
    assert trace(source, MOST) is None


@given(source=SOURCES)
@PROPERTY
def test_the_step_limit_is_exact(source: str) -> None:
    found = trace(source, MOST)
    assume(found is not None)
    assert found is not None
    again = trace(source, len(found.steps))
    assert again is not None
    assert facts(again) == facts(found)
    assert trace(source, len(found.steps) - 1) is None


def facts(found: Trace) -> Any:
    """A trace without its syntax trees, which compare by identity."""
    return [(step.line, step.before, step.after, step.iteration) for step in found.steps], found.printed


@given(source=SOURCES)
@PROPERTY
def test_each_step_starts_with_the_values_of_the_last(source: str) -> None:
    found = trace(source, MOST)
    assume(found is not None)
    assert found is not None
    assert found.steps[0].before == {}
    assert all(a.after == b.before for a, b in zip(found.steps, found.steps[1:], strict=False))


@contextmanager
def traced() -> Iterator[Any]:
    """Sets a trace function, as a debugger or a coverage tool does."""

    def own(_frame: FrameType, _event: str, _argument: Any) -> None:
        return None

    earlier = sys.gettrace()
    sys.settrace(own)
    try:
        yield own
    finally:
        sys.settrace(earlier)


@pytest.mark.parametrize("source", ["print(1 + 2)\n", "n = 1\nwhile n > 0:\n    n = 2\n", "print(a)\n", "a = 1 % 0\n"])
def test_an_earlier_trace_function_is_restored(source: str) -> None:
    with traced() as own:
        trace(source, 10)
        assert sys.gettrace() is own


def test_a_programs_output_is_captured(capsys: pytest.CaptureFixture[str]) -> None:
    found = trace("print(1 + 2)\n", MOST)
    assert found is not None
    assert found.printed == "3"
    assert capsys.readouterr().out == ""
