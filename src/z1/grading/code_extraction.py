"""The program in the text of a reply: the block that is a program for the task.

Where a function or class is named, that is the last block that defines it; else the last that reads input and prints.
Blocks of sample output, shell, JSON, other languages, lines under discussion, tests, recalled signatures (`...`) and
variants that the text calls too slow are passed over. Definitions that a program lacks are taken from other blocks. A
reply that is a program as a whole needs no fence. A block that was cut off is no program.

Departs from LiveCodeBench's extraction, which takes the lines between the last two fences whatever they hold (since
December 2024; before, the first two), and from BigCodeBench's, which keeps text outside any fence.
"""

from __future__ import annotations

import ast
import bisect
import builtins
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from z1.grading.fences import Block, find_blocks, find_gaps, parse
from z1.grading.thoughts import THINK_END

PYTHON = re.compile(r"py\w*|sage|code|te?xt|plaintext|")

SLOW = re.compile(
    r"\b(?:too slow|brute[- ]force|naive|inefficient|would time out|TLE|time limit|slower|for comparison"
    r"|do(?: not|n't) use)\b",
    re.IGNORECASE,
)
BETTER = re.compile(
    r"\b(?:instead|faster|efficient|optimi[sz]ed|better|improved?|fix(?:ed)?|corrected|final|avoids?|without|passes|enough"
    r"|suffices|works|was|were|previous|above|earlier|since|because|so|but|therefore|thus)\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?\n]")

LEAD_IN_END = re.compile(rf":[ \t]*|(?:{THINK_END.pattern})\s*|\n[ \t]*\n")
MAX_LEAD_INS = 6

Fits = Callable[["_Program"], bool]


def code_blocks(text: str) -> list[str]:
    """The contents of all complete fenced blocks, in order; a longer fence may contain shorter ones."""
    return [block.code for block in find_blocks(text) if not block.is_open]


def has_open_block(text: str) -> bool:
    """Whether `text` ends inside a block."""
    last = deque(find_blocks(text), maxlen=1)
    return bool(last) and last[0].is_open


def extract_code(text: str, *names: str, ended: bool = False) -> str | None:
    """The program in `text`, None without one. It has to define one of `names` (functions or classes); without names it
    reads input and prints. In a reply that `ended` by itself, the last block need not be closed.
    """
    blocks = [block for block in find_blocks(text) if block.code.strip()]
    closed = [block for block in blocks if not block.is_open]
    programs = _read(closed)
    definitions = _index(programs)
    best, *others = _ranks(tuple(name for name in names if name))
    tail = _read(blocks[-1:], len(programs)) if ended and blocks and blocks[-1].is_open else []
    for found in (programs, tail, _read(find_gaps(text), len(programs))):
        if chosen := _last(found, best):
            return _join(chosen, definitions).code
    if chosen := _last([_join(program, definitions) for program in programs if _runs(program)], best):
        return chosen.code
    for fits in others:
        if chosen := _last(programs, fits):
            return _join(chosen, definitions).code
    if closed:
        return ([block for block in closed if PYTHON.fullmatch(block.language)] or closed)[-1].code
    return _behind_lead_in(text, *names) if ended and not blocks else None


def _behind_lead_in(text: str, *names: str) -> str | None:
    """The program that is all of `text`, or all but its first lines, such as a hint."""
    breaks = [match.end() for match, _ in zip(LEAD_IN_END.finditer(text), range(MAX_LEAD_INS), strict=False)]
    return next((code for start in (0, *breaks) if (code := bare_program(text[start:], *names))), None)


def bare_program(text: str, *names: str) -> str | None:
    """`text` itself if it is a program as a whole, without prose or fences, that fits as in `extract_code`."""
    tree = parse(text)
    if tree is None or not tree.body:
        return None
    fits = _ranks(tuple(name for name in names if name))[:-1]
    return text if any(fit(_Program(text, tree)) for fit in fits) else None


@dataclass(frozen=True, slots=True)
class _Program:
    """A block that parses, the text before it, and how many programs come before it."""

    code: str
    tree: ast.Module
    before: str = ""
    number: int = 0

    def definitions(self) -> dict[str, tuple[int, int]]:
        """The names that the top level binds, each with the first and the last line of what binds it."""
        return {
            name: (
                min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]),
                node.end_lineno or 0,
            )
            for node in self.tree.body
            for name in _bound_names(node)
        }

    def loads(self) -> Iterator[str]:
        """The names and attributes that are read."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield "." + node.attr

    def free_names(self) -> set[str]:
        """The names that are read and bound nowhere."""
        bound = {name for node in ast.walk(self.tree) for name in _bound_names(node)}
        return {name for name in self.loads() if not name.startswith(".")} - bound - set(dir(builtins))


def _bound_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        case ast.Assign() | ast.AnnAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
        case ast.Name(ctx=ast.Store() | ast.Del()):
            yield node.id
        case ast.arg():
            yield node.arg
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name


def _read(blocks: Iterable[Block], number: int = 0) -> list[_Program]:
    """The blocks that are programs, counted from `number`."""
    python = (block for block in blocks if block.code.strip() and PYTHON.fullmatch(block.language))
    parsed = ((block, tree) for block in python if (tree := parse(block.code)) and tree.body)
    return [_Program(block.code, tree, block.before, place) for place, (block, tree) in enumerate(parsed, number)]


# --- what fits


def _ranks(names: tuple[str, ...]) -> list[Fits]:
    """What a program for the task is, from what is asked for to what may still be tried."""
    if names:
        return [
            lambda program: any(_defines(program.tree, name) for name in names),
            lambda program: any(name in program.definitions() for name in names),
            lambda program: _defines(program.tree),
            lambda program: any(isinstance(node, DEFINITIONS) for node in program.tree.body),
        ]
    return [
        lambda program: _runs(program) and _prints(program) and _has_input(program),
        lambda program: _runs(program) and _prints(program),
        lambda program: _defines(program.tree),
        lambda program: True,
    ]


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _defines(tree: ast.Module, name: str = "") -> bool:
    """Whether the top level defines `name`, "" for any, with a body that does something; a signature has none."""
    for node in tree.body:
        if isinstance(node, DEFINITIONS):
            if name in ("", node.name) and not _is_stub(node):
                return True
        elif name and name in _bound_names(node):
            return True
    return False


def _is_stub(node: ast.AST) -> bool:
    """Whether a function or class holds nothing but documentation, `...`, `pass` or NotImplementedError."""
    body = getattr(node, "body", [])
    if isinstance(node, ast.ClassDef):
        return all(_is_empty(one) or (isinstance(one, DEFINITIONS) and _is_stub(one)) for one in body)
    return all(map(_is_empty, body))


def _is_empty(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise) and node.exc is not None:
        return "NotImplementedError" in ast.dump(node.exc)
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _runs(program: _Program) -> bool:
    """Whether the top level does more than define names."""
    silent = (*DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Assert, ast.Pass)
    return any(not isinstance(node, silent) and not _is_empty(node) for node in program.tree.body)


def _prints(program: _Program) -> bool:
    return not {"print", ".write", ".writelines"}.isdisjoint(program.loads())


def _has_input(program: _Program) -> bool:
    if not {"input", "stdin", ".stdin", "fileinput"}.isdisjoint(program.loads()):
        return True
    opened = (node.args[0] for node in ast.walk(program.tree) if isinstance(node, ast.Call) and node.args)
    return any(
        isinstance(one, ast.Constant) and one.value in (0, "/dev/stdin") and one.value is not False for one in opened
    )


# --- the choice


def _last(programs: list[_Program], fits: Fits) -> _Program | None:
    """The last program that fits; one that its own text calls too slow only if there is no other."""
    found = [program for program in programs if fits(program)]
    kept = [program for program in found if not _is_rejected(program.before)] or found
    return kept[-1] if kept else None


def _is_rejected(before: str) -> bool:
    """Whether the sentence before a block says that the block is too slow."""
    sentence = SENTENCE_END.split(before.rstrip(" \t\r\n:*>-"))[-1]
    return bool(SLOW.search(sentence)) and not BETTER.search(sentence)


Definitions = dict[str, list[tuple[int, str]]]
"""For each name, the numbers of the programs that define it, in order, each with the lines of the definition."""


def _index(programs: list[_Program]) -> Definitions:
    found: Definitions = {}
    for program in programs:
        lines = program.code.splitlines()
        for name, (first, last) in program.definitions().items():
            found.setdefault(name, []).append((program.number, "\n".join(lines[first - 1 : last])))
    return found


def _join(program: _Program, definitions: Definitions) -> _Program:
    """`program` after the definitions that it lacks: those of the nearest program before it, or else behind it."""
    parts: list[str] = []
    lacking, known = program.free_names(), set(program.definitions())
    while lacking:
        name = lacking.pop()
        known.add(name)
        found = definitions.get(name, [])
        at = bisect.bisect_left(found, (program.number, ""))
        part = found[max(0, at - 1)][1] if found else ""
        if part not in parts and (tree := parse(part)) and tree.body:
            parts.insert(0, part)
            lacking |= _Program(part, tree).free_names() - known
    if not parts:
        return program
    future = max((n.end_lineno or 0 for n in program.tree.body if getattr(n, "module", "") == "__future__"), default=0)
    lines = program.code.splitlines()
    code = "\n".join([*lines[:future], *parts, *lines[future:]]) + "\n"
    tree = parse(code)
    return _Program(code, tree, program.before, program.number) if tree else program
