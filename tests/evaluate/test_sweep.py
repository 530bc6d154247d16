"""A sweep equals one run per budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from z1 import profiles
from z1.benchmarks import Benchmark, get_benchmark
from z1.engines import DriverOptions, Sampling, run_flow
from z1.engines.scripted import Script, ScriptedEngine, ScriptedSession
from z1.errors import EngineFault
from z1.evaluate.sweep import Sweep, make_sweep, sweep_problem
from z1.generation import Steering
from z1.profiles import Profile
from z1.recipe import EvaluateSettings
from z1.records import Problem
from z1.think import Flow

HINT = "".join((profiles.PROFILES["z1-tiny"].hint, profiles.PROFILES["z1-tiny"].answer_prefix))
REPLY = "a = 3\nb = 4\n\nThe final answer is \\boxed{4}."
PROBLEM = Problem("p1", "what?", "4", "test", "", 2)
WINDOWS = (0, 1, 5, 12, 13, 14, 25, 31, 32, 33, 60)


def engine(reply: str = REPLY, answer: str = "9}.") -> ScriptedEngine:
    return ScriptedEngine(Script({"what?": reply}, {"what?": answer}, "The final answer is \\boxed{"))


def setting(made: ScriptedEngine, answer: int = 40) -> Sweep:
    return Sweep(made, get_benchmark("programs"), WINDOWS, answer, "t0")


async def alone(made: ScriptedEngine, thinking: int | None, answer: int) -> Flow:
    profile, tokens = profiles.get_profile("z1-tiny"), made.tokenizer
    session = await made.open(tokens.encode("what?"), Sampling(profiles.stop_token_ids(tokens, profile)))
    window = profiles.make_window(tokens, profile, thinking, answer)
    return await run_flow(
        Flow(window, session.free_tokens, detects_answer=True),
        session,
        DriverOptions(profiles.make_detector(tokens, profile)),
    )


class Hinted:
    """Answers a hint with 9 and otherwise replays; the natural reply holds the hint's prefix, so the script tells
    apart.
    """

    def __call__(self, context: list[int]) -> int:
        text = "".join(map(chr, context)).removeprefix("what?")
        forced = not REPLY.startswith(text)
        tail = text.rpartition("\\boxed{")[2] if forced else text
        whole = "9}." if forced else REPLY
        return ord(whole[len(tail)]) if len(tail) < len(whole) else 3


@pytest.mark.parametrize("answer", [40, 9, 3])
def test_every_row_is_that_of_a_run_of_its_own(answer: int) -> None:
    made = ScriptedEngine(Hinted())  # type: ignore[arg-type]
    rows = asyncio.run(sweep_problem(setting(made, answer), PROBLEM))
    assert [row.thinking_budget for row in rows] == [*WINDOWS, None]
    for row in rows:
        flow = asyncio.run(alone(ScriptedEngine(Hinted()), row.thinking_budget, answer))  # type: ignore[arg-type]
        assert row.token_ids == flow.token_ids, row.thinking_budget
        assert (row.end, row.shift) == (flow.end, flow.shift_reason), row.thinking_budget
        assert row.ledger["thought"] == flow.ledger().thought
        assert row.ledger["answer"] == flow.ledger().answer


def test_a_forced_answer_is_graded_with_the_prefix_that_was_forced() -> None:
    rows = {row.thinking_budget: row for row in asyncio.run(sweep_problem(setting(ScriptedEngine(Hinted())), PROBLEM))}  # type: ignore[arg-type]
    assert rows[5].texts[-3:] == [HINT, "9}.", "\x03"]
    assert (rows[5].verdict, rows[5].shift) == ("wrong", "budget")
    assert (rows[None].verdict, rows[None].shift) == ("right", "natural")


def test_an_answer_that_is_cut_is_cut_and_not_wrong() -> None:
    rows = asyncio.run(sweep_problem(setting(ScriptedEngine(Hinted()), 1), PROBLEM))  # type: ignore[arg-type]
    assert {row.verdict for row in rows} == {"cut"}


def test_a_reply_without_an_answer_is_unparsed() -> None:
    free = asyncio.run(sweep_problem(setting(engine(reply="I do not know.")), PROBLEM))[-1]
    assert (free.verdict, free.end) == ("unparsed", "stop")
    assert free.ledger["answer"] is None


def test_an_engine_fault_is_missing_at_every_budget() -> None:
    def broken(_: object) -> int:
        raise EngineFault("the power went")

    rows = asyncio.run(sweep_problem(setting(ScriptedEngine(broken)), PROBLEM))
    assert {(row.verdict, row.fault) for row in rows} == {("missing", "the power went")}
    assert [row.thinking_budget for row in rows] == [*WINDOWS, None]


def test_a_model_with_think_tags_closes_its_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = Profile("tagged", think_end="</t>", hint="</t>", no_thinking_hint="</t>", stop_tokens=())
    monkeypatch.setitem(profiles.PROFILES, "tagged", tagged)
    made = ScriptedEngine(Script({"what?": "hm</t>\\boxed{4}"}, {}, ""), profile="tagged")
    rows = asyncio.run(sweep_problem(replace(setting(made), thinking_budgets=(4, 8)), PROBLEM))
    assert [row.shift for row in rows] == ["budget", "natural", "natural"]
    assert rows[-1].ledger["close"] == 4
    assert rows[-1].verdict == "right"


def test_the_grader_is_the_benchmarks() -> None:
    asked: list[str] = []
    programs = get_benchmark("programs")

    def grade(text: str, problem: Problem, cut: bool) -> object:
        asked.append(text)
        return programs.grade(text, problem, cut)

    spying = Benchmark("spy", programs.load, grade, "", "")  # type: ignore[arg-type]
    made = ScriptedEngine(Hinted())  # type: ignore[arg-type]
    asyncio.run(sweep_problem(replace(setting(made), benchmark=spying, thinking_budgets=()), PROBLEM))
    assert asked == ["The final answer is \\boxed{4}."]


def test_separate_runs_give_the_same_rows() -> None:
    made = ScriptedEngine(Hinted())  # type: ignore[arg-type]
    once, apart = (
        asyncio.run(sweep_problem(replace(setting(made), separate_runs=way), PROBLEM)) for way in (False, True)
    )
    assert any(one.answer_confidence for one in once)  # of answers on forks, which separate runs do not have
    assert [replace(one, answer_confidence=None) for one in once] == apart


LOOP = "First a = 3. Then b = 4.\n" + "So again: b = a + 1.\n" * 20
SENTENCES = "".join(f"Line {n} has a value.\n" for n in range(20)) + "\nThe final answer is \\boxed{4}."


@pytest.mark.parametrize("reply", [LOOP, REPLY])
def test_a_loop_ends_a_shared_thought_where_it_ends_that_of_a_run_of_its_own(reply: str) -> None:
    budgets = (5, 64, *range(100, 200, 9), 500)
    whole = replace(setting(engine(reply)), thinking_budgets=budgets, steering=Steering(repetition=True))
    once, apart = (asyncio.run(sweep_problem(replace(whole, separate_runs=way), PROBLEM)) for way in (False, True))
    assert [replace(one, answer_confidence=None) for one in once] == apart
    shifts = {one.thinking_budget: one.shift for one in once}
    assert shifts[5] == "budget" and shifts[500] == shifts[None] == ("repetition" if reply == LOOP else "natural")
    assert all(one.verdict == "wrong" for one in once if one.shift == "repetition")


def test_a_soft_landing_ends_each_thought_at_a_border_within_the_grace_tokens() -> None:
    whole = replace(setting(engine(SENTENCES)), thinking_budgets=(50, 100, 150), separate_runs=True)
    landing = replace(whole, steering=Steering(grace_tokens=30))
    hard, soft = (asyncio.run(sweep_problem(one, PROBLEM)) for one in (whole, landing))
    thoughts = {one.thinking_budget or 0: one.texts[0] for one in soft if one.shift == "budget"}
    assert set(thoughts) == {50, 100, 150}
    for budget, thought in thoughts.items():
        assert budget - 30 <= len(thought) <= budget and thought.rstrip().endswith(".")
    assert [one.ledger["thought"] for one in hard][:3] == [50, 100, 150]
    assert hard[-1] == soft[-1]


def test_the_table_of_a_recipe_is_a_sweep() -> None:
    table = {"problems": 3, "thinking_budgets": (4, 2), "max_answer_tokens": 8, "prompt": "Briefly: {question}"}
    plain = make_sweep(EvaluateSettings.model_validate(table), 7, engine(), "t0")
    assert (plain.budgets, plain.samples, plain.max_answer_tokens, plain.tokenizer_hash) == ((2, 4, None), 1, 8, "t0")
    assert plain.sampling == Sampling(seed=7) and plain.steering == Steering() and not plain.separate_runs
    assert plain.benchmark.messages(PROBLEM)[-1]["content"] == "Briefly: what?"
    more = {"separate_runs": True, "repetition": True, "soft_tokens": 5, "grace_tokens": 6}
    sampled = {"sampling": {"samples": 4, "temperature": 0.6}}
    found = make_sweep(EvaluateSettings.model_validate(table | more | sampled), 7, engine())
    assert found.separate_runs and found.steering == Steering(True, 0, 5, 6)
    assert (found.samples, found.sampling) == (4, Sampling(temperature=0.6, seed=7))


class Noting(ScriptedEngine):
    """Keeps how each session was to be sampled."""

    def __init__(self) -> None:
        super().__init__(Hinted())  # type: ignore[arg-type]
        self.asked: list[Sampling] = []

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        self.asked.append(sampling)
        return await super().open(prompt, sampling)


def test_sample_keys_differ_by_problem_and_are_stable() -> None:
    made = Noting()
    heat = Sampling(temperature=0.7, top_p=0.9, seed=5)
    other = replace(PROBLEM, id="p2")
    for problem, sample in ((PROBLEM, 0), (PROBLEM, 1), (other, 0), (PROBLEM, 0)):
        rows = asyncio.run(sweep_problem(replace(setting(made), sampling=heat), problem, sample))
        assert {row.sample for row in rows} == {sample}
    assert {(one.temperature, one.top_p, one.seed) for one in made.asked} == {(0.7, 0.9, 5)}
    first, second, third, again = (one.sample for one in made.asked)
    assert len({first, second, third}) == 3
    assert first == again
    assert all(0 <= one.sample < 2**31 and one.stop_token_ids for one in made.asked)
