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

TESTING = ("unittest", "unittest.mock", "tempfile", "shutil", "subprocess")

_LOCK = threading.Lock()
_OPEN: dict[tuple[str | None, tuple[str, ...]], Sandbox] = {}


def programs() -> Sandbox:
    """For programs on stdin and stdout, and for functions."""
    return _shared(None, ())


def tests() -> Sandbox:
    """For unit tests of plain Python."""
    return _shared(None, TESTING)


def pytests() -> Sandbox:
    """For pytest functions of plain Python."""
    return _shared(None, (*TESTING, "pytest", "random", "numpy"))


def libraries() -> Sandbox:
    """For unit tests of code that uses libraries; see `BIGCODEBENCH_PYTHON`."""
    return _shared(os.environ.get(BIGCODEBENCH_PYTHON), (*TESTING, "numpy", "pandas", "matplotlib.pyplot"))


def maths() -> Sandbox:
    """For comparing answers with math-verify."""
    return _shared(None, ("math_verify",))


def _shared(python: str | None, warm: tuple[str, ...]) -> Sandbox:
    with _LOCK:
        if (python, warm) not in _OPEN:
            _OPEN[python, warm] = Sandbox(python, warm=warm)
        return _OPEN[python, warm]


def close() -> None:
    """End every sandbox that was opened here; they start again when they are needed."""
    with _LOCK:
        while _OPEN:
            _OPEN.popitem()[1].close()


atexit.register(close)
