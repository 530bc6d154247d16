"""Grades functions by their results for given arguments.

LiveCodeBench's functional tests, and LeetCode's: a method of `Solution`, or a function, is called in the sandbox. The
results are returned as JSON and compared here, so the expected ones never enter the process that runs the solution.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from z1.grading.stdio import describe_failure
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault
from z1.sandbox.inside.run_function import RAISED, to_json_value

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
"""LeetCode's implicit imports, which its solutions rely on."""


def grade(
    sandbox: Sandbox, code: str, name: str, tests: Sequence[tuple[Any, Any]], limits: ResourceLimits = LIMITS
) -> Grade:
    """Call `name` of `code` for each of `tests` (arguments in order or by name, expected result)."""
    if not tests:
        raise ValueError("grading a function needs at least one test")
    extra = {"name": name, "prelude": PRELUDE, "inputs": [arguments for arguments, _ in tests]}
    try:
        outcome = sandbox.run(Job("function", code, extra=extra, limits=limits))
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    lines = parse_lines(outcome.result)
    for number, (_, expected) in enumerate(tests):
        line = lines[number] if number < len(lines) else None
        if reason := _find_fault(line, number, expected, describe_failure(outcome)):
            return Grade(Verdict.WRONG, f"{reason} (test {number + 1} of {len(tests)})")
    return Grade(Verdict.RIGHT)


def _find_fault(line: Any, number: int, expected: Any, failure: str) -> str:
    """Why the result of test `number` is wrong; "" if it is right. `failure` is how the whole run failed."""
    if not isinstance(line, dict) or line.get("number") != number:
        return failure or "runtime: the program ended before the test did"
    if RAISED in line:
        return f"runtime: {line[RAISED]}"
    return "" if "value" in line and is_expected(line["value"], expected) else "wrong answer"


def parse_lines(data: bytes) -> list[Any]:
    """The complete JSON lines of `data`, up to the first invalid one."""
    found: list[Any] = []
    for line in data.split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return found


def parse_first_line(data: bytes) -> dict[str, Any] | None:
    """The first line of `data`, None if it is missing or no JSON object."""
    lines = parse_lines(data)
    return lines[0] if lines and isinstance(lines[0], dict) else None


def is_expected(got: Any, expected: Any) -> bool:
    """Whether `got`, a result as the sandbox encodes it, is the expected value; 1 equals 1.0, and a tuple a list."""
    return bool(got == json.loads(json.dumps(to_json_value(expected))))
