"""Is this a question of this world?

A model that learned this world alone answers anything else with nonsense. The check reads the text and runs nothing: a
program in the statements that the generator writes, with or without the question before it.
"""

from __future__ import annotations

import ast
import re

from z1.synthetic import word_problems
from z1.synthetic.dataset import PROGRAMS, TEST_SHARE, WORD_PROBLEMS
from z1.synthetic.program_hash import BUILTIN, identity, split
from z1.synthetic.trajectories import QUESTION, question, source_of

ALLOWED = (
    *(ast.Module, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.While, ast.Expr, ast.Call, ast.Attribute),
    *(ast.Name, ast.Load, ast.Store, ast.Constant, ast.List, ast.BinOp, ast.Compare),
    *(ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.Gt, ast.Lt, ast.Eq, ast.NotEq),
)
"""Everything that a program of this world is written in."""

METHODS = frozenset({"append"})


def recognise(text: str) -> str | None:
    """The question as the model learned it, where `text` is one or is a program of this world; else None."""
    source = source_of(text).strip()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deep
        return None
    nodes = list(ast.walk(tree))
    if not all(isinstance(node, ALLOWED) for node in nodes):
        return None
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [call.id for call in calls if isinstance(call, ast.Name)]
    methods = [call for call in calls if isinstance(call, ast.Attribute) and call.attr in METHODS]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    known = set(names) <= BUILTIN and len(names) + len(methods) == len(calls) and len(methods) == len(attributes)
    return question(source + "\n") if known and names.count("print") == 1 else None


def held_out(text: str) -> tuple[str, str] | None:
    """The task ("programs" or "word-problems") and program hash of the problem in `text`, if it belongs to the test
    split; else None.
    """
    if text.strip().startswith(word_problems.QUESTION):
        told = re.sub(r"(?m)^\d+\| ", "", text.strip().removeprefix(word_problems.QUESTION).strip("\n"))
        task, name = WORD_PROBLEMS, word_problems.identity_of(told)
    elif text.strip().startswith(QUESTION) and recognise(text):
        try:
            task, name = PROGRAMS, identity(source_of(text))
        except RecursionError:  # nested deeper than any program of this world
            return None
    else:
        return None
    return (task, name) if split(name, TEST_SHARE) == "test" else None
