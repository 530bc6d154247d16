"""Which programs and stories are problems, and in what order?

A world as a source of problems: candidates are drawn in order, run, written up at every level and verified; those of
the wrong split, the wrong length or an identity seen before are passed over. Each number of steps gets an equal share;
a number with few distinct programs stays short of it, and nothing is repeated to fill it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from z1.records import Problem, TrajectorySet
from z1.synthetic import program_hash, programs, tracer, trajectories, word_problems

PROGRAMS, WORD_PROBLEMS = "programs", "word-problems"
"""The two kinds of synthetic task, and the names of the benchmarks that test them."""

TEST_SHARE = 0.1
"""Share of all programs, by identity, that no training may see. A constant: with it every test stays a test."""

DRAWS = 5
"""Candidates of the split looked at for each problem wanted; after that, levels that are not full stay so."""

FEWEST_DRAWS = 5_000
"""Candidates looked at in any case, so that a small number of problems is still of every length."""


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """`problems` distinct problems of `task` and `split` ("train" or "test") with `fewest` to `most` steps, drawn from
    `seed`. `kinds` restricts programs to these kinds of the practice set.
    """

    problems: int
    split: str
    fewest: int
    most: int
    seed: int
    task: str = PROGRAMS
    kinds: tuple[str, ...] = ()

    @property
    def per_level(self) -> int:
        """Most problems of any one number of steps."""
        return -(-self.problems // (self.most - self.fewest + 1))


class _Kept:
    """What is kept so far, and so what need not be looked at any more."""

    def __init__(self, wanted: DatasetRequest) -> None:
        self.ids: set[str] = set()
        self._wanted, self._texts = wanted, set[str]()
        self._levels: Counter[int | None] = Counter()

    def add(self, problem: Problem) -> None:
        """One more is kept."""
        self.ids.add(problem.id)
        self._levels[problem.steps] += 1

    def refuses(self, fewest: int, most: int | None = None) -> bool:
        """True where no problem of `fewest` to `most` steps (without `most`, of just as many) is wanted any more."""
        least, last = max(fewest, self._wanted.fewest), min(fewest if most is None else most, self._wanted.most)
        return all(self._levels[number] >= self._wanted.per_level for number in range(least, last + 1))

    def again(self, text: str) -> bool:
        """Was this very candidate looked at before? What it was refused for then holds for ever."""
        known = text in self._texts
        self._texts.add(text)
        return known

    def wants(self, name: str) -> bool:
        """True for an identity of the wanted split that is not kept yet."""
        return name not in self.ids and program_hash.split(name, TEST_SHARE) == self._wanted.split


def collect(wanted: DatasetRequest, have: Iterable[TrajectorySet] = ()) -> Iterator[TrajectorySet]:
    """The problems that `wanted` describes, in order, after those that we `have` from the same `wanted` already."""
    share = TEST_SHARE if wanted.split == "test" else 1 - TEST_SHARE
    most_draws = max(FEWEST_DRAWS, int(wanted.problems * DRAWS / share))
    kept, first = _Kept(wanted), 0
    for one in have:
        kept.add(one.problem)
        first = one.draw + 1
    candidate = _story if wanted.task == WORD_PROBLEMS else _program
    for index in range(first, most_draws):
        if len(kept.ids) >= wanted.problems:
            return
        found = candidate(wanted, index, kept)
        if found is not None:
            kept.add(found.problem)
            yield found


def _program(wanted: DatasetRequest, index: int, kept: _Kept) -> TrajectorySet | None:
    """The program of a draw, or None; what is cheap to see is looked at first, for most draws are refused."""
    kind, source = programs.draw(wanted.seed, index, wanted.kinds)
    if kept.refuses(*tracer.bounds(source, wanted.most)) or kept.again(source):
        return None
    name = program_hash.identity(source)
    run = tracer.run(source, wanted.most) if kept.wants(name) else None
    if run is None or kept.refuses(len(run.steps)):
        return None
    try:
        thoughts = {level: trajectories.write(run, level) for level in trajectories.LEVELS}
    except trajectories.OutOfRange:
        return None
    problem = Problem(name, trajectories.question(source), run.printed, wanted.task, kind, len(run.steps))
    return TrajectorySet(problem, thoughts, trajectories.answer(run.printed), trajectories.operations(run), index)


def _story(wanted: DatasetRequest, index: int, kept: _Kept) -> TrajectorySet | None:
    story = word_problems.draw(wanted.seed, index)
    name = word_problems.identity(story)
    if kept.refuses(len(story.lines)) or not kept.wants(name):
        return None
    thoughts = {level: story.write(level) for level in trajectories.LEVELS}
    problem = Problem(name, word_problems.question(story), str(story.end), wanted.task, "story", len(story.lines))
    return TrajectorySet(problem, thoughts, trajectories.answer(str(story.end)), story.operations, index)
