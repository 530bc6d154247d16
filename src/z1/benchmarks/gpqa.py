"""GPQA Diamond: 198 graduate-level questions with four options (Rein et al. 2023).

The hub's file has a column for the right option. The options are shuffled here by the seed and the question, so that no
letter is right more often than by chance. The data behind the paper's own evaluation had the right option at A in all
198 rows; a file with options in a fixed order is refused if one letter is right in every row. The data set is gated:
its authors ask that no item is published in plain text.
"""

from __future__ import annotations

import random
from functools import partial

from z1.benchmarks.gold_letters import check_gold_letters, gold_letter
from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.rows import Row, get_column, get_text, load_problems
from z1.grading import Grade, multiple_choice
from z1.records import Problem

GPQA = HubFiles("Idavidrein/gpqa", "633f5ee89ab8ad4522a9f850766b73f62147ffdd", ("gpqa_diamond.csv",))

LETTERS = "ABCD"
ENDING = "Please reason step-by-step and put your choice letter without any other text with \\boxed{} in the end."
PROMPT = "{question}"


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` problems with options in an order drawn from `seed`. Raises UserError as `check_gold_letters` does."""
    problems = load_problems(GPQA, options.data, partial(_problem, seed=seed), None)
    check_gold_letters("GPQA", [problem.answer for problem in problems])
    return problems[:count]


def _problem(row: Row, number: int, *, seed: int) -> Problem:
    name = str(row.get("Record ID") or f"gpqa/{number}")
    kind = str(row.get("High-level domain") or "")
    if "Correct Answer" not in row:  # a derived file: options inside the question, and a letter
        letter = gold_letter("GPQA", number, get_column(row, "answer"), len(LETTERS))
        return Problem(name, get_text(row, "question", "problem"), letter, "gpqa-diamond", kind)
    texts = [get_text(row, key).strip() for key in ("Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3)))]
    order = list(range(4))
    random.Random(f"{seed}:{name}").shuffle(order)
    listed = "\n".join(f"{letter}. {texts[place]}" for letter, place in zip(LETTERS, order, strict=True))
    question = f"{get_text(row, 'Question').strip()}\n\n{listed}\n\n{ENDING}"
    return Problem(name, question, LETTERS[order.index(0)], "gpqa-diamond", kind)


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Compare the option chosen in `text` with the right one."""
    return multiple_choice.grade(text, problem.answer, cut=cut)
