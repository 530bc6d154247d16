"""Generated programs are recognised, other texts are not, and nothing is run."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1 import synthetic
from z1.synthetic import find_held_out, grammar, recognise, word_problems
from z1.synthetic.grammar import MAX_STEPS
from z1.synthetic.programs import generate
from z1.synthetic.tracer import trace
from z1.synthetic.trajectories import QUESTION, OutOfRange, format_question, write_thought

PROPERTY = settings(max_examples=80, deadline=None, derandomize=True)


@given(
    index=st.integers(0, 10**6), before=st.sampled_from(["", "\n", "  \n"]), after=st.sampled_from(["", "\n\n", " "])
)
@PROPERTY
def test_every_generated_program_is_recognised_with_and_without_the_question(
    index: int, before: str, after: str
) -> None:
    source = generate(19, index)[1]
    asked = format_question(source)
    if is_in_range(source):
        assert synthetic.to_question(before + asked + after, "model", with_unsure=True) == asked
    if not is_in_range(source) or not grammar.is_answered(source.rstrip("\n")):
        assert recognise(source) is None
        return
    assert recognise(asked) == asked
    assert recognise(before + source + after) == asked
    assert recognise(before + asked + after) == asked
    assert recognise(f"{QUESTION}\n\n{source}") == asked


def is_in_range(source: str) -> bool:
    """Whether a candidate of the generator is a program of the task."""
    try:
        run = trace(source, MAX_STEPS)
        return run is not None and bool(write_thought(run, "terse"))
    except OutOfRange:
        return False


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("print(3+4)", "print(3 + 4)"),
        ("  print( 3+4 )  # seven", "print(3 + 4)"),
        ("print((3 + 4))", "print(3 + 4)"),
        ("print((3 + 4) - 2);", "print(3 + 4 - 2)"),
        ("a = 3; print(a+4)", "a = 3\nprint(a + 4)"),
        ("a=(3)\n\n\nprint(a)", "a = 3\nprint(a)"),
        ("print('AB'+'C')", 'print("AB" + "C")'),
        ("w='AB'\r\nprint(w+'C')", 'w = "AB"\nprint(w + "C")'),
        ("```python\nprint(3+4)\n```", "print(3 + 4)"),
        ("```\nx=3\nprint(x)\n```\n", "x = 3\nprint(x)"),
        ("s=0\nfor i in range(2):\n  s+=i\nprint(s)", "s = 0\nfor i in range(2):\n    s += i\nprint(s)"),
    ],
)
def test_a_program_is_normalised(text: str, source: str) -> None:
    assert recognise(text) == recognise(f"{QUESTION}\n{text}" if "`" not in text else text) == format_question(source)


@pytest.mark.parametrize(
    "text",
    [
        "",
        QUESTION,
        "hello",
        "What is the capital of France?",
        "Write a function that adds two numbers and print it.",
        "print",
        "print(",
        "x = 3",  # prints nothing
        "print(1)\nprint(2)",
        "import os\nprint(os)",
        "from os import path\nprint(path)",
        "print(open('x'))",
        "print(eval('1'))",
        "print(exec('1'))",
        "__import__('os')\nprint(1)",
        "f = eval\nf('1')\nprint(1)",
        "x.system('ls')\nprint(1)",
        "print.append.x\nprint(1)",
        "x = 1\nprint(x.__class__)",  # an attribute without a call
        "x.__class__ = 1\nprint(1)",
        "x.print(3)",
        "x = 1\nx.range(2)\nprint(x)",
        "append(3)\nprint(1)",
        "().__class__.__bases__[0].__subclasses__()\nprint(1)",
        "f = lambda x: x\nprint(f(1))",
        "print([x for x in range(3)])",
        "print({x for x in range(3)})",
        "print((x for x in range(3)))",
        "def f():\n    print(1)\nf()",
        "class A:\n    print(1)",
        "try:\n    print(1)\nfinally:\n    pass",
        "with open('x') as f:\n    print(f)",
        "x = [1]\nprint(x[0])",
        "print(-1)",
        "print(f'{1}')",
        "print(1, sep='')",
        "print(*[1])",
        "print({1: 2})",
        "print((1, 2))",
        "x = 2\nassert x\nprint(x)",
        "x = 2\ndel x\nprint(1)",
        "print(1 / 2)",
        "print(2 ** 9)",
        "print(1 if 2 else 3)",
        "print(1 and 2)",
        "print(x := 3)",
        "a\0b",
        "\ud800",
        "-" * 100_000 + "1",  # too deep for the parser
        "(" * 1_000,
        "x" + ".a" * 50_000,
        "9" * 5_000,
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_other_texts_and_programs_are_not_recognised(text: str) -> None:
    assert recognise(text) is None
    assert recognise(f"{QUESTION}\n{text}") is None


@given(text=st.text(max_size=40))
@PROPERTY
def test_any_text_is_accepted_without_an_error(text: str) -> None:
    assert recognise(text) is None or "print" in text


def test_nothing_outside_the_grammar_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(builtins, "exec", lambda *_: ran.append("exec"))
    monkeypatch.setattr(builtins, "eval", lambda *_: ran.append("eval"))
    assert recognise("n = 1\nwhile n > 0:\n    n = 1\nprint(n)") is None  # does not terminate
    assert recognise(f"open({str(tmp_path / 'made')!r}, 'w')\nprint(1)") is None
    assert not (tmp_path / "made").exists()
    assert ran == []


@pytest.mark.parametrize("kind", ["programs", "word-problems"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_problems_of_the_test_split_are_found_by_hash(kind: str, part: str) -> None:
    found = list(synthetic.collect(synthetic.DatasetRequest(20, part, 1, 12, 5, kind)))
    assert len(found) == 20
    for one in found:
        expected = (kind, one.problem.id) if part == "test" else None
        assert find_held_out(one.problem.question) == find_held_out(f"\n{one.problem.question}\n ") == expected


def test_other_questions_are_not_held_out() -> None:
    for text in ("", "What is 2 + 2?", QUESTION, f"{QUESTION}\n1| import os", word_problems.QUESTION + "?"):
        assert find_held_out(text) is None


@pytest.mark.parametrize("terms", [700, 5_000])
def test_a_program_nested_beyond_pythons_limit_is_not_held_out(terms: int) -> None:
    assert find_held_out(f"{QUESTION}\n1| print({'+'.join('1' * terms)})") is None
