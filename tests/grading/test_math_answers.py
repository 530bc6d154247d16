"""The golden table of mathematical answers, with the known mistakes of math-verify."""

from __future__ import annotations

import pytest

from tests.grading.math_tables import RIGHT_ANSWERS, WRONG_ANSWERS
from z1.errors import install_hint
from z1.grading import Verdict, math_answers
from z1.sandbox import ResourceLimits, Sandbox, pool

pytest.importorskip("math_verify")

RIGHT, WRONG, UNPARSED, CUT = Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSED, Verdict.CUT

ROWS = [
    ("the same", "\\boxed{42}", "42", RIGHT),
    ("110 is not 10", "\\boxed{110}", "10", WRONG),
    ("a fraction is its decimal", "\\boxed{0.5}", "\\frac{1}{2}", RIGHT),
    ("short fractions", "\\boxed{\\frac12}", "\\frac{1}{2}", RIGHT),
    ("display fractions", "\\boxed{\\dfrac{14}{3}}", "\\frac{14}{3}", RIGHT),
    ("a mixed number", "\\boxed{1\\frac{1}{2}}", "1.5", RIGHT),
    ("thousands", "\\boxed{11,111}", "11111", RIGHT),
    ("dollars", "\\boxed{\\$5}", "5", RIGHT),
    ("degrees", "\\boxed{90^\\circ}", "90", RIGHT),
    ("x = 9", "\\boxed{x=9}", "9", RIGHT),
    ("a pair", "\\boxed{(3, \\frac{\\pi}{2})}", "\\left( 3, \\frac{\\pi}{2} \\right)", RIGHT),
    ("a pair the other way round", "\\boxed{(1,2)}", "(2,1)", WRONG),
    ("an open interval is not closed", "\\boxed{[1,2]}", "(1,2)", WRONG),
    ("a set in another order", "\\boxed{\\{2,1\\}}", "\\{1,2\\}", RIGHT),
    ("a square root", "\\boxed{2\\sqrt{3}}", "\\sqrt{12}", RIGHT),
    ("words", "\\boxed{\\text{Evelyn}}", "\\text{Evelyn}", RIGHT),
    ("other words", "\\boxed{\\text{Evan}}", "\\text{Evelyn}", WRONG),
    ("an expression", "\\boxed{(x+1)^2}", "x^2+2x+1", RIGHT),
    ("two different lines (issue 60)", "\\boxed{3x+4y+14=0}", "3x-y+13=0", WRONG),
    ("a sign", "\\boxed{-3}", "3", WRONG),
    ("almost", "\\boxed{3.14}", "\\pi", WRONG),
    ("nothing in the box", "\\boxed{}", "1", UNPARSED),
    ("no box", "it is 42", "42", UNPARSED),
    ("no box, after the hint of a window", "the final answer should be:\n\n$42$.", "42", RIGHT),
    ("no box, the final answer is", "The final answer is: 7", "7", RIGHT),
    ("a box that is open", "\\boxed{42", "42", UNPARSED),
    ("a book in the box", "\\boxed{" + "1+" * 2000 + "1}", "2001", UNPARSED),
]


BOXES = [
    ("one box a root", "The roots are \\boxed{2} and \\boxed{-5}.", "2,-5", RIGHT),
    ("one box a root, in dollars", "So $x = \\boxed{2}$ or $x = \\boxed{-5}$.", "-5,2", RIGHT),
    ("three boxes", "$\\boxed{1}$, $\\boxed{2}$, and $\\boxed{3}$", "1,2,3", RIGHT),
    ("one of the boxes is missing", "The roots are \\boxed{2} and \\boxed{-5}.", "2,-5,7", WRONG),
    ("both boxes for one answer", "The roots are \\boxed{2} and \\boxed{-5}.", "-5", WRONG),
    ("a box that is taken back", "\\boxed{5}? No: \\boxed{7}.", "7", RIGHT),
    ("a box that is taken back is no part of a list", "\\boxed{5}, no, \\boxed{7}.", "5,7", WRONG),
    ("a correction after a comma", "I get \\boxed{5}, but actually \\boxed{7}.", "7", RIGHT),
    ("a box and its repetition", "\\boxed{7}\n\nFinal answer: \\boxed{7}", "7", RIGHT),
    ("the same twice with and", "\\boxed{7} and \\boxed{7}", "7", RIGHT),
    ("nested", "\\boxed{\\boxed{42}}", "42", RIGHT),
    ("without braces", "The result is \\boxed 7 .", "7", RIGHT),
    ("a space before the brace", "\\boxed {42}", "42", RIGHT),
    ("an fbox", "We find \\fbox{42}.", "42", RIGHT),
    ("a quoted instruction after it", "\\boxed{42} is in \\boxed{}.", "42", RIGHT),
    ("an escaped brace without its partner", "\\boxed{\\left\\{ 2 \\right.}", "\\left\\{ 2 \\right.", RIGHT),
    ("bold, no box", "The answer is **73**.", "73", RIGHT),
    ("another, no box", "The answer is **72**.", "73", WRONG),
    ("a heading, no box", "**Final Answer:** 73", "73", RIGHT),
    ("after four hashes", "So 73.\n#### 73", "73", RIGHT),
    ("a correction, no box", "The answer is 5. Wait, the answer is 7.", "7", RIGHT),
    ("a statement about the answer", "The answer is correct.", "correct", UNPARSED),
    ("two values, no box", "The answer is $x = 2$ or $x = 3$.", "2,3", RIGHT),
]


@pytest.fixture(scope="module")
def math_sandbox() -> Sandbox:
    return pool.for_math()


@pytest.mark.parametrize(("name", "text", "expected", "verdict"), ROWS, ids=[row[0] for row in ROWS])
def test_answers_are_graded(math_sandbox: Sandbox, name: str, text: str, expected: str, verdict: Verdict) -> None:
    grade = math_answers.grade(math_sandbox, text, expected, cut=False)
    assert grade.verdict is verdict, grade


@pytest.mark.parametrize(("name", "text", "expected", "verdict"), BOXES, ids=[row[0] for row in BOXES])
def test_boxes_and_statements_are_graded(
    math_sandbox: Sandbox, name: str, text: str, expected: str, verdict: Verdict
) -> None:
    grade = math_answers.grade(math_sandbox, text, expected, cut=False)
    assert grade.verdict is verdict, grade


@pytest.mark.parametrize("expected", RIGHT_ANSWERS)
def test_right_answers_are_right_in_any_notation(math_sandbox: Sandbox, expected: str) -> None:
    grades = {
        content: math_answers.grade(math_sandbox, f"So $\\boxed{{{content}}}$.", expected, cut=False)
        for content in RIGHT_ANSWERS[expected]
    }
    assert {content: grade for content, grade in grades.items() if grade.verdict is not RIGHT} == {}


@pytest.mark.parametrize("expected", WRONG_ANSWERS)
def test_wrong_answers_are_wrong(math_sandbox: Sandbox, expected: str) -> None:
    grades = {
        content: math_answers.grade(math_sandbox, f"So $\\boxed{{{content}}}$.", expected, cut=False)
        for content in WRONG_ANSWERS[expected]
    }
    assert {content: grade for content, grade in grades.items() if grade.verdict is not WRONG} == {}


def test_an_open_box_of_a_cut_reply_is_cut(math_sandbox: Sandbox) -> None:
    assert math_answers.grade(math_sandbox, "\\boxed{4", "4", cut=True).verdict is CUT


def test_a_comparison_that_hangs_is_wrong_within_its_limit(
    math_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(math_answers, "LIMITS", ResourceLimits(wall_seconds=1.5, cpu_seconds=1))
    grade = math_answers.grade(math_sandbox, "\\boxed{9^{9^{9^{9}}}}", "9^{9^{9^{8}}}", cut=False)
    assert grade.verdict is WRONG


BROKEN_IMPORTS = {
    "not installed": ("import sys\nsys.modules['math_verify'] = None\n", "math_verify"),
    "a part of it is missing": ("import sys\nsys.modules['math_verify.grader'] = None\n", "math_verify.grader"),
    "it needs another version": (
        "import sys, types\nsys.modules['math_verify'] = types.ModuleType('math_verify')\n",
        "cannot import name",
    ),
    "it raises": (
        "import sys\nclass Broken:\n    def find_spec(self, name, *_):\n"
        "        if name == 'math_verify': raise RuntimeError('antlr4 is 4.9, not 4.13')\n"
        "[sys.modules.pop(name) for name in [*sys.modules] if name.startswith('math_verify')]\n"
        "sys.meta_path.insert(0, Broken())\n",
        "RuntimeError: antlr4 is 4.9, not 4.13",
    ),
    "it ends the process": ("import os\nos._exit(3)\n", "crashed"),
}


@pytest.mark.parametrize("name", BROKEN_IMPORTS)
def test_an_import_of_math_verify_that_fails_is_a_fault_with_advice(
    math_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A right answer and a wrong one are both missing: nothing was compared."""
    broken, reason = BROKEN_IMPORTS[name]
    source = math_answers.comparison()
    first, _, rest = source.partition("from __future__ import annotations\n")
    monkeypatch.setattr(
        math_answers, "comparison", lambda: f"{first}from __future__ import annotations\n{broken}{rest}"
    )
    for answer in ("\\boxed{1+1}", "\\boxed{3+x}"):
        grade = math_answers.grade(math_sandbox, answer, "2+x-x", cut=False)
        assert grade.verdict is Verdict.MISSING
        assert reason in grade.reason
        assert grade.reason.endswith(install_hint("evaluate")) and "'.[evaluate]'" in grade.reason


def test_many_threads_may_grade_at_once(math_sandbox: Sandbox) -> None:
    """math-verify's own time limit works in the main thread only; the sandbox's limit works in any."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        grades = [
            threads.submit(math_answers.grade, math_sandbox, f"\\boxed{{{n}/2}}", f"{n / 2}", cut=False)
            for n in range(8)
        ]
        assert {one.result().verdict for one in grades} == {RIGHT}
