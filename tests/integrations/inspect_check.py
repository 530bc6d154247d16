"""A program for an environment with inspect_ai: a budget sweep and one evaluation per budget, compared; prints JSON.

python tests/integrations/inspect_check.py PROBLEMS FOLDER BUDGET,BUDGET,...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval, task_with
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate, prompt_template

from z1.benchmarks import LoadOptions, get_benchmark
from z1.integrations.inspect_sweep import budget_sweep
from z1.integrations.ladder import budget_name, parse_budgets
from z1.results.inspect_log import ATTEMPTS

MODEL, ARGUMENTS = "z1/z1-tiny", {"deterministic": True, "max_model_len": 512, "max_answer_tokens": 64}


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


def run(task: Task, folder: Path, **arguments: Any) -> EvalLog:
    given = {**ARGUMENTS, **arguments}
    (log,) = eval(task, model=MODEL, model_args=given, log_dir=str(folder), display="none", max_samples=64)
    assert log.status == "success", log.error
    return log


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


def main(count: int, folder: Path, given: str) -> None:
    budgets = parse_budgets(given)
    task = programs(count)
    swept = run(task_with(task, solver=budget_sweep(given, task.solver)), folder / "sweep")
    ladder, scored = tokens(swept), scores(swept)
    equal_rows, equal_scores, free = 0, 0, 0
    for place, budget in enumerate(budgets):
        log = run(programs(count), folder / budget_name(budget), thinking_budget=-1 if budget is None else budget)
        alone = tokens(log)
        equal_rows += sum(ladder[name][place] == alone[name][0] for name in alone)
        equal_scores += scores(log)["boxed"] == scored[f"score@{budget_name(budget)}"]
        free = log.stats.model_usage[MODEL].reasoning_tokens or 0
    found = {
        "rows": count * len(budgets),
        "equal_rows": equal_rows,
        "budgets": len(budgets),
        "equal_scores": equal_scores,
        "thinking_tokens_of_the_sweep": swept.stats.model_usage[MODEL].reasoning_tokens,
        "thinking_tokens_of_one_free_run": free,
        "scores": {name: value for name, value in scored.items() if name.startswith("score@")},
        "log": read_eval_log(swept.location, header_only=True).location,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
