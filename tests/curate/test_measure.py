"""What is lacking is found out, once, the cheap before the dear."""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from unittest import mock

import pytest

from z1.curate import measure, verification
from z1.curate.measure import MeasureSettings, lacking
from z1.curate.measure import measure as take
from z1.curate.plan import CuratePlan
from z1.curate.sources import Candidate
from z1.grading import Grade, Verdict
from z1.models import shipped


def wanted(**tables: Any) -> MeasureSettings:
    return MeasureSettings.of(CuratePlan.model_validate({"name": "x", "source": ({"path": "t.jsonl"},), **tables}))


def one(response: str, **fields: Any) -> Candidate:
    return Candidate("a", "a", "?", response, **fields)


def test_only_what_is_wanted_and_lacking_is_measured() -> None:
    assert take(wanted(check={"repetition": 1}), [one("a")]) == [{}]
    tokens = wanted(tokens={"tokenizer": str(shipped())})
    assert take(tokens, [one("1 2"), one("1 2", tokens=9)]) == [{"tokens": 3, "repetition": 0.0}, {"repetition": 0.0}]
    assert lacking(tokens, one("a")) and not lacking(tokens, one("a", tokens=1, repetition=0.0))


def test_tests_run_on_what_no_other_check_leaves_out() -> None:
    chosen = wanted(check={"tests": True, "longest": 10, "code": True})
    block = [one("```\na\n```", tests="t"), one("no code", tests="t"), one("```\nb\n```"), one("", tests="t")]
    block.append(one("```\na\n```", tests="t", verdict="wrong", fault="x"))
    with mock.patch.object(verification, "grades", lambda due: [Grade(Verdict.WRONG, str(len(due)))] * len(due)):
        found = take(chosen, block)
    assert [values.get("fault") for values in found] == ["1", None, None, None, None]
    assert [values["repetition"] for values in found] == [0.0] * 5


def test_signatures_are_measured_of_what_stays() -> None:
    pytest.importorskip("datasketch")
    chosen = wanted(duplicates={"near": 0.8, "permutations": 16}, check={"passed": True})
    stays, goes = take(chosen, [one("a b c", passed=True), one("a b c", passed=False)])
    assert len(b64decode(stays["minhash"])) == 4 * 16 and "minhash" not in goes


def test_names_say_by_what_a_value_was_measured() -> None:
    plain, other = wanted(), wanted(tokens={"tokenizer": str(shipped())}, duplicates={"permutations": 16})
    assert "tokens" not in plain.names() and other.names()["tokens"].startswith("tokens ")
    assert plain.names()["minhash"] != other.names()["minhash"]
    assert plain.names()["minhash"] == wanted(duplicates={"near": 0.5}).names()["minhash"]
    assert set(other.names()) <= set(Candidate.__dataclass_fields__)


def test_every_step_measures_what_it_asks_for() -> None:
    assert [step.take.__name__ for step in measure.STEPS] == ["_tokens", "_repetition", "_verdict", "_minhash"]
