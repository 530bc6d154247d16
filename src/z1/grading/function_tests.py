"""Does this function give the right result for each input?

LiveCodeBench's functional tests, and LeetCode's: a method of `Solution`, or a function, is called in the sandbox; the
results come back as JSON and are compared here, so that the expected ones never enter the process that could read them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from z1.grading.stdio import badly
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault
from z1.sandbox.inside.run_function import RAISED, plain

LIMITS = ResourceLimits(wall_seconds=60.0, cpu_seconds=30.0)
"""For all inputs together."""

PRELUDE = """
from array import array
from bisect import *
from collections import *
from copy import copy, deepcopy
from functools import *
from heapq import *
from itertools import *
from math import *
from operator import *
from random import *
from string import *
from typing import *
import bisect, collections, copy, datetime, functools, heapq, itertools, json, math, operator, random, re, string, sys
from builtins import pow
inf = float("inf")
"""
"""What LeetCode gives a solution to begin with, and so what its solutions take for granted."""


def grade(
    sandbox: Sandbox, code: str, name: str, tests: Sequence[tuple[Any, Any]], limits: ResourceLimits = LIMITS
) -> Grade:
    """Call `name` of `code` for each of `tests` (arguments in order or by name, expected result)."""
    if not tests:
        raise ValueError("a function is graded by one test or more")
    extra = {"name": name, "before": PRELUDE, "inputs": [given for given, _ in tests]}
    try:
        outcome = sandbox.run(Job("calls", code, extra=extra, limits=limits))
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    lines = _lines(outcome.result)
    for number, (_, wanted) in enumerate(tests):
        line = lines[number] if number < len(lines) else None
        if why := _complaint(line, number, wanted, badly(outcome)):
            return Grade(Verdict.WRONG, f"{why} (test {number + 1} of {len(tests)})")
    return Grade(Verdict.RIGHT)


def _complaint(line: Any, number: int, wanted: Any, ended: str) -> str:
    if not isinstance(line, dict) or line.get("number") != number:
        return ended or "runtime: ended before it was done"
    if RAISED in line:
        return f"runtime: {line[RAISED]}"
    return "" if "value" in line and same(line["value"], wanted) else "wrong answer"


def _lines(data: bytes) -> list[Any]:
    """The whole lines of JSON up to the first that is none."""
    found: list[Any] = []
    for line in data.split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return found


def first(data: bytes) -> dict[str, Any] | None:
    """The first line, if there is one."""
    lines = _lines(data)
    return lines[0] if lines and isinstance(lines[0], dict) else None


def same(got: Any, wanted: Any) -> bool:
    """Whether a result, as the sandbox writes it, is the expected value; 1 is 1.0, and a tuple is a list."""
    return bool(got == json.loads(json.dumps(plain(wanted))))
