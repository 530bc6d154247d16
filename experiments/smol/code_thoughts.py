"""Thoughts about a program's run in plain sentences, at four levels of detail.

    direct  no thought
    brief   what is computed: "total = 12 + 7 = 19."
    full    every executed line, then what it does: "`total = a + 7` sets total to 12 + 7 = 19."
    long    full, and then all sentences again as a check

Every value comes from the interpreter: an expression is reduced one operation at a time, and each result is Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from experiments.smol.tracing import LARGEST, Run, Step

START = "Let me run the program line by line."
CHECK = "Let me go through it once more."


class OutOfRange(Exception):
    """An intermediate value is outside 0..LARGEST; the program is rejected."""


class Sentence(NamedTuple):
    """What a step does, briefly ("" if nothing is computed) and in full."""

    brief: str
    full: str


def write_thought(run: Run, level: str) -> str:
    """The thought of `run` at `level`; "" if there is none. Raises OutOfRange."""
    sentences = list(_sentences(run))
    if level == "direct":
        return ""
    if level == "brief":
        return " ".join(one.brief for one in sentences if one.brief)
    full = [one.full for one in sentences]
    return "\n".join([START, *full, *([CHECK, *full] if level == "long" else [])])


def count_operations(run: Run) -> int:
    """The number of values to compute: operators, comparisons, calls, subscripts and iterations of loops."""
    kinds = (ast.BinOp, ast.Compare, ast.AugAssign, ast.For, ast.Call, ast.Subscript)
    return sum(isinstance(node, kinds) and not _is_print(node) for step in run.steps for node in _own_nodes(step.node))


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without its block."""
    if isinstance(statement, ast.For):
        return iter([statement])
    return ast.walk(statement.test if isinstance(statement, ast.If | ast.While) else statement)


def _is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def _sentences(run: Run) -> Iterator[Sentence]:
    """The sentences of all steps; a call is followed by the steps of its function, and then by its result."""
    open_calls: list[Step] = []
    for step, following in zip(run.steps, [*run.steps[1:], None], strict=True):
        while open_calls and step.depth <= open_calls[-1].depth:
            yield _result(open_calls.pop(), run)
        if following and following.depth > step.depth:
            open_calls.append(step)
            yield _call(step, following)
        else:
            yield _sentence(step, run)
    while open_calls:
        yield _result(open_calls.pop(), run)


def _call(step: Step, first: Step) -> Sentence:
    """The sentence of a line that calls a function, whose first step is `first`."""
    values = " and ".join(f"{name} = {_format(value)}" for name, value in first.before.items())
    calls = (node for node in ast.walk(step.node) if isinstance(node, ast.Call) and not _is_print(node))
    name = ast.unparse(next(calls).func)
    return Sentence(f"{values}.", f"`{step.text}` calls {name} with {values}.")


def _result(step: Step, run: Run) -> Sentence:
    """The sentence after a function has returned to the line that called it."""
    target, value = _parts(step.node)
    chain = _reduce(value, step.before, run)[1:]  # the first is the call
    if target is None:
        return Sentence(f"Print {_join(chain, as_printed=True)}.", f"So it prints {_join(chain, as_printed=True)}.")
    return Sentence(f"{target} = {_join(chain)}.", f"So {target} is {_join(chain)}.")


def _sentence(step: Step, run: Run) -> Sentence:
    node, line = step.node, f"`{step.text.removesuffix(':')}`"
    if isinstance(node, ast.If | ast.While):
        return _test(node, step, run, line)
    if isinstance(node, ast.For):
        return _iteration(node, step, line)
    target, value = _parts(node)
    chain = _reduce(value, step.before, run)
    if isinstance(node, ast.Return):
        return Sentence(f"Return {_join(chain)}.", f"{line} returns {_join(chain)}.")
    if target is None:
        brief = "" if isinstance(value, ast.Name | ast.Constant) else f"Print {_join(chain, as_printed=True)}."
        return Sentence(brief, f"{line} prints {_join(chain, as_printed=True)}.")
    if isinstance(node, ast.Expr):
        after = _format(step.after[target])
        return Sentence(
            f"{_join(chain)}, so {target} = {after}.", f"{line} appends {_join(chain)}, so {target} is {after}."
        )
    changed = ""
    if "[" in target:
        name = target.partition("[")[0]
        changed = f", so {name} is {_format(step.after[name])}"
    brief = "" if isinstance(value, ast.Constant | ast.List) and not changed else f"{target} = {_join(chain)}{changed}."
    return Sentence(brief, f"{line} sets {target} to {_join(chain)}{changed}.")


def _test(node: ast.If | ast.While, step: Step, run: Run, line: str) -> Sentence:
    *steps, result = _reduce(node.test, step.before, run)
    checked, truth = ", so ".join(steps), result.lower()
    end = ", so the loop ends" if isinstance(node, ast.While) and not step.enters_block else ""
    return Sentence(f"{checked} is {truth}.", f"{line} checks {checked}, which is {truth}{end}.")


def _iteration(node: ast.For, step: Step, line: str) -> Sentence:
    """A visit to the header of a loop."""
    if not step.enters_block:
        return Sentence("", f"{line} has nothing left, so the loop ends.")
    name = ast.unparse(node.target)
    value = f"{name} = {_format(step.after[name])}"
    return Sentence(f"{value}.", f"{line} takes {value}.")


def _parts(node: ast.stmt) -> tuple[str | None, ast.expr]:
    """What a statement changes (None if it prints or returns), and the expression that it computes."""
    if isinstance(node, ast.AugAssign):
        left = ast.Name(ast.unparse(node.target), ast.Load())
        return ast.unparse(node.target), ast.BinOp(left, node.op, node.value)
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]), node.value
    if isinstance(node, ast.Return) and node.value:
        return None, node.value
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return ast.unparse(called.value) if isinstance(called, ast.Attribute) else None, node.value.args[0]
    raise ValueError(f"no sentence for {ast.unparse(node)}")


def _join(chain: list[str], *, as_printed: bool = False) -> str:
    if as_printed and chain[-1][0] == '"':
        chain = [*chain[:-1], chain[-1].strip('"')]
    return " = ".join(chain)


def _format(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _reduce(node: ast.expr, variables: dict[str, Any], run: Run) -> list[str]:
    """The expression with the values of its variables, then after each operation, down to its value."""
    tree = ast.Expression(_Values(variables).visit(deepcopy(node)))
    chain = [_unparse(tree)]
    while (found := _next_operation(tree.body)) is not None:
        value = eval(
            compile(ast.fix_missing_locations(ast.Expression(found)), "<expression>", "eval"), dict(run.functions)
        )
        if type(value) is int and not 0 <= value <= LARGEST:
            raise OutOfRange
        tree = ast.Expression(_Replace(found, _literal(value)).visit(tree.body))
        chain.append(_unparse(tree))
    return list(dict.fromkeys(chain))


def _unparse(tree: ast.AST) -> str:
    return ast.unparse(tree).replace("'", '"')


def _literal(value: Any) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


class _Values(ast.NodeTransformer):
    """Replaces variables by their values, and the sum of a list by additions."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _literal(self.variables[node.id]) if node.id in self.variables else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "sum":
            return ast.parse(" + ".join(map(str, ast.literal_eval(node.args[0]))), mode="eval").body
        return node


class _Replace(ast.NodeTransformer):
    """Replaces one node by another."""

    def __init__(self, old: ast.AST, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def _next_operation(node: ast.AST) -> ast.expr | None:
    """The leftmost innermost operation of an expression; None for a value."""
    for child in ast.iter_child_nodes(node):
        if (found := _next_operation(child)) is not None:
            return found
    is_operation = isinstance(node, ast.BinOp | ast.Compare | ast.Call | ast.Subscript)
    return node if is_operation and isinstance(node, ast.expr) else None
