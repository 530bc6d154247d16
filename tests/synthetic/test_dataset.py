"""Distinct programs of one split, evenly over the steps, and the same ones however often the work was stopped."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.records import TrajectorySet
from z1.synthetic import TEST_SHARE, DatasetRequest, collect, trajectories
from z1.synthetic.program_hash import hash_program, split_of
from z1.synthetic.programs import generate
from z1.synthetic.tracer import trace
from z1.synthetic.trajectories import LEVELS

LAW = settings(max_examples=7, deadline=None, derandomize=True)
SMALL = DatasetRequest(24, "train", 1, 6, 5)
EACH = pytest.mark.parametrize("wanted", [SMALL, DatasetRequest(12, "test", 2, 5, 5)], ids=["train", "test"])


@cache
def collected(wanted: DatasetRequest) -> tuple[TrajectorySet, ...]:
    return tuple(collect(wanted))


def source_of(item: TrajectorySet) -> str:
    return trajectories.parse_source(item.problem.question)


@EACH
def test_every_program_is_another_one_and_of_the_wanted_split(wanted: DatasetRequest) -> None:
    names = [item.problem.id for item in collected(wanted)]
    assert len(set(names)) == len(names) == wanted.problems
    assert [hash_program(source_of(item)) for item in collected(wanted)] == names
    assert {split_of(name, TEST_SHARE) for name in names} == {wanted.split}


def looked_at_in_full(wanted: DatasetRequest) -> list[str]:
    """Identities of what is kept where every draw is run and written up before anything is refused."""
    kept: dict[str, int] = {}
    for index in range(5_000):
        _, source = generate(wanted.seed, index, wanted.kinds)
        name, found = hash_program(source), trace(source, wanted.max_steps)
        if found is None or len(found.steps) < wanted.min_steps or split_of(name, TEST_SHARE) != wanted.split:
            continue
        try:
            _ = [trajectories.write_thought(found, level) for level in LEVELS]
        except trajectories.OutOfRange:
            continue
        if name not in kept and list(kept.values()).count(len(found.steps)) < wanted.per_level:
            kept[name] = len(found.steps)
    return list(kept)[: wanted.problems]


@EACH
def test_what_is_refused_early_would_have_been_refused_in_the_end(wanted: DatasetRequest) -> None:
    assert looked_at_in_full(wanted) == [item.problem.id for item in collected(wanted)]


@EACH
def test_no_number_of_steps_has_more_than_its_share(wanted: DatasetRequest) -> None:
    levels = Counter(item.problem.steps for item in collected(wanted))
    assert set(levels) == set(range(wanted.min_steps, wanted.max_steps + 1))
    assert set(levels.values()) == {wanted.per_level}


@EACH
def test_a_problem_is_told_with_its_true_answer_steps_and_every_level(wanted: DatasetRequest) -> None:
    for item in collected(wanted):
        found = trace(source_of(item), wanted.max_steps)
        assert found is not None
        assert (item.problem.answer, item.problem.steps) == (found.printed, len(found.steps))
        assert tuple(item.thoughts) == LEVELS
        assert item.answer == f"The final answer is \\boxed{{{found.printed}}}."


def test_draws_go_up_and_are_kept_with_the_problem() -> None:
    draws = [item.index for item in collected(SMALL)]
    assert draws == sorted(set(draws))


@given(length=st.integers(0, SMALL.problems))
@LAW
def test_going_on_after_any_part_gives_what_was_missing_and_nothing_else(length: int) -> None:
    everything = collected(SMALL)
    assert tuple(collect(SMALL, everything[:length])) == everything[length:]


def test_another_seed_gives_other_problems_in_another_order() -> None:
    other = collected(DatasetRequest(24, "train", 1, 6, 6))
    assert [item.problem.id for item in other] != [item.problem.id for item in collected(SMALL)]


@pytest.mark.parametrize(("problems", "most", "per_level"), [(24, 6, 4), (25, 6, 5), (1, 6, 1), (12, 1, 12)])
def test_a_share_is_rounded_up_so_that_the_levels_together_suffice(problems: int, most: int, per_level: int) -> None:
    assert DatasetRequest(problems, "train", 1, most, 0).per_level == per_level


def test_a_level_that_has_too_few_programs_stays_short_and_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.synthetic.dataset.MIN_DRAWS", 0)
    found = list(collect(DatasetRequest(60, "test", 1, 1, 3)))
    assert 0 < len(found) < 60
    assert len({item.problem.id for item in found}) == len(found)


STORIES = DatasetRequest(16, "test", 3, 6, 5, "word-problems")


def test_stories_are_distinct_of_the_wanted_split_and_spread_over_the_steps() -> None:
    found = collected(STORIES)
    assert len({item.problem.id for item in found}) == len(found) == 16
    assert {split_of(item.problem.id, TEST_SHARE) for item in found} == {"test"}
    assert Counter(item.problem.steps for item in found) == dict.fromkeys(range(3, 7), 4)
    assert {(item.problem.origin, tuple(item.thoughts)) for item in found} == {("word-problems", LEVELS)}
    assert tuple(collect(STORIES, found[:7])) == found[7:]


def test_no_problem_has_no_step() -> None:
    assert list(collect(DatasetRequest(0, "train", 1, 3, 0))) == []
