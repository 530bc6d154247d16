"""Conversations at several thinking budgets from one thought each, for a harness that has its own scorers.

A `Ladder` runs an engine in the background thread of an `LLM`. Its attempts are not graded: the harness scores their
`reply_text`. With an engine that cannot fork, every budget has its own thought.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

from z1 import profiles
from z1.engines import Sampling
from z1.errors import EngineFault, UserError
from z1.evaluate import Sweep
from z1.evaluate.conversations import conversation_benchmark, conversation_problem
from z1.evaluate.sweep import GREEDY, sweep_problem
from z1.families import AnswerKind
from z1.generation import ANSWER, UNLIMITED, Message, builtin_question
from z1.grading import Verdict
from z1.llm import LLM
from z1.models import SHIPPED
from z1.records import Attempt
from z1.think import Bucket

ORIGIN = "harness"

Budget = int | None
"""A thinking budget in tokens; None is unlimited."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The model of a ladder: a folder, GGUF file or hub id, or, with `base_url`, a server that has it.

    On a server, `model` names its tokenizer and `served_model_name` the model. `thinking_budget` -1 is unlimited.
    """

    model: str
    base_url: str = ""
    api_key: str | None = None
    served_model_name: str | None = None
    profile: str | None = None
    max_num_seqs: int = 64
    max_model_len: int = 4096
    deterministic: bool = False
    dtype: str = "auto"
    thinking_budget: int = UNLIMITED
    max_answer_tokens: int = ANSWER
    answer_kind: str = AnswerKind.TEXT

    def load(self) -> LLM:
        """The model, loaded. Raises UserError if it cannot be."""
        if self.base_url:
            from z1.engines.remote import Upstream, load

            upstream = Upstream(self.base_url, self.served_model_name, self.api_key, max_model_len=self.max_model_len)
            return LLM.of(load(upstream, self.model, self.profile), self.max_num_seqs)
        return LLM(
            None if self.model == SHIPPED else self.model,
            profile=self.profile,
            max_num_seqs=self.max_num_seqs,
            max_model_len=self.max_model_len,
            deterministic=self.deterministic,
            dtype=self.dtype,
        )


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How the replies of one request are generated; `stop` strings end an answer, `sample` counts equal requests."""

    max_answer_tokens: int = ANSWER
    answer_kind: AnswerKind = AnswerKind.TEXT
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()
    sample: int = 0


class ScoredText(NamedTuple):
    """The text of an attempt: what the model thought, and what a scorer reads."""

    reasoning: str
    content: str


class Ladder:
    """Attempts at several thinking budgets. Close it after use."""

    def __init__(self, llm: LLM, max_num_seqs: int = 64) -> None:
        self.llm = llm
        self._slots = asyncio.Semaphore(max(1, max_num_seqs // 2))  # a thought and its fork
        self._profile = profiles.get_profile(llm.engine.profile)

    def submit(
        self, messages: Sequence[Message], budgets: Sequence[Budget], options: ReplyOptions
    ) -> Future[list[Attempt]]:
        """The attempts of one conversation, in the order of `budgets`. Raises UserError or EngineFault where the prompt
        does not fit or the engine fails.
        """
        return self.llm.submit(self._run(messages, budgets, options))

    async def _run(
        self, messages: Sequence[Message], budgets: Sequence[Budget], options: ReplyOptions
    ) -> list[Attempt]:
        turns = [dict(turn) for turn in messages]
        if self._profile.name == SHIPPED:
            turns[-1]["content"] = builtin_question(turns[-1]["content"], with_unsure=True)
        name = blake2b(json.dumps(turns).encode(), digest_size=8).hexdigest()
        engine = self.llm.engine
        sweep = Sweep(
            engine,
            conversation_benchmark(ORIGIN, options.answer_kind),
            tuple(budget for budget in budgets if budget is not None),
            options.max_answer_tokens,
            engine.name,
            sampling=options.sampling,
            separate_runs=len(set(budgets)) == 1 or not engine.capabilities.can_fork,
            unlimited=None in budgets,
            stop=options.stop,
        )
        async with self._slots:
            found = await sweep_problem(sweep, conversation_problem(name, turns, ORIGIN), options.sample)
        by_budget = {attempt.thinking_budget: attempt for attempt in found}
        if fault := next((one.fault for one in found if one.verdict == Verdict.MISSING), ""):
            raise EngineFault(fault)
        return [by_budget[budget] for budget in budgets]

    def reply_text(self, attempt: Attempt, options: ReplyOptions) -> ScoredText:
        """Reasoning and content of an attempt. A model without think tags whose answer was not found has content only;
        one with tags that has not closed its thought has reasoning only.
        """
        thought, hint = attempt.text(Bucket.THOUGHT, Bucket.CLOSE), attempt.text(Bucket.HINT)
        if attempt.ledger["answer"] is None:
            return ScoredText(thought + hint, "") if self._profile.think_end else ScoredText("", thought + hint)
        part = profiles.answer_part(self._profile, hint, kind=options.answer_kind)
        content = profiles.truncate_at_stop(part + attempt.text(Bucket.ANSWER), options.stop)
        return ScoredText(thought + hint.removesuffix(part), content)

    def close(self) -> None:
        """Stop the engine and free its memory."""
        self.llm.close()


class PaidTokens(NamedTuple):
    """Tokens that were paid for the attempts of one conversation."""

    prompt: int
    thinking: int
    completion: int


def paid_tokens(attempts: Sequence[Attempt], *, can_fork: bool) -> PaidTokens:
    """The tokens sampled or forced for all `attempts` together: a shared thought, and each answer, counts once."""
    if not can_fork:
        counts = [attempt.counts() for attempt in attempts]
        return PaidTokens(
            sum(len(attempt.prompt_token_ids) for attempt in attempts),
            sum(one.thought for one in counts),
            sum(one.paid_tokens for one in counts),
        )
    distinct = {tuple(attempt.token_ids): attempt.counts() for attempt in attempts}.values()
    thinking = max(one.thought for one in distinct)
    rest = sum(one.paid_tokens - one.thought for one in distinct)
    return PaidTokens(len(attempts[0].prompt_token_ids), thinking, thinking + rest)


def parse_budgets(given: Any) -> tuple[Budget, ...]:
    """Budgets from numbers, or from a text such as "0,256,unlimited" or "0+256+-1"; ascending, unlimited last.

    Raises UserError.
    """
    parts = given.replace("+", ",").split(",") if isinstance(given, str) else given if _is_many(given) else [given]
    try:
        found = {None if str(part).strip() in ("-1", "unlimited", "None") else int(part) for part in parts}
    except (TypeError, ValueError):
        found = {-1}
    if not found or any(budget is not None and budget < 0 for budget in found):
        raise UserError("thinking_budgets", given, "give numbers of tokens, such as 0,256,1024,unlimited")
    return tuple(sorted(found, key=lambda budget: float("inf") if budget is None else budget))


def _is_many(given: Any) -> bool:
    return isinstance(given, Iterable)


def budget_name(budget: Budget) -> str:
    """A budget in names of scores and filters."""
    return "unlimited" if budget is None else str(budget)


T = TypeVar("T")


def options_of(kind: Callable[..., T], given: Mapping[str, Any], fixed: Mapping[str, Any]) -> T:
    """`kind` from a harness's model arguments. Raises UserError for one that it does not have."""
    known = {field for field in kind.__dataclass_fields__ if field not in fixed}  # type: ignore[attr-defined]
    if unknown := sorted(set(given) - known):
        raise UserError("model argument", unknown[0], f"give one of {', '.join(sorted(known))}")
    return kind(**given, **fixed)
