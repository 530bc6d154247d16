"""Generator of the programs of the study: what a beginner writes, with values up to 20.

Assignments, conditions, `for` and `while` loops, lists, strings and functions of one parameter, in common names. A
candidate may leave the range of values or run too long; `tracing.trace` then returns None.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

NUMBERS = ("total", "count", "score", "price", "x", "y", "n", "a", "b", "result", "points", "level")
LISTS = ("numbers", "values", "items", "data")
TEXTS = ("word", "name", "text", "s")
WORDS = ("cat", "sun", "tree", "red", "blue", "fish", "moon", "box", "pen", "star", "milk", "ice", "dog", "hat", "leaf")
FUNCTIONS = ("double", "change", "step", "compute", "update", "adjust")


def generate(seed: int, index: int) -> tuple[str, str]:
    """Candidate number `index` of `seed`, as (kind, source)."""
    rng = Random(f"smol:{seed}:{index}")
    kind = rng.choice(tuple(KINDS))
    return kind, "\n".join(KINDS[kind](rng)) + "\n"


def _number(rng: Random) -> int:
    return rng.randint(0, 9)


def _operation(rng: Random, left: str) -> str:
    sign = rng.choice("+++---*")
    return f"{left} {sign} {rng.randint(2, 3) if sign == '*' else rng.randint(1, 9)}"


def _update(rng: Random, name: str, other: str) -> str:
    """A statement that changes `name`, by a small number or by `other`."""
    operand = other if rng.random() < 0.5 else str(rng.randint(1, 6))
    sign = rng.choice("+++-*") if operand != other else rng.choice("++-")
    if sign == "*":
        operand = "2"
    return f"{name} {sign}= {operand}" if rng.random() < 0.5 else f"{name} = {name} {sign} {operand}"


def _condition(rng: Random, name: str, value: int) -> str:
    """A comparison of `name`, whose value is about `value`."""
    return f"{name} {rng.choice(('<', '>', '=='))} {max(0, value + rng.randint(-3, 3))}"


def _arithmetic(rng: Random) -> list[str]:
    names = rng.sample(NUMBERS, 3)
    lines, known = [], list[str]()
    for _ in range(rng.randint(0, 6)):
        target = rng.choice(names)
        if not known or (rng.random() < 0.25 and target not in known):
            lines.append(f"{target} = {_number(rng)}")
        elif len(known) > 1 and rng.random() < 0.4:
            first, second = rng.sample(known, 2)
            lines.append(f"{target} = {first} {rng.choice('++-')} {second}")
        else:
            lines.append(f"{target} = {_operation(rng, rng.choice(known))}")
        if target not in known:
            known.append(target)
    if not known:
        first = _operation(rng, str(_number(rng)))
        return [f"print({first})"] if rng.random() < 0.5 else [f"print({first} {rng.choice('+-')} {rng.randint(1, 9)})"]
    return [*lines, f"print({_operation(rng, known[-1]) if rng.random() < 0.4 else known[-1]})"]


def _branch(rng: Random) -> list[str]:
    first, second = rng.sample(NUMBERS, 2)
    value = _number(rng)
    lines = [f"{first} = {value}", f"{second} = {_number(rng)}"]
    for _ in range(rng.randint(1, 3)):
        lines += [f"if {_condition(rng, first, value)}:", f"    {_update(rng, second, first)}"]
        if rng.random() < 0.5:
            lines += ["else:", f"    {_update(rng, second, first)}"]
    return [*lines, f"print({second})"]


def _range_loop(rng: Random) -> list[str]:
    target = rng.choice(NUMBERS[:4])
    body = [f"    {_update(rng, target, 'i')}"]
    if rng.random() < 0.3:
        body = [f"    if {_condition(rng, 'i', 1)}:", f"    {body[0]}"]
    bounds = f"{rng.randint(1, 3)}" if rng.random() < 0.6 else f"1, {rng.randint(2, 4)}"
    return [f"{target} = {_number(rng)}", f"for i in range({bounds}):", *body, f"print({target})"]


def _list_loop(rng: Random) -> list[str]:
    values, target, items = (
        rng.choice(LISTS),
        rng.choice(NUMBERS[:4]),
        [_number(rng) for _ in range(rng.randint(1, 3))],
    )
    item = rng.choice(("x", "n", "value", "item"))
    if rng.random() < 0.3:
        grow = f"    result.append({_operation(rng, item)})"
        return [f"{values} = {items}", "result = []", f"for {item} in {values}:", grow, "print(result)"]
    body = [f"    {_update(rng, target, item)}"]
    if rng.random() < 0.4:
        body = [f"    if {_condition(rng, item, items[0])}:", f"    {body[0]}"]
    return [
        f"{values} = {items}",
        f"{target} = {rng.randint(0, 9)}",
        f"for {item} in {values}:",
        *body,
        f"print({target})",
    ]


def _while_loop(rng: Random) -> list[str]:
    name, target = rng.choice(("n", "x", "level")), rng.choice(("count", "total", "score"))
    start, step = rng.randint(3, 9), rng.randint(2, 4)
    move = rng.choice((f"{name} -= {step}", f"{name} = {name} - {step}"))
    head = f"while {name} > {rng.randint(1, 6)}:"
    if rng.random() < 0.5:
        return [f"{name} = {start}", head, f"    {move}", f"print({name})"]
    lines = [
        f"{name} = {start}",
        f"{target} = {rng.randint(0, 9)}",
        head,
        f"    {_update(rng, target, name)}",
        f"    {move}",
    ]
    return [*lines, f"print({target})"]


def _strings(rng: Random) -> list[str]:
    name, first, second = rng.choice(TEXTS), rng.choice(WORDS), rng.choice(WORDS)
    lines = [f'{name} = "{first}"']
    for _ in range(rng.randint(0, 3)):
        more = rng.choice((rng.choice("abst"), second))
        change = rng.choice((f'{name} + "{more}"', f'"{more}" + {name}', f"{name}.upper()"))
        lines.append(f"{name} = {change}")
    ends = (name, f"{name}[0]", f'{name} + "{second}"', f"{name} * 2")
    return [*lines, f"print({rng.choice(ends)})"]


def _lists(rng: Random) -> list[str]:
    name, items = rng.choice(LISTS), [_number(rng) for _ in range(rng.randint(2, 3))]
    lines = [f"{name} = {items}"]
    for _ in range(rng.randint(0, 3)):
        place = rng.randrange(len(items))
        changes = (f"{name}.append({_number(rng)})", f"{name}[{place}] = {_operation(rng, f'{name}[{place}]')}")
        lines.append(rng.choice(changes))
    ends = (f"len({name})", f"sum({name})", f"max({name})", f"min({name})", f"{name}[{rng.randrange(len(items))}]")
    end = rng.choice((*ends, f"{name}[0] + {name}[-1]", f"sum({name}) - {rng.randint(1, 9)}"))
    return [*lines, f"print({end})"]


def _function(rng: Random) -> list[str]:
    function, parameter = rng.choice(FUNCTIONS), rng.choice(("n", "x", "value"))
    argument = _number(rng)
    body = [f"    return {_operation(rng, parameter)}"]
    if rng.random() < 0.4:
        body = [
            f"    if {_condition(rng, parameter, argument)}:",
            f"    {body[0]}",
            f"    return {_operation(rng, parameter)}",
        ]
    head = [f"def {function}({parameter}):", *body]
    if rng.random() < 0.4:
        more = f" {rng.choice('+-')} {rng.randint(1, 9)}" if rng.random() < 0.5 else ""
        return [*head, f"print({function}({argument}){more})"]
    name = rng.choice(("a", "b", "result"))
    lines = [f"{name} = {function}({argument})"]
    if rng.random() < 0.4:
        lines.append(f"{name} = {function}({name})")
    return [*head, *lines, f"print({_operation(rng, name) if rng.random() < 0.5 else name})"]


KINDS: dict[str, Callable[[Random], list[str]]] = {
    "arithmetic": _arithmetic,
    "branch": _branch,
    "range loop": _range_loop,
    "list loop": _list_loop,
    "while loop": _while_loop,
    "strings": _strings,
    "lists": _lists,
    "function": _function,
}
"""The kinds of program, each a function from a random generator to lines."""
