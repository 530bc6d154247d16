"""An interrupted evaluation loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from z1.benchmarks import get_benchmark
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.evaluate import Sweep, evaluate, read_attempts
from z1.evaluate.runner import ATTEMPTS
from z1.records import Attempt, Problem
from z1.runs import read_lines

PROBLEMS = [Problem(f"p{i}", f"q{i}?", str(i), "test", "", i) for i in range(12)]
REPLIES = {p.question: f"so {p.answer}\n\nThe final answer is \\boxed{{{p.answer}}}." for p in PROBLEMS}
SCRIPT = Script(REPLIES, dict.fromkeys(REPLIES, "0}."), "The final answer should be")


def setting(engine: ScriptedEngine) -> Sweep:
    return Sweep(engine, get_benchmark("programs"), (2, 50), 40)


def run(folder: Path, engine: ScriptedEngine, progress: object = None) -> None:
    folder.mkdir(exist_ok=True)
    reported = progress if callable(progress) else lambda attempts: None
    asyncio.run(evaluate(setting(engine), PROBLEMS, folder, 3, reported))


def keys(folder: Path) -> Counter[tuple[str, int | None, int]]:
    return Counter((a.problem, a.thinking_budget, a.sample) for a in read_lines(folder / ATTEMPTS, Attempt.from_json))


EVERY = Counter({(p.id, w, 0): 1 for p in PROBLEMS for w in (2, 50, None)})


def test_every_problem_is_answered_once_at_every_budget(tmp_path: Path) -> None:
    run(tmp_path, ScriptedEngine(SCRIPT))
    assert keys(tmp_path) == EVERY
    assert {a.verdict for a in read_attempts(tmp_path).values() if a.thinking_budget is None} == {"right"}


@pytest.mark.parametrize("dies_at", [1, 5, 11])
def test_a_run_that_was_stopped_does_the_rest_and_nothing_twice(tmp_path: Path, dies_at: int) -> None:
    done = 0

    def die(_: object) -> None:
        nonlocal done
        done += 1
        if done == dies_at:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        run(tmp_path, ScriptedEngine(SCRIPT), die)
    before = keys(tmp_path)
    assert dies_at * 3 <= before.total() < EVERY.total() or dies_at == 11
    reported: list[list[Attempt]] = []
    run(tmp_path, ScriptedEngine(SCRIPT), reported.append)
    assert keys(tmp_path) == EVERY
    assert len(reported) == len(PROBLEMS)


def test_a_torn_group_is_made_whole(tmp_path: Path) -> None:
    run(tmp_path, ScriptedEngine(SCRIPT))
    path = tmp_path / ATTEMPTS
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - len(data.splitlines()[-1]) // 2])
    run(tmp_path, ScriptedEngine(SCRIPT))
    assert keys(tmp_path) == EVERY


def test_a_missing_attempt_is_tried_again_and_the_last_one_counts(tmp_path: Path) -> None:
    def broken(context: object) -> int:
        raise EngineFault("gone")

    run(tmp_path, ScriptedEngine(broken))
    assert {a.verdict for a in read_attempts(tmp_path).values()} == {"missing"}
    run(tmp_path, ScriptedEngine(SCRIPT))
    assert {a.verdict for a in read_attempts(tmp_path).values() if a.thinking_budget is None} == {"right"}
    assert Counter(read_attempts(tmp_path).keys()) == EVERY


def test_samples_resume_and_each_is_written_once(tmp_path: Path) -> None:
    run(tmp_path, ScriptedEngine(SCRIPT))
    wanted = replace(setting(ScriptedEngine(SCRIPT)), samples=3)
    reported: list[list[Attempt]] = []
    asyncio.run(evaluate(wanted, PROBLEMS, tmp_path, 3, reported.append))
    assert keys(tmp_path) == Counter({(p, w, n): 1 for p, w, _ in EVERY for n in range(3)})
    assert [len(attempts) for attempts in reported].count(0) == len(PROBLEMS)
    assert len(reported) == 3 * len(PROBLEMS)


def test_no_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="problems to evaluate"):
        asyncio.run(evaluate(setting(ScriptedEngine(SCRIPT)), [], tmp_path, 3, lambda attempts: None))
