"""Rules on recorded probes: budgets, agreement and confidence, scored without a model."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from z1.errors import UserError
from z1.evaluate.exit_bounds import RiskLimit, policy_bound
from z1.evaluate.recorded import read_traces, recorded_thoughts, score

PROBES = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "gemma4_gpqa_probes.jsonl.gz"


def trace(number: int, predictions: str, gold: str = "D", p: float = 0.5) -> dict[str, Any]:
    probes = [
        {"tokens": 100 * at, "prediction": letter, "right": letter == gold, "p": {letter: p}}
        for at, letter in enumerate(predictions)
    ]
    return {"id": f"t{number}", "answer": gold, "probes": probes}


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "traces.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_every_rule_ends_where_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, [trace(1, "AABBD"), trace(2, "DDDDD", p=0.97), trace(3, "ABCAD")])
    rows = {row.rule: row for row in score(read_traces(path), (0, 250))}
    assert rows["budget 250"].thinking_tokens[1] == 200 and rows["budget 0"].accuracy[1] == pytest.approx(1 / 3)
    assert rows["2 equal answers"].thinking_tokens[1] == pytest.approx((100 + 100 + 400) / 3)
    assert rows["2 equal answers"].probes == pytest.approx((2 + 2 + 5) / 3)
    assert rows["2 equal answers"].exited == pytest.approx(2 / 3)
    assert rows["probability 0.95"].thinking_tokens[1] == pytest.approx((400 + 0 + 400) / 3)
    whole = rows["whole thought"]
    assert (whole.accuracy[1], whole.thinking_tokens_saved[1], whole.exited) == (1, 0, 0)


def test_shares_are_of_the_mass_of_all_options(tmp_path: Path) -> None:
    """At first the options have a tenth of the probability; D is nearly all of it."""
    row = trace(1, "ADDD")
    for probe, p in zip(row["probes"], [(0.09, 0.0), (0.01, 0.09), (0.3, 0.4), (0.02, 0.97)], strict=True):
        probe["p"] = {"A": p[0], "D": p[1]}
    rows = {one.rule: one.thinking_tokens[1] for one in score(read_traces(written(tmp_path, [row])), ())}
    assert (rows["share 0.9"], rows["mass 0.5, share 0.95"]) == (0, 300)
    assert (rows["probability 0.9"], rows["probability 0.99"], rows["margin 0.9"]) == (300, 300, 300)
    assert (rows["entropy 0.1"], rows["2 equal answers, probability 0.95"]) == (0, 300)
    earlier = score(read_traces(written(tmp_path, [row])), (), 0.7)
    assert {one.thinking_tokens[1] for one in earlier if one.rule == "whole thought"} == {200}


def test_recorded_traces_have_bounds_too(tmp_path: Path) -> None:
    """A fifth of the traces changes its answer after two equal ones; none after three."""
    rows = [trace(n, "AAADD" if n % 5 == 0 else "DDDDD", "D" if n % 10 else "A") for n in range(100)]
    traces = read_traces(written(tmp_path, rows))
    for risk, expected in (("changed_answer", 4), ("lost_right", 4)):
        found = policy_bound("agreement", recorded_thoughts(traces, risk), RiskLimit(risk, 0.05, 0.95))
        assert found.minimums is not None and found.minimums.agreeing == expected
    gained = [one.losses for one in recorded_thoughts(traces, "lost_right")]
    assert gained[0] == (0.0,) * 4 and gained[5] == (1.0, 1.0, 1.0, 0.0)  # the whole thought of t0 is wrong


def test_confidence_needs_probabilities(tmp_path: Path) -> None:
    rows = [trace(1, "AD")]
    del rows[0]["probes"][1]["p"]
    assert not any(row.rule.startswith("probability") for row in score(read_traces(written(tmp_path, rows)), ()))


DESCENDING = [{"tokens": tokens, "prediction": "A", "right": True} for tokens in (5, 1)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "t1"}, "probes"),
        ({"id": "t1", "probes": [{"tokens": 1}]}, "prediction"),
        ({"id": "t1", "probes": DESCENDING}, "ascending"),
    ],
)
def test_a_row_that_is_no_trace(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"row 1.*{said}"):
        read_traces(written(tmp_path, [row]))


def test_golds_that_give_the_answer_away_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the right option at D in all 12 rows"):
        read_traces(written(tmp_path, [trace(number, "AD") for number in range(12)]))


@pytest.mark.skipif(not PROBES.exists(), reason="needs the recorded probes of GPQA")
def test_the_recorded_probes_of_gpqa() -> None:
    rows = {row.rule: row for row in score(read_traces(PROBES), (2048,))}
    assert rows["whole thought"].traces == 198 and rows["whole thought"].accuracy[1] == pytest.approx(111 / 198)
    assert rows["probability 0.95"].thinking_tokens_saved[0] > 2000
    assert rows["probability 0.95"].accuracy_difference[2] > 0 > rows["probability 0.95"].accuracy_difference[0]
