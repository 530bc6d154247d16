"""The grammar of generated programs, as patterns: whether the generator can draw a program, and if not, why.

A program is first normalised with `ast.unparse`, so its layout, quotes and needless parentheses do not matter. One
pattern describes each kind of `programs.py`, and the forms of `small_programs.py` are patterns already. A program that
fits one is run, because it must also keep its values in range and end within the steps of training.
"""

from __future__ import annotations

import ast
import re
import string
from functools import cache

from z1.errors import UserError
from z1.synthetic import small_programs
from z1.synthetic.tracer import trace
from z1.synthetic.trajectories import OutOfRange, write_thought

MAX_STEPS = 12
"""Most steps of a program in training."""

NAMES = frozenset("abcdxy" + "ijknstuvw")
FUNCTIONS = frozenset({"print", "range", "append"})
TEXT = re.compile("[A-E]{0,5}")

STATEMENTS = (ast.Module, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.While, ast.Expr)
EXPRESSIONS = (ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.List, ast.BinOp, ast.Compare, ast.expr_context)
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.Gt, ast.Lt, ast.Eq, ast.NotEq)

EXAMPLE = "print(3 + 4)"


def normalise(text: str) -> str:
    """The program `text` in the generator's layout. Raises what `ast.parse` and `ast.unparse` raise."""
    return re.sub(r"'([A-Z]*)'", r'"\1"', ast.unparse(ast.parse(text)))


def is_drawn(source: str) -> bool:
    """Whether the generator can draw the lines of `source`, a normalised program."""
    return any(pattern.fullmatch(source) for pattern in patterns(with_unsure=True))


def is_answered(source: str) -> bool:
    """Whether the shipped model answers `source`, a normalised program."""
    try:
        check(source, "")
    except UserError:
        return False
    return True


def check(source: str, model: str, *, with_unsure: bool = False) -> None:
    """Raises UserError unless the generator can draw `source`, a normalised program; `model` is named in the error.

    Forms that the shipped model often gets wrong are refused, unless `with_unsure`.
    """
    if any(pattern.fullmatch(source) for pattern in patterns(with_unsure=with_unsure)):
        _check_run(source, model)
    else:
        raise _refusal(source, model)


def _check_run(source: str, model: str) -> None:
    found = trace(source + "\n", MAX_STEPS)
    try:
        if found is not None and write_thought(found, "terse"):
            return
    except OutOfRange:
        pass
    if found is None and trace(source + "\n", 10 * MAX_STEPS) is not None:
        what, do = f"a program of more than {MAX_STEPS} steps", "make it shorter"
    else:
        what, do = "a value below 0 or over 9, or a name without a value", "keep every value between 0 and 9"
    raise UserError(f"{model} cannot work out this program", what, f"{do}, as in {EXAMPLE}")


def _refusal(source: str, model: str) -> UserError:
    """Why no pattern fits `source`, and what would do."""
    nodes = list(ast.walk(ast.parse(source)))
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    functions = {ast.unparse(func) if isinstance(func, ast.Name) else getattr(func, "attr", "?") for func in called}
    names = {node.id for node in nodes if isinstance(node, ast.Name)} - FUNCTIONS - functions
    texts = [value for value in constants if isinstance(value, str)]
    numbers = [value for value in constants if not isinstance(value, str)]
    prints = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]
    allowed = STATEMENTS + EXPRESSIONS + OPERATORS
    unknown = next((node for node in nodes if not isinstance(node, allowed)), None)
    reasons = (
        (functions - FUNCTIONS, "calls", f"call {', '.join(sorted(FUNCTIONS))} only"),
        (len(prints) != 1, f"{len(prints)} calls of print", "print one value, in the last line"),
        (unknown is not None, f"{type(unknown).__name__}", "use =, + - * %, one comparison, if, for and while only"),
        ([n for n in numbers if type(n) is not int or n > 9], "the numbers", "use whole numbers from 0 to 9"),
        ([text for text in texts if not TEXT.fullmatch(text)], "the texts", "use texts of the letters A to E"),
        (names - NAMES, "the names", "call numbers a, b, c, d, x or y, and texts w"),
    )
    for found, what, do in reasons:
        if found:
            shown = f"{what} {', '.join(map(str, sorted(map(repr, found))))}" if isinstance(found, list | set) else what
            return UserError(f"{model} answers programs of its training grammar only", shown[:120], f"{do}: {EXAMPLE}")
    do = f"try {EXAMPLE}, or a program from docs/tiny.md"
    return UserError(f"{model} answers programs of its training grammar only", f"the form {source[:60]!r}", do)


@cache
def patterns(*, with_unsure: bool = False) -> tuple[re.Pattern[str], ...]:
    """A pattern for each kind of program, and for each small form that the shipped model gets right, or for all."""
    kinds = (_straight(), _branch(), _count(), *_items(), *_until(), *_text())
    forms = [_form(form) for form in small_programs.FORMS if with_unsure or form not in small_programs.UNSURE]
    return tuple(re.compile(text) for text in (*kinds, *forms))


DIGIT = "[0-9]"
OPERATION = r"(?:[+-] [1-9]|\* [0-3]|% [2-5])"


def _form(form: str) -> str:
    """The pattern of a small form: a slot that occurs again has the same value."""
    text, seen = "", set[str]()
    for literal, slot, _, _ in string.Formatter().parse(form):
        text += re.escape(literal)
        if slot in seen:
            text += f"(?P={slot})"
        elif slot:
            seen.add(slot)
            text += f"(?P<{slot}>{'|'.join(map(re.escape, small_programs.SLOTS[slot]))})"
    return text


def _update(target: str, other: str, indent: str) -> str:
    operand = f"(?:[1-3]|{other})"
    return rf"{indent}{target} (?:[+-]= {operand}|= {target} [+-] {operand})\n"


def _condition(name: str) -> str:
    return f"{name} (?:==|!=|>|<) [0-9]"


def _straight() -> str:
    name = "[a-d]"
    right = f"(?:{name} {OPERATION}|{name} [+-] {name}|{DIGIT})"
    shown = rf"print\({name}(?: {OPERATION}(?: [+-] [1-5])?)?\)"
    return rf"{name} = {DIGIT}\n(?:{name} = {right}\n){{0,10}}{shown}"


def _branch() -> str:
    start = rf"(?P<a>[a-d]) = {DIGIT}\n(?P<b>(?!(?P=a))[a-d]) = {DIGIT}\n"
    blocks = []
    for tested, changed in (("(?P=a)", "(?P=b)"), ("(?P=b)", "(?P=a)")):
        update = _update(changed, tested, "    ")
        blocks.append(rf"if {_condition(tested)}:\n{update}(?:else:\n{update})?")
    return rf"{start}(?:{'|'.join(blocks)}){{1,4}}print\((?:(?P=a)|(?P=b))\)"


def _body(target: str, item: str) -> str:
    """The block of a `for` loop."""
    update = _update(target, item, " " * 8)
    tested = f"(?:{item}|{target})"
    branch = rf"    if {_condition(tested)}:\n{update}(?:    else:\n{update})?"
    return f"(?:{_update(target, item, '    ')}|{branch})"


def _count() -> str:
    head = rf"(?P<t>[st]) = {DIGIT}\nfor (?P<i>[ij]) in range\([1-6]\):\n"
    return rf"{head}{_body('(?P=t)', '(?P=i)')}print\((?P=t)\)"


def _items() -> tuple[str, str]:
    items = r"v = \[[0-5](?:, [0-5]){0,4}\]\n"
    append = rf"u\.append\(x(?: {OPERATION})?\)\n"
    collected = rf"u = \[\]\nfor x in v:\n(?:    {append}|    if {_condition('x')}:\n        {append})print\(u\)"
    added = rf"(?P<t>[st]) = {DIGIT}\nfor x in v:\n{_body('(?P=t)', 'x')}print\((?P=t)\)"
    return items + collected, items + added


def _until() -> tuple[str, ...]:
    found = []
    for start, sign, bound, step in (("[4-9]", ">", "[0-5]", "-"), ("[0-4]", "<", "[3-9]", r"\+")):
        move = rf"    (?P=n) (?:{step}= [1-3]|= (?P=n) {step} [1-3])\n"
        head = rf"while (?P=n) {sign} {bound}:\n"
        found.append(rf"(?P<n>[nk]) = {start}\n{head}{move}print\((?P=n)\)")
        counted = rf"t = [0-4]\n{head}{_update('t', '(?P=n)', '    ')}{move}print\(t\)"
        found.append(rf"(?P<n>[nk]) = {start}\n{counted}")
    return tuple(found)


def _text() -> tuple[str, str]:
    word = r'w = "[A-E]{1,5}"\n'
    copied = r't = ""\nfor c in w:\n    t = (?:t \+ c|c \+ t)\nprint\(t\)'
    test = r'if c (?:==|!=) "[A-E]":\n'
    counted = rf"n = [0-5]\nfor c in w:\n    {test}{_update('n', '(?!)', ' ' * 8)}print\(n\)"
    return word + copied, word + counted
