"""Grades mathematical answers: numbers, expressions, sets and intervals.

math-verify (https://github.com/huggingface/Math-Verify) compares them. It hangs on some inputs, and its own time limit
works in the main thread only, so each comparison is a call in a sandbox with enforced limits. Only the content of the
last box counts or, without a box, the text after the hint that a thinking window forces. The golden table of the tests
has the known mistakes of math-verify and how they are handled.
"""

from __future__ import annotations

import re

from z1.errors import install_hint
from z1.grading import function_tests
from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, grade_no_answer
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(wall_seconds=10.0, cpu_seconds=8.0, memory_bytes=1 << 30)
MAX_ANSWER_LENGTH = 2_000
"""Characters; a longer text is not an answer."""

HINTED_ANSWER = re.compile(r"(?:final answer|answer) (?:should be|is)\s*:?\s*\$*\s*([^\n]+)", re.IGNORECASE)

CHECK = """
import logging
logging.disable(logging.CRITICAL)
from math_verify import parse, verify
print("imported", flush=True)

def check(expected, got):
    parsed = [parse("$" + text + "$", parsing_timeout=None) for text in (expected, got)]
    if not all(parsed):
        return None
    return verify(*parsed, timeout_seconds=None)
"""


def extract_answer(text: str) -> str | None:
    """The answer in `text`, None without one."""
    content = extract_boxed(text)
    if content is None:
        hinted = [answer for answer in HINTED_ANSWER.findall(text) if "\\boxed" not in answer]
        content = hinted[-1].strip().rstrip(".").strip("$ ") if hinted else None
    return content.strip() or None if content is not None else None


def grade(sandbox: Sandbox, text: str, expected: str, *, cut: bool) -> Grade:
    """Compare the answer in `text` with `expected`, both as LaTeX. `sandbox` must be able to import math_verify."""
    answer = extract_answer(text)
    if answer is None or len(answer) > MAX_ANSWER_LENGTH:
        return grade_no_answer(cut=cut)
    if _strip_layout(answer) == _strip_layout(expected):
        return Grade(Verdict.RIGHT)
    job = Job("function", CHECK, extra={"name": "check", "prelude": "", "inputs": [[expected, answer]]}, limits=LIMITS)
    try:
        outcome = sandbox.run(job)
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    if not outcome.stdout.startswith(b"imported"):
        last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Grade(Verdict.MISSING, f"math-verify: {' '.join(last) or outcome.end}; {install_hint('evaluate')}")
    line = function_tests.parse_first_line(outcome.result)
    if line is None or "raised" in line:
        return Grade(Verdict.WRONG, f"not comparable: {outcome.end.value}")
    return Grade(Verdict.RIGHT) if line["value"] is True else Grade(Verdict.WRONG, answer[:100])


def _strip_layout(text: str) -> str:
    """Without spaces, dollars and the sizes of brackets, which do not change the meaning."""
    return re.sub(r"\\left|\\right|\\[,;:! ]|[\s$]", "", text)
