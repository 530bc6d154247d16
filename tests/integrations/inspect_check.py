"""A program for an environment with inspect_ai: a budget sweep and one evaluation per budget, compared; prints JSON.

python tests/integrations/inspect_check.py PROBLEMS FOLDER BUDGET,BUDGET,... [GSM8K_FILE MODEL [ALONE,ALONE,...]]

With a file of GSM8K (gzipped JSONL, as the hub has it) samples and scorer are those of inspect_evals/gsm8k. With a
third list only these budgets are evaluated alone, the largest first.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from inspect_ai import Task, eval, task_with
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.scorer import Score, Scorer, Target, accuracy, match, scorer, stderr
from inspect_ai.solver import TaskState, generate, prompt_template

from z1.benchmarks import LoadOptions, get_benchmark
from z1.integrations.inspect_sweep import budget_sweep
from z1.integrations.ladder import budget_name, parse_budgets
from z1.results.inspect_log import ATTEMPTS

ARGUMENTS = {"deterministic": True, "max_model_len": 512, "max_answer_tokens": 64}
GSM8K_ARGUMENTS = {"deterministic": True, "max_model_len": 384, "max_answer_tokens": 12, "answer_kind": "number"}


@scorer(metrics=[accuracy(), stderr()])
def boxed() -> Scorer:
    """Whether the last box has the target; a forced answer begins inside its box."""

    async def grade(state: TaskState, target: Target) -> Score:
        text = state.output.completion.rpartition("\\boxed{")[2]
        return Score(value="C" if text.startswith(target.text + "}") else "I", answer=text)

    return grade


def programs(count: int) -> Task:
    problems = get_benchmark("programs").load(count, 0, LoadOptions())
    samples = [Sample(problem.question, id=problem.id, target=problem.answer) for problem in problems]
    return Task(dataset=MemoryDataset(samples), solver=[prompt_template("{prompt}"), generate()], scorer=boxed())


def gsm8k(count: int, file: Path) -> Task:
    from inspect_evals.gsm8k.gsm8k import record_to_sample

    with gzip.open(file, "rt", encoding="utf-8") as lines:
        samples = [record_to_sample(json.loads(line)) for line in islice(lines, count)]
    return Task(dataset=MemoryDataset(samples), solver=[generate()], scorer=match(numeric=True))


class Check(NamedTuple):
    """What is evaluated: a task, by a model with arguments; `score` is the name of its scorer in a log."""

    make: Callable[[], Task]
    model: str
    arguments: dict[str, Any]
    score: str

    def run(self, task: Task, folder: Path, **arguments: Any) -> EvalLog:
        given = {**self.arguments, **arguments}
        (log,) = eval(task, model=self.model, model_args=given, log_dir=str(folder), display="none", max_samples=64)
        assert log.status == "success", log.error
        return log

    def thinking_tokens(self, log: EvalLog) -> int:
        return log.stats.model_usage[self.model].reasoning_tokens or 0


def tokens(log: EvalLog) -> dict[str, list[list[int]]]:
    """Token ids of all attempts, by sample."""
    found = {}
    for sample in log.samples or ():
        attempts = sample.store.get(ATTEMPTS) or (sample.output.metadata or {})[ATTEMPTS]
        found[str(sample.id)] = [attempt["token_ids"] for attempt in attempts]
    return found


def scores(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    return {one.name: one.metrics["accuracy"].value for one in log.results.scores}


def main(check: Check, folder: Path, given: str, alone: str) -> None:
    budgets = parse_budgets(given)
    task = check.make()
    swept = check.run(task_with(task, solver=budget_sweep(given, task.solver)), folder / "sweep")
    ladder, scored = tokens(swept), scores(swept)
    found: dict[str, Any] = {
        "thinking_tokens_of_the_sweep": check.thinking_tokens(swept),
        "scores": {name: value for name, value in scored.items() if name.startswith("score@")},
        "log": read_eval_log(swept.location, header_only=True).location,
        **dict.fromkeys(("rows", "equal_rows", "budgets", "equal_scores"), 0),
    }
    for budget in reversed(parse_budgets(alone)):
        log = check.run(check.make(), folder / budget_name(budget), thinking_budget=-1 if budget is None else budget)
        own, place = tokens(log), budgets.index(budget)
        found["rows"] += len(own)
        found["equal_rows"] += sum(ladder[name][place] == own[name][0] for name in own)
        found["budgets"] += 1
        found["equal_scores"] += scores(log)[check.score] == scored[f"score@{budget_name(budget)}"]
        found.setdefault("thinking_tokens_of_one_free_run", check.thinking_tokens(log))
        print(json.dumps(found), flush=True)


def check_of(count: int, file: str = "", model: str = "") -> Check:
    """The check of GSM8K in `file`, or of programs."""
    if file:
        return Check(partial(gsm8k, count, Path(file)), model, GSM8K_ARGUMENTS, "match")
    return Check(partial(programs, count), "z1/z1-tiny", ARGUMENTS, "boxed")


if __name__ == "__main__":
    count, folder, given, *rest = sys.argv[1:]
    main(check_of(int(count), *rest[:2]), Path(folder), given, rest[2] if len(rest) > 2 else given)
