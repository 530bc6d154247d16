"""Verification of trajectories: runs the tests of a problem, or compares the answer with the reference.

The program is the one that a grader reads in the answer (`grading/code_extraction.py`), or the whole answer if it is a
program. Text inside `<think>` tags is not part of the answer. Tests are KodCode's (pytest functions that import
`solution`) or LeetCodeDataset's (`check(candidate)`, called with the entry point after `setup`, the names that LeetCode
provides to a solution). Programs run in the sandbox, one per core. A program that could not be judged, whatever failed,
is *missing*: neither passed nor failed.

An answer is right if a grader says so: the one of multiple choice where the reference is a letter, else the one of
mathematics. A last box that is the reference letter for letter needs neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from z1.curate.sources import Candidate
from z1.grading import (
    Grade,
    Verdict,
    code_extraction,
    exact_match,
    function_tests,
    math_answers,
    multiple_choice,
    pytests,
    unit_tests,
)
from z1.grading.verdict import grade_no_answer, grade_or_missing
from z1.sandbox import pool

THINK_START, THINK_END = "<think>", "</think>"

LETTER = re.compile(r"\(?[A-J]\)?\.?")
OPTIONS = 10

CHECK = re.compile(r"^def check\(", re.MULTILINE)


def answer_text(response: str) -> str:
    """The text after the thought; "" if the thought is not closed."""
    if THINK_END in response:
        return response.rsplit(THINK_END, 1)[1]
    return "" if response.lstrip().startswith(THINK_START) else response


def grade(candidate: Candidate) -> Grade:
    """Run the tests of a candidate on its program; `candidate.tests` must not be empty."""
    name = re.split(r"\W", candidate.entry, maxsplit=1)[0]
    text = answer_text(candidate.response)
    code = code_extraction.extract_code(text, name, ended=candidate.end == "stop") or code_extraction.bare_program(text)
    if code is None:
        return grade_no_answer(cut=candidate.end == "length")
    if not _has_check(candidate):
        return pytests.grade(pool.for_pytest(), code, candidate.tests, name)
    setup = candidate.setup or function_tests.PRELUDE
    suite = unit_tests.suite_from_assertions(candidate.tests, "check", f"check({candidate.entry})", setup)
    return unit_tests.grade(pool.for_unit_tests(), code, suite, pytests.LIMITS)


def grade_all(block: Sequence[Candidate]) -> list[Grade]:
    """The grade of each candidate; runs as many programs at once as there are cores. Raises UserError if programs
    cannot be isolated on this machine.
    """
    for is_check in {_has_check(candidate) for candidate in block}:
        pool.require(pool.for_unit_tests() if is_check else pool.for_pytest())
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(lambda candidate: grade_or_missing(partial(grade, candidate)), block))


def grade_answer(candidate: Candidate) -> Grade:
    """Compare the answer of a candidate with its reference, which must not be empty."""
    text, cut = answer_text(candidate.response), candidate.end == "length"
    if exact_match(text, candidate.reference, cut=cut) is Verdict.RIGHT:
        return Grade(Verdict.RIGHT)
    if LETTER.fullmatch(candidate.reference.strip()):
        return multiple_choice.grade(text, candidate.reference.strip(" ()."), cut=cut, options=OPTIONS)
    return math_answers.grade(pool.for_math(), text, candidate.reference, cut=cut)


def grade_answers(block: Sequence[Candidate]) -> list[Grade]:
    """The grade of the answer of each candidate, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(lambda candidate: grade_or_missing(partial(grade_answer, candidate)), block))


def _has_check(candidate: Candidate) -> bool:
    return CHECK.search(candidate.tests) is not None
