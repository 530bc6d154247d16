"""Which graduate questions cannot be looked up?

GPQA Diamond (Rein et al. 2023): 198 questions with four options. The hub's file has the right option in a column of
its own; options are shuffled here, by the seed and the question, so that no letter is right more often than by chance.
The data that the paper's own evaluation was built on had the right option at A in all 198 rows; a file whose options
stand in an order already is refused where one letter is right throughout. Gated: its authors ask that no item is shown
in the clear.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, Row, column, rows
from z1.errors import UserError
from z1.grading import Grade, multiple_choice
from z1.records import Problem

GPQA = HubFiles("Idavidrein/gpqa", "633f5ee89ab8ad4522a9f850766b73f62147ffdd", ("gpqa_diamond.csv",))

LETTERS = "ABCD"
ENDING = "Please reason step-by-step and put your choice letter without any other text with \\boxed{} in the end."
PROMPT = "{question}"
FEWEST = 12
"""Rows from which on one letter throughout is no accident: once in four million files of twelve."""


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` problems with options in an order drawn from `seed`. Raises UserError where the file has the trap."""
    found = rows(GPQA, options.data)
    problems = [_problem(row, number, seed) for number, row in enumerate(found)]
    check(problems)
    return problems[:count]


def _problem(row: Row, number: int, seed: int) -> Problem:
    name = str(row.get("Record ID") or f"gpqa/{number}")
    kind = str(row.get("High-level domain") or "")
    if "Correct Answer" not in row:  # options and a letter, as others have made of it
        return Problem(name, column(row, "question", "problem"), column(row, "answer").strip(), "gpqa-diamond", kind)
    texts = [column(row, key).strip() for key in ("Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3)))]
    order = list(range(4))
    random.Random(f"{seed}:{name}").shuffle(order)
    listed = "\n".join(f"{letter}. {texts[place]}" for letter, place in zip(LETTERS, order, strict=True))
    question = f"{column(row, 'Question').strip()}\n\n{listed}\n\n{ENDING}"
    return Problem(name, question, LETTERS[order.index(0)], "gpqa-diamond", kind)


def check(problems: Sequence[Problem]) -> None:
    """Refuse data in which one letter is always right: a model that always says it would have everything right."""
    letters = Counter(problem.answer for problem in problems)
    if len(letters) == 1 and len(problems) >= FEWEST:
        (letter,) = letters
        got = f"the right option at {letter} in all {len(problems)} rows"
        raise UserError("options of GPQA", got, "use the hub's own gpqa_diamond.csv, whose options are shuffled here")


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Whether `text` chooses the right letter."""
    return multiple_choice.grade(text, problem.answer, cut=cut)
