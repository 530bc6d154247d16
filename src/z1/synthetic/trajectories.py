"""Trajectories of program runs, written by rule at one of six levels of detail.

The levels divide the paper's "continuous range of complexity" (arXiv 2504.00810, section 2.1) into six:

    direct    no thought: the answer alone
    compact   a row for each step, values only: `3| 6 + 3 -> s = 9`
    named     compact, with the variable name before each value that is read: `3| s6 + x3 -> s = 9`
    terse     named, for results too: `3| s6 + x3 -> s9`, so that a value always follows its name
    full      a row for each step with its line first: `3| s = s + x -> 6 + 3 -> s = 9`
    long      full, and then all rows again as a check

Every value in a row comes from the interpreter, and `write_thought` checks the last one against the program's output.
Lines are numbered in the question and in the rows, so that choosing the next line is a choice of one token. A row ends
with the name beside its new value, because the next row looks it up there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import Any

from z1.errors import Fault
from z1.synthetic.programs import LARGEST
from z1.synthetic.tracer import Step, Trace

LEVELS = ("direct", "compact", "named", "terse", "full", "long")

BRIEF, NAMED = ("compact", "named", "terse"), ("named", "terse")
"""The levels whose rows omit the line, and those of them that include names."""

QUESTION = "What does this program print?"

CHECK = "Wait, let me check."
"""The row between the two passes of a long thought."""

OPERATORS: dict[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Mod: ("%", lambda a, b: a % b),
}


class OutOfRange(Exception):
    """An intermediate value is outside 0..LARGEST; the program is rejected."""


def format_question(source: str) -> str:
    """The user message for a program, with numbered lines."""
    return "\n".join([QUESTION, *number_lines(source.rstrip("\n").split("\n"))])


def number_lines(lines: Iterable[str]) -> list[str]:
    """`lines` with their numbers, from 1."""
    return [f"{number}| {line}" for number, line in enumerate(lines, 1)]


def parse_source(listing: str) -> str:
    """The program in a question or a listing; text without line numbers is returned unchanged."""
    lines = listing.strip().removeprefix(QUESTION).strip("\n").split("\n")
    return "\n".join(re.sub(r"^\d+\| ", "", line) for line in lines) + "\n"


def format_answer(printed: str) -> str:
    """The end of every trajectory at any level; it begins with the profile's answer marker."""
    return f"The final answer is \\boxed{{{printed}}}."


def write_thought(run: Trace, level: str) -> str:
    """The thought of `run` at `level`: rows, then a blank line; "" without rows.

    Raises `OutOfRange` if an intermediate value is not a digit, and `Fault` if the rows disagree with the run.
    """
    if level == "direct":
        return ""
    rows = [_row(step, level) for step in run.steps]
    if not rows[-1].endswith(run.printed):
        raise Fault(f"the last row is {rows[-1]!r}, but the program printed {run.printed!r}")
    return join_rows(rows, level)


def join_rows(rows: list[str], level: str) -> str:
    """The text of a thought from the rows of one pass."""
    return "\n".join([*rows, CHECK, *rows] if level == "long" else rows) + "\n\n"


def count_operations(run: Trace) -> int:
    """The number of values to compute: one for each operator, comparison and iteration of a loop."""
    kinds = (ast.BinOp, ast.Compare, ast.For, ast.AugAssign)
    return sum(isinstance(node, kinds) for step in run.steps for node in _own_nodes(step.node))


def _own_nodes(statement: ast.stmt) -> Iterable[ast.AST]:
    """The nodes of a statement without its block."""
    if isinstance(statement, ast.For):
        return [statement]
    return ast.walk(statement.test if isinstance(statement, ast.If | ast.While) else statement)


def _row(step: Step, level: str) -> str:
    line, texts = step.line, _step_texts(step, level)
    start = f"{step.node.lineno}| "
    if level in BRIEF:
        return start + texts[0]
    if texts[-1] == line:
        return start + line
    return start + line + (" " if line.endswith(":") else " -> ") + texts[-1]


def _step_texts(step: Step, level: str) -> list[str]:
    """The text of a row without its line and, if that differs, the text after its line."""
    node = step.node
    if isinstance(node, ast.If | ast.While):
        return [_condition(node.test, step.before, level)]
    if isinstance(node, ast.For):
        return _iteration(node, step, level)
    if isinstance(node, ast.Expr):
        return _call(node.value, step, level)
    target, value = _assignment(node)
    if isinstance(value, ast.BinOp):
        return _reduction_texts(value, step.before, level, (_format_assignment(target, step.after[target], level),))
    source = f"{_format_operand(value, step.before, level)} -> " if _name(value, level) else ""
    return [source + _format_assignment(target, step.after[target], level)]


def _reduction_texts(node: ast.BinOp, state: dict[str, Any], level: str, ends: tuple[str, ...]) -> list[str]:
    """The reductions of `node` with `ends` in place of the last; and again without the first if the line shows it."""
    chain = [*_reductions(node, state, level)[:-1], *ends]
    return [" -> ".join(chain), *([" -> ".join(chain[1:])] if chain[0] == ast.unparse(node) else [])]


def _format_assignment(name: str, value: Any, level: str) -> str:
    return f"{name}{'' if level == 'terse' else ' = '}{_format_value(value)}"


def _format_value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _assignment(node: ast.stmt) -> tuple[str, ast.expr]:
    """The variable that a statement assigns, and the assigned expression (`s + x` for `s += x`)."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return node.target.id, ast.BinOp(ast.Name(node.target.id), node.op, node.value)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    raise Fault(f"no row can be written for {ast.unparse(node)!r}")


def _call(node: ast.expr, step: Step, level: str) -> list[str]:
    """`print(e)` ends with the output, `u.append(e)` with the value and then the list."""
    if not isinstance(node, ast.Call):
        raise Fault(f"no row can be written for {ast.unparse(node)!r}")
    argument, state, called = node.args[0], step.before, node.func
    changed = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else None
    list_text = (_format_assignment(changed, step.after[changed], level),) if changed else ()
    if isinstance(argument, ast.BinOp):
        value = _reductions(argument, state, level)[-1]
        return _reduction_texts(argument, state, level, (value, *list_text) if list_text else (value.strip('"'),))
    if list_text:
        return [" -> ".join((_format_operand(argument, state, level), *list_text))]
    return [_name(argument, level) + str(_look_up(argument, state))]


def _condition(test: ast.expr, state: dict[str, Any], level: str) -> str:
    if not isinstance(test, ast.Compare):
        raise Fault(f"no row can be written for {ast.unparse(test)!r}")
    left, right = _look_up(test.left, state), _look_up(test.comparators[0], state)
    text = f"{_name(test.left, level)}{left} {_SIGNS[type(test.ops[0])]} {right}"
    return f"{text} {'yes' if _COMPARE[type(test.ops[0])](left, right) else 'no'}"


def _iteration(node: ast.For, step: Step, level: str) -> list[str]:
    """A visit to a loop header: the item taken and the items left, or that none was left."""
    if not isinstance(node.target, ast.Name):
        raise Fault(f"no row can be written for {ast.unparse(node.target)!r}")
    name, taken = node.target.id, step.iteration
    if isinstance(node.iter, ast.Call):
        bound = _look_up(node.iter.args[0], step.before)
        is_running = taken < bound
        brief = _format_assignment(name, taken, level) if is_running else "done"
        return [brief, f"{taken} < {bound} yes -> {brief}" if is_running else f"{taken} < {bound} no"]
    items = _look_up(node.iter, step.before)
    if taken >= len(items):
        return ["done"]
    return [f"{_format_assignment(name, items[taken], level)} left {_format_value(items[taken + 1 :])}"]


def _reductions(node: ast.expr, state: dict[str, Any], level: str) -> list[str]:
    """`s + x - 2` with s = 6, x = 3 as ["6 + 3 - 2", "9 - 2", "7"], or with "s6 + x3 - 2" first."""
    operands, operators = _flatten(node)
    values = [_look_up(operand, state) for operand in operands]
    rows = [_infix([_format_operand(operand, state, level) for operand in operands], operators)]
    while operators:
        values[:2] = [_apply(operators.pop(0), values[0], values[1])]
        rows.append(_infix([_format_value(value) for value in values], operators))
    return rows


def _flatten(node: ast.expr) -> tuple[list[ast.expr], list[ast.operator]]:
    if not isinstance(node, ast.BinOp):
        return [node], []
    operands, operators = _flatten(node.left)
    return [*operands, node.right], [*operators, node.op]


def _infix(texts: list[str], operators: list[ast.operator]) -> str:
    signs = [f" {OPERATORS[type(operator)][0]} " for operator in operators]
    return "".join(text + sign for text, sign in zip(texts, [*signs, ""], strict=True))


def _format_operand(node: ast.expr, state: dict[str, Any], level: str) -> str:
    return _name(node, level) + _format_value(_look_up(node, state))


def _name(node: ast.expr, level: str) -> str:
    return node.id if level in NAMED and isinstance(node, ast.Name) else ""


def _apply(operator: ast.operator, left: Any, right: Any) -> Any:
    value = OPERATORS[type(operator)][1](left, right)
    if isinstance(value, int) and not 0 <= value <= LARGEST:
        raise OutOfRange
    return value


def _look_up(node: ast.expr, state: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return state[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    raise Fault(f"no value for {ast.unparse(node)!r}")


_SIGNS: dict[type[ast.cmpop], str] = {ast.Gt: ">", ast.Lt: "<", ast.Eq: "==", ast.NotEq: "!="}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: lambda a, b: a > b,
    ast.Lt: lambda a, b: a < b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
