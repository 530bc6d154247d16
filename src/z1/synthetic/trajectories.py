"""How would a patient teacher work this program out: briefly, at length, or twice?

Turns a traced run into a trajectory at one of six levels, the paper's "continuous range of complexity" (arXiv
2504.00810, section 2.1) in six steps:

    direct    no thought: the answer at once
    compact   a row for each step, values only: `3| 6 + 3 -> s = 9`
    named     compact, each value that is read behind its name: `3| s6 + x3 -> s = 9`
    terse     named, and the results too: `3| s6 + x3 -> s9`, so that a value is always found in the same place
    full      a row for each step, the line first: `3| s = s + x -> 6 + 3 -> s = 9`
    long      full, and then everything once more as a check

Every value in a row was read from the interpreter, and `write` checks the last of them against what the program
printed. Lines are numbered in question and rows, so that "which line is next?" is a question about one token. A row
ends with the name beside its new value, because that is where the next row has to look for it.
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
"""The levels whose rows leave the line out, and those of them that say names."""

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
    """A value on the way left the world's range; the program is not kept."""


def question(source: str) -> str:
    """The user's message for a program, its lines numbered."""
    return "\n".join([QUESTION, *numbered(source.rstrip("\n").split("\n"))])


def numbered(lines: Iterable[str]) -> list[str]:
    """`lines` as a listing shows them, from line 1."""
    return [f"{number}| {line}" for number, line in enumerate(lines, 1)]


def source_of(listing: str) -> str:
    """The program in a question or a listing; text without line numbers as it is."""
    lines = listing.strip().removeprefix(QUESTION).strip("\n").split("\n")
    return "\n".join(re.sub(r"^\d+\| ", "", line) for line in lines) + "\n"


def answer(printed: str) -> str:
    """How every trajectory ends, whatever its level; the text begins with the profile's answer marker."""
    return f"The final answer is \\boxed{{{printed}}}."


def write(run: Trace, level: str) -> str:
    """The thought of `run` at `level`: rows, then a blank line; "" where there are none.

    Raises `OutOfRange` where an intermediate value is not a digit, and `Fault` where the rows disagree with the run.
    """
    if level == "direct":
        return ""
    rows = [_row(step, level) for step in run.steps]
    if not rows[-1].endswith(run.printed):
        raise Fault(f"the teacher wrote {rows[-1]!r} where the program printed {run.printed!r}")
    return thought(rows, level)


def thought(rows: list[str], level: str) -> str:
    """Rows of one pass as the text of a thought."""
    return "\n".join([*rows, CHECK, *rows] if level == "long" else rows) + "\n\n"


def operations(run: Trace) -> int:
    """How many values have to be worked out: one for each operator, comparison and turn of a loop."""
    kinds = (ast.BinOp, ast.Compare, ast.For, ast.AugAssign)
    return sum(isinstance(node, kinds) for step in run.steps for node in _own(step.node))


def _own(statement: ast.stmt) -> Iterable[ast.AST]:
    """The nodes of a statement without the block below it."""
    if isinstance(statement, ast.For):
        return [statement]
    return ast.walk(statement.test if isinstance(statement, ast.If | ast.While) else statement)


def _row(step: Step, level: str) -> str:
    line, said = step.line, _said(step, level)
    start = f"{step.node.lineno}| "
    if level in BRIEF:
        return start + said[0]
    if said[-1] == line:
        return start + line
    return start + line + (" " if line.endswith(":") else " -> ") + said[-1]


def _said(step: Step, level: str) -> list[str]:
    """What a row says by itself, and, where that differs, what it says after its line."""
    node = step.node
    if isinstance(node, ast.If | ast.While):
        return [_test(node.test, step.before, level)]
    if isinstance(node, ast.For):
        return _turn(node, step, level)
    if isinstance(node, ast.Expr):
        return _call(node.value, step, level)
    target, value = _assigned(node)
    if isinstance(value, ast.BinOp):
        return _chains(value, step.before, level, (_is(target, step.after[target], level),))
    source = f"{_told(value, step.before, level)} -> " if _name(value, level) else ""
    return [source + _is(target, step.after[target], level)]


def _chains(node: ast.BinOp, state: dict[str, Any], level: str, ends: tuple[str, ...]) -> list[str]:
    """The reductions of `node`, `ends` for the last; and again without the first where the line says it."""
    chain = [*_reductions(node, state, level)[:-1], *ends]
    return [" -> ".join(chain), *([" -> ".join(chain[1:])] if chain[0] == ast.unparse(node) else [])]


def _is(name: str, value: Any, level: str) -> str:
    return f"{name}{'' if level == 'terse' else ' = '}{_text(value)}"


def _text(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _assigned(node: ast.stmt) -> tuple[str, ast.expr]:
    """The variable that a statement sets, and the expression it is set to (`s += x` sets `s` to `s + x`)."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return node.target.id, ast.BinOp(ast.Name(node.target.id), node.op, node.value)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    raise Fault(f"the teacher has no row for {ast.unparse(node)!r}")


def _call(node: ast.expr, step: Step, level: str) -> list[str]:
    """`print(e)` ends in what is printed, `u.append(e)` in the value and then the list."""
    if not isinstance(node, ast.Call):
        raise Fault(f"the teacher has no row for {ast.unparse(node)!r}")
    argument, state, called = node.args[0], step.before, node.func
    changed = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else None
    shown = (_is(changed, step.after[changed], level),) if changed else ()
    if isinstance(argument, ast.BinOp):
        value = _reductions(argument, state, level)[-1]
        return _chains(argument, state, level, (value, *shown) if shown else (value.strip('"'),))
    if shown:
        return [" -> ".join((_told(argument, state, level), *shown))]
    return [_name(argument, level) + str(_look_up(argument, state))]


def _test(test: ast.expr, state: dict[str, Any], level: str) -> str:
    if not isinstance(test, ast.Compare):
        raise Fault(f"the teacher has no row for {ast.unparse(test)!r}")
    left, right = _look_up(test.left, state), _look_up(test.comparators[0], state)
    text = f"{_name(test.left, level)}{left} {_SIGNS[type(test.ops[0])]} {right}"
    return f"{text} {'yes' if _COMPARE[type(test.ops[0])](left, right) else 'no'}"


def _turn(node: ast.For, step: Step, level: str) -> list[str]:
    """One visit to a loop header: what is taken, and what is left; or that nothing was left."""
    if not isinstance(node.target, ast.Name):
        raise Fault(f"the teacher has no row for {ast.unparse(node.target)!r}")
    name, taken = node.target.id, step.turns
    if isinstance(node.iter, ast.Call):
        bound = _look_up(node.iter.args[0], step.before)
        going = taken < bound
        brief = _is(name, taken, level) if going else "done"
        return [brief, f"{taken} < {bound} yes -> {brief}" if going else f"{taken} < {bound} no"]
    items = _look_up(node.iter, step.before)
    if taken >= len(items):
        return ["done"]
    return [f"{_is(name, items[taken], level)} left {_text(items[taken + 1 :])}"]


def _reductions(node: ast.expr, state: dict[str, Any], level: str) -> list[str]:
    """`s + x - 2` with s = 6, x = 3 as ["6 + 3 - 2", "9 - 2", "7"], or with "s6 + x3 - 2" first."""
    operands, operators = _flatten(node)
    values = [_look_up(operand, state) for operand in operands]
    rows = [_infix([_told(operand, state, level) for operand in operands], operators)]
    while operators:
        values[:2] = [_apply(operators.pop(0), values[0], values[1])]
        rows.append(_infix([_text(value) for value in values], operators))
    return rows


def _flatten(node: ast.expr) -> tuple[list[ast.expr], list[ast.operator]]:
    if not isinstance(node, ast.BinOp):
        return [node], []
    operands, operators = _flatten(node.left)
    return [*operands, node.right], [*operators, node.op]


def _infix(texts: list[str], operators: list[ast.operator]) -> str:
    signs = [f" {OPERATORS[type(operator)][0]} " for operator in operators]
    return "".join(text + sign for text, sign in zip(texts, [*signs, ""], strict=True))


def _told(node: ast.expr, state: dict[str, Any], level: str) -> str:
    return _name(node, level) + _text(_look_up(node, state))


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
    raise Fault(f"the teacher has no value for {ast.unparse(node)!r}")


_SIGNS: dict[type[ast.cmpop], str] = {ast.Gt: ">", ast.Lt: "<", ast.Eq: "==", ast.NotEq: "!="}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: lambda a, b: a > b,
    ast.Lt: lambda a, b: a < b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
