"""Which programs and stories are problems, and in what order?

A world as a source of problems: candidates are drawn in order, run, written up at every level and verified; those of
the wrong split, the wrong length or an identity seen before are passed over. Each number of steps gets an equal share;
a number with few distinct programs stays short of it, and nothing is repeated to fill it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from z1.records import Problem, Trajectories
from z1.world import identity, programs, prose, steps, teacher

TEST_SHARE = 0.1
"""Share of all programs, by identity, that no training may see. A constant: with it every test stays a test."""

DRAWS = 5
"""Candidates of the split looked at for each problem wanted; after that, levels that are not full stay so."""

FEWEST_DRAWS = 5_000
"""Candidates looked at in any case, so that a small number of problems is still of every length."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`problems` distinct ones of `split` ("train" or "test"), of `fewest` to `most` steps, from `seed`; those of
    `world` "world" are programs (of `kinds` for practice, where they are named), those of "prose" stories.
    """

    problems: int
    split: str
    fewest: int
    most: int
    seed: int
    world: str = "world"
    kinds: tuple[str, ...] = ()

    @property
    def per_level(self) -> int:
        """Most problems of any one number of steps."""
        return -(-self.problems // (self.most - self.fewest + 1))


def collect(wanted: Wanted, have: Iterable[Trajectories] = ()) -> Iterator[Trajectories]:
    """The problems that `wanted` describes, in order, after those that we `have` from the same `wanted` already."""
    share = TEST_SHARE if wanted.split == "test" else 1 - TEST_SHARE
    most_draws = max(FEWEST_DRAWS, int(wanted.problems * DRAWS / share))
    seen: set[str] = set()
    levels: Counter[int | None] = Counter()
    first = 0
    for kept in have:
        seen.add(kept.problem.id)
        levels[kept.problem.steps] += 1
        first = kept.draw + 1
    for index in range(first, most_draws):
        if len(seen) >= wanted.problems:
            return
        found = _candidate(wanted, index, seen, levels)
        if found is not None:
            seen.add(found.problem.id)
            levels[found.problem.steps] += 1
            yield found


def _candidate(wanted: Wanted, index: int, seen: set[str], levels: Counter[int | None]) -> Trajectories | None:
    found = (_story if wanted.world == "prose" else _program)(wanted, index)
    if found is None or found.problem.id in seen or levels[found.problem.steps] >= wanted.per_level:
        return None
    return found


def _program(wanted: Wanted, index: int) -> Trajectories | None:
    kind, source = programs.draw(wanted.seed, index, wanted.kinds)
    name = identity.identity(source)
    if identity.split(name, TEST_SHARE) != wanted.split:
        return None
    run = steps.run(source, wanted.most)
    if run is None or len(run.steps) < wanted.fewest:
        return None
    try:
        thoughts = {level: teacher.write(run, level) for level in teacher.LEVELS}
    except teacher.OutOfRange:
        return None
    problem = Problem(name, teacher.question(source), run.printed, wanted.world, kind, len(run.steps))
    return Trajectories(problem, thoughts, teacher.answer(run.printed), teacher.operations(run), index)


def _story(wanted: Wanted, index: int) -> Trajectories | None:
    story = prose.draw(wanted.seed, index)
    name = prose.identity(story)
    if identity.split(name, TEST_SHARE) != wanted.split or not wanted.fewest <= len(story.lines) <= wanted.most:
        return None
    thoughts = {level: story.write(level) for level in teacher.LEVELS}
    problem = Problem(name, prose.question(story), str(story.end), wanted.world, "story", len(story.lines))
    return Trajectories(problem, thoughts, teacher.answer(str(story.end)), story.operations, index)
