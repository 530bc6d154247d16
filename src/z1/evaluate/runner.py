"""How are many problems evaluated at once without losing any?

Problems run concurrently; when all windows of one are done they are appended to the log together. A run that was
stopped does the rest, and no attempt is written twice; attempts that an engine's fault left missing are tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from z1.errors import UserError
from z1.evaluate.sweep import Sweep, sweep
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.runs import Log, read_lines, write_lines

ATTEMPTS = "attempts.jsonl"
PROBLEMS = "problems.jsonl"


async def evaluate(
    setting: Sweep,
    problems: Sequence[Problem],
    folder: Path,
    concurrency: int,
    progress: Callable[[list[Attempt]], None],
) -> None:
    """Put `problems` through `setting` into `folder`; `progress` is told the attempts of each problem and draw when
    they are done.
    """
    if not problems:
        raise UserError("problems to evaluate", "none", "ask for 1 or more")
    write_lines(folder / PROBLEMS, (problem.as_json() for problem in problems))
    gate = asyncio.Semaphore(concurrency)
    with Log(folder / ATTEMPTS) as log:
        done = {key for key, attempt in read_attempts(folder).items() if attempt.verdict != Verdict.MISSING}

        async def one(problem: Problem, sample: int) -> None:
            wanted = [window for window in setting.every if (problem.id, window, sample) not in done]
            if wanted:
                async with gate:
                    attempts = [a for a in await sweep(setting, problem, sample) if a.thinking_budget in wanted]
                log.add(attempt.as_json() for attempt in attempts)
            else:
                attempts = []
            progress(attempts)

        async with asyncio.TaskGroup() as group:
            for sample in range(setting.samples):
                for problem in problems:
                    group.create_task(one(problem, sample))


def read_attempts(folder: Path) -> dict[tuple[str, int | None, int], Attempt]:
    """The attempts in `folder` by (problem, window, sample); of one that was tried again the last counts."""
    return {(a.problem, a.thinking_budget, a.sample): a for a in read_lines(folder / ATTEMPTS, Attempt.from_json)}
