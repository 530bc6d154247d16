"""Recognition of prompts of the synthetic tasks, and of problems of their test split.

A model trained on the synthetic task alone answers any other prompt with nonsense. The check parses the text and runs
nothing: it accepts a program made of the statements that the generator writes, with or without the question before it.
"""

from __future__ import annotations

import ast
import re

from z1.synthetic import word_problems
from z1.synthetic.dataset import PROGRAMS, TEST_SHARE, WORD_PROBLEMS
from z1.synthetic.program_hash import BUILTIN, hash_program, split_of
from z1.synthetic.trajectories import QUESTION, format_question, parse_source

ALLOWED = (
    *(ast.Module, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.While, ast.Expr, ast.Call, ast.Attribute),
    *(ast.Name, ast.Load, ast.Store, ast.Constant, ast.List, ast.BinOp, ast.Compare),
    *(ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.Gt, ast.Lt, ast.Eq, ast.NotEq),
)
"""The syntax nodes of generated programs."""

METHODS = frozenset({"append"})


def recognise(text: str) -> str | None:
    """The question in the trained format if `text` is one or is a program of the task; else None."""
    source = parse_source(text).strip()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two mean nested too deeply
        return None
    nodes = list(ast.walk(tree))
    if not all(isinstance(node, ALLOWED) for node in nodes):
        return None
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [call.id for call in calls if isinstance(call, ast.Name)]
    methods = [call for call in calls if isinstance(call, ast.Attribute) and call.attr in METHODS]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    is_known = set(names) <= BUILTIN and len(names) + len(methods) == len(calls) and len(methods) == len(attributes)
    return format_question(source + "\n") if is_known and names.count("print") == 1 else None


def find_held_out(text: str) -> tuple[str, str] | None:
    """The task ("programs" or "word-problems") and program hash of the problem in `text`, if it belongs to the test
    split; else None.
    """
    if text.strip().startswith(word_problems.QUESTION):
        sentences = re.sub(r"(?m)^\d+\| ", "", text.strip().removeprefix(word_problems.QUESTION).strip("\n"))
        task, name = WORD_PROBLEMS, word_problems.hash_sentences(sentences)
    elif text.strip().startswith(QUESTION) and recognise(text):
        try:
            task, name = PROGRAMS, hash_program(parse_source(text))
        except RecursionError:  # nested deeper than any generated program
            return None
    else:
        return None
    return (task, name) if split_of(name, TEST_SHARE) == "test" else None
