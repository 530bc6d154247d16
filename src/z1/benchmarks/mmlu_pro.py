"""MMLU-Pro: 12,032 questions of 14 subjects with up to ten options (Wang et al. 2024, test split).

The file is in order of subject, so the first rows are one subject: problems are drawn by the seed. Rows have three to
ten options in the file's order; a file in which one letter is nearly always right is refused.
"""

from __future__ import annotations

import random

from z1.benchmarks.gold_letters import check_gold_letters, gold_letter
from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.rows import Row, get_column, get_text, get_texts, load_problems
from z1.errors import UserError
from z1.grading import Grade, multiple_choice
from z1.grading.multiple_choice import LETTERS
from z1.records import Problem

MMLU_PRO = HubFiles(
    "TIGER-Lab/MMLU-Pro", "527feea0afed1de15a8c115abf7be4c912123315", ("data/test-00000-of-00001.parquet",)
)
ENDING = "Please reason step-by-step and put your choice letter without any other text with \\boxed{} in the end."


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` problems drawn from `seed`; `kind` is the subject. Raises UserError as `check_gold_letters` does."""
    problems = load_problems(MMLU_PRO, options.data, _problem, None)
    check_gold_letters("MMLU-Pro", [problem.answer for problem in problems])
    return random.Random(seed).sample(problems, min(count, len(problems)))


def _problem(row: Row, number: int) -> Problem:
    texts = [text.strip() for text in get_texts(row, "options")]
    if not 2 <= len(texts) <= len(LETTERS):
        raise UserError("column options", f"{len(texts)} options", f"give 2 to {len(LETTERS)} texts")
    letter = gold_letter("MMLU-Pro", number, get_column(row, "answer"), len(texts))
    index = row.get("answer_index")
    if index is not None and index != LETTERS.index(letter):
        raise UserError("column answer_index", f"{index} beside the answer {letter}", "download the file again")
    listed = "\n".join(f"{mark}. {text}" for mark, text in zip(LETTERS, texts, strict=False))
    question = f"{get_text(row, 'question').strip()}\n\n{listed}\n\n{ENDING}"
    name, kind = f"mmlu-pro/{row.get('question_id', number)}", str(row.get("category") or "")
    return Problem(name, question, letter, "mmlu-pro", kind)


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Compare the option chosen in `text` with the right one."""
    return multiple_choice.grade(text, problem.answer, cut=cut, options=len(LETTERS))
