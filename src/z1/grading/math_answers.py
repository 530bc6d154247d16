r"""Grades mathematical answers: numbers, expressions, sets and intervals.

The last box counts; boxes that the text joins ("\boxed{2} and \boxed{-5}") are one list. Without a box, what follows
the last "the answer is" counts, such as the hint that a thinking window forces, or a text behind a think tag that is
nothing but an answer. `math_notation.py` brings both answers into one notation, and math-verify
(https://github.com/huggingface/Math-Verify) compares them. It hangs on some inputs, and its own time limit works in
the main thread only, so each comparison is a call in a sandbox with enforced limits (`math_comparison.py`).
docs/verdicts.md names the faults of math-verify and what is done about each.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from z1.errors import install_hint
from z1.grading import function_tests
from z1.grading.boxed import find_boxes
from z1.grading.math_notation import Value, as_intervals, is_relation, read_value
from z1.grading.stated_answers import extract_stated
from z1.grading.verdict import Grade, Verdict, grade_no_answer
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(wall_seconds=10.0, cpu_seconds=8.0, memory_bytes=1 << 30)
MAX_ANSWER_LENGTH = 2_000
"""Characters; a longer text is not an answer."""

BETWEEN_BOXES = re.compile(
    r"(?:[\s$,;&.]|\\[()\[\],;: ]|\\q?quad|\\text\s*\{\s*(?:and|or)\s*\}|\\(?:and|or)\b|\*\*"
    r"|\b(?:and|or|also|the|other|another|second|third|smaller|larger|root|solution|value|one|is|are|for)\b"
    r"|[A-Za-z](?:_\{?\d\}?)?\s*=)*"
)
JOINS = re.compile(r"\b(?:and|or)\b|[,;&]")


@cache
def comparison() -> str:
    """The source that runs in the sandbox."""
    return Path(__file__).with_name("math_comparison.py").read_text("utf-8")


def extract_answer(text: str) -> str | None:
    """The answer in `text`, None without one."""
    boxes = find_boxes(text)
    if not boxes:
        return extract_stated(text)
    filled = [box for box in boxes if box.content.strip()]
    if not filled:
        return None
    contents = [filled[-1].content.strip()]
    for before, after in zip(reversed(filled[:-1]), reversed(filled), strict=False):
        between = text[before.end : after.start]
        if before.end > after.start or not BETWEEN_BOXES.fullmatch(between) or not JOINS.search(between):
            break
        if before.content.strip() not in contents:
            contents.insert(0, before.content.strip())
    return ", ".join(contents)


def grade(sandbox: Sandbox, text: str, expected: str, *, cut: bool) -> Grade:
    """Compare the answer in `text` with `expected`, both as LaTeX. `sandbox` must be able to import math_verify."""
    answer = extract_answer(text)
    if answer is None or len(answer) > MAX_ANSWER_LENGTH:
        return grade_no_answer(cut=cut)
    gold, value = read_value(expected), read_value(answer)
    if gold.contradicts(value):
        return Grade(Verdict.WRONG, answer[:100])
    if gold.words() == value.words() and gold.is_percentage >= value.is_percentage:
        return Grade(Verdict.RIGHT)
    return _compare(sandbox, _pairs(gold, value), answer)


def _compare(sandbox: Sandbox, pairs: list[tuple[str, str]], answer: str) -> Grade:
    """Right if math-verify calls one of `pairs` equal."""
    extra = {"name": "check", "prelude": "", "inputs": [list(pair) for pair in pairs]}
    try:
        outcome = sandbox.run(Job("function", comparison(), extra=extra, limits=LIMITS))
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    if not outcome.stdout.startswith(b"imported"):
        last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Grade(Verdict.MISSING, f"math-verify: {' '.join(last) or outcome.end}; {install_hint('evaluate')}")
    values = [line.get("value") for line in function_tests.parse_lines(outcome.result) if isinstance(line, dict)]
    if True in values:
        return Grade(Verdict.RIGHT)
    return Grade(Verdict.WRONG, answer[:100] if False in values else f"not comparable: {outcome.end.value}")


def _pairs(gold: Value, answer: Value) -> list[tuple[str, str]]:
    """What to compare. 35% is right for 35 and for 0.35 (0.35% is not), and 35 for 35%; beside an interval, an
    inequality is one.
    """
    expected, got = gold.text, answer.text
    if is_relation(expected) != is_relation(got):
        expected, got = as_intervals(expected), as_intervals(got)
    pairs = [(expected, got)]
    if answer.is_percentage and not gold.is_percentage:
        share = (expected, f"\\frac{{{got}}}{{100}}")
        pairs = [share] if re.match(r"-?0?\.\d", expected) else [*pairs, share]
    if gold.is_percentage and not answer.is_percentage:
        pairs.append((f"\\frac{{{expected}}}{{100}}", got))
    return pairs
