"""The results page of the tiny family is made from its numbers, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.tiny import analyse
from z1 import runs
from z1 import study as studies
from z1.report import study_page

HERE = Path(analyse.__file__).parent
STUDY = studies.load(HERE / "study.toml")
NUMBERS: dict[str, Any] = runs.read_json(HERE / "results.json")[STUDY.name]


def test_the_page_has_the_numbers_of_the_file() -> None:
    page = study_page.page(STUDY.name, NUMBERS, STUDY.page, analyse.sections(NUMBERS))
    assert page == (HERE / "results.md").read_text(encoding="utf-8")


def test_the_criteria_follow_from_the_numbers() -> None:
    assert studies.criteria(STUDY, NUMBERS) == NUMBERS["criteria"]
    assert len(NUMBERS["criteria"]) == len(STUDY.criteria)


def test_every_evaluation_names_runs_whose_manifests_are_kept() -> None:
    for one in NUMBERS["evaluations"]:
        for run in one["runs"]:
            assert (HERE / "runs" / run.replace(" ", "/") / "stage.json").is_file()
