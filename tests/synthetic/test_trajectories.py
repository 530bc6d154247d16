"""Every row agrees with the interpreter, at every level of detail."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from z1.errors import Fault
from z1.grading import extract_boxed
from z1.synthetic import trajectories
from z1.synthetic.programs import generate
from z1.synthetic.tracer import Trace, trace

PROPERTY = settings(max_examples=80, deadline=None, derandomize=True)
INDICES = st.integers(0, 10**6)


def traced(source: str) -> Trace:
    found = trace(source, 40)
    assert found is not None
    return found


GOLDEN = [
    # assignments; only an expression has intermediate rows
    ("a = 4\nprint(a)", ["1| a = 4", "2| print(a) -> 4"], ["1| a = 4", "2| 4"]),
    (
        "a = 4\nb = a + 3\nprint(b)",
        ["1| a = 4", "2| b = a + 3 -> 4 + 3 -> b = 7", "3| print(b) -> 7"],
        ["1| a = 4", "2| 4 + 3 -> b = 7", "3| 7"],
    ),
    (
        "a = 4\nb = a\na *= 2\nprint(a)",
        ["1| a = 4", "2| b = a -> b = 4", "3| a *= 2 -> 4 * 2 -> a = 8", "4| print(a) -> 8"],
        ["1| a = 4", "2| b = 4", "3| 4 * 2 -> a = 8", "4| 8"],
    ),
    # a print with an expression; the expression is not repeated
    ("print(8 + 1)", ["1| print(8 + 1) -> 9"], ["1| 8 + 1 -> 9"]),
    ("print(2 * 3 - 1)", ["1| print(2 * 3 - 1) -> 6 - 1 -> 5"], ["1| 2 * 3 - 1 -> 6 - 1 -> 5"]),
    (
        "a = 7\nprint(a % 4 + 2)",
        ["1| a = 7", "2| print(a % 4 + 2) -> 7 % 4 + 2 -> 3 + 2 -> 5"],
        ["1| a = 7", "2| 7 % 4 + 2 -> 3 + 2 -> 5"],
    ),
    # words
    (
        'w = "AB"\nt = "C" + w\nprint(t)',
        ['1| w = "AB"', '2| t = "C" + w -> "C" + "AB" -> t = "CAB"', "3| print(t) -> CAB"],
        ['1| w = "AB"', '2| "C" + "AB" -> t = "CAB"', "3| CAB"],
    ),
    # conditions
    (
        "a = 6\nif a > 3:\n    a -= 1\nelse:\n    a += 1\nprint(a)",
        ["1| a = 6", "2| if a > 3: 6 > 3 yes", "3| a -= 1 -> 6 - 1 -> a = 5", "6| print(a) -> 5"],
        ["1| a = 6", "2| 6 > 3 yes", "3| 6 - 1 -> a = 5", "6| 5"],
    ),
    (
        "a = 3\nif a != 3:\n    a -= 1\nelse:\n    a = a + 1\nprint(a)",
        ["1| a = 3", "2| if a != 3: 3 != 3 no", "5| a = a + 1 -> 3 + 1 -> a = 4", "6| print(a) -> 4"],
        ["1| a = 3", "2| 3 != 3 no", "5| 3 + 1 -> a = 4", "6| 4"],
    ),
    # loops
    (
        "s = 5\nfor i in range(2):\n    s += i\nprint(s)",
        [
            *("1| s = 5", "2| for i in range(2): 0 < 2 yes -> i = 0", "3| s += i -> 5 + 0 -> s = 5"),
            *("2| for i in range(2): 1 < 2 yes -> i = 1", "3| s += i -> 5 + 1 -> s = 6"),
            *("2| for i in range(2): 2 < 2 no", "4| print(s) -> 6"),
        ],
        ["1| s = 5", "2| i = 0", "3| 5 + 0 -> s = 5", "2| i = 1", "3| 5 + 1 -> s = 6", "2| done", "4| 6"],
    ),
    (
        "n = 4\nwhile n > 3:\n    n -= 2\nprint(n)",
        [
            *("1| n = 4", "2| while n > 3: 4 > 3 yes", "3| n -= 2 -> 4 - 2 -> n = 2"),
            *("2| while n > 3: 2 > 3 no", "4| print(n) -> 2"),
        ],
        ["1| n = 4", "2| 4 > 3 yes", "3| 4 - 2 -> n = 2", "2| 2 > 3 no", "4| 2"],
    ),
    (
        "v = [3, 0]\nu = []\nfor x in v:\n    u.append(x + 4)\nprint(u)",
        [
            *(
                "1| v = [3, 0]",
                "2| u = []",
                "3| for x in v: x = 3 left [0]",
                "4| u.append(x + 4) -> 3 + 4 -> 7 -> u = [7]",
            ),
            *("3| for x in v: x = 0 left []", "4| u.append(x + 4) -> 0 + 4 -> 4 -> u = [7, 4]"),
            *("3| for x in v: done", "5| print(u) -> [7, 4]"),
        ],
        [
            *("1| v = [3, 0]", "2| u = []", "3| x = 3 left [0]", "4| 3 + 4 -> 7 -> u = [7]"),
            *("3| x = 0 left []", "4| 0 + 4 -> 4 -> u = [7, 4]", "3| done", "5| [7, 4]"),
        ],
    ),
    (
        'w = "BA"\nn = 0\nfor c in w:\n    if c == "A":\n        n += 1\nprint(n)',
        [
            *('1| w = "BA"', "2| n = 0", '3| for c in w: c = "B" left "A"', '4| if c == "A": B == A no'),
            *('3| for c in w: c = "A" left ""', '4| if c == "A": A == A yes', "5| n += 1 -> 0 + 1 -> n = 1"),
            *("3| for c in w: done", "6| print(n) -> 1"),
        ],
        [
            *('1| w = "BA"', "2| n = 0", '3| c = "B" left "A"', "4| B == A no"),
            *('3| c = "A" left ""', "4| A == A yes", "5| 0 + 1 -> n = 1", "3| done", "6| 1"),
        ],
    ),
]


@pytest.mark.parametrize(("source", "full", "compact"), GOLDEN)
def test_a_trajectory_of_each_kind_of_statement(source: str, full: list[str], compact: list[str]) -> None:
    found = traced(source)
    assert trajectories.write_thought(found, "full") == "\n".join(full) + "\n\n"
    assert trajectories.write_thought(found, "compact") == "\n".join(compact) + "\n\n"
    assert trajectories.write_thought(found, "long") == "\n".join([*full, trajectories.CHECK, *full]) + "\n\n"
    assert trajectories.write_thought(found, "direct") == ""


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("a = 4\nb = a\nprint(b)", ["1| a = 4", "2| a4 -> b = 4", "3| b4"]),
        ("a = 4\nb = a + a\nprint(b - 2)", ["1| a = 4", "2| a4 + a4 -> b = 8", "3| b8 - 2 -> 6"]),
        ("print(2 * 3 - 1)", ["1| 2 * 3 - 1 -> 6 - 1 -> 5"]),
        ('w = "AB"\nprint("C" + w)', ['1| w = "AB"', '2| "C" + w"AB" -> CAB']),
        ("a = 6\nif a > 7:\n    a -= 1\nprint(a)", ["1| a = 6", "2| a6 > 7 no", "4| a6"]),
        (
            "v = [3]\nu = []\nfor x in v:\n    u.append(x + 4)\nprint(u)",
            ["1| v = [3]", "2| u = []", "3| x = 3 left []", "4| x3 + 4 -> 7 -> u = [7]", "3| done", "5| u[7]"],
        ),
    ],
)
def test_a_named_row_has_each_value_after_its_name(source: str, rows: list[str]) -> None:
    assert trajectories.write_thought(traced(source), "named") == "\n".join(rows) + "\n\n"


@given(index=INDICES)
@PROPERTY
def test_named_rows_without_names_equal_compact_rows(index: int) -> None:
    _, _, thoughts = written(index)
    bare = re.sub(r"""\b[a-z](?=[0-9A-E"\[])""", "", thoughts["named"])
    assert results(bare) == results(thoughts["compact"])


@given(index=INDICES)
@PROPERTY
def test_terse_rows_are_named_rows_without_equals_signs(index: int) -> None:
    _, _, thoughts = written(index)
    assert thoughts["terse"] == re.sub(r"\b([a-z]) = ", r"\1", thoughts["named"])


def results(thought: str) -> list[str]:
    """The result of each row, without its line number."""
    return [re.sub(r"^\d+\| ", "", row.split(" -> ")[-1]) for row in thought.split("\n")]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("a = 4\nb = a\nprint(b)", 0),
        ("print(2 * 3 - 1)", 2),
        ("a = 3\nif a > 1:\n    a -= 1\nprint(a + 1)", 3),
        ("s = 5\nfor i in range(2):\n    s += i\nprint(s)", 5),
        ("v = [3]\nu = []\nfor x in v:\n    u.append(x + 4)\nprint(u)", 3),
    ],
)
def test_operations_are_the_values_to_compute(source: str, count: int) -> None:
    assert trajectories.count_operations(traced(source)) == count


@given(index=INDICES)
@PROPERTY
def test_a_question_numbers_the_lines_and_can_be_parsed_back(index: int) -> None:
    source = generate(17, index)[1]
    asked = trajectories.format_question(source)
    assert asked.startswith(f"{trajectories.QUESTION}\n1| ")
    assert trajectories.parse_source(asked) == trajectories.parse_source(source) == source


def written(index: int) -> tuple[str, Trace, dict[str, str]]:
    """A valid generated program, its trace, and its thoughts."""
    source = generate(17, index)[1]
    found = trace(source, 12)
    assume(found is not None)
    assert found is not None
    try:
        return source, found, {level: trajectories.write_thought(found, level) for level in trajectories.LEVELS}
    except trajectories.OutOfRange:
        assume(False)
        raise


def really_printed(source: str) -> str:
    """The output of the interpreter without tracing."""
    out = io.StringIO()
    with redirect_stdout(out):
        exec(source, {})
    return out.getvalue().removesuffix("\n")


@given(index=INDICES)
@PROPERTY
def test_the_last_row_and_the_answer_equal_the_interpreters_output(index: int) -> None:
    source, found, thoughts = written(index)
    printed = really_printed(source)
    assert found.printed == printed
    assert thoughts["full"].endswith(f" -> {printed}\n\n")
    assert extract_boxed(trajectories.format_answer(found.printed)) == printed


@given(index=INDICES)
@PROPERTY
def test_a_full_thought_is_longer_than_a_compact_one(index: int) -> None:
    _, _, thoughts = written(index)
    assert thoughts["direct"] == ""
    assert 0 <= len(thoughts["compact"]) < len(thoughts["full"])


@given(index=INDICES)
@PROPERTY
def test_there_is_a_row_for_each_step_and_a_full_row_starts_with_its_line(index: int) -> None:
    _, found, thoughts = written(index)
    for level in ("compact", "full"):
        rows = thoughts[level].removesuffix("\n\n").split("\n")
        labels = [f"{step.node.lineno}| " + (step.line if level == "full" else "") for step in found.steps]
        assert len(rows) == len(labels)
        assert all(row.startswith(label) for row, label in zip(rows, labels, strict=True))


@given(index=INDICES)
@PROPERTY
def test_a_long_thought_is_the_full_one_twice(index: int) -> None:
    _, _, thoughts = written(index)
    first, _, second = thoughts["long"].partition(f"{trajectories.CHECK}\n")
    assert second == thoughts["full"] == first + "\n"


@given(index=INDICES)
@PROPERTY
def test_a_thought_never_contains_the_answer_marker(index: int) -> None:
    _, found, thoughts = written(index)
    opening = trajectories.format_answer(found.printed)[: len("The final answer is")]
    assert all(opening not in thought and "\\boxed" not in thought for thought in thoughts.values())


@pytest.mark.parametrize("source", ["print(3 - 5)", "print(9 * 9)", "print(2 - 5 + 4)", "a = 8\nprint(a + 5 - 6)"])
def test_an_intermediate_value_outside_the_range_is_rejected(source: str) -> None:
    with pytest.raises(trajectories.OutOfRange):
        trajectories.write_thought(traced(source), "full")


@pytest.mark.parametrize("level", ["compact", "full"])
def test_rows_that_disagree_with_the_run_are_a_fault(level: str) -> None:
    with pytest.raises(Fault, match="the last row is"):
        trajectories.write_thought(replace(traced("a = 4\nprint(a)"), printed="5"), level)


@pytest.mark.parametrize("source", ["a = 4\npass\nprint(a)", "a = 4\na = -a + 5\nprint(a)"])
def test_an_unsupported_statement_is_a_fault(source: str) -> None:
    with pytest.raises(Fault, match=r"no row can be written|no value for"):
        trajectories.write_thought(traced(source), "full")
