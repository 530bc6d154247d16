"""Every row says what the interpreter did; briefly is the end of at length."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from z1.errors import Fault
from z1.grading import boxed
from z1.world import teacher
from z1.world.programs import draw
from z1.world.steps import Run, run

LAW = settings(max_examples=80, deadline=None, derandomize=True)
INDICES = st.integers(0, 10**6)


def traced(source: str) -> Run:
    found = run(source, 40)
    assert found is not None
    return found


GOLDEN = [
    # an assignment; only a sum has anything between
    ("a = 4\nprint(a)", ["a = 4", "print(a) -> 4"], ["a = 4"]),
    (
        "a = 4\nb = a + 3\nprint(b)",
        ["a = 4", "b = a + 3 -> 4 + 3 -> b = 7", "print(b) -> 7"],
        ["a = 4", "4 + 3 -> b = 7"],
    ),
    (
        "a = 4\nb = a\na *= 2\nprint(a)",
        ["a = 4", "b = a -> b = 4", "a *= 2 -> 4 * 2 -> a = 8", "print(a) -> 8"],
        ["a = 4", "b = 4", "4 * 2 -> a = 8"],
    ),
    # a print that reckons
    ("print(8 + 1)", ["print(8 + 1) -> 9"], ["9"]),
    ("print(2 * 3 - 1)", ["print(2 * 3 - 1) -> 6 - 1 -> 5"], ["6 - 1 -> 5"]),
    (
        "a = 7\nprint(a % 4 + 2)",
        ["a = 7", "print(a % 4 + 2) -> 7 % 4 + 2 -> 3 + 2 -> 5"],
        ["a = 7", "7 % 4 + 2 -> 3 + 2 -> 5"],
    ),
    # words
    ('print("AB" + "C")', ['print("AB" + "C") -> ABC'], ['"ABC"']),
    (
        'w = "AB"\nt = "C" + w\nprint(t)',
        ['w = "AB"', 't = "C" + w -> "C" + "AB" -> t = "CAB"', "print(t) -> CAB"],
        ['w = "AB"', '"C" + "AB" -> t = "CAB"'],
    ),
    # conditions
    (
        "a = 6\nif a > 3:\n    a -= 1\nelse:\n    a += 1\nprint(a)",
        ["a = 6", "if a > 3: 6 > 3 yes", "a -= 1 -> 6 - 1 -> a = 5", "print(a) -> 5"],
        ["a = 6", "6 > 3 yes", "6 - 1 -> a = 5"],
    ),
    (
        "a = 3\nif a != 3:\n    a -= 1\nelse:\n    a = a + 1\nprint(a)",
        ["a = 3", "if a != 3: 3 != 3 no", "a = a + 1 -> 3 + 1 -> a = 4", "print(a) -> 4"],
        ["a = 3", "3 != 3 no", "3 + 1 -> a = 4"],
    ),
    # loops
    (
        "s = 5\nfor i in range(2):\n    s += i\nprint(s)",
        [
            *("s = 5", "for i in range(2): 0 < 2 yes -> i = 0", "s += i -> 5 + 0 -> s = 5"),
            *("for i in range(2): 1 < 2 yes -> i = 1", "s += i -> 5 + 1 -> s = 6"),
            *("for i in range(2): 2 < 2 no", "print(s) -> 6"),
        ],
        ["s = 5", "0 < 2 yes -> i = 0", "5 + 0 -> s = 5", "1 < 2 yes -> i = 1", "5 + 1 -> s = 6", "2 < 2 no"],
    ),
    (
        "n = 4\nwhile n > 3:\n    n -= 2\nprint(n)",
        ["n = 4", "while n > 3: 4 > 3 yes", "n -= 2 -> 4 - 2 -> n = 2", "while n > 3: 2 > 3 no", "print(n) -> 2"],
        ["n = 4", "4 > 3 yes", "4 - 2 -> n = 2", "2 > 3 no"],
    ),
    (
        "v = [3, 0]\nu = []\nfor x in v:\n    u.append(x + 4)\nprint(u)",
        [
            *("v = [3, 0]", "u = []", "for x in v: x = 3 left [0]", "u.append(x + 4) -> 3 + 4 -> u = [7]"),
            *("for x in v: x = 0 left []", "u.append(x + 4) -> 0 + 4 -> u = [7, 4]"),
            *("for x in v: done", "print(u) -> [7, 4]"),
        ],
        [
            *("v = [3, 0]", "u = []", "x = 3 left [0]", "3 + 4 -> u = [7]"),
            *("x = 0 left []", "0 + 4 -> u = [7, 4]", "done"),
        ],
    ),
    (
        'w = "BA"\nn = 0\nfor c in w:\n    if c == "A":\n        n += 1\nprint(n)',
        [
            *('w = "BA"', "n = 0", 'for c in w: c = "B" left "A"', 'if c == "A": "B" == "A" no'),
            *('for c in w: c = "A" left ""', 'if c == "A": "A" == "A" yes', "n += 1 -> 0 + 1 -> n = 1"),
            *("for c in w: done", "print(n) -> 1"),
        ],
        [
            *('w = "BA"', "n = 0", 'c = "B" left "A"', '"B" == "A" no'),
            *('c = "A" left ""', '"A" == "A" yes', "0 + 1 -> n = 1", "done"),
        ],
    ),
]


@pytest.mark.parametrize(("source", "full", "compact"), GOLDEN)
def test_a_trajectory_of_each_kind_of_statement(source: str, full: list[str], compact: list[str]) -> None:
    found = traced(source)
    assert teacher.write(found, "full") == "\n".join(full) + "\n\n"
    assert teacher.write(found, "compact") == "\n".join(compact) + "\n\n"
    assert teacher.write(found, "direct") == ""


def written(index: int) -> tuple[str, Run, dict[str, str]]:
    """A drawn program that is kept, its run, and its thoughts."""
    source = draw(17, index)[1]
    found = run(source, 12)
    assume(found is not None)
    assert found is not None
    try:
        return source, found, {level: teacher.write(found, level) for level in teacher.LEVELS}
    except teacher.OutOfRange:
        assume(False)
        raise


def really_printed(source: str) -> str:
    """Of the interpreter itself, without our tracing and our `print`."""
    out = io.StringIO()
    with redirect_stdout(out):
        exec(source, {})
    return out.getvalue().removesuffix("\n")


@given(index=INDICES)
@LAW
def test_the_last_row_and_the_answer_are_what_the_interpreter_prints(index: int) -> None:
    source, found, thoughts = written(index)
    printed = really_printed(source)
    assert found.printed == printed
    assert thoughts["full"].endswith(f" -> {printed}\n\n")
    assert boxed(teacher.answer(found.printed)) == printed


@given(index=INDICES)
@LAW
def test_longer_levels_are_no_shorter(index: int) -> None:
    _, _, thoughts = written(index)
    assert thoughts["direct"] == ""
    assert 0 <= len(thoughts["compact"]) < len(thoughts["full"])


@given(index=INDICES)
@LAW
def test_at_length_has_a_row_for_each_step_that_begins_with_its_line(index: int) -> None:
    _, found, thoughts = written(index)
    rows = thoughts["full"].removesuffix("\n\n").split("\n")
    assert len(rows) == len(found.steps)
    assert all(row.startswith(step.line) for row, step in zip(rows, found.steps, strict=True))


@given(index=INDICES)
@LAW
def test_each_brief_row_is_the_end_of_the_row_at_length(index: int) -> None:
    """In order, none left out but a plain print; a word that is printed stands in quotes when it is said briefly."""
    _, found, thoughts = written(index)
    rows = thoughts["full"].removesuffix("\n\n").split("\n")
    brief = thoughts["compact"].removesuffix("\n\n").split("\n")
    assert len(rows) - len(brief) in (0, 1)
    if rows[-1].startswith("print(") and len(brief) == len(rows):
        last, quoted = brief.pop(), f'"{found.printed}"'
        last = last.removesuffix(quoted) + found.printed if last.endswith(quoted) else last
        assert rows.pop().endswith(f" -> {last}")
    for short, long in zip(brief, rows, strict=False):
        assert long == short or long.endswith(f" {short}")


@given(index=INDICES)
@LAW
def test_a_thought_never_holds_the_answers_beginning(index: int) -> None:
    _, found, thoughts = written(index)
    opening = teacher.answer(found.printed)[: len("The final answer is")]
    assert all(opening not in thought and "\\boxed" not in thought for thought in thoughts.values())


@pytest.mark.parametrize("source", ["print(3 - 5)", "print(9 * 9)", "print(2 - 5 + 4)", "a = 8\nprint(a + 5 - 6)"])
def test_a_value_that_leaves_the_range_on_the_way_is_not_written_down(source: str) -> None:
    with pytest.raises(teacher.OutOfRange):
        teacher.write(traced(source), "full")


@pytest.mark.parametrize("level", ["compact", "full"])
def test_rows_that_disagree_with_the_run_are_a_fault_of_ours(level: str) -> None:
    with pytest.raises(Fault, match="the teacher wrote"):
        teacher.write(replace(traced("a = 4\nprint(a)"), printed="5"), level)


@pytest.mark.parametrize("source", ["a = 4\npass\nprint(a)", "a = 4\na = -a + 5\nprint(a)"])
def test_a_statement_without_a_row_is_a_fault_and_not_a_guess(source: str) -> None:
    with pytest.raises(Fault, match="the teacher has no"):
        teacher.write(traced(source), "full")
