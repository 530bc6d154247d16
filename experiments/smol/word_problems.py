"""Generator of English word problems of 1 to 8 calculations, with their thoughts at four levels of detail.

A problem is a sequence of sentences about one quantity or several; most have a sentence whose numbers do not matter.
A *step* is a calculation. Templates, names and numbers are this project's own; none was taken from a benchmark.

    direct  no thought
    brief   the calculations: "12 - 5 = 7."
    full    each sentence in turn, and its calculation
    long    full, and then everything again as a check
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

LARGEST = 200
"""Largest value of a calculation; problems beyond 0..LARGEST are rejected."""

CHECK = "Let me go through it once more."

SHE, HE = ("She", "she", "her"), ("He", "he", "his")
PEOPLE = {
    **dict.fromkeys(
        ("Ana", "Bea", "Carla", "Dora", "Emma", "Freya", "Greta", "Ines", "Lena", "Mona", "Nora", "Tara"), SHE
    ),
    **dict.fromkeys(
        ("Abel", "Boris", "Colin", "Dario", "Emil", "Felix", "Hugo", "Ivan", "Karl", "Leo", "Oskar", "Tim"), HE
    ),
}
FOOD = ("apples", "cookies", "plums", "grapes", "muffins", "carrots", "cherries")
THINGS = (
    "books",
    "marbles",
    "stamps",
    "coins",
    "shells",
    "cards",
    "buttons",
    "pencils",
    "stickers",
    "toy cars",
    "beads",
)
PLACES = ("the park", "the school", "the market", "the library", "the garden", "the station")


class OutOfRange(Exception):
    """A value left 0..LARGEST, or a division has a remainder; the problem is rejected."""


@dataclass(slots=True)
class WordProblem:
    """Sentences of the question, and of each its thought in full and briefly ("" without a calculation)."""

    sentences: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    brief: list[str] = field(default_factory=list)
    steps: int = 0
    answer: int = 0

    def add(self, sentence: str, full: str, *calculations: str) -> None:
        """Add a sentence with what follows from it."""
        self.sentences.append(sentence)
        self.full.append(full)
        self.brief += [f"{one}." for one in calculations]
        self.steps += len(calculations)

    @property
    def question(self) -> str:
        """The text of the problem."""
        return " ".join(self.sentences)

    def write_thought(self, level: str) -> str:
        """The thought at `level`."""
        if level == "direct":
            return ""
        if level == "brief":
            return " ".join(self.brief)
        return "\n".join([*self.full, *([CHECK, *self.full] if level == "long" else [])])


def calculate(left: int, sign: str, right: int) -> tuple[int, str]:
    """The value and the text of a calculation. Raises OutOfRange."""
    if sign == "/" and left % right:
        raise OutOfRange
    value = {"+": left + right, "-": left - right, "*": left * right, "/": left // max(1, right)}[sign]
    if not 0 <= value <= LARGEST:
        raise OutOfRange
    return value, f"{left} {sign} {right} = {value}"


def hash_problem(question: str) -> str:
    """16 hexadecimal digits, equal for problems that differ only in the names of people and things."""
    order: dict[str, str] = {}
    words = re.compile(rf"\b({'|'.join((*PEOPLE, *FOOD, *THINGS))})\b")
    text = words.sub(lambda found: order.setdefault(found[0], f"n{len(order)}"), question)
    return sha256(f"smol word problem\n{text}".encode()).hexdigest()[:16]


def generate(seed: int, index: int) -> tuple[str, WordProblem] | None:
    """Candidate number `index` of `seed`, as (kind, problem); None if it is rejected."""
    rng = Random(f"smol words:{seed}:{index}")
    kind = rng.choice(tuple(KINDS))
    try:
        return kind, KINDS[kind](rng)
    except OutOfRange:
        return None


def _distractor(rng: Random, name: str) -> tuple[str, str]:
    """A sentence whose numbers do not matter, and what to think of it."""
    number = rng.randint(2, 60)
    return rng.choice(
        (
            (f"{name} is {number} years old.", f"The age of {name} does not matter."),
            (f"It is {rng.randint(2, 11)} o'clock.", "The time does not matter."),
            (f"{name} lives {number} km from {rng.choice(PLACES)}.", "The distance does not matter."),
            (f"There are {number} people in {rng.choice(PLACES)}.", "The number of people does not matter."),
            (f"{name} has {rng.randint(2, 5)} cousins.", "The cousins do not matter."),
        )
    )


def _maybe_distract(rng: Random, problem: WordProblem, name: str, share: float = 0.3) -> None:
    if rng.random() < share:
        problem.add(*_distractor(rng, name))


def _stock(rng: Random) -> WordProblem:
    """One person's things become more and fewer."""
    problem, name, friend = WordProblem(), *rng.sample(sorted(PEOPLE), 2)
    items, (he, _, his) = rng.choice(FOOD + THINGS), PEOPLE[name]
    count = rng.randint(3, 60)
    opening = rng.choice((f"{name} has {count} {items}.", f"{name} starts the week with {count} {items}."))
    problem.add(opening, f"{name} starts with {count} {items}.")
    _maybe_distract(rng, problem, name)
    for _ in range(rng.randint(1, 6)):
        count = _stock_event(rng, problem, count, (name, friend, items))
    if rng.random() < 0.2:
        friends = rng.randint(2, 6)
        count, text = calculate(count, "/", friends)
        ask = (
            f"{he} shares all of {his} {items} equally among {friends} friends. How many {items} does each friend get?"
        )
        problem.add(ask, f"Shared among {friends} friends, each gets {text}.", text)
    else:
        ask = rng.choice((f"How many {items} does {name} have now?", f"How many {items} does {name} have in the end?"))
        problem.add(ask, f"{name} has {count} {items}.")
    problem.answer = count
    return problem


def _stock_event(rng: Random, problem: WordProblem, count: int, names: tuple[str, str, str]) -> int:
    name, friend, items = names
    he, he_small, his = PEOPLE[name]
    number, kind = rng.randint(2, 25), rng.random()
    if kind < 0.3:
        after, text = calculate(count, "+", number)
        sentence = rng.choice(
            (
                f"{he} buys {number} more.",
                f"{friend} gives {name} {number} {items}.",
                f"Then {he_small} finds {number} {items} near {rng.choice(PLACES)}.",
                f"On {his} birthday {he_small} gets {number} more {items}.",
            )
        )
        problem.add(sentence, f"{he} gets {number} more, so {he_small} has {text} {items}.", text)
    elif kind < 0.65:
        after, text = calculate(count, "-", number)
        ways = [
            f"{he} gives {number} of them to {friend}.",
            f"{he} loses {number} of them.",
            f"{he} sells {number} {items}.",
        ]
        ways += [f"{he} eats {number} of them."] * (2 * (items in FOOD))
        problem.add(rng.choice(ways), f"{number} are gone, so {text} {items} are left.", text)
    elif kind < 0.8:
        boxes, each = rng.randint(2, 6), rng.randint(2, 12)
        inside, first = calculate(boxes, "*", each)
        after, second = calculate(count, "+", inside)
        box = rng.choice(("boxes", "bags", "packs"))
        sentence = f"{he} buys {boxes} {box} with {each} {items} in each."
        problem.add(sentence, f"The {box} hold {first} {items}, so {he_small} has {second}.", first, second)
    elif kind < 0.9:
        after, text = calculate(count, "*", times := rng.randint(2, 3))
        word = {2: "twice", 3: "three times"}[times]
        sentence = f"A week later {he_small} has {word} as many {items}."
        problem.add(sentence, f"{word.capitalize()} as many is {text}.", text)
    else:
        after, text = calculate(count, "/", 2)
        problem.add(f"{he} gives half of {his} {items} to {friend}.", f"Half of them are left: {text}.", text)
    return after


def _money(rng: Random) -> WordProblem:
    """Earning and spending."""
    problem, (name, friend) = WordProblem(), rng.sample(sorted(PEOPLE), 2)
    he, he_small, _ = PEOPLE[name]
    amount = rng.randint(10, 99)
    problem.add(f"{name} has ${amount}.", f"{name} starts with ${amount}.")
    _maybe_distract(rng, problem, name)
    for _ in range(rng.randint(1, 4)):
        kind, number = rng.random(), rng.randint(3, 30)
        if kind < 0.25:
            hours, wage = rng.randint(2, 6), rng.randint(5, 15)
            earned, first = calculate(hours, "*", wage)
            amount, second = calculate(amount, "+", earned)
            sentence = f"{he} works {hours} hours and is paid ${wage} an hour."
            problem.add(sentence, f"The work pays {first}, so {he_small} has {second} dollars.", first, second)
        elif kind < 0.5:
            pieces, price, thing = rng.randint(2, 6), rng.randint(2, 12), rng.choice(THINGS)
            cost, first = calculate(pieces, "*", price)
            amount, second = calculate(amount, "-", cost)
            sentence = f"{he} buys {pieces} {thing} for ${price} each."
            problem.add(sentence, f"The {thing} cost {first}, so {second} dollars are left.", first, second)
        elif kind < 0.75:
            amount, text = calculate(amount, "-", number)
            spent = rng.choice(("lunch", "a bus ticket", "a present", "shoes", "a lamp"))
            problem.add(f"{he} pays ${number} for {spent}.", f"After that {text} dollars are left.", text)
        else:
            amount, text = calculate(amount, "+", number)
            sentence = rng.choice((f"{friend} pays {name} back ${number}.", f"{he} sells an old bike for ${number}."))
            problem.add(sentence, f"Now {he_small} has {text} dollars.", text)
    ask = rng.choice((f"How many dollars does {name} have left?", f"How much money, in dollars, does {name} have now?"))
    problem.add(ask, f"{name} has {amount} dollars.")
    problem.answer = amount
    return problem


def _comparison(rng: Random) -> WordProblem:
    """Several people, each compared with one before."""
    problem, names = WordProblem(), rng.sample(sorted(PEOPLE), rng.randint(2, 5))
    items = rng.choice(FOOD + THINGS)
    counts = {names[0]: rng.randint(3, 40)}
    problem.add(f"{names[0]} has {counts[names[0]]} {items}.", f"{names[0]} has {counts[names[0]]} {items}.")
    _maybe_distract(rng, problem, names[0])
    for name in names[1:]:
        other, number = rng.choice(sorted(counts)), rng.randint(2, 20)
        sign, right, words = rng.choice(
            (
                ("+", number, f"{number} more {items} than {other}"),
                ("-", number, f"{number} fewer {items} than {other}"),
                ("*", 2, f"twice as many {items} as {other}"),
                ("/", 2, f"half as many {items} as {other}"),
            )
        )
        counts[name], text = calculate(counts[other], sign, right)
        problem.add(f"{name} has {words}.", f"{name} has {text} {items}.", text)
    _ask_comparison(rng, problem, counts, items)
    return problem


def _ask_comparison(rng: Random, problem: WordProblem, counts: dict[str, int], items: str) -> None:
    names, kind = list(counts), rng.random()
    if kind < 0.4:
        total, texts = counts[names[0]], []
        for name in names[1:]:
            total, text = calculate(total, "+", counts[name])
            texts.append(text)
        who = "they" if len(names) > 2 else f"{names[0]} and {names[1]}"
        problem.add(f"How many {items} do {who} have together?", f"Together that is {', then '.join(texts)}.", *texts)
        problem.answer = total
    elif kind < 0.7:
        more, fewer = sorted(rng.sample(names, 2), key=lambda name: -counts[name])
        problem.answer, text = calculate(counts[more], "-", counts[fewer])
        problem.add(f"How many more {items} does {more} have than {fewer}?", f"The difference is {text}.", text)
    else:
        problem.answer = counts[names[-1]]
        problem.add(f"How many {items} does {names[-1]} have?", f"{names[-1]} has {problem.answer}.")


def _bus(rng: Random) -> WordProblem:
    """People get on and off."""
    problem, count = WordProblem(), rng.randint(5, 50)
    vehicle = rng.choice(("bus", "tram", "ferry", "train"))
    problem.add(f"A {vehicle} leaves with {count} passengers.", f"The {vehicle} starts with {count} passengers.")
    if rng.random() < 0.3:
        problem.add(f"The trip takes {rng.randint(10, 90)} minutes.", "The time does not matter.")
    for stop in ("one", "two", "three")[: rng.randint(1, 3)]:
        off, on = rng.randint(2, 15), rng.randint(2, 15)
        place = f"Stop {stop}:"
        count, first = calculate(count, "-", off)
        if rng.random() < 0.4:
            problem.add(f"{place} {off} leave the {vehicle}.", f"Then {first} passengers are left.", first)
            continue
        count, second = calculate(count, "+", on)
        sentence = f"{place} {off} leave the {vehicle}, {on} come in."
        problem.add(sentence, f"After {off} left there are {first}, and with {on} more {second}.", first, second)
    problem.add(f"How many passengers are on the {vehicle} now?", f"There are {count} passengers.")
    problem.answer = count
    return problem


def _progress(rng: Random) -> WordProblem:
    """A part done each day, and what is left of the whole."""
    problem, name = WordProblem(), rng.choice(sorted(PEOPLE))
    he, he_small, _ = PEOPLE[name]
    verb, unit, whole = rng.choice(
        (
            ("reads", "pages", "a book"),
            ("walks", "km", "a trail"),
            ("paints", "metres", "a fence"),
            ("solves", "tasks", "a list"),
        )
    )
    days, each, more, total = rng.randint(2, 7), rng.randint(3, 15), rng.randint(2, 12), rng.randint(40, 180)
    has_total = rng.random() < 0.6
    if has_total:
        problem.add(f"{name} wants to finish {whole} of {total} {unit}.", f"In all there are {total} {unit}.")
    done, text = calculate(days, "*", each)
    _maybe_distract(rng, problem, name)
    sentence = f"{name if not has_total else he} {verb} {each} {unit} a day for {days} days."
    problem.add(sentence, f"In {days} days that is {text} {unit}.", text)
    for _ in range(rng.randint(0, 3)):
        done, text = calculate(done, "+", more)
        problem.add(f"The next day {he_small} {verb} {more} {unit}.", f"With {more} more it is {text}.", text)
        more = rng.randint(2, 12)
    if has_total:
        left, text = calculate(total, "-", done)
        problem.add(f"How many {unit} are left?", f"That leaves {text} {unit}.", text)
        problem.answer = left
    else:
        problem.add(f"How many {unit} is that in all?", f"It is {done} {unit}.")
        problem.answer = done
    return problem


def _groups(rng: Random) -> WordProblem:
    """Things of several kinds in rows, counted together, and some of them taken away or divided."""
    problem, kinds = WordProblem(), rng.sample(FOOD + THINGS, rng.randint(2, 3))
    place, counts = rng.choice(("On a shelf", "In a shop", "In a basket", "On a table")), []
    for number, items in enumerate(kinds):
        start = f"{place} there are" if not number else rng.choice(("There are also", "Next to them are"))
        if rng.random() < 0.4:
            rows, each = rng.randint(2, 6), rng.randint(2, 9)
            count, text = calculate(rows, "*", each)
            problem.add(f"{start} {rows} rows of {each} {items}.", f"There are {text} {items}.", text)
        else:
            count = rng.randint(3, 40)
            problem.add(f"{start} {count} {items}.", f"There are {count} {items}.")
        counts.append(count)
    if rng.random() < 0.5:
        taken = rng.randint(2, 20)
        counts[0], text = calculate(counts[0], "-", taken)
        gone = rng.choice((f"Someone takes {taken} {kinds[0]}.", f"{taken} of the {kinds[0]} are sold."))
        problem.add(gone, f"Then {text} {kinds[0]} are left.", text)
    if rng.random() < 0.6:
        total, texts = counts[0], []
        for count in counts[1:]:
            total, text = calculate(total, "+", count)
            texts.append(text)
        problem.add("How many things are there in all now?", f"In all there are {', then '.join(texts)}.", *texts)
        problem.answer = total
    else:
        more, fewer = (0, 1) if counts[0] >= counts[1] else (1, 0)
        problem.answer, text = calculate(counts[more], "-", counts[fewer])
        ask = f"How many more {kinds[more]} than {kinds[fewer]} are there now?"
        problem.add(ask, f"The difference is {text}.", text)
    return problem


KINDS: dict[str, Callable[[Random], WordProblem]] = {
    "stock": _stock,
    "money": _money,
    "comparison": _comparison,
    "bus": _bus,
    "progress": _progress,
    "groups": _groups,
}
"""The kinds of problem, each a function from a random generator to a problem; it raises OutOfRange."""
