"""Evaluates many problems concurrently and resumes after an interruption.

When all budgets of a problem are done, its attempts are appended to the log together. A run that was stopped resumes
with the remaining problems; no attempt is written twice. Missing attempts are tried again: where a grader failed, the
reply is graded again and nothing is generated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from z1.errors import UserError
from z1.evaluate.sweep import Sweep, grade_attempt, sweep_problem
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.runs import Log, hash_file, read_lines, read_log, write_bytes, write_lines
from z1.think import Bucket

ATTEMPTS = "attempts.jsonl"
PROBLEMS = "problems.jsonl"
CURVE = "curve.json"

_Key = tuple[str, int | None, int]
"""Problem, budget and sample of an attempt."""

_Known = Mapping[int | None, Attempt | None]
"""The attempts at one problem and sample by budget, None where there is none."""

RECORDED_TEXT = 80
"""Characters of the end of an answer that `record_evaluation` keeps."""


async def evaluate(
    sweep: Sweep,
    problems: Sequence[Problem],
    folder: Path,
    concurrency: int,
    progress: Callable[[list[Attempt]], None],
) -> None:
    """Evaluate `problems` with `sweep` into `folder`; `progress` is called with the attempts of each problem and sample
    when they are done, not for those that `count_finished` counts.
    """
    if not problems:
        raise UserError("problems to evaluate", "none", "set problems to 1 or more")
    write_lines(folder / PROBLEMS, (problem.as_json() for problem in problems))
    semaphore = asyncio.Semaphore(concurrency)
    with Log(folder / ATTEMPTS) as log:
        earlier = read_attempts(folder)

        async def one(problem: Problem, sample: int) -> None:
            known = _known(sweep, problem, sample, earlier)
            if not _to_do(known):
                return
            async with semaphore:
                attempts = await _complete(sweep, problem, sample, known)
            log.add(a.as_json() for a in attempts if a != known[a.thinking_budget])
            progress(attempts)

        async with asyncio.TaskGroup() as group:
            for sample in range(sweep.samples):
                for problem in problems:
                    group.create_task(one(problem, sample))


class AttemptCounter:
    """Counts the problems of an evaluation, and attempts and tokens of this process, and reports them; `finished`
    problems were done before.
    """

    def __init__(self, update: Callable[[int, str], None], finished: int) -> None:
        self._update, self._start, self._problems = update, time.monotonic(), finished
        self._shifted = self._missing = self._attempts = self._tokens = 0

    def add(self, attempts: list[Attempt]) -> None:
        """Count the attempts of one more problem."""
        self._problems += 1
        self._attempts += len(attempts)
        self._shifted += sum(attempt.ledger["hint"] != 0 for attempt in attempts)
        self._missing += sum(attempt.verdict == "missing" for attempt in attempts)
        self._tokens += sum(len(attempt.token_ids) for attempt in attempts)
        throughput = self._tokens / max(time.monotonic() - self._start, 1e-9)
        note = f"{self._shifted} of {self._attempts} attempts shifted, {self._missing} missing"
        self._update(self._problems, f"{note}, {throughput:,.0f} tokens/s")


def count_finished(sweep: Sweep, problems: Sequence[Problem], folder: Path) -> int:
    """The problems, times samples, whose attempts at every budget are in `folder`."""
    earlier = read_attempts(folder)
    pairs = ((problem, sample) for problem in problems for sample in range(sweep.samples))
    return sum(not _to_do(_known(sweep, problem, sample, earlier)) for problem, sample in pairs)


def _known(sweep: Sweep, problem: Problem, sample: int, earlier: Mapping[_Key, Attempt]) -> _Known:
    return {budget: earlier.get((problem.id, budget, sample)) for budget in sweep.budgets}


def _to_do(known: _Known) -> _Known:
    return {budget: one for budget, one in known.items() if one is None or one.verdict == Verdict.MISSING}


async def _complete(sweep: Sweep, problem: Problem, sample: int, known: _Known) -> list[Attempt]:
    """The attempts that are not `known` or are missing, at all budgets of one problem and sample."""
    todo = _to_do(known)
    replies = [one for one in todo.values() if one is not None and one.token_ids]
    if len(replies) == len(todo):
        return [await grade_attempt(sweep, problem, one) for one in replies]
    return [one for one in await sweep_problem(sweep, problem, sample) if one.thinking_budget in todo]


def read_attempts(folder: Path) -> dict[_Key, Attempt]:
    """The attempts in `folder` by (problem, budget, sample); the last one if it was tried again."""
    return {(a.problem, a.thinking_budget, a.sample): a for a in read_log(folder / ATTEMPTS, Attempt.from_json)}


def record_evaluation(folder: Path, target: Path) -> None:
    """Write a finished evaluation into `target` in a small form, packed, with the same names: without prompts, thoughts
    and tokens, and with the ends of the answers only. Of the problems the answer's hash is kept, and no text, so that
    no test set is published by its results.
    """
    problems = read_lines(folder / PROBLEMS, Problem.from_json)
    kept = (replace(one, question="", answer=hash_answer(one.answer)).as_json() for one in problems)
    write_lines(target / f"{PROBLEMS}.gz", kept)
    for name in (CURVE, "stage.json"):
        write_bytes(target / name, (folder / name).read_bytes())
    attempts = (_without_texts(one).as_json() for one in read_attempts(folder).values())
    write_lines(target / f"{ATTEMPTS}.gz", attempts)


def has_attempts(folder: Path) -> bool:
    """Whether there are attempts in a folder of an evaluation or of a record, and not only its manifest."""
    return any((folder / name).is_file() for name in (ATTEMPTS, f"{ATTEMPTS}.gz"))


def hash_answer(answer: str) -> str:
    """16 hexadecimal digits of an answer."""
    return sha256(f"z1 answer\n{answer}".encode()).hexdigest()[:16]


def _without_texts(attempt: Attempt) -> Attempt:
    text = (attempt.text(Bucket.HINT, Bucket.ANSWER) or attempt.text(Bucket.THOUGHT))[-RECORDED_TEXT:]
    texts = [text] if text else []
    spans = [[Bucket.ANSWER.value, 0, 0] for _ in texts]
    return replace(attempt, prompt_token_ids=[], token_ids=[], spans=spans, texts=texts)


def output_hashes(folder: Path) -> dict[str, str]:
    """The hashes of an evaluation's files, for its manifest."""
    return {name: hash_file(folder / name) for name in (PROBLEMS, ATTEMPTS, CURVE)}
