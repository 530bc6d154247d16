"""The right letters of a multiple-choice data set: read, and refused where they give the answers away.

Every loader of a multiple-choice set passes its letters through both functions. Published files have had the right
option at A in all rows, and others at D: a model that prefers a letter then scores by that alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from z1.errors import UserError
from z1.grading.multiple_choice import LETTERS, read_gold_letter

MIN_ROWS_FOR_CHECK = 12
"""Minimum rows for the check: in twelve shuffled rows one letter is always right in one of four million files."""

MAX_SHARE = 0.9
"""Share of the rows that one letter may be right in; by chance, that is eleven of twelve in one of 110,000 files."""


def gold_letter(name: str, number: int, value: object, options: int) -> str:
    """The letter that `value` stands for, the answer in row `number` (from 0) of data set `name`. Raises UserError if
    it is none of the first `options` letters.
    """
    letter = read_gold_letter(value, options)
    if not letter:
        advice = f"give a letter from A to {LETTERS[options - 1]} in column answer"
        raise UserError(f"answer in row {number + 1} of {name}", value, advice)
    return letter


def check_choice_targets(name: str, targets: Sequence[str]) -> None:
    """`check_gold_letters` for a task of a harness whose targets are all letters of options; no effect for others."""
    letters = [target.strip().strip("()") for target in targets]
    if letters and all(len(letter) == 1 and letter in LETTERS for letter in letters):
        check_gold_letters(name, letters)


def check_gold_letters(name: str, letters: Sequence[str]) -> None:
    """Raise UserError if one letter is right in nearly every row: a model that always chose it would score as much."""
    if len(letters) < MIN_ROWS_FOR_CHECK:
        return
    ((letter, count),) = Counter(letters).most_common(1)
    if count > MAX_SHARE * len(letters):
        rows = f"all {len(letters)} rows" if count == len(letters) else f"{count} of {len(letters)} rows"
        got = f"the right option at {letter} in {rows}"
        raise UserError(
            f"options of {name}", got, "use a file whose options are shuffled, as those of the hub's own are here"
        )
