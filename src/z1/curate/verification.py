"""Does a trajectory's program pass its problem's tests?

The program is the last block of the answer that defines what is asked for (`grading.fences`), or all of an answer that
is a program; what a model thought between `<think>` tags is no answer. Tests are KodCode's (pytest functions that
import `solution`) or LeetCodeDataset's (`check(candidate)`, called with the entry point, behind its `setup`: the names
that LeetCode gives a solution). Programs run in the sandbox of `grading`, many at once. What could not be judged is
*missing*: it is neither passed nor failed.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from z1.curate.sources import Candidate
from z1.grading import Grade, code_extraction, function_tests, pytests, unit_tests
from z1.grading.verdict import grade_no_answer
from z1.sandbox import pool

OPEN, CLOSE = "<think>", "</think>"

CHECK = re.compile(r"^def check\(", re.MULTILINE)


def answer(response: str) -> str:
    """What stands behind the thought; nothing where a thought was opened and not closed."""
    if CLOSE in response:
        return response.rsplit(CLOSE, 1)[1]
    return "" if response.lstrip().startswith(OPEN) else response


def bare(text: str) -> str | None:
    """`text` itself where it is a program that defines something, as solutions without any words are."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return text if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body) else None


def grade(one: Candidate) -> Grade:
    """Run the tests of a candidate, which has some, on its program."""
    by_call = CHECK.search(one.tests)
    name = re.split(r"\W", one.entry, maxsplit=1)[0]
    said = answer(one.response)
    code = code_extraction.extract_code(said, name) or bare(said)
    if code is None:
        return grade_no_answer(cut=one.end == "length")
    if not by_call:
        return pytests.grade(pool.for_pytest(), code, one.tests, name)
    suite = unit_tests.suite_from_assertions(one.tests, "check", f"check({one.entry})")
    return unit_tests.grade(
        pool.for_unit_tests(), f"{one.setup or function_tests.PRELUDE}\n{code}", suite, pytests.LIMITS
    )


def grades(block: Sequence[Candidate]) -> list[Grade]:
    """The grade of each, by as many programs at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(grade, block))
