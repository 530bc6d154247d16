"""An interrupted evaluation loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.grading.test_verdict import fault
from z1.benchmarks import get_benchmark
from z1.engines import Sampling
from z1.engines.scripted import Script, ScriptedEngine, ScriptedSession
from z1.errors import EngineFault, UserError
from z1.evaluate import Sweep, count_finished, curve, evaluate, read_attempts
from z1.evaluate.runner import ATTEMPTS
from z1.grading import Grade, Verdict
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
    finished = count_finished(setting(ScriptedEngine(SCRIPT)), PROBLEMS, tmp_path)
    assert finished == before.total() / 3
    reported: list[list[Attempt]] = []
    run(tmp_path, ScriptedEngine(SCRIPT), reported.append)
    assert keys(tmp_path) == EVERY
    assert len(reported) == len(PROBLEMS) - finished and all(reported)


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
    assert count_finished(wanted, PROBLEMS, tmp_path) == len(PROBLEMS)
    reported: list[list[Attempt]] = []
    asyncio.run(evaluate(wanted, PROBLEMS, tmp_path, 3, reported.append))
    assert keys(tmp_path) == Counter({(p, w, n): 1 for p, w, _ in EVERY for n in range(3)})
    assert len(reported) == 2 * len(PROBLEMS) and all(reported)


class Faulty:
    """A grader that fails at random for some problems, and a count of its calls."""

    def __init__(self, faulty: set[str]) -> None:
        self.faulty, self.calls, self._rng = faulty, 0, random.Random(1)

    def __call__(self, text: str, problem: Problem, cut: bool) -> Grade:
        self.calls += 1
        return fault(self._rng)() if problem.id in self.faulty else Grade(Verdict.RIGHT, "\ud800")


class Counting(ScriptedEngine):
    """Counts the sessions that are opened."""

    opened = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        self.opened += 1
        return await super().open(prompt, sampling)


def test_400_faults_of_a_grader_are_400_missing_attempts_and_a_run_that_finishes_and_resumes(tmp_path: Path) -> None:
    problems = [Problem(f"p{n}", f"q{n % 12}?", str(n), "test") for n in range(220)]
    grader = Faulty({problem.id for problem in problems[:200]})
    benchmark = replace(get_benchmark("programs"), grade=grader)
    engine = Counting(SCRIPT)
    sweep = Sweep(engine, benchmark, (2,), 40)
    asyncio.run(evaluate(sweep, problems, tmp_path, 8, lambda _: None))
    attempts = read_attempts(tmp_path)
    missing = [attempt for attempt in attempts.values() if attempt.verdict == Verdict.MISSING]
    assert len(missing) == 400
    assert all(attempt.fault.startswith("the grader failed: ") and attempt.token_ids for attempt in missing)
    numbers = curve(problems, attempts.values(), {"run": "", "model": "", "benchmark": ""})
    assert [(point["n"], point["missing"]) for point in numbers["points"]] == [(20, 200), (20, 200)]

    before, opened, calls = (tmp_path / ATTEMPTS).read_bytes(), engine.opened, grader.calls
    asyncio.run(evaluate(sweep, problems, tmp_path, 8, lambda _: None))
    assert len(read_attempts(tmp_path)) == 440
    assert grader.calls == calls + 400  # what is missing is graded again
    assert engine.opened == opened  # and no reply is generated again
    grader.faulty.clear()
    asyncio.run(evaluate(sweep, problems, tmp_path, 8, lambda _: None))
    after = read_attempts(tmp_path)
    assert {attempt.verdict for attempt in after.values()} == {"right"}
    assert {key: one.token_ids for key, one in after.items()} == {key: one.token_ids for key, one in attempts.items()}
    assert (tmp_path / ATTEMPTS).read_bytes().startswith(before)
    asyncio.run(evaluate(sweep, problems, tmp_path, 8, lambda _: None))
    assert (engine.opened, len(read_attempts(tmp_path))) == (opened, 440)


def test_a_verdict_that_utf8_cannot_hold_is_written(tmp_path: Path) -> None:
    sweep = replace(setting(ScriptedEngine(SCRIPT)), benchmark=replace(get_benchmark("programs"), grade=Faulty(set())))
    asyncio.run(evaluate(sweep, PROBLEMS, tmp_path, 3, lambda _: None))
    assert {(a.verdict, a.fault) for a in read_attempts(tmp_path).values()} == {("right", r"\ud800")}


@pytest.mark.parametrize("question", ["x" * 5000, "  "], ids=["too long", "empty"])
def test_a_prompt_that_cannot_be_answered_is_a_missing_attempt(tmp_path: Path, question: str) -> None:
    engine = ScriptedEngine(SCRIPT, max_model_len=2048)
    problems = [*PROBLEMS[:2], Problem("odd", question, "1", "test")]
    for _ in range(2):
        asyncio.run(evaluate(setting(engine), problems, tmp_path, 3, lambda _: None))
        by_problem = Counter((a.problem, a.verdict) for a in read_attempts(tmp_path).values() if a.problem == "odd")
        assert by_problem == {("odd", "missing"): 3}
    assert {a.verdict for a in read_attempts(tmp_path).values() if a.problem == "p0"} == {"right", "unparsed"}
    assert "prompt" in next(a.fault for a in read_attempts(tmp_path).values() if a.problem == "odd")


def test_no_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="problems to evaluate"):
        asyncio.run(evaluate(setting(ScriptedEngine(SCRIPT)), [], tmp_path, 3, lambda attempts: None))
