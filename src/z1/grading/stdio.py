"""Grades programs by their output on stdout for given inputs on stdin.

The program runs in the sandbox once for each input, with a real pipe as its stdin. Its output is compared here, so the
expected outputs never leave this process. Outputs match if their lines do, ignoring white space around each line and
around the whole, or if the numbers in a line do, as LiveCodeBench compares them (its `testing_util.py`). A program with
an exit status other than 0 is wrong even if its output is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from z1.grading.verdict import Grade, Verdict
from z1.sandbox.sandbox import Job, Outcome, ProgramEnd, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(wall_seconds=24.0, cpu_seconds=8.0)
"""LiveCodeBench allows 6 seconds of wall time a test on its own machine. This limit is on CPU time, and a third higher,
since processors differ by as much: a program that is right there (abc328_e) takes 4.4 to 6.3 s of CPU time on one
machine.
"""


def grade(sandbox: Sandbox, code: str, tests: Sequence[tuple[str, str]], limits: ResourceLimits = LIMITS) -> Grade:
    """Run `code` on each input of `tests` (input, expected output), up to the first that fails."""
    if not tests:
        raise ValueError("grading a program needs at least one test")
    try:
        with sandbox.open_process(Job("program", code, limits=limits)) as process:
            outcomes = process.run_each(stdin.encode() for stdin, _ in tests)
            for number, (outcome, (_, expected)) in enumerate(zip(outcomes, tests, strict=True), 1):
                if reason := _find_fault(outcome, expected):
                    return Grade(Verdict.WRONG, f"{reason} (test {number} of {len(tests)})")
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    return Grade(Verdict.RIGHT)


def _find_fault(outcome: Outcome, expected: str) -> str:
    """Why a run is wrong; "" if it is right."""
    if failure := describe_failure(outcome):
        return failure
    got = outcome.stdout.decode(errors="replace")
    return "" if outputs_match(got, expected) else f"wrong answer: {_shorten(got)} for {_shorten(expected)}"


def describe_failure(outcome: Outcome) -> str:
    """How a run failed: the limit that it exceeded, or its exit status and last line of stderr; "" if it did not."""
    if outcome.end is ProgramEnd.EXITED:
        return ""
    if outcome.end is not ProgramEnd.CRASHED:
        return outcome.end.value
    last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"runtime: status {outcome.exit_code}{', ' if last else ''}{' '.join(last)[:200]}"


def outputs_match(got: str, expected: str) -> bool:
    """Whether two outputs match, line by line."""
    got_lines, expected_lines = ([line.strip() for line in text.strip().split("\n")] for text in (got, expected))
    if len(got_lines) != len(expected_lines):
        return False
    return all(one == other or _numbers_match(one, other) for one, other in zip(got_lines, expected_lines, strict=True))


def _numbers_match(one: str, other: str) -> bool:
    """Whether both lines are the same finite numbers."""
    if "_" in one + other:  # which Decimal takes for nothing
        return False
    try:
        first, second = ([Decimal(word) for word in line.split()] for line in (one, other))
    except InvalidOperation:
        return False
    return all(number.is_finite() for number in (*first, *second)) and first == second


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
