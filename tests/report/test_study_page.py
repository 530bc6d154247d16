"""A study's page says the numbers that it was given, measures them against the bars, and makes nothing up."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from z1.report import study_page


def point(window: int | None, right: float, ids: float) -> dict[str, Any]:
    return {
        "window": window,
        "accuracy": [right - 0.01, right, right + 0.01],
        "thought": [ids - 1, ids, ids + 1],
        "paid": [ids + 9, ids + 10, ids + 11],
    }


def level(steps: int, right: float, ids: float) -> dict[str, Any]:
    return {**point(None, right, ids), "steps": steps, "n": 70 + steps}


NUMBERS: dict[str, Any] = {
    "command": "z1 study few.toml",
    "accuracy_z1": [0.956, 0.961, 0.966],
    "thinking_ratio": [0.271, 0.281, 0.292],
    "z1_against": {
        "long": {
            "difference": [-0.009, -0.004, 0.001],
            "thinking_ratio": [0.26, 0.27, 0.28],
            "thinking_ratio_on_curves": [0.271, 0.281, 0.292],
            "thinking_ratio_on_curves_within_1_point": [0.25, 0.255, 0.26],
        }
    },
    "second_look": {
        "long": {
            "checked": 4099,
            **{"first": [0.968, 0.9701, 0.972], "last": [0.962, 0.9661, 0.97], "mended": [0.001, 0.0023, 0.004]},
            **{
                "harmed": [0.005, 0.0063, 0.008],
                "gained": [-0.006, -0.0041, -0.002],
                "above_first": [-0.01, -0.0052, 0],
            },
        }
    },
    "core_minutes": {"z1": 31.25, "long": 32.5},
    "seeds": {"z1": [[0.9, 0.957, 0.97], [0.9, 0.965, 0.97]], "long": [[0.9, 0.966, 0.97]]},
    "by_difficulty": {
        "z1": [level(1, 0.97, 2.5), level(2, 0.913, 31.5)],
        "long": [level(1, 0.98, 41), level(2, 0.99, 82)],
    },
    "curves": {
        "z1": [{**point(16, 0.412, 12.5), "off": [0.11, 0.123, 0.14]}, point(None, 0.961, 40.5)],
        "long": [point(16, 0.105, 16), point(None, 0.965, 150)],
    },
    "evaluations": [
        {
            "arm": "z1",
            "benchmark": "word-problems",
            "profile": None,
            "free": {**point(None, 0.333, 51.5), "n": 1187},
            "after_a_forced_close": {"shifted": 0},
        },
        {
            "arm": "z1",
            "benchmark": "programs",
            "profile": "z1-tiny-bare",
            "free": {**point(None, 0.9, 50), "n": 600},
            "after_a_forced_close": {"shifted": 411, "leaks": [0.61, 0.622, 0.63], "loops": [0.01, 0.024, 0.03]},
        },
    ],
    "not_run": ["random, seed 1: programs"],
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(NUMBERS), **changes}


@pytest.mark.parametrize(
    "said",
    [
        *("96.1 [95.1, 97.1]", "0.281 [0.271, 0.292]", "0.255 [0.250, 0.260]", "-0.4 [-0.9, 0.1]", "95.7, 96.5"),
        *(
            "91.3",
            "31.5",
            "41.2",
            "12.3 [11.0, 14.0]",
            "33.3",
            "1187",
            "411",
            "62.2",
            "2.4",
            "32.5",
            "31.2",
            "random, seed 1: programs",
        ),
        *("4099", "97.0 [96.8, 97.2]", "96.6 [96.2, 97.0]", "0.2 [0.1, 0.4]", "0.6 [0.5, 0.8]", "-0.4 [-0.6, -0.2]"),
        "-0.5 [-1.0, 0.0]",
    ],
)
def test_every_number_is_on_the_page(said: str) -> None:
    assert said in study_page.page("few", NUMBERS)


def test_a_bar_is_met_or_missed_by_how_much() -> None:
    page = study_page.page("few", NUMBERS)
    assert page.count("| met |") == 4
    page = study_page.page("few", changed(accuracy_z1=[0.92, 0.932, 0.94]))
    assert "| 93.2 % | at least 95 % | missed by 1.8 points |" in page
    page = study_page.page("few", changed(thinking_ratio=[0.29, 0.31, 0.334]))
    assert "| 33.4 % | at most 30 % | missed by 3.4 points |" in page
    page = study_page.page("few", changed(core_minutes={"z1": 61.5, "long": 20.0}))
    assert "missed by 1.5 |" in page


def test_what_was_not_run_has_no_numbers() -> None:
    page = study_page.page("few", changed(evaluations=[], not_run=[]))
    assert page.count("Not run.") == 2
    assert "Everything that the study names was run." in page
    alone = changed(
        z1_against={},
        core_minutes={"z1": 31.25},
        by_difficulty={"z1": NUMBERS["by_difficulty"]["z1"]},
        curves={"z1": NUMBERS["curves"]["z1"]},
    )
    del alone["thinking_ratio"]
    assert "long's" not in study_page.page("few", alone).split("What is built in")[0]


def test_tables_are_whole() -> None:
    for block in study_page.page("few", NUMBERS).split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1
