"""Logs of other tools as evaluations: replies become attempts, and a folder in the open format is written.

A log is recognised by its content (`formats.py`, `inspect_log.py`) or read by the columns that the user names. What was
understood is said in notes: format, columns, and where verdicts and token counts are from. What a
log does not say is not guessed: a log without verdicts needs a benchmark that grades it, a log without token counts a
tokenizer that counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from z1 import evaluate, runs
from z1.benchmarks import Benchmark
from z1.errors import UserError
from z1.evaluate.runner import CURVE, output_hashes
from z1.grading import Verdict
from z1.grading.verdict import grade_or_missing
from z1.records import Attempt, Problem
from z1.results import formats, inspect_log
from z1.results.log_reply import NO_SETTINGS, ForeignLog, Grader, ImportSettings, LogReply
from z1.think import Bucket, End, Ledger, Shift


def read_log(path: Path, settings: ImportSettings = NO_SETTINGS) -> ForeignLog:
    """The replies of the log at `path`. Raises UserError for a log that cannot be understood."""
    if not path.exists():
        raise UserError("log", f"no such file: {path}", "give a log file")
    found = inspect_log.read(path, settings) if inspect_log.matches(path) else formats.read(path, settings)
    if not found.replies and not found.attempts:
        raise UserError(f"log {path}", f"{found.format} without a reply", "give a log with samples")
    return found


def import_log(paths: Sequence[Path], folder: Path, settings: ImportSettings = NO_SETTINGS) -> tuple[Path, list[str]]:
    """Write the replies of logs of one model on one benchmark to an evaluation folder under `folder`.

    Returns the folder, and what was understood. Raises UserError as `read_log`, and for missing verdicts or counts.
    """
    logs = [read_log(path, settings) for path in paths]
    attempts = [one for log in logs for one in (*log.attempts, *(_attempt(reply, settings) for reply in log.replies))]
    _check_unique(attempts, paths)
    names = {
        "run": folder.name,
        "model": settings.model or _one(log.model for log in logs) or paths[0].stem.partition(".")[0],
        "benchmark": settings.benchmark or _one(log.benchmark for log in logs) or paths[0].stem,
    }
    key: dict[str, Any] = {
        "formats": [log.format for log in logs],
        "columns": dict(settings.columns),
        "filter": settings.filter,
    }
    key |= {"model": names["model"], "benchmark": names["benchmark"], "tokenizer": settings.tokenizer}
    key |= {"thinking_budget": settings.thinking_budget, "graded_here": settings.grade is not None}
    stage = runs.stage(folder, "evaluate", key, {path.name: path for path in paths})
    names["run"] += f" {stage.folder.name}"
    write_evaluation(stage, list(_problems(logs, settings, names["benchmark"]).values()), attempts, names)
    return stage.folder, _summary(logs, settings) + _totals(attempts)


def write_evaluation(
    stage: runs.Stage, problems: Sequence[Problem], attempts: Sequence[Attempt], names: dict[str, str]
) -> None:
    """Write attempts of any origin as a finished evaluation."""
    runs.write_lines(stage.folder / evaluate.PROBLEMS, (problem.as_json() for problem in problems))
    runs.write_lines(stage.folder / evaluate.ATTEMPTS, (attempt.as_json() for attempt in attempts))
    runs.write_json(stage.folder / CURVE, evaluate.curve(problems, attempts, names))
    stage.finish({"outputs": output_hashes(stage.folder)})


def _attempt(reply: LogReply, settings: ImportSettings) -> Attempt:
    """The attempt of a reply. Its token ids are unknown, so its spans are empty."""
    verdict, fault = _verdict(reply, settings)
    thought, answer = reply.thought or "", reply.answer
    end = End.CUT if reply.is_cut else End.STOP
    budget = settings.thinking_budget if reply.thinking_budget is None else reply.thinking_budget
    counts = Ledger() if verdict == Verdict.MISSING else _ledger(reply, settings)
    parts = [(bucket, text) for bucket, text in ((Bucket.THOUGHT, thought), (Bucket.ANSWER, answer)) if text]
    spans: list[list[Any]] = [[bucket.value, 0, 0] for bucket, _ in parts]
    return Attempt(
        reply.problem,
        budget,
        reply.sample,
        [],
        [],
        spans,
        [text for _, text in parts],
        asdict(counts),
        (End.ABORTED if verdict == Verdict.MISSING else end).value,
        reply.shift or Shift.NATURAL.value,
        verdict,
        fault,
        settings.tokenizer,
    )


def _verdict(reply: LogReply, settings: ImportSettings) -> tuple[str, str]:
    if reply.verdict == Verdict.MISSING or settings.grade is None:
        if reply.verdict is None:
            do = "name the benchmark that grades it with --grade-with, or the column with --map verdict=COLUMN"
            raise UserError(f"verdict of problem {reply.problem}", "none in the log", do)
        return reply.verdict, reply.fault
    found = settings.grade(reply.problem, reply.answer, reply.is_cut)
    if found is None:
        raise UserError("problem of a reply", reply.problem, "give the benchmark that has a problem with this id")
    return found


def _ledger(reply: LogReply, settings: ImportSettings) -> Ledger:
    """Counts by bucket. Tokens of the answer are those of the completion that are not of the thought."""
    thought, total = reply.thinking_tokens, reply.completion_tokens
    count = settings.count_tokens
    if thought is None and not reply.thought:
        thought = 0
    if thought is None and count is not None:
        thought = count(reply.thought or "")
    answer = count(reply.answer) if total is None and count is not None else None
    if total is not None and thought is not None:
        answer = max(0, total - thought)
    if thought is None or answer is None:
        do = "name the tokenizer of the model, which counts them, with --tokenizer"
        raise UserError(f"tokens of problem {reply.problem}", "no counts in the log", do)
    return Ledger(thought=thought, answer=answer, phase_one=thought + answer)


def _check_unique(attempts: Sequence[Attempt], paths: Sequence[Path]) -> None:
    keys = Counter((one.problem, one.thinking_budget, one.sample) for one in attempts)
    (problem, budget, sample), count = keys.most_common(1)[0]
    if count > 1:
        got = f"{count} replies to problem {problem} at budget {budget}, sample {sample}"
        raise UserError(f"logs {', '.join(map(str, paths))}", got, "import logs of one model on one benchmark together")


def _problems(logs: Sequence[ForeignLog], settings: ImportSettings, benchmark: str) -> dict[str, Problem]:
    found = {one.id: one for log in logs for one in log.problems}
    known = {one.id: one for one in settings.problems}
    for log in logs:
        for reply in log.replies:
            own = Problem(reply.problem, reply.question, reply.reference, benchmark)
            found.setdefault(reply.problem, own if reply.question else known.get(reply.problem, own))
    return found


def _one(names: Iterable[str]) -> str:
    """The name that all logs agree on; "" if they do not."""
    found = set(names)
    return found.pop() if len(found) == 1 else ""


def _summary(logs: Sequence[ForeignLog], settings: ImportSettings) -> list[str]:
    """What was understood of all logs together; what several say is said once."""
    lines = list(dict.fromkeys(line for log in logs for line in (f"format: {log.format}", *log.notes)))
    if attempts := sum(len(log.attempts) for log in logs):
        lines.append(f"attempts of z1 in the log: {attempts}, with their token ids")
    replies = [reply for log in logs for reply in log.replies if reply.verdict != Verdict.MISSING]
    if failed := sum(len(log.replies) for log in logs) - len(replies):
        lines.append(f"requests without a reply: {failed}, which are missing and not wrong")
    if not replies:
        return lines
    with_thought = sum(reply.thought is not None for reply in replies)
    counted = sum(reply.thinking_tokens is not None for reply in replies)
    lines.append(f"replies: {len(replies)}, {with_thought} with a thought")
    if counted:
        lines.append(f"thinking tokens: of {counted} replies from the log")
    if counted < len(replies) and with_thought:
        lines.append(f"thinking tokens: of {len(replies) - counted} replies counted with {settings.tokenizer}")
    if not (counted or with_thought):
        lines.append("thinking tokens: 0, since the log has neither thoughts nor their counts")
    lines.append("verdicts: graded here" if settings.grade else "verdicts: from the log; a partial score is wrong")
    return lines


def _totals(attempts: Sequence[Attempt]) -> list[str]:
    verdicts = Counter(one.verdict for one in attempts)
    budgets = sorted({one.thinking_budget for one in attempts}, key=lambda b: float("inf") if b is None else b)
    names = ", ".join("unlimited" if budget is None else str(budget) for budget in budgets)
    return [
        f"thinking budgets: {names}",
        "verdicts: " + ", ".join(f"{n} {name}" for name, n in sorted(verdicts.items())),
    ]


def graded_by(benchmark: Benchmark, problems: Sequence[Problem]) -> Grader:
    """A grader of a benchmark for replies to `problems`, by id."""
    known = {problem.id: problem for problem in problems}

    def grade(name: str, text: str, cut: bool) -> tuple[str, str] | None:
        if name not in known:
            return None
        found = grade_or_missing(lambda: benchmark.grade(text, known[name], cut))
        return found.verdict.value, found.reason

    return grade


def with_verdict(attempt: Attempt, verdict: str, fault: str = "") -> Attempt:
    """`attempt` with the verdict of another grader; a missing one stays missing."""
    return attempt if attempt.verdict == Verdict.MISSING else replace(attempt, verdict=verdict, fault=fault)
