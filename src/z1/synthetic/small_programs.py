"""Programs of at most two operations, by form.

A form is the text of a program with slots. The forms are those of the kinds `expression`, `words` and `straight` of
`programs.py` in at most four lines, and a few that these kinds do not give and people type: `print(a + b)`, `a += 3`,
number variables called x and y.
Training draws from all forms evenly, because the kinds rarely give programs this short. `experiments/tiny` tests every
one of them.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from itertools import product
from math import prod
from random import Random

from z1.synthetic.programs import LARGEST, LETTERS
from z1.synthetic.tracer import Trace, trace
from z1.synthetic.trajectories import OutOfRange, write_thought

MAX_STEPS = 4
"""Most steps of a form: its lines."""

NAMES = "abcdxy"
"""Names of number variables in programs of at most two operations."""

WORDS = tuple("".join(letters) for length in (1, 2, 3) for letters in product(LETTERS, repeat=length))

OPERANDS = {"+": range(1, LARGEST + 1), "-": range(1, LARGEST + 1), "*": range(4), "%": range(2, 6)}

SLOTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("def", tuple(map(str, range(LARGEST + 1)))),
    **dict.fromkeys("pqrxy", tuple(NAMES)),
    **dict.fromkeys("ou", tuple(f"{sign} {number}" for sign, numbers in OPERANDS.items() for number in numbers)),
    "s": ("+", "-"),
    "m": ("+", "-", "*"),
    "h": tuple("2345"),
    "k": tuple("12345"),
    "t": tuple("tuvw"),
    "v": tuple("tuv"),
    "word": WORDS,
    "more": tuple(word for word in WORDS if len(word) < 3),
}
"""The values of each slot, in order: digits, names, operations, signs, operands, names of texts, texts."""

FORMS = {
    "print({d} + {e})": "expression",
    "print({d} - {e})": "expression",
    "print({d} * {e})": "expression",
    "print({d} + {e} {s} {f})": "expression",
    "print({d} - {e} {s} {f})": "expression",
    "print({d} * {e} {s} {f})": "expression",
    "print({d} % {h})": "expression",
    "print({d})": "expression",
    'print("{word}" + "{more}")': "words",
    'print("{word}")': "words",
    'w = "{word}"\nprint(w)': "words",
    'w = "{word}"\nprint(w + "{more}")': "words",
    'w = "{word}"\nprint("{more}" + w)': "words",
    'w = "{word}"\n{t} = w + "{more}"\nprint({t})': "words",
    'w = "{word}"\n{t} = "{more}" + w\nprint({t})': "words",
    'w = "{word}"\n{v} = "{more}"\nprint(w + {v})': "words",
    'w = "{word}"\n{v} = "{more}"\nprint({v} + w)': "words",
    "{p} = {d}\nprint({p})": "straight",
    "{p} = {d}\nprint({p} {o})": "straight",
    "{p} = {d}\nprint({p} {o} {s} {k})": "straight",
    "{p} = {d}\nprint({p} {m} {p})": "straight",
    "{p} = {d}\n{p} {s}= {e}\nprint({p})": "straight",
    "{p} = {d}\n{q} = {e}\nprint({r})": "straight",
    "{p} = {d}\n{q} = {e}\nprint({r} {m} {x})": "straight",
    "{p} = {d}\n{q} = {e}\nprint({r} {o})": "straight",
    "{p} = {d}\n{q} = {e}\nprint({r} {o} {s} {k})": "straight",
    "{p} = {d}\n{q} = {p} {o}\nprint({r})": "straight",
    "{p} = {d}\n{q} = {p} {s} {p}\nprint({r})": "straight",
    "{p} = {d}\n{q} = {p} {o}\nprint({r} {u})": "straight",
    "{p} = {d}\n{q} = {p} {s} {p}\nprint({r} {u})": "straight",
    "{p} = {d}\n{q} = {e}\n{r} = {x} {o}\nprint({y})": "straight",
    "{p} = {d}\n{q} = {e}\n{r} = {x} {s} {y}\nprint({r})": "straight",
    "{p} = {d}\n{q} = {p} {o}\n{r} = {x} {u}\nprint({y})": "straight",
    "{p} = {d}\n{q} = {p} {o}\n{r} = {x} {s} {y}\nprint({r})": "straight",
}
"""The forms, each with its kind."""

UNSURE = frozenset(
    {
        'w = "{word}"\n{t} = w + "{more}"\nprint({t})',
        'w = "{word}"\n{t} = "{more}" + w\nprint({t})',
        'w = "{word}"\n{v} = "{more}"\nprint(w + {v})',
        'w = "{word}"\n{v} = "{more}"\nprint({v} + w)',
        "{p} = {d}\n{q} = {e}\n{r} = {x} {o}\nprint({y})",
        "{p} = {d}\n{q} = {e}\n{r} = {x} {s} {y}\nprint({r})",
        "{p} = {d}\n{q} = {p} {o}\n{r} = {x} {u}\nprint({y})",
        "{p} = {d}\n{q} = {p} {o}\n{r} = {x} {s} {y}\nprint({r})",
    }
)
"""Forms that are practised, and refused: the shipped model gets more than 1 of 100 programs wrong. Those of numbers are
answered with the names a to d only, as programs of the kind `straight`.
"""


def size(form: str) -> int:
    """How many texts a form has; those whose values leave the range are no programs of the task."""
    return prod(len(SLOTS[slot]) for slot in _slots(form))


def all_of(form: str) -> Iterator[str]:
    """Every text of a form."""
    slots = _slots(form)
    for values in product(*(SLOTS[slot] for slot in slots)):
        yield form.format_map(dict(zip(slots, values, strict=True))) + "\n"


def draw(rng: Random, form: str) -> str:
    """One program of a form."""
    slots = _slots(form)
    while True:
        source = form.format_map({slot: rng.choice(SLOTS[slot]) for slot in slots}) + "\n"
        if run(source) is not None:
            return source


def run(source: str, max_steps: int = MAX_STEPS) -> Trace | None:
    """The run of a text of a form; None if it is no program of the task, because a value leaves the range."""
    found = trace(source, max_steps)
    try:
        return found if found is not None and write_thought(found, "terse") else None
    except OutOfRange:
        return None


def generate(seed: int, index: int) -> tuple[str, str]:
    """The program number `index` of `seed`, as (kind, source), like `programs.generate`."""
    rng = Random(f"small:{seed}:{index}")
    form = rng.choice(tuple(FORMS))
    return FORMS[form], draw(rng, form)


def _slots(form: str) -> list[str]:
    """The slots of a form, in order of first appearance."""
    return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(form) if name))
