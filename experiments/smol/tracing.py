"""Tracer: runs a program of `programs.py` and records every line that the interpreter executes.

A *step* is one executed line, as Python's own tracing reports it; the `def` line of a function is none. Only programs
of our own generator are run here.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from io import StringIO
from types import FrameType
from typing import Any

LARGEST = 20
"""Largest number that a program may compute; programs that leave 0..LARGEST are rejected."""

LONGEST = 12
"""Longest string, and more than the longest list, that a program may hold."""

BUILTINS = {"range": range, "len": len, "sum": sum, "max": max, "min": min}

_FILE = "<program>"


@dataclass(frozen=True, slots=True)
class Step:
    """One executed line: its text, statement, depth of calls, its function's variables before and after, and whether
    the next line of the same function is in its block.
    """

    text: str
    node: ast.stmt
    depth: int
    before: dict[str, Any]
    after: dict[str, Any]
    enters_block: bool


@dataclass(frozen=True, slots=True)
class Run:
    """The steps of a program, its functions by name, and what it printed (without the last newline)."""

    steps: tuple[Step, ...]
    functions: dict[str, Any]
    printed: str


class _TooLong(Exception):
    pass


def trace(source: str, max_steps: int) -> Run | None:
    """Run `source`; None if it takes over `max_steps` steps, fails, prints nothing, or leaves the range of values."""
    tree = ast.parse(source)
    statements = {node.lineno: node for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    lines = source.splitlines()
    recorded: list[tuple[int, int, dict[str, Any], dict[str, Any]]] = []  # line, depth, before, after
    open_steps: list[int | None] = []

    def finish(frame: FrameType) -> None:
        number = open_steps[-1]
        if number is not None:
            recorded[number][3].update(_values(frame.f_locals))
            open_steps[-1] = None

    def record(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != _FILE:
            return None
        if event == "call":
            open_steps.append(None)
        elif event == "line":
            finish(frame)
            if not isinstance(statements[frame.f_lineno], ast.FunctionDef):
                open_steps[-1] = len(recorded)
                recorded.append((frame.f_lineno, len(open_steps) - 1, _values(frame.f_locals), {}))
                if len(recorded) > max_steps:
                    raise _TooLong
        elif event == "return":
            finish(frame)
            open_steps.pop()
        return record

    out = StringIO()
    namespace: dict[str, Any] = {"print": lambda value: out.write(f"{value}\n"), **BUILTINS, "__builtins__": {}}
    previous = sys.gettrace()
    sys.settrace(record)
    try:
        exec(compile(tree, _FILE, "exec"), namespace)
    except (_TooLong, ArithmeticError, LookupError, NameError):
        return None
    finally:
        sys.settrace(previous)
    steps = tuple(
        Step(lines[at - 1].strip(), statements[at], depth, before, after, _enters(statements[at], recorded[n + 1 :]))
        for n, (at, depth, before, after) in enumerate(recorded)
    )
    functions = {name: value for name, value in namespace.items() if callable(value) and name != "print"}
    printed = out.getvalue().removesuffix("\n")
    in_range = all(_is_in_range(value) for step in steps for value in step.after.values())
    return Run(steps, functions, printed) if printed and in_range else None


def _enters(node: ast.stmt, following: list[tuple[int, int, dict[str, Any], dict[str, Any]]]) -> bool:
    """Whether the next line is in the block of `node`, which calls no function in its header."""
    body = getattr(node, "body", None)
    return bool(body and following and body[0].lineno <= following[0][0] <= body[-1].end_lineno)


def _values(variables: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in variables.items() if isinstance(value, int | str | list)}
    return {name: list(value) if isinstance(value, list) else value for name, value in kept.items()}


def _is_in_range(value: Any) -> bool:
    if isinstance(value, int):
        return 0 <= value <= LARGEST
    return len(value) <= LONGEST and (isinstance(value, str) or all(map(_is_in_range, value)))
