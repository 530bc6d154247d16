"""Test problems of the built-in synthetic task: programs and word problems.

Problems of the test split (by program hash, see `synthetic/program_hash.py`), which no training set contains,
regardless of its seed. They are spread evenly over the numbers of steps, and easy and hard ones alternate, so that any
prefix is a fair sample. 1 to 12 steps are those of training; 13 to 16 are longer than any program in training.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import chain, zip_longest

from z1 import synthetic
from z1.benchmarks.hub import NO_OPTIONS, LoadOptions
from z1.records import Problem

MIN_STEPS, MAX_STEPS, MAX_LONGER_STEPS = 1, 12, 16


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` programs of 1 to 12 steps, or fewer if `seed` generates fewer."""
    return list(_alternate_difficulty(synthetic.DatasetRequest(count, "test", MIN_STEPS, MAX_STEPS, seed)))


def load_longer(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` programs of 13 to 16 steps."""
    return list(_alternate_difficulty(synthetic.DatasetRequest(count, "test", MAX_STEPS + 1, MAX_LONGER_STEPS, seed)))


def load_word_problems(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """`count` word problems of 1 to 12 sentences."""
    return list(
        _alternate_difficulty(
            synthetic.DatasetRequest(count, "test", MIN_STEPS, MAX_STEPS, seed, synthetic.WORD_PROBLEMS)
        )
    )


@lru_cache(maxsize=8)  # a study loads the same problems for every model
def _alternate_difficulty(request: synthetic.DatasetRequest) -> tuple[Problem, ...]:
    by_steps: dict[int, list[Problem]] = defaultdict(list)
    for found in synthetic.collect(request):
        by_steps[found.problem.steps or 0].append(found.problem)
    rounds = zip_longest(*(by_steps[steps] for steps in sorted(by_steps)))
    return tuple(problem for problem in chain.from_iterable(rounds) if problem is not None)
