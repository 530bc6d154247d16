"""The solver `z1/budget_sweep` and the task `z1/sweep` of inspect_ai: any task at every thinking budget.

    inspect eval z1/sweep -T task=inspect_evals/gsm8k -T thinking_budgets=0,256,1024 --model z1/Qwen/Qwen3-8B

The task's own solvers run once per budget on a copy of the state. The first request thinks once and is forked at every
budget; each copy gets its own reply, and the task's own scorers score it. The log has a score `score@BUDGET` per
budget, and the attempts in the store of each sample, which `z1 import` reads. A later request of a solver depends on
the earlier reply, so it is made at its own budget. The sample's state is that of the largest budget.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from inspect_ai import Task, task, task_with
from inspect_ai._eval.loader import load_tasks  # what `inspect eval` itself finds tasks with
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import Score, score
from inspect_ai.solver import Generate, Solver, TaskState, chain, solver
from inspect_ai.solver import generate as generate_solver

from z1.errors import UserError
from z1.integrations.inspect_model import BUDGETS
from z1.integrations.ladder import Budget, budget_name, parse_budgets
from z1.records import Attempt
from z1.results.inspect_log import AT_BUDGET, ATTEMPTS
from z1.results.log_reply import verdict_of


@modelapi(name="z1")
def z1() -> type[ModelAPI]:
    """The model provider."""
    from z1.integrations.inspect_model import Z1API

    return Z1API


@task
def sweep(task: str, thinking_budgets: str | int | Sequence[int | str], **task_args: Any) -> Task:
    """`task`, a registered one such as inspect_evals/gsm8k or FILE.py@NAME, at every budget; `task_args` are its own.

    Raises UserError if there is not just one such task.
    """
    tasks = load_tasks([task], task_args)
    if len(tasks) != 1:
        raise UserError("task", f"{task}, which is {len(tasks)} tasks", "name one, such as inspect_evals/gsm8k")
    return task_with(tasks[0], solver=budget_sweep(thinking_budgets, tasks[0].solver), name=f"{tasks[0].name}-sweep")


@solver
def budget_sweep(
    thinking_budgets: str | int | Sequence[int | str], solver: Solver | Sequence[Solver] | None = None
) -> Solver:
    """Run `solver` (by default one request) at every budget, from one thought; -1 or "unlimited" is unlimited."""
    budgets = parse_budgets(thinking_budgets)
    inner = generate_solver() if solver is None else chain(solver)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        replies = _Replies(budgets, generate)
        scores: dict[str, Score] = {}
        attempts: list[dict[str, Any]] = []
        for budget in budgets:
            final = await inner(deepcopy(state), replies.at(budget))
            found = await score(final)
            scores |= {_name(number, budget): one for number, one in enumerate(found)}
            attempts.append(_attempt(replies.attempts[budget], final, found).as_json())
        final.store.set(ATTEMPTS, attempts)
        final.scores = scores
        return final

    return solve


class _Replies:
    """The replies of one sample: of the first request at every budget, of each later one at its own."""

    def __init__(self, budgets: Sequence[Budget], generate: Generate) -> None:
        self._budgets, self._generate = budgets, generate
        self._first: dict[Budget, ModelOutput] = {}
        self._asked = ""
        self.attempts: dict[Budget, Attempt] = {}

    def at(self, budget: Budget) -> Generate:
        """A `generate` function for solvers at one budget."""

        async def generate(state: TaskState, *args: Any, **settings: Any) -> TaskState:
            asked = json.dumps([[message.role, message.text] for message in state.messages])
            if not self._first:
                self._asked = asked
                self._first = await self._request(state, self._budgets, args, settings)
            is_first = asked == self._asked
            outputs = self._first if is_first else await self._request(state, (budget,), args, settings)
            state.output = deepcopy(outputs[budget])
            state.messages.append(state.output.message)
            return state

        return generate

    async def _request(
        self, state: TaskState, budgets: Sequence[Budget], args: Sequence[Any], settings: dict[str, Any]
    ) -> dict[Budget, ModelOutput]:
        body = {**(settings.get("extra_body") or {}), BUDGETS: [budget_name(one) for one in budgets]}
        asked = await self._generate(deepcopy(state), *args, **{**settings, "extra_body": body})
        metadata = asked.output.metadata or {}
        if ATTEMPTS not in metadata:
            raise UserError("model of a budget sweep", str(state.model), "use a model of z1: --model z1/MODEL")
        found = [Attempt.from_json(one) for one in metadata[ATTEMPTS]]
        self.attempts |= {one.thinking_budget: one for one in found}
        last = asked.output.model_copy(update={"metadata": None})
        outputs = [*(ModelOutput.model_validate(one) for one in metadata["z1_outputs"]), last]
        return {one.thinking_budget: output for one, output in zip(found, outputs, strict=True)}


def _name(number: int, budget: Budget) -> str:
    return f"score{f'-{number + 1}' if number else ''}{AT_BUDGET}{budget_name(budget)}"


def _attempt(attempt: Attempt, state: TaskState, scores: Sequence[Score]) -> Attempt:
    """The attempt as one of this sample, with the verdict of the first scorer."""
    value = scores[0].value if scores else None
    if isinstance(value, dict):
        value = next(iter(value.values()))
    verdict = attempt.verdict if value is None else verdict_of(value) or attempt.verdict
    return replace(attempt, problem=str(state.sample_id), sample=state.epoch - 1, verdict=verdict)
