"""Tasks of an installed lm-evaluation-harness as benchmarks: `lm-eval:TASK`.

The harness makes the prompt of each document, with its few-shot examples, and grades: its first filter reads the reply,
and its first metric is the verdict. Only generative tasks (`generate_until`) can be asked at a thinking budget. A task
may be a name or the path of a YAML file. Choice sets are checked for gold letters that give the answers away.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from z1.benchmarks.gold_letters import check_choice_targets
from z1.benchmarks.hub import LoadOptions
from z1.errors import UserError, install_hint
from z1.grading import Grade, Verdict
from z1.grading.verdict import grade_no_answer
from z1.records import Problem


def load(name: str, count: int, seed: int, options: LoadOptions) -> list[Problem]:
    """The first `count` documents of the task's test split."""
    if options != LoadOptions():
        raise UserError(f"options of lm-eval:{name}", options, "set data, release and dates in the task's YAML file")
    task = _task(name)
    docs = _documents(name)[:count]
    targets = [str(task.doc_to_target(doc)) for doc in _documents(name)]
    check_choice_targets(name, targets)
    return [Problem(f"{name}/{at}", _prompt(task, doc), targets[at], f"lm-eval:{name}") for at, doc in enumerate(docs)]


def grade(name: str, text: str, problem: Problem, cut: bool) -> Grade:
    """The verdict of the task's first filter and metric on `text`; a metric below 1 is wrong."""
    task, at = _task(name), int(problem.id.rpartition("/")[2])
    doc = _documents(name)[at]
    instance = task.construct_requests(doc=doc, ctx=problem.question, metadata=(name, at, 1))
    instance.resps = [text]
    first = task._filters[0]
    first.apply([instance])
    read = instance.filtered_resps[first.name]
    if read in ("[invalid]", ""):
        return grade_no_answer(cut=cut)
    metric, value = next(iter(task.process_results(doc, [read]).items()))
    return Grade(Verdict.RIGHT) if float(value) >= 1 else Grade(Verdict.WRONG, f"{metric} is {value}")


@cache
def _task(name: str) -> Any:
    """The task object. Raises UserError if the harness lacks it, or if it is not generative."""
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError:
        raise UserError("lm-evaluation-harness", "not installed", install_hint("lm-eval")) from None
    try:
        tasks = list(TaskManager().load([name])["tasks"].values())
    except (KeyError, ValueError, FileNotFoundError) as error:
        raise UserError(f"task lm-eval:{name}", str(error)[:100], "list tasks with `lm_eval ls tasks`") from None
    if len(tasks) != 1:
        raise UserError(f"task lm-eval:{name}", f"a group of {len(tasks)} tasks", "name one of them")
    if tasks[0].OUTPUT_TYPE != "generate_until":
        raise UserError(f"task lm-eval:{name}", tasks[0].OUTPUT_TYPE, "choose a generative task (generate_until)")
    return tasks[0]


@cache
def _documents(name: str) -> list[Any]:
    return list(_task(name).eval_docs)


def _prompt(task: Any, doc: Any) -> str:
    """The context of a document, with its few-shot examples, as one user message."""
    context = str(task.fewshot_context(doc, num_fewshot=task.config.num_fewshot or 0))
    return json.dumps([{"role": "user", "content": context}])
