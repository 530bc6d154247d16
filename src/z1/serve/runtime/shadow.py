"""Shadow budgets: finished replies are answered again at smaller thinking budgets, for the metrics and the log.

Each reply is served unchanged. When the server is idle enough, its thought is truncated at every shadow budget and an
answer forced there, by the same engine and with the reply's settings. The answers are compared by their content
(`grading/equivalence.py`), as in `z1 replay`. Metrics and log hold counts and no text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from z1.errors import UserError
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.serve.api.budget import NO_POLICY
from z1.serve.runtime.reply_runner import Failed, GenerationRequest, NewTokens, ReplyFinished, ReplyRunner
from z1.think import THINKING, End

MAX_QUEUED = 64
"""Replies in the queue; if there are more, the oldest are dropped."""

CAPACITY_POLL = 0.05
"""Seconds between two checks for free capacity."""

Outcome = Literal["unaffected", "same", "changed", "missing", "dropped"]


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """One reply at one shadow budget, in tokens.

    `unaffected`: the thought is within the budget. `same` or `changed`: the forced answer compared with the reply's;
    `missing`: it could not be generated. `dropped`: the queue was full, and the reply was not evaluated. Of
    `thinking_tokens`, the budget saves `saved_tokens`; `sampled_tokens` were generated for the comparison.
    """

    thinking_budget: int
    outcome: Outcome
    thinking_tokens: int
    saved_tokens: int
    sampled_tokens: int


@dataclass(frozen=True, slots=True)
class _FinishedReply:
    response_id: str
    request: GenerationRequest
    new_tokens: Sequence[NewTokens]


class Shadow:
    """Evaluates finished replies at shadow budgets, one at a time, while `has_capacity()`.

    `token_bytes` maps a token to its bytes; `on_result` receives the response id and each result.
    """

    def __init__(
        self,
        budgets: Sequence[int],
        runner: ReplyRunner,
        token_bytes: Callable[[int], bytes],
        has_capacity: Callable[[], bool],
        on_result: Callable[[str, ShadowResult], None],
    ) -> None:
        if too_small := [budget for budget in budgets if budget < 1]:
            raise UserError("shadow budget", too_small[0], "give 1 or more tokens")
        self._budgets, self._runner, self._token_bytes = budgets, runner, token_bytes
        self._has_capacity, self._on_result = has_capacity, on_result
        self._queue: deque[_FinishedReply] = deque()
        self._has_work = asyncio.Event()

    def submit(self, response_id: str, request: GenerationRequest, new_tokens: Sequence[NewTokens], end: End) -> None:
        """Queue a finished reply, unless it had no thinking or was aborted."""
        if not request.budget.has_thinking or request.budget.limit == 0 or end is End.ABORTED:
            return
        self._queue.append(_FinishedReply(response_id, request, new_tokens))
        if len(self._queue) > MAX_QUEUED:
            oldest = self._queue.popleft()
            for budget in self._budgets:
                self._on_result(oldest.response_id, ShadowResult(budget, "dropped", len(_thought(oldest)), 0, 0))
        self._has_work.set()

    async def run(self) -> None:
        """Evaluate queued replies until cancelled."""
        while True:
            await self._has_work.wait()
            while self._queue:
                while not self._has_capacity():
                    await asyncio.sleep(CAPACITY_POLL)
                await self._evaluate(self._queue.popleft())
            self._has_work.clear()

    async def _evaluate(self, reply: _FinishedReply) -> None:
        thought = _thought(reply)
        original = await asyncio.to_thread(self._answer, reply.new_tokens)
        for budget in self._budgets:
            if len(thought) <= budget:
                self._on_result(reply.response_id, ShadowResult(budget, "unaffected", len(thought), 0, 0))
                continue
            new_tokens, sampled = await self._force_answer(reply.request, tuple(thought[:budget]))
            outcome: Outcome = "missing"
            if new_tokens is not None:
                answer = await asyncio.to_thread(self._answer, new_tokens)
                outcome = "same" if answer == original else "changed"
            saved = 0 if outcome == "missing" else len(thought) - budget
            self._on_result(reply.response_id, ShadowResult(budget, outcome, len(thought), saved, sampled))

    async def _force_answer(
        self, request: GenerationRequest, thought: tuple[int, ...]
    ) -> tuple[list[NewTokens] | None, int]:
        """The reply with the thought truncated there, None if the engine fails; and the number of sampled tokens."""
        budget = replace(request.budget, thinking_budget=len(thought), deadline=None, min_thinking_tokens=0)
        sampling = replace(request.sampling, logprobs=None)
        shadow = replace(request, budget=budget, policy=NO_POLICY, sampling=sampling, prefix_token_ids=thought)
        group = self._runner.start([shadow])
        new_tokens: list[NewTokens] = []
        try:
            while True:
                for _, event in await group.events():
                    if isinstance(event, NewTokens):
                        new_tokens.append(event)
                    elif isinstance(event, ReplyFinished):
                        return new_tokens, event.ledger.completion_tokens - event.ledger.hint - len(thought)
                    elif isinstance(event, Failed):
                        return None, 0
        finally:
            group.cancel()

    def _answer(self, new_tokens: Sequence[NewTokens]) -> str:
        return canonical_reply(new_tokens, self._token_bytes)


def canonical_reply(new_tokens: Sequence[NewTokens], token_bytes: Callable[[int], bytes]) -> str:
    """The answer of a reply in canonical form."""
    parts = answer_parts((event.bucket, b"".join(map(token_bytes, event.token_ids))) for event in new_tokens)
    return canonical_answer(b"".join(parts).decode("utf-8", "replace"))


def _thought(reply: _FinishedReply) -> list[int]:
    return [token for event in reply.new_tokens if event.bucket in THINKING for token in event.token_ids]
