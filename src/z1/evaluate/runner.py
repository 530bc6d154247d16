"""Evaluates many problems concurrently and resumes after an interruption.

When all budgets of a problem are done, its attempts are appended to the log together. A run that was stopped resumes
with the remaining problems; no attempt is written twice. Attempts that are missing because an engine failed are tried
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from z1.errors import UserError
from z1.evaluate.sweep import Sweep, sweep_problem
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.runs import Log, read_lines, write_lines

ATTEMPTS = "attempts.jsonl"
PROBLEMS = "problems.jsonl"


async def evaluate(
    sweep: Sweep,
    problems: Sequence[Problem],
    folder: Path,
    concurrency: int,
    progress: Callable[[list[Attempt]], None],
) -> None:
    """Evaluate `problems` with `sweep` into `folder`; `progress` is called with the attempts of each problem and sample
    when they are done.
    """
    if not problems:
        raise UserError("problems to evaluate", "none", "set problems to 1 or more")
    write_lines(folder / PROBLEMS, (problem.as_json() for problem in problems))
    semaphore = asyncio.Semaphore(concurrency)
    with Log(folder / ATTEMPTS) as log:
        done = {key for key, attempt in read_attempts(folder).items() if attempt.verdict != Verdict.MISSING}

        async def one(problem: Problem, sample: int) -> None:
            budgets = [budget for budget in sweep.budgets if (problem.id, budget, sample) not in done]
            if budgets:
                async with semaphore:
                    attempts = await sweep_problem(sweep, problem, sample)
                attempts = [a for a in attempts if a.thinking_budget in budgets]
                log.add(attempt.as_json() for attempt in attempts)
            else:
                attempts = []
            progress(attempts)

        async with asyncio.TaskGroup() as group:
            for sample in range(sweep.samples):
                for problem in problems:
                    group.create_task(one(problem, sample))


def read_attempts(folder: Path) -> dict[tuple[str, int | None, int], Attempt]:
    """The attempts in `folder` by (problem, budget, sample); the last one if it was tried again."""
    return {(a.problem, a.thinking_budget, a.sample): a for a in read_lines(folder / ATTEMPTS, Attempt.from_json)}
