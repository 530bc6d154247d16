"""Which story comes next, and how would a patient teacher work it out?

The second world: sums and bookkeeping told in numbered sentences, no code. Who has how many, who gives what to whom; a
*step* is a sentence. Values are digits, as in the world of programs, and rows look alike, so that a model that learned
to think about one world can be asked how it thinks about the other. Source: this project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from z1.synthetic.programs import LARGEST
from z1.synthetic.trajectories import BRIEF, numbered, thought

QUESTION = "How does this story end?"

PEOPLE = ("Ann", "Ben", "Cal", "Dot")
THINGS = ("apples", "books", "coins")


@dataclass(slots=True)
class WordProblem:
    """Sentences, and for each what is worked out; `has` is how many everybody has, `end` what is asked for."""

    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    has: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    end: int = 0

    def tell(self, line: str, said: str) -> None:
        """One more sentence."""
        self.lines.append(line)
        self.said.append(said)

    def change(self, name: str, operator: str, number: int) -> str:
        """What is worked out where somebody gets (+) or loses (-) `number`."""
        before = self.has[name]
        self.has[name] = before + number if operator == "+" else before - number
        self.operations += 1
        return f"{before} {operator} {number} -> {name} = {self.has[name]}"

    def write(self, level: str) -> str:
        """The thought at `level`, as `teacher.write` writes those of programs."""
        pairs = zip(self.lines, self.said, strict=True)
        rows = numbered(said if level in BRIEF else f"{line} -> {said}" for line, said in pairs)
        return "" if level == "direct" else thought(rows, level)


def question(story: WordProblem) -> str:
    """The user's message for a story."""
    return "\n".join([QUESTION, *numbered(story.lines)])


def identity(story: WordProblem) -> str:
    """16 hexadecimal digits that two stories share if and only if they differ in names and things alone."""
    return identity_of("\n".join(story.lines))


def identity_of(text: str) -> str:
    """The same, of a story's sentences without their numbers."""
    order: dict[str, str] = {}
    for word in re.findall("|".join((*PEOPLE, *THINGS)), text):
        order.setdefault(word, f"n{len(order)}")
    told = re.sub("|".join(order) or "^$", lambda found: order[found[0]], text)
    # the split follows from this hash: its text is fixed
    return sha256(f"prose\n{told}".encode()).hexdigest()[:16]


def draw(seed: int, index: int) -> WordProblem:
    """The `index`-th story of `seed`, of 1 to 12 sentences."""
    # the problems follow from this seed: its text is fixed
    rng = Random(f"prose:{seed}:{index}")
    story, things = WordProblem(), rng.choice(THINGS)
    sentences = rng.randint(1, 12)
    if sentences == 1:
        _sum(rng, story, things)
        return story
    for name in rng.sample(PEOPLE, min(sentences - 1, rng.randint(1, 3))):
        story.has[name] = rng.randint(0, LARGEST)
        story.tell(f"{name} has {story.has[name]} {things}.", f"{name} = {story.has[name]}")
    while len(story.lines) < sentences - 1:
        _event(rng, story)
    _ask(rng, story, things)
    return story


def _event(rng: Random, story: WordProblem) -> None:
    names = sorted(story.has)
    name = rng.choice(names)
    own, kind = story.has[name], rng.random()
    others = [other for other in names if other != name]
    if others and kind < 0.5:
        other = rng.choice(others)
        most = min(own, LARGEST - story.has[other], 5)
        if most > 0:
            number = rng.randint(1, most)
            said = f"{story.change(name, '-', number)} and {story.change(other, '+', number)}"
            story.tell(f"{name} gives {other} {number}.", said)
            return
    if own < LARGEST and (own == 0 or kind < 0.75):
        number = rng.randint(1, LARGEST - own)
        story.tell(f"{name} finds {number}.", story.change(name, "+", number))
    else:
        number = rng.randint(1, own)
        story.tell(f"{name} loses {number}.", story.change(name, "-", number))


def _ask(rng: Random, story: WordProblem, things: str) -> None:
    name, other = rng.choice(sorted(story.has)), rng.choice(sorted(story.has))
    both = story.has[name] + story.has[other]
    if name != other and both <= LARGEST and rng.random() < 0.4:
        story.operations += 1
        story.end = both
        story.tell(f"How many {things} have {name} and {other}?", f"{story.has[name]} + {story.has[other]} -> {both}")
        return
    story.end = story.has[name]
    story.tell(f"How many {things} has {name}?", f"{story.end}")


def _sum(rng: Random, story: WordProblem, things: str) -> None:
    """A story of one sentence is a sum of two or three numbers."""
    first = rng.randint(0, LARGEST)
    values, chain = [first], str(first)
    told, total = f"{first} {things}", first
    for _ in range(rng.randint(1, 2)):
        more = total < LARGEST and (total == 0 or rng.random() < 0.6)
        number = rng.randint(1, LARGEST - total) if more else rng.randint(1, total)
        told += f" {'and' if more else 'less'} {number}"
        chain += f" {'+' if more else '-'} {number}"
        total += number if more else -number
        values.append(total)
    story.operations, story.end = len(values) - 1, total
    last = re.sub(r"^\d+ [+-] \d+", str(values[1]), chain)
    story.tell(f"How many are {told}?", " -> ".join(dict.fromkeys((chain, last, str(total)))))
