"""LiveCodeBench, code generation: contest problems with dates (Jain et al. 2024).

The dates let a range start after the end of a model's training data. `release_v5`, the paper's, has 880 problems from
May 2023 to January 2025. The loading script of the data set does not run on current `datasets`, so the files are read
directly. Hidden tests are base64 of zlib of a pickled string; the string is read from the pickle's one instruction, and
nothing is unpickled. Tests are read from the file only when a reply is graded.
Prompt: Qwen2.5-Coder's (`lcb_runner/prompts/code_generation.py`), which the paper's runs used.
"""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, find_files
from z1.benchmarks.rows import Row, add_problem, get_column, get_text, make_problem, read_lines
from z1.errors import UserError
from z1.grading import Grade, Verdict, code_extraction, function_tests, stdio
from z1.grading.verdict import grade_no_answer
from z1.records import Problem
from z1.sandbox import pool
from z1.surrogates import replace_in_json

ID, REVISION = "livecodebench/code_generation_lite", "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"
RELEASES = {f"release_v{n}": tuple(f"test{k if k > 1 else ''}.jsonl" for k in range(1, n + 1)) for n in range(1, 7)}
RELEASE = "release_v5"
LCB = HubFiles(ID, REVISION, RELEASES[RELEASE])

SYSTEM = "You are a helpful assistant."
PROMPT = (
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests. You will NOT return anything except for the program.\n\nQuestion: {question}"
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters.\n```python\n{starter}\n```\n\n"
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows.\n```python\n# YOUR CODE HERE\n```\n\n"
)

MAX_HIDDEN_TEST_BYTES = 1 << 30
"""Limit for the unpacked hidden tests of one problem."""

MAX_CHECKED_BYTES = 1 << 16
"""Limit for packed hidden tests that are read when a row is loaded."""

PLAIN_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"}
TEXT_OPCODES = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems of a release whose contest is in the range of dates."""
    release = options.release or RELEASE
    if release not in RELEASES:
        raise UserError("release of LiveCodeBench", release, f"choose one of {', '.join(RELEASES)}")
    found: dict[str, Problem] = {}
    for path in find_files(HubFiles(ID, REVISION, RELEASES[release]), options.data):
        for number, (offset, row) in enumerate(read_lines(path), 1):
            if len(found) < count and _is_in_range(str(row.get("contest_date", ""))[:10], options):
                where = f"{path}, row {number}"
                add_problem(found, make_problem(where, partial(_problem, row, path, offset)), where)
    return list(found.values())


def _is_in_range(date: str, options: LoadOptions) -> bool:
    return (not options.since or date >= options.since) and (not options.until or date <= options.until)


def _problem(row: Row, path: Path, offset: int) -> Problem:
    """One row as a problem; its answer is the file and offset of its tests."""
    starter = str(row.get("starter_code") or "")
    ending = WITH_STARTER.format(starter=starter) if starter else WITHOUT_STARTER
    question = f"{get_text(row, 'question_content')}\n\n{ending}"
    _check_tests(row)
    location = json.dumps({"file": str(path.absolute()), "at": offset})
    return Problem(get_text(row, "question_id"), question, location, "livecodebench", str(row.get("difficulty") or ""))


def _check_tests(row: Row) -> None:
    """Raise UserError for a row that cannot be graded. Hidden tests are unpacked only if they are few: all of them take
    minutes, and most of a gigabyte.
    """
    packed = row.get("private_test_cases") or "[]"
    is_small = isinstance(packed, str) and len(packed) <= MAX_CHECKED_BYTES
    try:
        name, cases = _parse_tests({**row, "private_test_cases": packed if is_small else "[]"})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError("tests of the row", repr(error)[:120], "download the file again from the hub") from None
    if not cases and is_small:
        raise UserError("tests of the row", "none", "give public_test_cases or private_test_cases")
    if not name and row.get("starter_code"):
        raise UserError("metadata of the row", "no func_name", "name the method that the tests call")


@lru_cache(8)
def read_tests(location: str) -> tuple[str, list[tuple[Any, Any]]]:
    """The name of the function under test ("" for a program), and pairs of input and expected output."""
    place = json.loads(location)
    with Path(place["file"]).open("rb") as file:
        file.seek(place["at"])
        return _parse_tests(json.loads(file.readline()))


def _parse_tests(row: Row) -> tuple[str, list[tuple[Any, Any]]]:
    cases = replace_in_json(
        [
            *json.loads(get_column(row, "public_test_cases")),
            *unpack_hidden_tests(row.get("private_test_cases") or "[]"),
        ]
    )
    name = str(json.loads(row.get("metadata") or "{}").get("func_name") or "")
    if not any(case.get("testtype") == "functional" for case in cases):
        return "", [(case["input"], case["output"]) for case in cases]
    return name, [(parse_arguments(case["input"]), json.loads(case["output"])) for case in cases]


def parse_arguments(text: str) -> list[Any]:
    """The arguments of a call, one line of JSON each."""
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def unpack_hidden_tests(packed: str) -> list[dict[str, Any]]:
    """The hidden tests of a row. Raises UserError if they are not packed as in the hub's file."""
    try:
        return list(json.loads(packed))
    except ValueError:
        pass
    try:
        decompressor = zlib.decompressobj()
        data = decompressor.decompress(base64.b64decode(packed, validate=True), MAX_HIDDEN_TEST_BYTES)
        if not decompressor.eof:
            raise ValueError("they are too long")
        return list(json.loads(read_pickled_string(data)))
    except (ValueError, zlib.error) as error:
        raise UserError("hidden tests of LiveCodeBench", error, "download the file again from the hub") from None


def read_pickled_string(data: bytes) -> str:
    """The string in a pickle of a single string, read without unpickling. Raises ValueError for any other pickle."""
    found: list[str] = []
    for opcode, value, _ in pickletools.genops(data):
        if opcode.name in TEXT_OPCODES:
            found.append(str(value))
        elif opcode.name not in PLAIN_OPCODES:
            raise ValueError(f"a pickle that would run {opcode.name}")
    if len(found) != 1:
        raise ValueError(f"a pickle of {len(found)} strings")
    return found[0]


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Run the program or function in `text` on the public and the hidden tests."""
    try:
        name, cases = read_tests(problem.answer)
    except FileNotFoundError as error:
        return Grade(Verdict.MISSING, f"tests: no such file {error.filename}")
    code = code_extraction.extract_code(text, *(("Solution", name) if name else ()), ended=not cut)
    if code is None:
        return grade_no_answer(cut=cut)
    if name:
        return function_tests.grade(pool.for_programs(), code, name, cases)
    return stdio.grade(pool.for_programs(), code, cases)
