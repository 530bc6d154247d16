"""Minimums, signals and the file of a calibrated policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.runtime.test_exit_watch import calibrated
from z1.cli.serve import read_exit_policy
from z1.errors import UserError
from z1.exit_policy import FEATURES, POLICIES, AnswerConfidence, Combiner, ProbeHistory, features

PROBED = st.lists(st.tuples(st.sampled_from(["", "1", "2"]), st.floats(0, 1)), max_size=12)


@given(PROBED)
def test_a_more_aggressive_exit_is_never_later(probes: list[tuple[str, float]]) -> None:
    """Of the policies with a fixed order; and no exit has an empty answer."""
    history = ProbeHistory()
    signals = [history.add(8 * n, answer, AnswerConfidence(p, p, 1 - p)) for n, (answer, p) in enumerate(probes)]
    for name in ("agreement", "confidence"):
        exits = [next((n for n, one in enumerate(signals) if least.are_met(one)), 99) for least in POLICIES[name]]
        assert exits == sorted(exits, reverse=True)
        assert all(probes[at][0] for at in exits if at < 99)


@given(PROBED)
def test_signals_count_equal_answers_and_the_change_of_the_probability(probes: list[tuple[str, float]]) -> None:
    history, last = ProbeHistory(), 0.0
    for number, (answer, p) in enumerate(probes):
        found = history.add(number, answer, AnswerConfidence(p, p, 1 - p))
        same = [one for one, _ in probes[: number + 1]][::-1]
        expected = next((n for n, one in enumerate(same) if one != answer), len(same)) if answer else 0
        assert (found.agreeing, found.slope) == (expected, p - last)
        last = p
        assert len(features(found, 10.0)) == len(FEATURES)
        assert 0 <= Combiner((1e6,) * 7, 10.0).score(found) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "z1 exit policy 9"}, "give a file of 'z1 exit policy 1' that z1 calibrate wrote"),
        ({"every": 0}, "write it again with z1 calibrate"),
        ({"max_risk": 5}, "write it again with z1 calibrate"),
        ({"minimums": {}}, "write it again with z1 calibrate"),
        ({"minimums": {"combined": 0.9, "combiner": {"weights": [1], "mean_thought": 2}}}, "1 weights for 6 features"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "exit-policy.json"
    file.write_text(json.dumps(calibrated(8, agreeing=1).as_json() | change))
    with pytest.raises(UserError, match=message):
        read_exit_policy(file)
