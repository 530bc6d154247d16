"""Generator of small Python programs from a seed.

Real programs with assignments, arithmetic, conditions, `for` and `while` loops, lists and strings. Every value that a
program computes is a digit, a list of at most five digits, or a string of at most five capital letters, so that a
program's difficulty is its number of steps and nothing else. Programs are run in `tracer.py`; how many of each length
are used is decided in `dataset.py`.

Source: this project. The paper (arXiv 2504.00810) has no such task; it makes a teacher model unnecessary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

LARGEST = 9
"""Largest number that a program may compute; programs that leave 0..LARGEST are rejected."""

LETTERS = "ABCDE"


def generate(seed: int, index: int, kinds: Sequence[str] = ()) -> tuple[str, str]:
    """The candidate program number `index` of `seed`, as (kind, source); with `kinds`, one of these kinds of `DRILLS`.

    A candidate may leave the range of values when it runs; `tracer.trace` then returns None. The same (seed, index)
    gives the same program on every machine and Python version that keeps `random.Random`'s sequence.
    """
    rng = Random(f"{seed}:{index}")
    kind = rng.choice(tuple(kinds or KINDS))
    return kind, "\n".join((DRILLS if kinds else KINDS)[kind](rng)) + "\n"


def _digit(rng: Random, low: int = 0) -> str:
    return str(rng.randint(low, LARGEST))


def _operation(rng: Random, left: str) -> str:
    """`left` and one more operand; small numbers are more likely, so that values stay in range."""
    operator = rng.choice("+++---*%")
    if operator == "*":
        return f"{left} * {rng.randint(0, 3)}"
    if operator == "%":
        return f"{left} % {rng.randint(2, 5)}"
    return f"{left} {operator} {rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9))}"


def _update(rng: Random, target: str, other: str | None = None) -> str:
    """One statement that changes `target`, by a constant or by the variable `other`."""
    operator = rng.choice("+++--")
    operand = other if other and rng.random() < 0.6 else str(rng.randint(1, 3))
    if rng.random() < 0.35:
        return f"{target} {operator}= {operand}"
    return f"{target} = {target} {operator} {operand}"


def _condition(rng: Random, name: str, likely_values: Sequence[int] = ()) -> str:
    """A comparison of `name`; equality is tested half the time with one of `likely_values`, so that it often holds."""
    sign, number = rng.choice(("==", "!=", ">", "<", ">", "<")), rng.randint(1, 8)
    if likely_values and sign in "==!=" and rng.random() < 0.5:
        number = rng.choice(likely_values)
    return f"{name} {sign} {number}"


def _letter(rng: Random, likely_values: str) -> str:
    """A letter, half the time one of `likely_values` if there are any."""
    return rng.choice(likely_values if likely_values and rng.random() < 0.5 else LETTERS)


def _word(rng: Random, longest: int) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, longest)))


def _expression(rng: Random) -> list[str]:
    left, right, third = _digit(rng), _digit(rng), _digit(rng)
    first = f"{left} {rng.choice('+-*')} {right}"
    return [f"print({first})"] if rng.random() < 0.4 else [f"print({first} {rng.choice('+-')} {third})"]


def _straight(rng: Random) -> list[str]:
    names = rng.sample("abcd", rng.randint(1, 4))
    values = {names[0]: rng.randint(0, LARGEST)}
    lines = [f"{names[0]} = {values[names[0]]}"]
    for _ in range(max(0, rng.randint(-3, 10))):
        target, source, other = rng.choice(names), rng.choice(sorted(values)), rng.choice(sorted(values))
        right = f"{source} {rng.choice('+-')} {other}" if rng.random() < 0.4 else _operation(rng, source)
        value = eval(right, {}, values)
        if not 0 <= value <= LARGEST:
            right, value = str(value % 10), value % 10
        lines.append(f"{target} = {right}")
        values[target] = value
    shown = rng.choice(sorted(values))
    if rng.random() < 0.6:
        return [*lines, f"print({shown})"]
    more = f" {rng.choice('+-')} {rng.randint(1, 5)}" if rng.random() < 0.5 else ""
    return [*lines, f"print({_operation(rng, shown)}{more})"]


def _words(rng: Random) -> list[str]:
    return _joining(rng, rng.randint(1, 3), last=0.0)


def _chain(rng: Random) -> list[str]:
    return _joining(rng, rng.randint(1, 5), last=0.3)


def _joining(rng: Random, length: int, last: float) -> list[str]:
    """Words concatenated in `length` lines; also in the `print` with probability `last`."""
    if length == 1:
        return [f'print("{_word(rng, 3)}" + "{_word(rng, 2)}")']
    name, names = "w", rng.sample("tuvw", 4)
    lines = [f'{name} = "{_word(rng, 3 if length < 4 else 2)}"']
    for _ in range(length - 2):
        target = rng.choice(names)
        lines.append(f"{target} = {_joined(rng, name)}")
        name = target
    return [*lines, f"print({_joined(rng, name) if length == 2 or rng.random() < last else name})"]


def _joined(rng: Random, name: str) -> str:
    more = _word(rng, 2)
    return rng.choice((f'{name} + "{more}"', f'"{more}" + {name}'))


def _letters(rng: Random) -> list[str]:
    name, target = rng.choice("cdw"), rng.choice("nst")
    letter = rng.choice(LETTERS)
    lines = [f'{name} = "{letter}"', f"{target} = {_digit(rng)}"]
    for _ in range(rng.randint(1, 3)):
        test = f'if {name} {rng.choice(("==", "!="))} "{_letter(rng, letter)}":'
        lines += [test, f"    {_update(rng, target)}"]
        if rng.random() < 0.4:
            lines += ["else:", f"    {_update(rng, target)}"]
    return [*lines, f"print({target})"]


def _branch(rng: Random, *, drill: bool = False) -> list[str]:
    a, b = rng.sample("abcd", 2)
    values = {a: rng.randint(0, LARGEST), b: rng.randint(0, LARGEST)}
    lines = [f"{name} = {value}" for name, value in values.items()]
    for _ in range(rng.randint(1, 4)):
        tested, changed = rng.sample((a, b), 2)
        lines += [
            f"if {_condition(rng, tested, [values[tested]] if drill else [])}:",
            f"    {_update(rng, changed, tested)}",
        ]
        if rng.random() < 0.5:
            lines += ["else:", f"    {_update(rng, changed, tested)}"]
    return [*lines, f"print({rng.choice((a, b))})"]


def _loop_body(rng: Random, target: str, item: str, likely_values: Sequence[int]) -> list[str]:
    plain = f"    {_update(rng, target, item)}"
    if rng.random() < 0.6:
        return [plain]
    tested = item if rng.random() < 0.7 else target
    lines = [f"    if {_condition(rng, tested, likely_values)}:", f"        {_update(rng, target, item)}"]
    return lines if rng.random() < 0.6 else [*lines, "    else:", f"        {_update(rng, target, item)}"]


def _count(rng: Random, *, drill: bool = False) -> list[str]:
    target, item = rng.choice("st"), rng.choice("ij")
    turns = rng.randint(1, 6)
    loop = [f"for {item} in range({turns}):", *_loop_body(rng, target, item, range(turns * drill))]
    return [f"{target} = {_digit(rng)}", *loop, f"print({target})"]


def _items(rng: Random, *, drill: bool = False) -> list[str]:
    items = [rng.randint(0, 5) for _ in range(rng.randint(1, 5))]
    likely_values = items if drill else []
    if rng.random() < 0.25:
        body = [f"    u.append({_operation(rng, 'x') if rng.random() < 0.7 else 'x'})"]
        if rng.random() < 0.4:
            body = [f"    if {_condition(rng, 'x', likely_values)}:", f"    {body[0]}"]
        return [f"v = {items}", "u = []", "for x in v:", *body, "print(u)"]
    target = rng.choice("st")
    return [
        f"v = {items}",
        f"{target} = {_digit(rng)}",
        "for x in v:",
        *_loop_body(rng, target, "x", likely_values),
        f"print({target})",
    ]


def _until(rng: Random) -> list[str]:
    name, down = rng.choice("nk"), rng.random() < 0.6
    start, bound = (rng.randint(4, 9), rng.randint(0, 5)) if down else (rng.randint(0, 4), rng.randint(3, 9))
    step, compare = rng.randint(1, 3), ">" if down else "<"
    move = f"    {name} {'-' if down else '+'}= {step}"
    if rng.random() < 0.5:
        move = f"    {name} = {name} {'-' if down else '+'} {step}"
    head = f"while {name} {compare} {bound}:"
    if rng.random() < 0.3:
        return [f"{name} = {start}", head, move, f"print({name})"]
    return [f"{name} = {start}", f"t = {rng.randint(0, 4)}", head, f"    {_update(rng, 't', name)}", move, "print(t)"]


def _text(rng: Random, *, drill: bool = False) -> list[str]:
    word = _word(rng, 5)
    if rng.random() < 0.5:
        return [f'w = "{word}"', 't = ""', "for c in w:", f"    t = {rng.choice(('t + c', 'c + t'))}", "print(t)"]
    body = [f'    if c {rng.choice(("==", "!="))} "{_letter(rng, word * drill)}":', f"        {_update(rng, 'n')}"]
    return [f'w = "{word}"', f"n = {rng.randint(0, 5)}", "for c in w:", *body, "print(n)"]


KINDS: dict[str, Callable[[Random], list[str]]] = {
    "expression": _expression,
    "words": _words,
    "straight": _straight,
    "branch": _branch,
    "count": _count,
    "items": _items,
    "until": _until,
    "text": _text,
}
"""The kinds of program, each a function from a random generator to lines."""

DRILLS: dict[str, Callable[[Random], list[str]]] = {
    **KINDS,
    "words": _chain,
    "letters": _letters,
    "branch": partial(_branch, drill=True),
    "count": partial(_count, drill=True),
    "items": partial(_items, drill=True),
    "text": partial(_text, drill=True),
}
"""The kinds for practice: words are concatenated more than once, and values tested for equality are often equal."""
