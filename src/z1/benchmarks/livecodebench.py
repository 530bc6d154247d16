"""Which contest problems came out after a model was trained?

LiveCodeBench (Jain et al. 2024), code generation: problems with dates, so that a window can begin after a model's data
end. `release_v5` is 880 problems from May 2023 to January 2025, the paper's. The data set's loading script does not
run on today's `datasets`; the files are read as they are. Hidden tests are base64 of zlib of a pickled string; the
string is taken out of the pickle's one instruction, and nothing is unpickled. Tests stay in the file until they are
needed. Prompt: Qwen2.5-Coder's (`lcb_runner/prompts/code_generation.py`), which the paper's runs used.
"""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, Row, column, lines, paths
from z1.errors import UserError
from z1.grading import Grade, Verdict, code_extraction, function_tests, stdio
from z1.grading.verdict import grade_no_answer
from z1.records import Problem
from z1.sandbox import pool

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
WITHOUT = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows.\n```python\n# YOUR CODE HERE\n```\n\n"
)

MOST = 1 << 30
"""Bytes of one problem's hidden tests when they are unpacked."""

PLAIN_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"}
TEXT_OPCODES = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems of a release whose contest lies in the window of dates."""
    release = options.release or RELEASE
    if release not in RELEASES:
        raise UserError("release of LiveCodeBench", release, f"choose one of {', '.join(RELEASES)}")
    found: list[Problem] = []
    for path in paths(HubFiles(ID, REVISION, RELEASES[release]), options.data):
        for at, row in lines(path):
            if len(found) < count and _in_window(str(row.get("contest_date", ""))[:10], options):
                found.append(problem(row, path, at))
    return found


def _in_window(date: str, options: LoadOptions) -> bool:
    return (not options.since or date >= options.since) and (not options.until or date <= options.until)


def problem(row: Row, path: Path, at: int) -> Problem:
    """One row as a problem; its answer says where its tests lie."""
    starter = str(row.get("starter_code") or "")
    ending = WITH_STARTER.format(starter=starter) if starter else WITHOUT
    question = f"{column(row, 'question_content')}\n\n{ending}"
    where = json.dumps({"file": str(path.absolute()), "at": at})
    return Problem(str(column(row, "question_id")), question, where, "livecodebench", str(row.get("difficulty", "")))


@lru_cache(8)
def tests(where: str) -> tuple[str, list[tuple[Any, Any]]]:
    """The name of the function under test ("" for a program), and pairs of input and expected output."""
    place = json.loads(where)
    with Path(place["file"]).open("rb") as file:
        file.seek(place["at"])
        row = json.loads(file.readline())
    cases = [*json.loads(column(row, "public_test_cases")), *hidden(row.get("private_test_cases") or "[]")]
    name = str(json.loads(row.get("metadata") or "{}").get("func_name") or "")
    if not any(case.get("testtype") == "functional" for case in cases):
        return "", [(case["input"], case["output"]) for case in cases]
    return name, [(arguments(case["input"]), json.loads(case["output"])) for case in cases]


def arguments(text: str) -> list[Any]:
    """The arguments of a call: one line of JSON each."""
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def hidden(packed: str) -> list[dict[str, Any]]:
    """The hidden tests of a row. Raises UserError where they are packed in another way than the hub packs them."""
    try:
        return list(json.loads(packed))
    except ValueError:
        pass
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(base64.b64decode(packed, validate=True), MOST)
        if not unpack.eof:
            raise ValueError("they are too long")
        return list(json.loads(pickled_text(data)))
    except (ValueError, zlib.error) as error:
        raise UserError("hidden tests of LiveCodeBench", error, "download the file again from the hub") from None


def pickled_text(data: bytes) -> str:
    """The string of a pickle that holds one string and does nothing else; it is read and not run."""
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
    """Whether the program in `text` passes the public and the hidden tests."""
    try:
        name, cases = tests(problem.answer)
    except FileNotFoundError as error:
        return Grade(Verdict.MISSING, f"the tests are gone: {error.filename}")
    code = code_extraction.extract_code(text, "Solution" if name else "")
    if code is None:
        return grade_no_answer(cut=cut)
    return (
        function_tests.grade(pool.for_programs(), code, name, cases)
        if name
        else stdio.grade(pool.for_programs(), code, cases)
    )
