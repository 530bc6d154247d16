"""The server's exit policy ends thoughts, watches what that changes, and stops when it is too much."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.serve.conftest import Served, serving
from tests.serve.runtime.test_shadow import counts_its_thought
from tests.serve.scripts import ASK
from z1.cli.serve import read_exit_policy
from z1.engines import Capabilities
from z1.engines.scripted import ScriptedEngine
from z1.errors import UserError
from z1.exit_policy import CalibratedPolicy, Combiner, ExitMinimums
from z1.serve.runtime import exit_watch
from z1.serve.runtime.exit_watch import ExitResult, ExitWatch
from z1.serve.runtime.service import ServerLimits

SURE = Combiner((0.0,) * 6 + (3.0,), 30.0)


def calibrated(every: int, risk: str = "changed_answer", **minimums: Any) -> CalibratedPolicy:
    return CalibratedPolicy("x", ExitMinimums(**minimums), every, 20, risk, 0.05, 0.95, "independent", 100, ({},))


def outcomes(server: Served) -> dict[str, float]:
    """The replies by outcome, in the metrics."""
    lines = server.get("/metrics").text.splitlines()
    found = (line.split('"') for line in lines if line.startswith("z1_exit_replies_total{"))
    return {parts[1]: float(parts[2].removeprefix("} ")) for parts in found}


def used(server: Served, **body: Any) -> tuple[int, str]:
    budget = server.post(**ASK, **body).json()["choices"][0]["budget"]
    return budget["used"], budget["reason"]


@pytest.mark.parametrize(
    "minimums",
    [{"agreeing": 1}, {"probability": 0.9}, {"combined": 0.9, "combiner": SURE}],
    ids=lambda one: next(iter(one)),
)
def test_thoughts_end_by_the_servers_policy_unless_the_request_has_its_own(minimums: dict[str, Any]) -> None:
    engine = ScriptedEngine(counts_its_thought)
    policy = calibrated(25, **minimums)
    with serving(engine, limits=ServerLimits(full_thought_share=0.0), exit_policy=policy) as server:
        assert used(server) == (25, "converged")
        assert used(server, policy={"repetition": True}) == (30, "natural")
        assert used(server, thinking_budget=10) == (10, "budget")
        assert used(server, thinking_budget=0)[0] == 0
        assert outcomes(server) == {"exited": 1, "whole": 1}
        text = server.get("/metrics").text
    assert (
        "z1_exit_alarm 0.0" in text and "z1_exit_net_saved_tokens -" in text
    )  # nothing is drawn, so only probes count


def test_an_alarm_ends_the_policy(tmp_path: Path) -> None:
    """After 8 tokens the answer is 8, in the end it is 20."""
    file = tmp_path / "exit-policy.json"
    file.write_text(json.dumps(calibrated(8, agreeing=1).as_json()))
    limits = ServerLimits(full_thought_share=1.0)
    with serving(ScriptedEngine(counts_its_thought), limits=limits, exit_policy=read_exit_policy(file)) as server:
        replies = 0
        while "suspended" not in outcomes(server):
            assert used(server) == (30, "natural")
            replies += 1
            assert replies < 40
        assert outcomes(server) == {"changed": replies - 1, "suspended": 1}
        text = server.get("/metrics").text
        assert "z1_exit_alarm 1.0" in text and "z1_exit_net_saved_tokens -" in text
        assert f'z1_exit_tokens_total{{kind="observed"}} {22.0 * (replies - 1)}' in text


@pytest.mark.parametrize(("every", "outcome"), [(25, "same"), (64, "unaffected")])
def test_what_changes_nothing_raises_no_alarm(every: int, outcome: str) -> None:
    limits = ServerLimits(full_thought_share=1.0)
    policy = calibrated(every, agreeing=1)
    with serving(ScriptedEngine(counts_its_thought), limits=limits, exit_policy=policy) as server:
        assert [used(server) for _ in range(3)] == [(30, "natural")] * 3
        assert outcomes(server) == {outcome: 3}


def test_of_a_session_one_reply_is_evidence() -> None:
    watch = ExitWatch(calibrated(8, agreeing=1), 1.0, lambda _: b"", lambda _: None)
    for _ in range(100):
        watch.add(ExitResult("changed", 30, 8, 5), "alice")
    assert not watch.monitor.alarm and watch.totals.drawn == 100
    for number in range(20):
        watch.add(ExitResult("changed", 30, 8, 5), f"bob {number}")
    assert watch.monitor.alarm


def test_the_oldest_session_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_watch, "MAX_SESSIONS", 3)
    watch = ExitWatch(calibrated(8, agreeing=1), 1.0, lambda _: b"", lambda _: None)
    for name in ("a", "b", "c", "b", "d"):
        watch.add(ExitResult("changed", 30, 8, 5), name)
    assert list(watch._sessions) == ["b", "c", "d"]


def test_savings_are_those_of_replies_that_were_not_drawn_less_all_probes() -> None:
    """A simulated stream: half of the thoughts end 20 tokens early, a tenth is drawn, each has 5 probe tokens."""
    watch, rng = ExitWatch(calibrated(8, agreeing=1), 0.1, lambda _: b"", lambda _: None), random.Random(0)
    saved = 0
    for _ in range(40_000):
        early, drawn = rng.random() < 0.5, rng.random() < 0.1
        saved += 20 * early * (not drawn) - 5
        at = 10 if early else 30
        if drawn:
            watch.add(ExitResult("same" if early else "unaffected", 30, at, 5), None)
        else:
            watch.add(ExitResult("exited" if early else "whole", at, at, 5), None)
    assert watch.totals.net_saved_tokens == pytest.approx(saved, rel=0.15)


class _WithoutForks(ScriptedEngine):
    capabilities = Capabilities(reuses_kv_cache=True, can_fork=False, is_deterministic=True)


class _WithoutLogprobs(ScriptedEngine):
    capabilities = Capabilities(reuses_kv_cache=True, can_fork=True, is_deterministic=True)


@pytest.mark.parametrize(
    ("engine", "policy", "message"),
    [
        (_WithoutForks, calibrated(8, agreeing=1), "cannot fork a session"),
        (_WithoutLogprobs, calibrated(8, probability=0.9), "has no log-probabilities"),
        (ScriptedEngine, calibrated(8, "lost_right", agreeing=1), "--full-thought-share 0"),
    ],
)
def test_what_cannot_be_kept_is_refused(engine: type[ScriptedEngine], policy: CalibratedPolicy, message: str) -> None:
    with pytest.raises(UserError, match=message), serving(engine(counts_its_thought), exit_policy=policy):
        pass
