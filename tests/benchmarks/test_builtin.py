"""Built-in problems: no test problem is a training problem, and every prefix of the test is a fair sample."""

from __future__ import annotations

from collections import Counter
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from z1 import synthetic
from z1.benchmarks import builtin, get_benchmark
from z1.benchmarks.hub import NO_OPTIONS
from z1.records import Problem
from z1.synthetic.program_hash import hash_program, split_of
from z1.synthetic.trajectories import parse_source

PROPERTY = settings(max_examples=4, deadline=None, derandomize=True)
COUNT = 12
SEEDS = st.integers(0, 2)


@cache
def held_out(seed: int) -> tuple[Problem, ...]:
    return tuple(builtin.load(COUNT, seed))


@cache
def trained(seed: int) -> tuple[Problem, ...]:
    return tuple(item.problem for item in synthetic.collect(synthetic.DatasetRequest(COUNT, "train", 1, 12, seed)))


@given(test=SEEDS, train=SEEDS)
@PROPERTY
def test_no_test_problem_is_a_training_problem_whatever_the_seeds(test: int, train: int) -> None:
    assert not {problem.id for problem in held_out(test)} & {problem.id for problem in trained(train)}
    assert not {problem.question for problem in held_out(test)} & {problem.question for problem in trained(train)}


@given(seed=SEEDS)
@PROPERTY
def test_the_split_of_a_problem_follows_from_its_own_text(seed: int) -> None:
    """This makes the property hold for every seed and count, not only for those tested here."""
    for problems, side in ((held_out(seed), "test"), (trained(seed), "train")):
        for problem in problems:
            assert hash_program(parse_source(problem.question)) == problem.id
            assert split_of(problem.id, synthetic.TEST_SHARE) == side


def test_problems_are_distinct_and_spread_over_all_numbers_of_steps() -> None:
    found = held_out(0)
    assert len({problem.id for problem in found}) == len(found) == COUNT
    assert Counter(problem.steps for problem in found) == dict.fromkeys(range(1, 13), 1)


def test_easy_and_hard_problems_alternate() -> None:
    steps = [problem.steps for problem in builtin.load(24, 1)]
    assert steps == [*range(1, 13), *range(1, 13)]


def test_the_same_seed_gives_the_same_test_and_another_seed_another() -> None:
    assert tuple(builtin.load(COUNT, 2)) == held_out(2)
    assert {problem.id for problem in held_out(2)} != {problem.id for problem in held_out(0)}


def test_longer_programs_and_word_problems_are_of_the_test_split_too() -> None:
    longer, in_words = builtin.load_longer(8, 0), builtin.load_word_problems(12, 0)
    assert Counter(problem.steps for problem in longer) == dict.fromkeys(range(13, 17), 2)
    assert Counter(problem.steps for problem in in_words) == dict.fromkeys(range(1, 13), 1)
    assert all(split_of(problem.id, synthetic.TEST_SHARE) == "test" for problem in [*longer, *in_words])


def test_the_benchmark_table_uses_these_loaders() -> None:
    assert get_benchmark("programs-longer").load(8, 0, NO_OPTIONS) == builtin.load_longer(8, 0)
    assert get_benchmark("word-problems").load(12, 0, NO_OPTIONS) == builtin.load_word_problems(12, 0)
    assert get_benchmark("programs").load(COUNT, 0, NO_OPTIONS) == list(held_out(0))
