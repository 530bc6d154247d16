"""Runs the tests of a module and records the outcome of each.

A test is a method of a `unittest.TestCase`, run with its fixtures, subtests and cleanups as unittest runs them. It is
right only if all of it returned: unittest itself takes some exceptions, such as SkipTest, for no failure, and one of
its own, by which a test stops early, for success.
"""

from __future__ import annotations

import functools
import unittest
from types import ModuleType
from typing import Any

MAX_REASON = 300

OK, NOT_RUN, FAIL, ERROR, SKIP, SHARED = "ok", "not run", "fail", "error", "skip", "shared"

Outcomes = dict[str, tuple[str, str]]
"""For each test, as `Class.method`: its outcome and the reason."""


class NotSeparableError(BaseException):
    """A test uses the solution in a way that needs one process for both."""


def run_tests(module: ModuleType) -> Outcomes:
    """Run each test method of each TestCase of `module`, in the order of their names."""
    outcomes: Outcomes = {}
    cases = {value.__name__: value for value in list(vars(module).values()) if isinstance(value, type)}
    for case in [value for value in cases.values() if issubclass(value, unittest.TestCase)]:
        names = sorted(name for name in dir(case) if name.startswith("test") and callable(getattr(case, name)))
        recorder = OutcomeRecorder()
        unittest.TestSuite([recorder.watch(case(name)) for name in names]).run(recorder)
        outcomes |= {f"{case.__name__}.{name}": recorder.outcome(name) for name in names}
    return outcomes


class OutcomeRecorder(unittest.TestResult):
    """Records for each test whether it passed, or the first failure."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: set[str] = set()
        self.passed: set[str] = set()
        self.failed: dict[str, tuple[str, str]] = {}

    def watch(self, test: unittest.TestCase) -> unittest.TestCase:
        """`test`, whose method is recorded when it returns."""
        name = test._testMethodName
        method = getattr(test, name)

        @functools.wraps(method)
        def run_watched() -> Any:
            result = method()
            self.returned.add(name)
            return result

        setattr(test, name, run_watched)
        return test

    def outcome(self, name: str) -> tuple[str, str]:
        """The outcome of a test and its reason."""
        if name in self.failed:
            return self.failed[name]
        return (OK if name in self.passed & self.returned else NOT_RUN, "")

    def _record(self, test: Any, outcome: str, reason: object) -> None:
        name = getattr(test, "_testMethodName", "")
        self.failed.setdefault(name, (outcome, f"{type(reason).__name__}: {reason}"[:MAX_REASON]))

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        """Record a test that ended without a failure."""
        self.passed.add(test._testMethodName)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        """Record a failure that the test expects."""
        self.passed.add(test._testMethodName)
        self.returned.add(test._testMethodName)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        """Record a failed assertion."""
        self._record(test, FAIL, err[1])

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        """Record another exception, or that a test has to run in one process with the solution."""
        self._record(test, SHARED if isinstance(err[1], NotSeparableError) else ERROR, err[1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        """Record the failure of a subtest."""
        if err is not None:
            self._record(test, FAIL if issubclass(err[0], AssertionError) else ERROR, err[1])

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        """Record a skip; a solution can raise SkipTest, so this is not a success."""
        self._record(test, SKIP, reason)

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        """Record a success that was not expected."""
        self._record(test, FAIL, "unexpected success")
