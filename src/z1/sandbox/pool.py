"""Shared sandboxes for graders: one for each purpose, started on first use and closed at exit.

Each has the modules preloaded that its purpose needs. BigCodeBench's solutions need many libraries; the environment
variable `Z1_BIGCODEBENCH_PYTHON` is the path of an interpreter that has them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading

from z1.sandbox.sandbox import Sandbox, SandboxFault

BIGCODEBENCH_PYTHON = "Z1_BIGCODEBENCH_PYTHON"

WARM_UP_MATH = r"""
import logging
logging.disable(logging.CRITICAL)
from math_verify import LatexExtractionConfig, parse, verify
def read(text):
    return parse(f"${text}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)
for gold, answer in ((r"\frac{1}{2}", "0.5"), (r"\{1, 2\}", r"(x + 1, \sqrt{2}]"), ("x = 3", r"35 \text{ m}")):
    verify(read(gold), read(answer), timeout_seconds=None, allow_set_relation_comp=True)
logging.disable(logging.NOTSET)
"""
"""The parser of LaTeX fills its tables while it reads its first formulas: 20 to 100 ms in each process without this."""

TEST_MODULES = ("unittest", "unittest.mock", "tempfile", "shutil", "subprocess")

_LOCK = threading.Lock()
_OPEN: dict[tuple[str | None, tuple[str, ...]], Sandbox] = {}


def for_programs() -> Sandbox:
    """The sandbox for programs on stdin and stdout, and for functions."""
    return _shared(None, ())


def for_unit_tests() -> Sandbox:
    """The sandbox for unit tests of plain Python."""
    return _shared(None, TEST_MODULES)


def for_pytest() -> Sandbox:
    """The sandbox for pytest functions of plain Python."""
    return _shared(None, (*TEST_MODULES, "pytest", "random", "numpy"))


def for_libraries() -> Sandbox:
    """The sandbox for unit tests of code that uses libraries; see `BIGCODEBENCH_PYTHON`."""
    return _shared(os.environ.get(BIGCODEBENCH_PYTHON), (*TEST_MODULES, "numpy", "pandas", "matplotlib.pyplot"))


def for_math() -> Sandbox:
    """The sandbox for comparing answers with math-verify."""
    return _shared(None, ("math_verify",), WARM_UP_MATH)


def _shared(python: str | None, preload: tuple[str, ...], warm_up: str = "") -> Sandbox:
    with _LOCK:
        if (python, preload) not in _OPEN:
            _OPEN[python, preload] = Sandbox(python, preload=preload, warm_up=warm_up)
        return _OPEN[python, preload]


def require(sandbox: Sandbox) -> None:
    """Start `sandbox` before there is anything to grade. Raises UserError if this machine provides no isolation.

    Any other failure makes the attempts that meet it missing.
    """
    with contextlib.suppress(SandboxFault):
        sandbox.start()


def close_all() -> None:
    """Close all shared sandboxes; they start again on their next use."""
    with _LOCK:
        while _OPEN:
            _OPEN.popitem()[1].close()


atexit.register(close_all)
