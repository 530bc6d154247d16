"""Does this program give the right output for each input?

The program runs in the sandbox once for each input, with a real pipe as its stdin, and what it wrote is compared here;
the expected outputs never leave this process. Outputs agree when their lines do, white space around lines and around
the whole ignored, or when the numbers in a line do, as LiveCodeBench compares them (its `testing_util.py`). A program
that ends with another status than 0 is wrong even if it wrote the right thing first.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from z1.grading.verdict import Grade, Verdict
from z1.sandbox.sandbox import Job, Outcome, ProgramEnd, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(wall_seconds=24.0, cpu_seconds=8.0)
"""LiveCodeBench allows 6 seconds a test by the clock of its own machine. These count computing, and a third more, since
processors differ by as much: a program that is right there (abc328_e) computes for 4.4 to 6.3 seconds on one machine.
"""


def grade(sandbox: Sandbox, code: str, tests: Sequence[tuple[str, str]], limits: ResourceLimits = LIMITS) -> Grade:
    """Run `code` on each input of `tests` (input, expected output), up to the first that fails."""
    if not tests:
        raise ValueError("a program is graded by one test or more")
    try:
        with sandbox.open_process(Job("program", code, limits=limits)) as process:
            outcomes = process.run_each(given.encode() for given, _ in tests)
            for number, (outcome, (_, wanted)) in enumerate(zip(outcomes, tests, strict=True), 1):
                if why := complaint(outcome, wanted):
                    return Grade(Verdict.WRONG, f"{why} (test {number} of {len(tests)})")
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    return Grade(Verdict.RIGHT)


def complaint(outcome: Outcome, wanted: str) -> str:
    """What is wrong with a run; nothing where nothing is."""
    if ended := badly(outcome):
        return ended
    got = outcome.stdout.decode(errors="replace")
    return "" if same(got, wanted) else f"wrong answer: {_short(got)} for {_short(wanted)}"


def badly(outcome: Outcome) -> str:
    """How a run ended, where it did not end well."""
    if outcome.end is ProgramEnd.EXITED:
        return ""
    if outcome.end is not ProgramEnd.CRASHED:
        return outcome.end.value
    last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"runtime: status {outcome.exit_code}{', ' if last else ''}{' '.join(last)[:200]}"


def same(got: str, wanted: str) -> bool:
    """Whether two outputs agree."""
    ours, theirs = ([line.strip() for line in text.strip().split("\n")] for text in (got, wanted))
    if len(ours) != len(theirs):
        return False
    return all(one == other or _numbers(one, other) for one, other in zip(ours, theirs, strict=True))


def _numbers(one: str, other: str) -> bool:
    try:
        ours, theirs = ([Decimal(word) for word in line.split()] for line in (one, other))
    except InvalidOperation:
        return False
    return ours == theirs


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
