"""Generator of word problems from a seed, with their trajectories.

The second synthetic task: sums and bookkeeping in numbered sentences, no code. A *step* is a sentence. Values are
digits and rows have the same format as for programs, so that a model trained to reason about programs can be tested on
another task. Source: this project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from z1.synthetic.programs import LARGEST
from z1.synthetic.trajectories import BRIEF, join_rows, number_lines

QUESTION = "How does this story end?"

PEOPLE = ("Ann", "Ben", "Cal", "Dot")
THINGS = ("apples", "books", "coins")


@dataclass(slots=True)
class WordProblem:
    """Sentences and the result of each; `counts` is how many things each person has, `answer` the requested number."""

    sentences: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    answer: int = 0

    def add(self, sentence: str, result: str) -> None:
        """Add a sentence and its result."""
        self.sentences.append(sentence)
        self.results.append(result)

    def change(self, name: str, operator: str, number: int) -> str:
        """Add (+) or subtract (-) `number` for a person; returns the text of the result."""
        before = self.counts[name]
        self.counts[name] = before + number if operator == "+" else before - number
        self.operations += 1
        return f"{before} {operator} {number} -> {name} = {self.counts[name]}"

    def write_thought(self, level: str) -> str:
        """The thought at `level`, as `trajectories.write_thought` for programs."""
        pairs = zip(self.sentences, self.results, strict=True)
        rows = number_lines(result if level in BRIEF else f"{sentence} -> {result}" for sentence, result in pairs)
        return "" if level == "direct" else join_rows(rows, level)


def format_question(problem: WordProblem) -> str:
    """The user message for a word problem."""
    return "\n".join([QUESTION, *number_lines(problem.sentences)])


def hash_word_problem(problem: WordProblem) -> str:
    """16 hexadecimal digits, equal for two problems if and only if they differ only in names and things."""
    return hash_sentences("\n".join(problem.sentences))


def hash_sentences(text: str) -> str:
    """The same hash from the sentences without their numbers."""
    order: dict[str, str] = {}
    for word in re.findall("|".join((*PEOPLE, *THINGS)), text):
        order.setdefault(word, f"n{len(order)}")
    text_with_placeholders = re.sub("|".join(order) or "^$", lambda found: order[found[0]], text)
    # "prose" is an older name of the task; the split follows from this hash, so it stays
    return sha256(f"prose\n{text_with_placeholders}".encode()).hexdigest()[:16]


def generate(seed: int, index: int) -> WordProblem:
    """The word problem number `index` of `seed`, of 1 to 12 sentences."""
    # "prose" is an older name of the task; the problems follow from this seed, so it stays
    rng = Random(f"prose:{seed}:{index}")
    problem, things = WordProblem(), rng.choice(THINGS)
    sentences = rng.randint(1, 12)
    if sentences == 1:
        _add_sum(rng, problem, things)
        return problem
    for name in rng.sample(PEOPLE, min(sentences - 1, rng.randint(1, 3))):
        problem.counts[name] = rng.randint(0, LARGEST)
        problem.add(f"{name} has {problem.counts[name]} {things}.", f"{name} = {problem.counts[name]}")
    while len(problem.sentences) < sentences - 1:
        _add_event(rng, problem)
    _add_question(rng, problem, things)
    return problem


def _add_event(rng: Random, problem: WordProblem) -> None:
    names = sorted(problem.counts)
    name = rng.choice(names)
    own, kind = problem.counts[name], rng.random()
    others = [other for other in names if other != name]
    if others and kind < 0.5:
        other = rng.choice(others)
        most = min(own, LARGEST - problem.counts[other], 5)
        if most > 0:
            number = rng.randint(1, most)
            result = f"{problem.change(name, '-', number)} and {problem.change(other, '+', number)}"
            problem.add(f"{name} gives {other} {number}.", result)
            return
    if own < LARGEST and (own == 0 or kind < 0.75):
        number = rng.randint(1, LARGEST - own)
        problem.add(f"{name} finds {number}.", problem.change(name, "+", number))
    else:
        number = rng.randint(1, own)
        problem.add(f"{name} loses {number}.", problem.change(name, "-", number))


def _add_question(rng: Random, problem: WordProblem, things: str) -> None:
    name, other = rng.choice(sorted(problem.counts)), rng.choice(sorted(problem.counts))
    both = problem.counts[name] + problem.counts[other]
    if name != other and both <= LARGEST and rng.random() < 0.4:
        problem.operations += 1
        problem.answer = both
        problem.add(
            f"How many {things} have {name} and {other}?", f"{problem.counts[name]} + {problem.counts[other]} -> {both}"
        )
        return
    problem.answer = problem.counts[name]
    problem.add(f"How many {things} has {name}?", f"{problem.answer}")


def _add_sum(rng: Random, problem: WordProblem, things: str) -> None:
    """A problem of one sentence: a sum of two or three numbers."""
    first = rng.randint(0, LARGEST)
    values, chain = [first], str(first)
    phrase, total = f"{first} {things}", first
    for _ in range(rng.randint(1, 2)):
        more = total < LARGEST and (total == 0 or rng.random() < 0.6)
        number = rng.randint(1, LARGEST - total) if more else rng.randint(1, total)
        phrase += f" {'and' if more else 'less'} {number}"
        chain += f" {'+' if more else '-'} {number}"
        total += number if more else -number
        values.append(total)
    problem.operations, problem.answer = len(values) - 1, total
    last = re.sub(r"^\d+ [+-] \d+", str(values[1]), chain)
    problem.add(f"How many are {phrase}?", " -> ".join(dict.fromkeys((chain, last, str(total)))))
