"""Adds the analyses of the tiny family to its study: self-check, forced-close failures, ratio of the training data.

    z1 study experiments/tiny/study.toml --output-dir experiments/tiny
    python -m experiments.tiny.analyse --runs runs

The second command reads the numbers that the first has written, adds `self_check`, `forced_close` and `data_ratio` to
them, and writes results.json and results.md again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from experiments.tiny.data_ratio import PROGRAMS, data_ratio
from experiments.tiny.leakage import leakage
from experiments.tiny.self_check import self_check
from z1 import runs
from z1 import study as studies
from z1.evaluate import PROBLEMS, read_attempts
from z1.records import Problem
from z1.report.study_page import percent, table
from z1.study import EvaluationFolders, Study

HERE = Path(__file__).parent

CLOSES = {
    "z1-tiny-bare": "bare cut",
    "z1-tiny-tag": "tag",
    "z1-tiny-hint": "hint",
    "z1-tiny": "hint and prefix",
}
"""How each profile closes a thought by force."""

FIRST_PASS = {
    "first": "right after the first pass %",
    "last": "in the end %",
    "mended": "corrected %",
    "harmed": "harmed %",
    "gained": "gained, points",
    "above_first": "z1 minus the first pass, points",
}


def analyses(study: Study, folder: Path, done: EvaluationFolders, programs: int = PROGRAMS) -> dict[str, Any]:
    """The numbers of all three analyses; `done` are the finished evaluations under the `folder` of runs."""
    return {
        "self_check": _self_checks(study, done),
        "forced_close": [
            {
                "arm": arm,
                "benchmark": study.evaluate[index].benchmark,
                "profile": study.evaluate[index].profile,
                **leakage(attempt for path in folders for attempt in read_attempts(path).values()),
            }
            for (arm, index), folders in done.items()
        ],
        "data_ratio": _data_ratios(study, folder, done, programs),
    }


def _self_checks(study: Study, done: EvaluationFolders) -> dict[str, Any]:
    paths = {arm: folders for (arm, index), folders in done.items() if index == 0}
    if study.reference not in paths:
        return {}
    reference = studies.arm_scores(paths[study.reference]).unlimited()[0]
    problems = (one for folders in paths.values() for one in runs.read_lines(folders[0] / PROBLEMS, Problem.from_json))
    answers = {one.id: one.answer for one in problems}
    checks = {}
    for arm, folders in paths.items():
        attempts = chain.from_iterable(read_attempts(path).values() for path in folders)
        checks[arm] = self_check(attempts, answers, reference)
    return {arm: one for arm, one in checks.items() if one["checked"]}


def _data_ratios(study: Study, folder: Path, done: EvaluationFolders, programs: int) -> dict[str, Any]:
    every = {member.arm: member for member in reversed(studies.members(study, folder))}
    arms = [arm for arm, index in done if index == 0]
    ratios = {
        arm: data_ratio(every[study.reference], every[arm], study, programs)
        for arm in arms
        if arm != study.reference and study.reference in arms and every[arm].recipe.curate
    }
    return {arm: one for arm, one in ratios.items() if one is not None}


def sections(numbers: Mapping[str, Any]) -> list[str]:
    """The Markdown sections of the study's page about these analyses."""
    return [_self_check_section(numbers), _forced_close_section(numbers)]


def _self_check_section(numbers: Mapping[str, Any]) -> str:
    rows = [
        [arm, one["checked"], *(percent(one[key]) for key in FIRST_PASS)] for arm, one in numbers["self_check"].items()
    ]
    note = (
        "The effect of the check in thoughts that contain one. *First pass*: the result at the point where the check "
        "begins. A check that harms more than it corrects would make *long* easier to match; the last column compares "
        "z1 with *long*'s first pass instead.\n\n"
    )
    body = note + table(["arm", "checked", *FIRST_PASS.values()], rows) if rows else "No arm checks its work."
    return "## Self-check\n\n" + body


def _forced_close_section(numbers: Mapping[str, Any]) -> str:
    rows = [
        [one["arm"], CLOSES[one["profile"]], one["shifted"], *(percent(one[key]) for key in ("leaks", "loops"))]
        for one in numbers["forced_close"]
        if one["profile"] in CLOSES and one["shifted"]
    ]
    note = (
        "With a thinking budget of 32 tokens and 64 tokens for the answer: how often the answer contains rows of a "
        "thought (leaks), and how often it repeats itself until it is cut off (loops).\n\n"
    )
    body = note + table(["arm", "closed by", "closed", "leaks %", "loops %"], rows) if rows else "Not run."
    return "## Forced-close failures\n\n" + body


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder of all runs.")
    parser.add_argument("--output-dir", type=Path, default=HERE, help="Folder of results.json.")
    given = parser.parse_args()
    study = studies.load(HERE / "study.toml")
    done, _ = studies.finished(study, given.runs)  # not those that are only recorded: they have no thoughts
    numbers = runs.read_json(given.output_dir / "results.json")[study.name]
    numbers |= analyses(study, given.runs, done)
    print(studies.write(study, given.runs, numbers, given.output_dir, done, sections(numbers)))


if __name__ == "__main__":
    main()
