"""Agreement of z1's graders with published verdicts and reference solutions.

On published files (../shared/data; its README names sources and licences; absent files are skipped with a message):
LiveCodeBench v5 with one published model's programs and the official verdict of each, LeetCode's reference
solutions, BigCodeBench-Hard's and HumanEval's canonical ones, and MATH500's own solutions. Every disagreement is
printed. The last line is JSON. `--quick` takes a part of each; `--only NAME` one kind. BigCodeBench needs the
interpreter in Z1_BIGCODEBENCH_PYTHON (see docs/evaluate.md).
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from z1.benchmarks import LoadOptions, bigcodebench, humaneval, math500
from z1.grading import Grade, Verdict, function_tests, stdio, unit_tests
from z1.records import Problem
from z1.sandbox import pool

DATA = Path(__file__).parent.parent.parent / "shared" / "data"

SAMPLE = re.compile(r"Sample Input ?\d*:?\n\n?(.*?)\n\n\s*Sample Output ?\d*:?\n\n(.*?)(?:\n\n|\Z)", re.DOTALL)
EXAMPLE = re.compile(r"^Input:\s*(.*?)\n\s*Output:\s*(.*?)\s*$", re.MULTILINE | re.DOTALL)
WORDS = {"true": "True", "false": "False", "null": "None"}


@dataclass(frozen=True)
class Case:
    """One reply to grade: its name, its grader, and the published verdict."""

    name: str
    grade: Callable[[], Grade]
    published: Verdict


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a file in `DATA`."""
    text = gzip.decompress((DATA / name).read_bytes()).decode()
    return list(json.loads(text)) if text.lstrip()[0] == "[" else [json.loads(line) for line in text.splitlines()]


def value(text: str) -> Any:
    """The value of a JSON or Python literal; the text itself if it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError):
            continue
    return text


def call_arguments(text: str) -> str:
    """`a = [1], b = true` as the arguments of a call."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    plain = [
        part if part.startswith('"') else re.sub(r"\b(true|false|null)\b", lambda m: WORDS[m[0]], part)
        for part in parts
    ]
    return f"dict({''.join(plain)})"


def method(row: dict[str, Any]) -> str:
    """The function name of a starter code."""
    return str(re.findall(r"def (\w+)\(self", row["starter_code"])[-1])


def grade_published(row: dict[str, Any], tests: list[tuple[Any, Any]]) -> Grade:
    """Grade the published program of `row` on `tests`."""
    if row["starter_code"]:
        return function_tests.grade(pool.for_programs(), row["code_list"][0], method(row), tests)
    return stdio.grade(pool.for_programs(), row["code_list"][0], tests)


def samples(row: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The samples in a statement."""
    text = row["question_content"]
    if row["starter_code"]:
        return [(call_arguments(given), value(expected)) for given, expected in re.findall(EXAMPLE, text)]
    pairs = [(given + "\n", expected) for given, expected in re.findall(SAMPLE, text)]
    if row["platform"] == "codeforces":  # its statements have empty lines between the lines
        return [("".join(line + "\n" for line in given.splitlines() if line), expected) for given, expected in pairs]
    return pairs


def lcb_right() -> Iterator[Case]:
    """Officially correct programs, on the samples of their statements."""
    for row in read("lcb_v5_o1_mini.json.gz"):
        if row["graded_list"][0] and (tests := samples(row)):
            yield Case(row["question_id"], lambda r=row, t=tests: grade_published(r, t), Verdict.RIGHT)  # type: ignore[misc]


def lcb_wrong() -> Iterator[Case]:
    """Officially wrong programs, on the published failing case, if it is not truncated."""
    for row in read("lcb_v5_o1_mini.json.gz"):
        leaked = json.loads(row["metadata"][0])
        if "inputs" not in leaked or any("(truncated)" in str(leaked.get(key, "")) for key in ("inputs", "expected")):
            continue
        tests = [(leaked["inputs"], leaked["expected"])]
        if row["starter_code"]:
            tests = [(value(leaked["inputs"]), value(leaked["expected"]))]
        kind = {"-2": "answer", "-3": "time", "-4": "runtime"}[str(leaked["error_code"])]
        yield Case(f"{row['question_id']} {kind}", lambda r=row, t=tests: grade_published(r, t), Verdict.WRONG)  # type: ignore[misc]


def leetcode() -> Iterator[Case]:
    """LeetCode's reference solutions, on their own tests."""
    for row in read("leetcode_train.jsonl.gz"):
        call = f"check({row['entry_point']})"
        tests, code = unit_tests.suite_from_assertions(row["test"], "check", call, row["prompt"]), row["completion"]
        yield Case(row["task_id"], lambda c=code, t=tests: unit_tests.grade(pool.for_unit_tests(), c, t), Verdict.RIGHT)  # type: ignore[misc]


def bcb() -> Iterator[Case]:
    """BigCodeBench-Hard's canonical solutions."""
    problems = bigcodebench.load_instruct(148, 0, LoadOptions(str(DATA / "bcb_hard_instruct.json.gz")))
    for problem, row in zip(problems, read("bcb_hard_instruct.json.gz"), strict=True):
        code = row["code_prompt"] + row["canonical_solution"]
        tests = bigcodebench.build_suite(problem)
        yield Case(problem.id, lambda c=code, t=tests: unit_tests.grade(pool.for_libraries(), c, t), Verdict.RIGHT)  # type: ignore[misc]


def heval() -> Iterator[Case]:
    """HumanEval's canonical solutions."""
    problems = humaneval.load(164, 0, LoadOptions(str(DATA / "humaneval.jsonl.gz")))
    for problem, row in zip(problems, read("humaneval.jsonl.gz"), strict=True):
        reply = f"```python\n{row['prompt']}{row['canonical_solution']}\n```"
        yield Case(problem.id, lambda r=reply, p=problem: humaneval.grade(r, p, False), Verdict.RIGHT)  # type: ignore[misc]


def maths() -> Iterator[Case]:
    """MATH500's own solutions; the last box is the answer."""
    for row in read("math500.jsonl.gz"):
        problem = Problem(row["unique_id"], row["problem"], row["answer"], "math500")
        yield Case(problem.id, lambda r=row, p=problem: math500.grade(r["solution"], p, False), Verdict.RIGHT)  # type: ignore[misc]


KINDS: dict[str, tuple[str, Callable[[], Iterator[Case]]]] = {
    "lcb_right": ("lcb_v5_o1_mini.json.gz", lcb_right),
    "lcb_wrong": ("lcb_v5_o1_mini.json.gz", lcb_wrong),
    "leetcode": ("leetcode_train.jsonl.gz", leetcode),
    "bigcodebench": ("bcb_hard_instruct.json.gz", bcb),
    "humaneval": ("humaneval.jsonl.gz", heval),
    "math500": ("math500.jsonl.gz", maths),
}


def graded(cases: list[Case], until: float, threads: int) -> list[tuple[Case, Grade]]:
    """Each case with its grade, as many as start before `until`."""

    def one(case: Case) -> tuple[Case, Grade] | None:
        return (case, case.grade()) if time.monotonic() < until else None

    with ThreadPoolExecutor(threads) as workers:
        return [done for done in workers.map(one, cases) if done]


def measured(name: str, step: int, until: float, threads: int) -> dict[str, Any] | str:
    """The figures of one kind, every `step`-th case; or the reason why there are none."""
    file, make = KINDS[name]
    if not (DATA / file).is_file():
        return f"skipped: no {DATA / file}"
    if name == "bigcodebench" and not os.environ.get(pool.BIGCODEBENCH_PYTHON):
        return f"skipped: {pool.BIGCODEBENCH_PYTHON} names no interpreter with the libraries"
    start = time.monotonic()
    every = list(make())
    done = graded(every[::step], until, threads)
    others = {case.name: grade for case, grade in done if grade.verdict is not case.published}
    for case, grade in sorted((c.name, g) for c, g in done if g.verdict is not c.published):
        print(f"  {name:12} {case:24} {grade.verdict.value:8} {grade.reason[:110]}")
    return {
        "cases": len(every),
        "graded": len(done),
        "agree": len(done) - len(others),
        "missing": sum(grade.verdict is Verdict.MISSING for grade in others.values()),
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> None:
    """Grade, print every disagreement, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Agreement of z1's graders with published verdicts.")
    parser.add_argument("--quick", action="store_true", help="a part of each; under 50 s")
    parser.add_argument("--only", choices=KINDS, help="one kind only")
    parser.add_argument("--threads", type=int, default=2, help="programs at once")
    given = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("programs are graded on Linux only")
    names = [given.only] if given.only else list(KINDS)
    result: dict[str, Any] = {}
    for name in names:
        until = time.monotonic() + (30 / len(names) if given.quick else 36_000)
        result[name] = measured(name, 20 if given.quick else 1, until, given.threads)
        print(f"{name:14} {result[name]}", flush=True)
    pool.close_all()
    print(json.dumps({"bench": "verdicts", **result}))


if __name__ == "__main__":
    main()
