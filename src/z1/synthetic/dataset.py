"""Datasets of synthetic problems: distinct problems of one split, spread evenly over the numbers of steps.

Candidates are generated in order, run, written up at every level and verified; those of the other split, of another
length or with a hash seen before are skipped. Each number of steps gets an equal share. A number of steps with few
distinct programs stays below its share, and nothing is repeated to fill it. Small programs are the exception: they are
drawn evenly over their forms, and those of a form with few programs are repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from z1.records import Problem, TrajectorySet
from z1.synthetic import program_hash, programs, small_programs, tracer, trajectories, word_problems

PROGRAMS, WORD_PROBLEMS = "programs", "word-problems"
"""The two synthetic tasks, and the names of the benchmarks that test them."""

SMALL_PROGRAMS = "small-programs"
"""Programs of at most two operations, which are practised more often than the other programs contain them."""

TEST_SHARE = 0.1
"""Share of all problems, by hash, in the test split. Constant, so that a test problem is never trained on."""

DRAWS_PER_PROBLEM = 5
"""Candidates of the split examined per requested problem; after that, numbers of steps below their share stay so."""

MIN_DRAWS = 5_000
"""Fewest candidates examined, so that a small dataset has problems of every length too."""


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """`problems` problems of `task` and `split` ("train" or "test") with `min_steps` to `max_steps` steps, generated
    from `seed`; distinct ones, except small programs. `kinds` restricts programs to these kinds of the practice set.
    """

    problems: int
    split: str
    min_steps: int
    max_steps: int
    seed: int
    task: str = PROGRAMS
    kinds: tuple[str, ...] = ()

    @property
    def per_level(self) -> int:
        """Most problems of any one number of steps."""
        return -(-self.problems // (self.max_steps - self.min_steps + 1))


class _Collected:
    """The problems collected so far, to reject candidates early."""

    def __init__(self, request: DatasetRequest) -> None:
        self.ids: set[str] = set()
        self._request, self._sources = request, set[str]()
        self._counts: Counter[int | None] = Counter()

    def add(self, problem: Problem) -> None:
        """Add a problem."""
        self.ids.add(problem.id)
        self._counts[problem.steps] += 1

    def __len__(self) -> int:
        return self._counts.total()

    def is_full(self, min_steps: int, max_steps: int | None = None) -> bool:
        """Whether no problem of `min_steps` to `max_steps` steps (by default of `min_steps`) is needed any more."""
        first = max(min_steps, self._request.min_steps)
        last = min(min_steps if max_steps is None else max_steps, self._request.max_steps)
        return all(self._counts[steps] >= self._request.per_level for steps in range(first, last + 1))

    def is_repeated(self, source: str) -> bool:
        """Whether this candidate was examined before; if so, the reason to skip it still holds."""
        is_known = source in self._sources
        self._sources.add(source)
        return is_known

    def needs(self, identifier: str) -> bool:
        """Whether a hash is of the requested split and not collected yet."""
        return identifier not in self.ids and self.is_of_split(identifier)

    def is_of_split(self, identifier: str) -> bool:
        """Whether a hash is of the requested split."""
        return program_hash.split_of(identifier, TEST_SHARE) == self._request.split


def collect(request: DatasetRequest, existing: Iterable[TrajectorySet] = ()) -> Iterator[TrajectorySet]:
    """The problems of `request` in order, after the `existing` ones that an earlier call gave for it."""
    share = TEST_SHARE if request.split == "test" else 1 - TEST_SHARE
    max_draws = max(MIN_DRAWS, int(request.problems * DRAWS_PER_PROBLEM / share))
    collected, first = _Collected(request), 0
    for item in existing:
        collected.add(item.problem)
        first = item.index + 1
    make = {PROGRAMS: _program, WORD_PROBLEMS: _word_problem, SMALL_PROGRAMS: _small_program}[request.task]
    for index in range(first, max_draws):
        if len(collected) >= request.problems:
            return
        found = make(request, index, collected)
        if found is not None:
            collected.add(found.problem)
            yield found


def _program(request: DatasetRequest, index: int, collected: _Collected) -> TrajectorySet | None:
    """The program at `index`, or None if it is not needed; cheap checks come first, since most are rejected."""
    kind, source = programs.generate(request.seed, index, request.kinds)
    if collected.is_full(*tracer.step_bounds(source, request.max_steps)) or collected.is_repeated(source):
        return None
    identifier = program_hash.hash_program(source)
    run = tracer.trace(source, request.max_steps) if collected.needs(identifier) else None
    if run is None or collected.is_full(len(run.steps)):
        return None
    return _write(source, run, Problem(identifier, "", run.printed, request.task, kind, len(run.steps)), index)


def _small_program(request: DatasetRequest, index: int, collected: _Collected) -> TrajectorySet | None:
    kind, source = small_programs.generate(request.seed, index)
    identifier = program_hash.hash_program(source)
    run = tracer.trace(source, request.max_steps) if collected.is_of_split(identifier) else None
    if run is None or len(run.steps) < request.min_steps:
        return None
    return _write(source, run, Problem(identifier, "", run.printed, request.task, kind, len(run.steps)), index)


def _write(source: str, run: tracer.Trace, problem: Problem, index: int) -> TrajectorySet | None:
    """`problem` with its question and the thoughts at every level; None if a thought leaves the range of values."""
    try:
        thoughts = {level: trajectories.write_thought(run, level) for level in trajectories.LEVELS}
    except trajectories.OutOfRange:
        return None
    answer, asked = trajectories.format_answer(run.printed), trajectories.format_question(source)
    return TrajectorySet(replace(problem, question=asked), thoughts, answer, trajectories.count_operations(run), index)


def _word_problem(request: DatasetRequest, index: int, collected: _Collected) -> TrajectorySet | None:
    generated = word_problems.generate(request.seed, index)
    identifier, steps = word_problems.hash_word_problem(generated), len(generated.sentences)
    if collected.is_full(steps) or not collected.needs(identifier):
        return None
    thoughts = {level: generated.write_thought(level) for level in trajectories.LEVELS}
    question, answer = word_problems.format_question(generated), str(generated.answer)
    problem = Problem(identifier, question, answer, request.task, "word problem", steps)
    return TrajectorySet(problem, thoughts, trajectories.format_answer(answer), generated.operations, index)
