"""Tasks of inspect_ai as benchmarks: `inspect:TASK`.

The task's solvers run up to their first request, whose messages are the prompt; to grade, they run again with the reply
and the first scorer scores the state. Tasks with tools, a sandbox or a second request need Inspect itself: the task
`z1/sweep` of `z1.integrations.inspect_sweep`. TASK is a registered task such as inspect_evals/gsm8k, or FILE.py@NAME.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from z1.benchmarks.gold_letters import check_choice_targets
from z1.benchmarks.hub import LoadOptions
from z1.errors import UserError, install_hint
from z1.grading import Grade, Verdict
from z1.grading.verdict import grade_no_answer
from z1.records import Problem


class _Asked(Exception):
    """The first request of a solver."""


def load(name: str, count: int, seed: int, options: LoadOptions) -> list[Problem]:
    """The first `count` samples; the question is the conversation that the solvers make."""
    if options != LoadOptions():
        raise UserError(f"options of inspect:{name}", options, "set data in the task itself")
    task = _task(name)
    samples = list(task.dataset)
    check_choice_targets(name, [str(sample.target) for sample in samples])
    return [
        Problem(f"{name}/{at}", _prompt(name, at), str(sample.target), f"inspect:{name}")
        for at, sample in enumerate(samples[:count])
    ]


def grade(name: str, text: str, problem: Problem, cut: bool) -> Grade:
    """The verdict of the task's first scorer on `text`; a partial score is wrong."""
    at = int(problem.id.rpartition("/")[2])
    value = asyncio.run(_score(name, at, text))
    if value == "N":
        return grade_no_answer(cut=cut)
    is_right = value in ("C", True) or (isinstance(value, int | float) and value >= 1)
    return Grade(Verdict.RIGHT) if is_right else Grade(Verdict.WRONG, f"the scorer's value is {value}")


@cache
def _task(name: str) -> Any:
    try:
        from inspect_ai._eval.loader import load_tasks
    except ModuleNotFoundError:
        raise UserError("inspect_ai", "not installed", install_hint("inspect")) from None
    tasks = load_tasks([name])
    if len(tasks) != 1:
        raise UserError(f"task inspect:{name}", f"{len(tasks)} tasks", "name one, such as inspect_evals/gsm8k")
    if tasks[0].sandbox is not None:
        raise UserError(f"task inspect:{name}", "a task with a sandbox", "run z1/sweep with `inspect eval`")
    return tasks[0]


def _prompt(name: str, at: int) -> str:
    messages: list[Any] = []

    async def generate(state: Any, *_: Any, **__: Any) -> Any:
        messages.extend(state.messages)
        raise _Asked

    try:
        asyncio.run(_task(name).solver(_state(name, at), generate))
    except _Asked:
        return json.dumps([{"role": message.role, "content": message.text} for message in messages])
    raise UserError(f"task inspect:{name}", "solvers without a request", "choose a task that asks the model")


async def _score(name: str, at: int, text: str) -> Any:
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Target

    async def generate(state: Any, *_: Any, **__: Any) -> Any:
        state.output = ModelOutput.from_content(model="z1", content=text)
        state.messages.append(state.output.message)
        return state

    state = await _task(name).solver(_state(name, at), generate)
    found = await _task(name).scorer[0](state, Target(_task(name).dataset[at].target))
    return next(iter(found.value.values())) if isinstance(found.value, Mapping) else found.value


def _state(name: str, at: int) -> Any:
    from inspect_ai.model import ChatMessageUser
    from inspect_ai.model._model import ModelName
    from inspect_ai.scorer import Target
    from inspect_ai.solver import TaskState

    sample = deepcopy(_task(name).dataset[at])
    messages = [ChatMessageUser(content=sample.input)] if isinstance(sample.input, str) else list(sample.input)
    return TaskState(
        ModelName("none/z1"),
        sample.id or at,
        1,
        sample.input,
        messages,
        target=Target(sample.target),
        choices=sample.choices,
        metadata=sample.metadata or {},
    )
