"""Agreement of z1's verdicts on real trajectories with the published ones, and the causes of disagreements.

On KodCode's demo (../shared/data/kodcode_demo.jsonl.gz; skipped with a message if absent): 230 problems with tests and
three trajectories of DeepSeek-R1 each, with published results. A disagreement is explained by experiment:
the trajectory is graded again in z1's sandbox as KodCode's own `step3.3.3_gen_unit_tests_sft.py` would prepare it
(the first Python block after the thought; a single `def` with another name is renamed, in that line only). If
that gives the published verdict, the step of the preparation that makes the difference is the cause. Then LeetCode's
short responses (leetcode_train.jsonl.gz), which were published as correct. Tables are Markdown. `--quick` takes every
20th problem; the last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from z1.curate import verification
from z1.curate.sources import Candidate
from z1.grading import Grade, Verdict, pytests
from z1.sandbox import pool

DATA = Path(__file__).parent.parent.parent / "shared" / "data"

KODCODE, LEETCODE = DATA / "kodcode_demo.jsonl.gz", DATA / "leetcode_train.jsonl.gz"

PYTHON = re.compile(r"```python(.*?)```", re.DOTALL)
DEF = re.compile(r"def\s+(\w+)\s*\(")


@dataclass(frozen=True)
class Judged:
    """One trajectory: the published result (None if there is none), z1's grade, and the cause of a difference."""

    name: str
    published: bool | None
    ours: Grade
    cause: str = ""

    @property
    def agrees(self) -> bool:
        """Whether both verdicts exist and are equal."""
        return self.published is not None and self.published == (self.ours.verdict is Verdict.RIGHT)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def entry(row: dict[str, Any]) -> str:
    """The function that the tests call; "" if there are several."""
    return str(row["entry_points"][0]) if len(row["entry_points"]) == 1 else ""


def kodcode_program(row: dict[str, Any], trace: str) -> str | None:
    """The program that KodCode extracts from a trajectory; None if it finds none."""
    found = PYTHON.search(trace.partition("</think>")[2])
    return found[1].strip() if found else None


def renamed(row: dict[str, Any], code: str) -> str:
    """KodCode's renaming of a program's only `def`."""
    names = DEF.findall(code)
    if entry(row) and len(names) == 1 and names[0] != entry(row):
        return code.replace(f"def {names[0]}", f"def {entry(row)}")
    return code


def passes(row: dict[str, Any], code: str, *, name: bool = False) -> bool:
    """Whether `code` passes; without `name` a second function prevents the renaming of its only one."""
    whole = code if name else f"{code}\n\ndef _second(): pass\n"
    return pytests.grade(pool.for_pytest(), whole, row["tests"], entry(row)).verdict is Verdict.RIGHT


def cause(row: dict[str, Any], trace: str, published: bool) -> str:
    """The step of KodCode's preparation that makes the difference, found by applying the steps one by one."""
    code = kodcode_program(row, trace) or ""
    if passes(row, renamed(row, code)) is not published:
        return "not explained by the preparation"
    if passes(row, code, name=True) is published:
        return "KodCode takes the first Python block; z1 the last one that defines the function"
    if len(DEF.findall(code)) > 1:
        return "KodCode does not rename, because the block has more than one `def` (nested ones and examples count)"
    return "KodCode renames the only `def`, and the block still calls it by its old name"


def judge(row: dict[str, Any], number: int, published: bool | None) -> Judged:
    """Grade one trajectory."""
    trace = row["traces"][number]
    one = Candidate(row["id"], row["id"], row["question"], trace, tests=row["tests"], entry=entry(row))
    found = Judged(f"{row['id']}/{number}", published, verification.grade(one))
    if published is None or found.agrees:
        return found
    return Judged(found.name, published, found.ours, cause(row, trace, published))


def kodcode(step: int, threads: int) -> list[Judged]:
    """All trajectories; KodCode drops those without a program, which shifts its published list."""
    jobs = []
    for row in read(KODCODE)[::step]:
        numbers = [n for n, trace in enumerate(row["traces"]) if kodcode_program(row, trace) is not None]
        results = dict(zip(numbers, row["trace_pass_sequence"], strict=True))
        jobs += [
            (row, number, bool(results[number]) if number in results else None) for number in range(len(row["traces"]))
        ]
    with ThreadPoolExecutor(threads) as workers:
        return list(workers.map(lambda job: judge(*job), jobs))


def leetcode(step: int, threads: int) -> list[Judged]:
    """The short responses, which were published as correct."""

    def one(row: dict[str, Any]) -> Judged:
        text = {"tests": row["test"], "entry": row["entry_point"], "setup": row["prompt"]}
        return Judged(
            row["task_id"], True, verification.grade(Candidate("", "", row["query"], row["response"], **text))
        )

    with ThreadPoolExecutor(threads) as workers:
        return list(workers.map(one, read(LEETCODE)[::step]))


def table(found: list[Judged]) -> str:
    """The disagreements as a Markdown table, grouped by verdicts and cause."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in found:
        if one.published is not None and not one.agrees:
            sides = f"{'passed' if one.published else 'failed'}, {one.ours.verdict.value}"
            groups.setdefault((sides, one.cause or one.ours.reason[:80]), []).append(one.name)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [f"| {sides} | {why} | {len(names)} | {', '.join(names)} |" for (sides, why), names in ordered]
    return "\n".join(["| published, ours | cause | rows | which |", "|---|---|---|---|", *lines])


def facts(found: list[Judged]) -> dict[str, Any]:
    """The counts of the last line."""
    published = [one for one in found if one.published is not None]
    return {
        "graded": len(found),
        "published": len(published),
        "agree": sum(one.agrees for one in published),
        "missing": sum(one.ours.verdict is Verdict.MISSING for one in found),
        "verdicts": dict(Counter(one.ours.verdict.value for one in found)),
        "causes": dict(Counter(one.cause for one in published if one.cause)),
    }


def main() -> None:
    """Grade, print every disagreement, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Agreement of verdicts on real trajectories with published ones.")
    parser.add_argument("--quick", action="store_true", help="every 20th problem")
    parser.add_argument("--threads", type=int, default=2, help="programs at once")
    given = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("programs are graded on Linux only")
    result: dict[str, Any] = {"bench": "trajectories"}
    for name, path, run in (("kodcode", KODCODE, kodcode), ("leetcode", LEETCODE, leetcode)):
        if not path.is_file():
            result[name] = f"skipped: no {path}"
            continue
        start = time.monotonic()
        found = run(20 if given.quick else 1, given.threads)
        print(f"## {name}\n\n{table(found)}\n", flush=True)
        result[name] = {**facts(found), "seconds": round(time.monotonic() - start, 1)}
    pool.close_all()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
