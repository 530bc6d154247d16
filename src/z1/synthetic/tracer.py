"""Tracer: runs a program and records its steps.

A *step* is one line that the interpreter executes, as its own tracing reports it (a `line` event of `sys.settrace`): an
assignment, a tested condition, a loop header (also the last time), a `print`. This is the only definition of a step in
the project. Programs come from `programs.py`; nothing else and nothing untrusted is run here.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from io import StringIO
from types import FrameType
from typing import Any

from z1.synthetic.programs import LARGEST

LONGEST = 5
"""Longest list or string that a program may hold."""

FILENAME = "<program>"

Value = int | str | list[int]


@dataclass(frozen=True, slots=True)
class Step:
    """One executed line: text, statement, variables before and after, and earlier iterations of its loop."""

    line: str
    node: ast.stmt
    before: dict[str, Any]
    after: dict[str, Any]
    iteration: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """A program's run: its steps in order, and its output (without the last newline)."""

    steps: tuple[Step, ...]
    printed: str


class _TooLong(Exception):
    pass


def trace(source: str, max_steps: int) -> Trace | None:
    """Run `source` under tracing; None if it exceeds `max_steps` steps, fails, or leaves the range of values."""
    tree = ast.parse(source)
    statements = {node.lineno: node for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    lines: list[int] = []
    states: list[dict[str, Any]] = []
    out = StringIO()

    def record(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != FILENAME:
            return None
        if event in ("line", "return"):
            states.append(_snapshot(frame.f_locals))
            if event == "line":
                lines.append(frame.f_lineno)
                if len(lines) > max_steps:
                    raise _TooLong
        return record

    namespace = {"print": lambda value: out.write(f"{value}\n"), "range": range, "__builtins__": {}}
    previous = sys.gettrace()
    sys.settrace(record)
    try:
        exec(compile(tree, FILENAME, "exec"), namespace)
    except (_TooLong, ArithmeticError, NameError):
        return None
    finally:
        sys.settrace(previous)
    nodes = [statements[number] for number in lines]
    turns, text = _turns(nodes), source.splitlines()
    steps = tuple(
        Step(text[number - 1].strip(), node, states[i], states[i + 1], turns[i])
        for i, (number, node) in enumerate(zip(lines, nodes, strict=True))
    )
    return Trace(steps, out.getvalue().removesuffix("\n")) if all(_in_range(s.after) for s in steps) else None


def step_bounds(source: str, max_steps: int) -> tuple[int, int]:
    """Bounds on the number of steps of `source` (at most `max_steps`), from its lines alone: every line outside a block
    is a step, and without a loop no line is executed twice.
    """
    lines = source.splitlines()
    loops = any(line.lstrip().startswith(("for ", "while ")) for line in lines)
    return sum(not line.startswith((" ", "else")) for line in lines), max_steps if loops else len(lines)


def _turns(nodes: list[ast.stmt]) -> list[int]:
    """For each step, the number of earlier visits to its loop header in the same run of that loop."""
    turns, count = [], dict[int, int]()
    for previous, node in zip([None, *nodes], nodes, strict=False):
        inside = previous is not None and node.lineno < previous.lineno <= (node.end_lineno or 0)
        count[node.lineno] = count[node.lineno] + 1 if inside else 0
        turns.append(count[node.lineno])
    return turns


def _snapshot(namespace: dict[str, Any]) -> dict[str, Any]:
    variables = {k: v for k, v in namespace.items() if isinstance(v, int | str | list) and not k.startswith("__")}
    return {k: list(v) if isinstance(v, list) else v for k, v in variables.items()}


def _in_range(state: dict[str, Any]) -> bool:
    return all(_value_in_range(value) for value in state.values())


def _value_in_range(value: Value) -> bool:
    if isinstance(value, int):
        return 0 <= value <= LARGEST
    return len(value) <= LONGEST and (isinstance(value, str) or all(0 <= item <= LARGEST for item in value))
