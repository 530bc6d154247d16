"""Is this the same number, expression, set or interval?

math-verify (https://github.com/huggingface/Math-Verify) compares; it hangs on some inputs and its own limit on time
works in the main thread only, so each comparison is a call in a sandbox with a limit that holds. Only what stands in
the last box counts, or, where there is none, what follows the words that a window forces on a reply. What math-verify
is known to get wrong and what is done about it is in the golden table of the tests.
"""

from __future__ import annotations

import re

from z1.grading import function_tests
from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, grade_no_answer
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(wall_seconds=10.0, cpu_seconds=8.0, memory_bytes=1 << 30)
LONGEST = 2_000
"""Characters of an answer; what is longer is no answer."""

FORCED = re.compile(r"(?:final answer|answer) (?:should be|is)\s*:?\s*\$*\s*([^\n]+)", re.IGNORECASE)

CHECK = """
import logging
logging.disable(logging.CRITICAL)
from math_verify import parse, verify

def check(wanted, got):
    parsed = [parse("$" + text + "$", parsing_timeout=None) for text in (wanted, got)]
    if not all(parsed):
        return None
    return verify(*parsed, timeout_seconds=None)
"""


def answer(text: str) -> str | None:
    """What `text` gives as its answer, None where it gives none."""
    found = extract_boxed(text)
    if found is None:
        forced = [said for said in FORCED.findall(text) if "\\boxed" not in said]
        found = forced[-1].strip().rstrip(".").strip("$ ") if forced else None
    return found.strip() or None if found is not None else None


def grade(sandbox: Sandbox, text: str, expected: str, *, cut: bool) -> Grade:
    """Compare the answer in `text` with `expected`, both as LaTeX. `sandbox` has to be able to import math_verify."""
    found = answer(text)
    if found is None or len(found) > LONGEST:
        return grade_no_answer(cut=cut)
    if _bare(found) == _bare(expected):
        return Grade(Verdict.RIGHT)
    job = Job("calls", CHECK, extra={"name": "check", "before": "", "inputs": [[expected, found]]}, limits=LIMITS)
    try:
        outcome = sandbox.run(job)
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    line = function_tests.first(outcome.result)
    if line is None or "raised" in line:
        said = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
        if said and "ModuleNotFoundError" in said[0]:
            return Grade(Verdict.MISSING, f"{said[0]}; install the extra: pip install 'z1[evaluate]'")
        return Grade(Verdict.WRONG, f"not comparable: {outcome.end.value}")
    return Grade(Verdict.RIGHT) if line["value"] is True else Grade(Verdict.WRONG, found[:100])


def _bare(text: str) -> str:
    """Without what means nothing: spaces, dollars, and the size of brackets."""
    return re.sub(r"\\left|\\right|\\[,;:! ]|[\s$]", "", text)
