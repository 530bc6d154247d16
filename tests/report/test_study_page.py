"""A study's page has the numbers that it was given, checks them against the criteria, and invents nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from z1.report import study_page
from z1.report.study_page import StudyPage


def point(window: int | None, right: float, ids: float) -> dict[str, Any]:
    return {
        "thinking_budget": window,
        "accuracy": [right - 0.01, right, right + 0.01],
        "thinking_tokens": [ids - 1, ids, ids + 1],
        "paid_tokens": [ids + 9, ids + 10, ids + 11],
    }


def level(steps: int, right: float, ids: float) -> dict[str, Any]:
    return {**point(None, right, ids), "steps": steps, "n": 70 + steps}


NUMBERS: dict[str, Any] = {
    "command": "z1 study few.toml",
    "reference": "z1",
    "accuracy": {"z1": [0.956, 0.961, 0.966]},
    "comparisons": [
        {
            "arm": "z1",
            "against": "long",
            "accuracy_difference": [-0.009, -0.004, 0.001],
            "thinking_ratio": [0.26, 0.27, 0.28],
            "thinking_ratio_at_matched_accuracy": [0.271, 0.281, 0.292],
            "thinking_ratio_within_1_point": [0.25, 0.255, 0.26],
        }
    ],
    "criteria": [
        {"name": "z1 right", "metric": "accuracy", "at_least": 0.95, "found": 0.961, "is_met": True},
        {"name": "z1 less long", "metric": "accuracy_difference", "at_least": -0.01, "found": -0.009, "is_met": True},
        {"name": "cheaper", "metric": "thinking_ratio", "at_most": 0.3, "found": 0.292, "is_met": True},
        {"name": "minutes", "metric": "core_minutes", "at_most": 60.0, "found": 32.5, "is_met": True},
    ],
    "core_minutes": {"z1": 31.25, "long": 32.5},
    "seeds": {"z1": [[0.9, 0.957, 0.97], [0.9, 0.965, 0.97]], "long": [[0.9, 0.966, 0.97]]},
    "by_difficulty": {
        "z1": [level(1, 0.97, 2.5), level(2, 0.913, 31.5)],
        "long": [level(1, 0.98, 41), level(2, 0.99, 82)],
    },
    "by_kind": {
        "z1": [{**level(0, 0.934, 33.25), "kind": "branch"}, {**level(1, 0.988, 12.5), "kind": "words"}],
        "long": [{**level(0, 0.99, 77.5), "kind": "branch"}, {**level(1, 0.99, 55), "kind": "words"}],
    },
    "data_ratio": {"long": [0.286, 0.289, 0.293]},
    "curves": {
        "z1": [{**point(16, 0.412, 12.5), "truncated_accuracy": [0.11, 0.123, 0.14]}, point(None, 0.961, 40.5)],
        "long": [point(16, 0.105, 16), point(None, 0.965, 150)],
    },
    "evaluations": [
        {
            "arm": "z1",
            "benchmark": "programs",
            "profile": None,
            "unlimited": {**point(None, 0.961, 40.5), "n": 143},
        },
        {
            "arm": "z1",
            "benchmark": "word-problems",
            "profile": None,
            "unlimited": {**point(None, 0.333, 51.5), "n": 1187},
        },
        {
            "arm": "z1",
            "benchmark": "programs",
            "profile": "z1-tiny-bare",
            "unlimited": {**point(None, 0.9, 50), "n": 600},
        },
    ],
    "not_run": ["random, seed 1: programs"],
}


PAGE = StudyPage(
    arms=("z1", "long"),
    against="long",
    sampling="Every kind is drawn with equal chance.",
    benchmarks={"programs": "fresh programs", "word-problems": "stories"},
    out_of_distribution="A note.",
    caveats="- **Mind** the gap.",
)


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(NUMBERS), **changes}


@pytest.mark.parametrize(
    "number",
    [
        *("96.1 [95.1, 97.1]", "0.281 [0.271, 0.292]", "0.255 [0.250, 0.260]", "-0.4 [-0.9, 0.1]", "95.7, 96.5"),
        *("91.3", "31.5", "41.2", "12.3 [11.0, 14.0]", "33.3", "1187", "32.5", "31.2", "random, seed 1: programs"),
        *("| branch | 70 | 93.4", "| words | 71 | 98.8", "Every kind is drawn with equal chance."),
        "- z1 against *long*: -0.4 [-0.9, 0.1] points of accuracy, 0.281 [0.271, 0.292] of its thinking tokens at "
        "matched accuracy (by the design of the data: 0.289 [0.286, 0.293]).",
        "0.255 [0.250, 0.260] | 0.289 [0.286, 0.293] |",
        *("on 143 fresh programs", "| stories | z1 |", "A note.", "- **Mind** the gap.\n- **Intervals**"),
    ],
)
def test_every_number_and_every_word_of_the_study_is_on_the_page(number: str) -> None:
    assert number in study_page.page("few", NUMBERS, PAGE)


def criterion(metric: str, found: float, **bound: float) -> str:
    one = {"name": "x", "metric": metric, "found": found, "is_met": False, **bound}
    return study_page.page("few", changed(criteria=[one]), PAGE)


def test_a_criterion_is_met_or_missed_by_how_much() -> None:
    page = study_page.page("few", NUMBERS, PAGE)
    assert page.count("| met |") == 4
    assert "| z1 right | 96.1 % | at least 95 % | met |" in page
    assert "| z1 less long | -0.9 points | at least -1 points | met |" in page
    assert "| 93.2 % | at least 95 % | missed by 1.8 points |" in criterion("accuracy", 0.932, at_least=0.95)
    assert "| 33.4 % | at most 30 % | missed by 3.4 points |" in criterion("thinking_ratio", 0.334, at_most=0.3)
    assert "| 61.5 | at most 60 | missed by 1.5 |" in criterion("core_minutes", 61.5, at_most=60.0)
    assert "The study names none." in study_page.page("few", changed(criteria=[]), PAGE)


def test_what_was_not_run_has_no_numbers() -> None:
    page = study_page.page("few", changed(evaluations=NUMBERS["evaluations"][:1], not_run=[]), PAGE)
    assert page.count("Not run.") == 1
    assert "Everything that the study names was run." in page
    alone = changed(
        comparisons=[],
        criteria=[],
        core_minutes={"z1": 31.25},
        by_difficulty={"z1": NUMBERS["by_difficulty"]["z1"]},
        by_kind={"z1": NUMBERS["by_kind"]["z1"]},
        curves={"z1": NUMBERS["curves"]["z1"]},
    )
    assert "long" not in study_page.page("few", alone, PAGE).replace("no longer", "")


def test_a_study_without_words_of_its_own_has_a_page_of_all_its_arms() -> None:
    page = study_page.page("few", NUMBERS, StudyPage())
    assert "problems of programs: z1 96.1" in page and "; long 96.5" in page
    assert "## Caveats\n\n- **Intervals**" in page


def test_sections_of_others_come_before_the_caveats() -> None:
    page = study_page.page("few", NUMBERS, PAGE, ["## Self-check\n\nNone."])
    assert "## Self-check\n\nNone.\n\n## Caveats" in page


def test_tables_are_whole() -> None:
    for block in study_page.page("few", NUMBERS, PAGE).split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1
