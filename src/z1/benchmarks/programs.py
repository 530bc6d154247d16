"""Which programs test a model of the built-in world?

Programs of the test split (by identity, see `world.identity`), so that no model trained on this world has seen one,
whatever its seed; 1 to 12 steps, evenly spread, easy and hard ones taking turns so that any first part of them is a
fair sample.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, zip_longest

from z1 import world
from z1.records import Problem

FEWEST, MOST = 1, 12


def load(count: int, seed: int) -> list[Problem]:
    """`count` problems, or as many as the draws of `seed` give."""
    by_steps: dict[int, list[Problem]] = defaultdict(list)
    for found in world.collect(world.Wanted(count, "test", FEWEST, MOST, seed)):
        by_steps[found.problem.steps or 0].append(found.problem)
    turns = zip_longest(*(by_steps[steps] for steps in sorted(by_steps)))
    return [problem for problem in chain.from_iterable(turns) if problem is not None]
