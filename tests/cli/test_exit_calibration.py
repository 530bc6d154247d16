"""`z1 calibrate` bounds exit policies and writes one for the server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_calibrate import run_in
from tests.evaluate.test_calibrate import attempts
from z1.cli import calibrate
from z1.exit_policy import CalibratedPolicy
from z1.runs import read_json, write_lines


def probed_run(folder: Path, count: int) -> Path:
    """A run in which the answer after 10 tokens is sure and final, though it is right after 20 only."""
    run_in(folder, (0, 10, 20, None))
    made = [
        replace(one, spans=[["answer", 0, 0]], texts=["\\boxed{7}"])
        for one in attempts([20] * count, (0, 10, 20, None))
    ]
    sure = {"probability": 0.97, "margin": 0.95, "entropy": 0.1}
    forced = [
        replace(one, shift="budget", answer_confidence=sure) if one.thinking_budget == 10 else one for one in made
    ]
    write_lines(folder / "attempts.jsonl", (one.as_json() for one in forced))
    return folder


def test_bounds_are_a_table_and_a_file_that_the_server_reads(tmp_path: Path) -> None:
    folder = probed_run(tmp_path / "evaluate-1", 160)
    arguments = [str(folder), "--max-changed-answer", "0.05", "--max-lost-right", "0.05"]
    text = CliRunner().invoke(calibrate.app, arguments).output
    words = " ".join(text.split())
    assert "changed_answer at most 5.0% at confidence 95%" in words and "all rows hold together" in words, text
    rows = read_json(folder / "calibration.json")["exit_bounds"]
    assert [(one["policy"], one["problems"], one["set_aside"]) for one in rows] == [
        ("agreement", 160, 0), ("confidence", 160, 0), ("both", 96, 64), ("combined", 96, 64),
    ] * 2  # fmt: skip
    assert {one["limit"]["confidence"] for one in rows} == {0.9875}
    assert [one["exited"] for one in rows[:4]] == [0.0] * 4  # every exit loses a right answer
    file = folder / "exit-policy-changed_answer.json"
    assert f"z1 serve MODEL --exit-policy {file}" in text and "exit-policy-lost_right" not in text
    policy = CalibratedPolicy.from_json(read_json(file), "x")
    assert (policy.every, policy.confidence, policy.risk) == (10, 0.95, "changed_answer")
    assert policy.minimums.can_exit and policy.runs[0]["run"] == "tiny evaluate-1"
    assert policy.as_json() == read_json(file) | {"runs": policy.runs}


def test_one_policy_is_bounded_at_the_whole_confidence(tmp_path: Path) -> None:
    folder = probed_run(tmp_path / "evaluate-1", 99)
    arguments = [str(folder), "--max-changed-answer", "0.05", "--exit-policy", "combined", "--json"]
    result = CliRunner().invoke(calibrate.app, arguments)
    (row,) = json.loads(result.output)["exit_bounds"]
    assert (row["problems"], row["set_aside"], row["limit"]["confidence"]) == (61, 38, 0.95)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-changed-answer", "0.05"], "problems to calibrate on: got 40; give 59 or more"),
        (["--max-changed-answer", "0.05", "--exit-policy", "sure"], "exit policy: got sure; choose one of agreement"),
        (["--max-changed-answer", "0.05", "--exit-policy", "both"], "no probabilities of forced answers"),
        (["--max-changed-answer", "0.05", "--clusters", "clusters.json"], "clusters.json"),
    ],
)
def test_a_bound_that_cannot_be_shown_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    folder = run_in(tmp_path / "evaluate-1", (0, 10, 20, None))
    result = CliRunner().invoke(calibrate.app, [str(folder), *arguments])
    assert message in str(result.exception)
    assert not (folder / "calibration.json").exists()
