"""The model `z1` of lm-evaluation-harness, and its ladder: any generative task at every budget from one thought.

    python -m z1.integrations.lm_eval_model --tasks gsm8k --model_args pretrained=Qwen/Qwen3-8B \\
        --thinking_budgets 0,256,1024,unlimited --output_path results --log_samples

That is lm-eval's own command line with the model `z1`. With `--thinking_budgets` each request is repeated once per
budget and the model answers the repetitions from one thought; each of the task's filters gets a copy per budget, called
FILTER@BUDGET, so lm-eval's own metrics, table and sample files have a row per budget. `run` does the same from Python
and writes the attempts of each task as an evaluation. A context is one user message; with `--apply_chat_template` it is
the conversation. Stop strings (`until`) end an answer. Multiple-choice tasks score log-probabilities and are refused.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lm_eval.api.filter import Filter
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from z1 import runs
from z1.engines import Sampling
from z1.errors import UserError
from z1.families import AnswerKind
from z1.generation import UNLIMITED, Message
from z1.integrations.ladder import (
    Budget,
    Ladder,
    ModelOptions,
    PaidTokens,
    ReplyOptions,
    budget_name,
    options_of,
    paid_tokens,
    parse_budgets,
)
from z1.records import Attempt, Problem
from z1.results.importer import write_evaluation
from z1.results.log_reply import verdict_of

FLAG = "--thinking_budgets"

NOT_USED = ("pretrained", "batch_size", "max_batch_size", "device")
"""Model arguments of lm-eval's own models that are renamed or have no meaning here."""


@register_model("z1")
class Z1LM(LM):
    """A model of z1; `pretrained` is a folder, GGUF file or hub id, the other arguments are those of `ModelOptions`."""

    def __init__(
        self, pretrained: str, thinking_budgets: Any = None, ladder: Ladder | None = None, **arguments: Any
    ) -> None:
        super().__init__()
        given = {name: value for name, value in arguments.items() if name not in NOT_USED}
        self.options = options_of(ModelOptions, given, {"model": pretrained})
        single = None if self.options.thinking_budget == UNLIMITED else self.options.thinking_budget
        self.budgets: Sequence[Budget] = (single,) if thinking_budgets is None else parse_budgets(thinking_budgets)
        self._ladder = ladder or Ladder(self.options.load(), self.options.max_num_seqs)
        self.attempts: dict[tuple[str, int], list[Attempt]] = {}
        """The attempts by task and document, in the order of `budgets`; several requests of one document are lost."""
        self.paid = PaidTokens(0, 0, 0)
        """All tokens paid so far."""

    @property
    def tokenizer_name(self) -> str:
        """The key of lm-eval's cache of rendered requests."""
        return f"z1 {self.options.model}"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The model's template is applied by z1; lm-eval stores this name."""
        return "z1"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as JSON, which `generate_until` reads."""
        return json.dumps(chat_history)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The content of each reply. The n-th repetition of a request is its reply at the n-th budget."""
        first = list({id(request): request for request in requests}.values())
        pending = []
        for request in first:
            options = self._reply_options(dict(request.args[1]))
            pending.append((self._ladder.submit(_conversation(request.args[0]), self.budgets, options), options))
        texts: dict[int, list[str]] = {}
        for request, (future, options) in zip(first, pending, strict=True):
            attempts = future.result()
            texts[id(request)] = [self._ladder.reply_text(one, options).content for one in attempts]
            self.attempts[request.task_name, request.doc_id] = attempts
            paid = paid_tokens(attempts, can_fork=self._ladder.llm.engine.capabilities.can_fork)
            self.paid = PaidTokens(*(a + b for a, b in zip(self.paid, paid, strict=True)))
        seen: Counter[int] = Counter()
        replies = []
        for request in requests:
            replies.append(texts[id(request)][min(seen[id(request)], len(self.budgets) - 1)])
            seen[id(request)] += 1
        return replies

    def _reply_options(self, given: dict[str, Any]) -> ReplyOptions:
        until = given.get("until") or ()
        temperature = float(given.get("temperature") or 0.0) if given.get("do_sample", True) else 0.0
        return ReplyOptions(
            int(given.get("max_gen_toks") or self.options.max_answer_tokens),
            AnswerKind.parse(self.options.answer_kind),
            Sampling(
                temperature=temperature, top_p=float(given.get("top_p") or 1.0), top_k=int(given.get("top_k") or 0)
            ),
            tuple(text for text in ([until] if isinstance(until, str) else until) if text),
        )

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Refused: a thinking budget has no meaning for log-probabilities of a given text."""
        raise _no_likelihoods()

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Refused, as `loglikelihood`."""
        raise _no_likelihoods()


def _no_likelihoods() -> UserError:
    return UserError("task for z1", "log-probabilities of given texts", "choose a generative task (generate_until)")


def _conversation(context: str) -> list[Message]:
    """The turns of a context: JSON from `apply_chat_template`, or one user message."""
    if context.startswith("["):
        try:
            return list(json.loads(context))
        except ValueError:
            pass
    return [{"role": "user", "content": context}]


class _AtBudget(Filter):
    """Keeps the reply to one repetition of each request."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def apply(self, resps: Any, docs: Any) -> list[list[str]]:
        """One reply per document."""
        return [[replies[self.index]] for replies in resps]


def with_budgets(task: Any, budgets: Sequence[Budget]) -> Any:
    """`task`, an object of lm-eval, changed in place: a repetition, and a copy of each filter, per budget."""
    if task.OUTPUT_TYPE != "generate_until":
        raise _no_likelihoods()
    if task.config.repeats not in (None, 1):
        raise UserError(f"repeats of {task.config.task}", task.config.repeats, "choose a task with one reply a request")
    task.config.repeats = len(budgets)
    filters = []
    for one in task._filters:
        for index, budget in enumerate(budgets):
            steps = [lambda index=index: _AtBudget(index), *one.filters]
            filters.append(replace(one, name=f"{one.name}@{budget_name(budget)}", filters=steps))
    task._filters = filters
    return task


def run(model: Z1LM, tasks: Sequence[str], folder: Path, **settings: Any) -> tuple[dict[str, Any], list[Path]]:
    """Evaluate `tasks` (of lm-eval, or YAML files) at the model's budgets; `settings` are those of `simple_evaluate`.

    Returns lm-eval's results, and an evaluation folder per task under `folder`. Its verdicts are those of the task's
    first filter and metric.
    """
    results = simple_evaluate(model=model, tasks=ladder_tasks(tasks, model.budgets), log_samples=True, **settings)
    folders = [_write(model, name, rows, folder) for name, rows in results["samples"].items()]
    return results, folders


def ladder_tasks(names: Sequence[str], budgets: Sequence[Budget], manager: TaskManager | None = None) -> list[Any]:
    """The task objects of `names`, each with a repetition per budget."""
    loaded = (manager or TaskManager()).load(list(names))
    return [with_budgets(task, budgets) for task in loaded["tasks"].values()]


def _write(model: Z1LM, name: str, rows: Sequence[dict[str, Any]], folder: Path) -> Path:
    by_filter: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_filter[row["filter"]].append(row)
    base = rows[0]["filter"].rpartition("@")[0]
    attempts, problems = [], {}
    for place, budget in enumerate(model.budgets):
        for row in by_filter[f"{base}@{budget_name(budget)}"]:
            problem = str(row["doc_id"])
            verdict = verdict_of(row[row["metrics"][0]]) or "ungraded"
            attempt = model.attempts[name, row["doc_id"]][place]
            attempts.append(replace(attempt, problem=problem, verdict=verdict))
            problems[problem] = Problem(problem, str(row["arguments"][0][0]), str(row["target"]), name)
    key = {"task": name, "filter": base, "metric": rows[0]["metrics"][0], "model": model.options.model}
    stage = runs.stage(folder, f"evaluate-{name}", {**key, "budgets": list(model.budgets)}, {})
    names = {"run": f"{folder.name} {stage.folder.name}", "model": model._ladder.llm.engine.name, "benchmark": name}
    write_evaluation(stage, list(problems.values()), attempts, names)
    return stage.folder


def main() -> None:
    """lm-eval's command line with the model `z1`; `--thinking_budgets` makes a ladder of every task."""
    from lm_eval.__main__ import cli_evaluate

    arguments = sys.argv[1:]
    if FLAG in arguments:
        place = arguments.index(FLAG)
        given = arguments[place + 1]
        del arguments[place : place + 2]
        _make_ladders(parse_budgets(given))
        arguments = _with_model_argument(arguments, "+".join(map(budget_name, parse_budgets(given))))
    sys.argv[1:] = ["run", "--model", "z1", *arguments]
    cli_evaluate()


def _make_ladders(budgets: Sequence[Budget]) -> None:
    """Let lm-eval's task manager of this process give every task a repetition per budget."""
    load = TaskManager.load

    def load_ladders(self: TaskManager, *given: Any, **settings: Any) -> Any:
        loaded = load(self, *given, **settings)
        for task in loaded["tasks"].values():
            with_budgets(task, budgets)
        return loaded

    TaskManager.load = load_ladders


def _with_model_argument(arguments: list[str], budgets: str) -> list[str]:
    if "--model_args" not in arguments:
        raise UserError("--model_args", "none", "name the model: --model_args pretrained=MODEL")
    place = arguments.index("--model_args") + 1
    joined = f"{arguments[place]},thinking_budgets={budgets}"
    return [*arguments[:place], joined, *arguments[place + 1 :]]


if __name__ == "__main__":
    main()
