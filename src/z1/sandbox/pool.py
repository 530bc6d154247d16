"""Which sandbox does a grader use when nobody gives it one?

One sandbox a purpose and a process, started when it is first needed and ended with the process: warm with what the
purpose needs. BigCodeBench's solutions need many libraries; `Z1_BIGCODEBENCH_PYTHON` names an interpreter that has
them.
"""

from __future__ import annotations

import atexit
import os
import threading

from z1.sandbox.sandbox import Sandbox

BIGCODEBENCH_PYTHON = "Z1_BIGCODEBENCH_PYTHON"

TEST_MODULES = ("unittest", "unittest.mock", "tempfile", "shutil", "subprocess")

_LOCK = threading.Lock()
_OPEN: dict[tuple[str | None, tuple[str, ...]], Sandbox] = {}


def for_programs() -> Sandbox:
    """For programs on stdin and stdout, and for functions."""
    return _shared(None, ())


def for_unit_tests() -> Sandbox:
    """For unit tests of plain Python."""
    return _shared(None, TEST_MODULES)


def for_pytest() -> Sandbox:
    """For pytest functions of plain Python."""
    return _shared(None, (*TEST_MODULES, "pytest", "random", "numpy"))


def for_libraries() -> Sandbox:
    """For unit tests of code that uses libraries; see `BIGCODEBENCH_PYTHON`."""
    return _shared(os.environ.get(BIGCODEBENCH_PYTHON), (*TEST_MODULES, "numpy", "pandas", "matplotlib.pyplot"))


def for_math() -> Sandbox:
    """For comparing answers with math-verify."""
    return _shared(None, ("math_verify",))


def _shared(python: str | None, warm: tuple[str, ...]) -> Sandbox:
    with _LOCK:
        if (python, warm) not in _OPEN:
            _OPEN[python, warm] = Sandbox(python, warm=warm)
        return _OPEN[python, warm]


def close_all() -> None:
    """End every sandbox that was opened here; they start again when they are needed."""
    with _LOCK:
        while _OPEN:
            _OPEN.popitem()[1].close()


atexit.register(close_all)
