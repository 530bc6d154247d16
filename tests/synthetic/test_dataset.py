"""Distinct programs of one split, evenly spread over the steps, and the same ones after any interruption."""

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

PROPERTY = settings(max_examples=7, deadline=None, derandomize=True)
SMALL = DatasetRequest(24, "train", 1, 6, 5)
EACH = pytest.mark.parametrize("spec", [SMALL, DatasetRequest(12, "test", 2, 5, 5)], ids=["train", "test"])


@cache
def collected(spec: DatasetRequest) -> tuple[TrajectorySet, ...]:
    return tuple(collect(spec))


def source_of(item: TrajectorySet) -> str:
    return trajectories.parse_source(item.problem.question)


@EACH
def test_programs_are_distinct_and_of_the_requested_split(spec: DatasetRequest) -> None:
    names = [item.problem.id for item in collected(spec)]
    assert len(set(names)) == len(names) == spec.problems
    assert [hash_program(source_of(item)) for item in collected(spec)] == names
    assert {split_of(name, TEST_SHARE) for name in names} == {spec.split}


def collected_without_early_rejection(spec: DatasetRequest) -> list[str]:
    """Hashes of the collected programs if every candidate is run and written up before it is rejected."""
    found_steps: dict[str, int] = {}
    for index in range(5_000):
        _, source = generate(spec.seed, index, spec.kinds)
        name, found = hash_program(source), trace(source, spec.max_steps)
        if found is None or len(found.steps) < spec.min_steps or split_of(name, TEST_SHARE) != spec.split:
            continue
        try:
            _ = [trajectories.write_thought(found, level) for level in LEVELS]
        except trajectories.OutOfRange:
            continue
        if name not in found_steps and list(found_steps.values()).count(len(found.steps)) < spec.per_level:
            found_steps[name] = len(found.steps)
    return list(found_steps)[: spec.problems]


@EACH
def test_early_rejection_does_not_change_the_result(spec: DatasetRequest) -> None:
    assert collected_without_early_rejection(spec) == [item.problem.id for item in collected(spec)]


@EACH
def test_no_number_of_steps_has_more_than_its_share(spec: DatasetRequest) -> None:
    levels = Counter(item.problem.steps for item in collected(spec))
    assert set(levels) == set(range(spec.min_steps, spec.max_steps + 1))
    assert set(levels.values()) == {spec.per_level}


@EACH
def test_a_problem_has_its_true_answer_its_steps_and_every_level(spec: DatasetRequest) -> None:
    for item in collected(spec):
        found = trace(source_of(item), spec.max_steps)
        assert found is not None
        assert (item.problem.answer, item.problem.steps) == (found.printed, len(found.steps))
        assert tuple(item.thoughts) == LEVELS
        assert item.answer == f"The final answer is \\boxed{{{found.printed}}}."


def test_indices_increase_and_are_stored_with_the_problem() -> None:
    draws = [item.index for item in collected(SMALL)]
    assert draws == sorted(set(draws))


@given(length=st.integers(0, SMALL.problems))
@PROPERTY
def test_resuming_after_any_prefix_gives_exactly_the_rest(length: int) -> None:
    everything = collected(SMALL)
    assert tuple(collect(SMALL, everything[:length])) == everything[length:]


def test_another_seed_gives_other_problems_in_another_order() -> None:
    other = collected(DatasetRequest(24, "train", 1, 6, 6))
    assert [item.problem.id for item in other] != [item.problem.id for item in collected(SMALL)]


@pytest.mark.parametrize(("problems", "most", "per_level"), [(24, 6, 4), (25, 6, 5), (1, 6, 1), (12, 1, 12)])
def test_the_share_of_a_level_is_rounded_up(problems: int, most: int, per_level: int) -> None:
    assert DatasetRequest(problems, "train", 1, most, 0).per_level == per_level


def test_a_level_with_too_few_programs_is_not_filled_by_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.synthetic.dataset.MIN_DRAWS", 0)
    found = list(collect(DatasetRequest(60, "test", 1, 1, 3)))
    assert 0 < len(found) < 60
    assert len({item.problem.id for item in found}) == len(found)


WORD_PROBLEMS = DatasetRequest(16, "test", 3, 6, 5, "word-problems")


def test_word_problems_are_distinct_of_the_requested_split_and_spread_over_the_steps() -> None:
    found = collected(WORD_PROBLEMS)
    assert len({item.problem.id for item in found}) == len(found) == 16
    assert {split_of(item.problem.id, TEST_SHARE) for item in found} == {"test"}
    assert Counter(item.problem.steps for item in found) == dict.fromkeys(range(3, 7), 4)
    assert {(item.problem.origin, tuple(item.thoughts)) for item in found} == {("word-problems", LEVELS)}
    assert tuple(collect(WORD_PROBLEMS, found[:7])) == found[7:]


def test_a_request_for_no_problems_gives_none() -> None:
    assert list(collect(DatasetRequest(0, "train", 1, 3, 0))) == []
