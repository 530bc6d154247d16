"""How would a patient teacher work this program out, briefly or at length?

Turns a traced run into a trajectory at one of three levels, the paper's "continuous range of complexity" (arXiv
2504.00810, section 2.1) in three steps:

    direct    no thought: the answer at once
    compact   a row for each value that changes or is tested: `6 + 3 -> s = 9`
    full      a row for each step, the line first: `s = s + x -> 6 + 3 -> s = 9`

Every value in a row was read from the interpreter, and `write` checks the last of them against what the program
printed. A row ends with the name beside its new value, because that is where the next row has to look for it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from z1.errors import Fault
from z1.world.programs import LARGEST
from z1.world.steps import Run, Step

LEVELS = ("direct", "compact", "full")

QUESTION = "What does this program print?"

OPERATORS: dict[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Mod: ("%", lambda a, b: a % b),
}


class OutOfRange(Exception):
    """A value on the way left the world's range; the program is not kept."""


def question(source: str) -> str:
    """The user's message for a program."""
    return f"{QUESTION}\n{source}"


def answer(printed: str) -> str:
    """How every trajectory ends, whatever its level; the text begins with the profile's answer marker."""
    return f"The final answer is \\boxed{{{printed}}}."


def write(run: Run, level: str) -> str:
    """The thought of `run` at `level`: rows, then a blank line; "" where there are none.

    Raises `OutOfRange` where an intermediate value is not a digit, and `Fault` where the rows disagree with the run.
    """
    if level == "direct":
        return ""
    rows = [row for step in run.steps if (row := _row(step, level == "full"))]
    last = _row(run.steps[-1], echo=True)
    if last.rsplit(" -> ", 1)[-1] != run.printed:
        raise Fault(f"the teacher wrote {last!r} where the program printed {run.printed!r}")
    return "\n".join(rows) + "\n\n" if rows else ""


def _row(step: Step, echo: bool) -> str:
    line, node = step.line, step.node
    if isinstance(node, ast.If | ast.While):
        return (f"{line} " if echo else "") + _test(node.test, step.before)
    if isinstance(node, ast.For):
        return (f"{line} " if echo else "") + _turn(node, step)
    if isinstance(node, ast.Expr):
        return _call(node.value, step, line if echo else "")
    target, value = _assigned(node)
    if isinstance(value, ast.Constant | ast.List):
        return _show(target, step)
    chain = _reductions(value, step.before) if isinstance(value, ast.BinOp) else []
    return " -> ".join([*([line] if echo else []), *chain[:-1], _show(target, step)])


def _show(name: str, step: Step) -> str:
    return f"{name} = {_text(step.after[name])}"


def _text(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _assigned(node: ast.stmt) -> tuple[str, ast.expr]:
    """The variable that a statement sets, and the expression it is set to (`s += x` sets `s` to `s + x`)."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return node.target.id, ast.BinOp(ast.Name(node.target.id), node.op, node.value)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    raise Fault(f"the teacher has no row for {ast.unparse(node)!r}")


def _call(node: ast.expr, step: Step, echo: str) -> str:
    """`print(e)` ends in what is printed, `u.append(e)` in the list as it then is; compact rows say only what is
    new.
    """
    if not isinstance(node, ast.Call):
        raise Fault(f"the teacher has no row for {ast.unparse(node)!r}")
    argument = node.args[0]
    chain = _reductions(argument, step.before) if isinstance(argument, ast.BinOp) else []
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return " -> ".join([*([echo] if echo else []), *chain[:-1], _show(node.func.value.id, step)])
    if not echo:
        return " -> ".join(chain)
    printed = chain.pop().strip('"') if chain else str(_look_up(argument, step.before))
    return " -> ".join([echo, *chain, printed])


def _test(test: ast.expr, state: dict[str, Any]) -> str:
    if not isinstance(test, ast.Compare):
        raise Fault(f"the teacher has no row for {ast.unparse(test)!r}")
    left, right = _look_up(test.left, state), _look_up(test.comparators[0], state)
    text = f"{_text(left)} {_SIGNS[type(test.ops[0])]} {_text(right)}"
    return f"{text} {'yes' if _COMPARE[type(test.ops[0])](left, right) else 'no'}"


def _turn(node: ast.For, step: Step) -> str:
    """One visit to a loop header: what is taken, and what is left; or that nothing was left."""
    if not isinstance(node.target, ast.Name):
        raise Fault(f"the teacher has no row for {ast.unparse(node.target)!r}")
    name, taken = node.target.id, step.turns
    if isinstance(node.iter, ast.Call):
        bound = _look_up(node.iter.args[0], step.before)
        return f"{taken} < {bound} yes -> {name} = {taken}" if taken < bound else f"{taken} < {bound} no"
    items = _look_up(node.iter, step.before)
    if taken >= len(items):
        return "done"
    return f"{name} = {_text(items[taken])} left {_text(items[taken + 1 :])}"


def _reductions(node: ast.expr, state: dict[str, Any]) -> list[str]:
    """`s + x - 2` with s = 6, x = 3 as ["6 + 3 - 2", "9 - 2", "7"]; the first is dropped where it equals the source."""
    operands, operators = _flatten(node)
    values = [_look_up(operand, state) for operand in operands]
    rows = [] if all(isinstance(operand, ast.Constant) for operand in operands) else [_infix(values, operators)]
    while operators:
        values[:2] = [_apply(operators.pop(0), values[0], values[1])]
        rows.append(_infix(values, operators))
    return rows


def _flatten(node: ast.expr) -> tuple[list[ast.expr], list[ast.operator]]:
    if not isinstance(node, ast.BinOp):
        return [node], []
    operands, operators = _flatten(node.left)
    return [*operands, node.right], [*operators, node.op]


def _infix(values: list[Any], operators: list[ast.operator]) -> str:
    signs = [f" {OPERATORS[type(operator)][0]} " for operator in operators]
    return "".join(_text(v) + s for v, s in zip(values, [*signs, ""], strict=True))


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
