"""Who takes a request in, and knows which are under way?

The service reads a request, enforces the limits, has the runner begin the replies, and logs how they ended.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from z1 import profiles
from z1.engines import Engine
from z1.errors import EngineFault, UserError, Z1Error
from z1.serve.api.openai_format import ChatFormat, CompletionFormat
from z1.serve.api.reply_text import OutputOptions
from z1.serve.api.request_parser import ParsedRequest, RequestDefaults, read
from z1.serve.api.schema import ChatRequest, ControlRequest, Request
from z1.serve.metrics import Metrics, journal
from z1.serve.runtime.proxy import ProxyResponse, asks_for_thinking, upstream, windowed
from z1.serve.runtime.reply_runner import ReplyRunner
from z1.serve.runtime.response import PendingResponse
from z1.serve.runtime.shadow import Shadow, ShadowResult

OWN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""What a client may call its request (header X-Request-Id)."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """`max_concurrent_requests` under way at once, `max_body_bytes` bytes of a request; `stream_interval` seconds a
    stream tells what came.

    `shadow_budgets` are windows under which replies are followed while fewer than a quarter of
    `max_concurrent_requests` are under way.
    """

    max_concurrent_requests: int = 256
    max_body_bytes: int = 1 << 20
    stream_interval: float = 0.05
    shadow_budgets: tuple[int, ...] = ()


class ServerBusy(Z1Error):
    """The server has as much to do as it may."""


class UnknownModel(UserError):
    """There is no such model."""


@dataclass(slots=True)
class _RunningRequest:
    exchange: PendingResponse
    count: int
    control: bool
    facts: dict[str, Any] = field(default_factory=dict)


class ChatService:
    """One server's service."""

    def __init__(self, engine: Engine, defaults: RequestDefaults, limits: ServerLimits) -> None:
        self.engine, self.defaults, self.limits = engine, defaults, limits
        self.metrics, self.runner = Metrics(), ReplyRunner(engine, limits.stream_interval)
        self.served_model_names = defaults.served_model_names or (engine.name,)
        self._reader = ThreadPoolExecutor(1, "z1-reader")  # a tokenizer is not for two threads at once
        self._running: dict[str, _RunningRequest] = {}
        self._count = 0
        self._piece: Callable[[int], bytes] = profiles.pieces(engine.tokenizer)
        self._shadow = Shadow(limits.shadow_budgets, self.runner, self._piece, self._has_room, self._shadowed)

    async def open(self) -> None:
        """Start the engine."""
        await self.runner.open()
        self.runner.spawn(self._shadow.run())

    async def close(self) -> None:
        """Stop everything."""
        await self.runner.close()
        self._reader.shutdown()

    @property
    def running_replies(self) -> int:
        """Replies under way."""
        return self._count

    async def submit(
        self, request: Request, own_id: str | None, log: dict[str, Any]
    ) -> tuple[PendingResponse, ParsedRequest]:
        """Begin what `request` wants. Raises Unknown, Busy, UserError, or EngineFault, in a line each."""
        if request.model not in self.served_model_names:
            raise UnknownModel("model", request.model, f"ask for {self.served_model_names[0]}")
        self._room_for(request.n or 1)
        wanted = await asyncio.get_running_loop().run_in_executor(
            self._reader, read, request, self.engine, self.defaults
        )
        self._room_for(len(wanted.generations))
        if not self.runner.alive:
            raise EngineFault("the engine is gone; the server has to be started again")
        dialect = (ChatFormat if isinstance(request, ChatRequest) else CompletionFormat)(
            self._name(own_id), self.served_model_names[0], counts=wanted.usage
        )
        shown = (wanted.split, wanted.thoughts, wanted.token_ids, wanted.logprobs)
        style = OutputOptions(profiles.profile(self.engine.profile), self._piece, *shown)
        exchange = PendingResponse(self.runner.place(wanted.generations), dialect, style, wanted.prompt_tokens)
        self._running[dialect.id] = _RunningRequest(exchange, len(wanted.generations), wanted.control, log)
        self._count += len(wanted.generations)
        self.metrics.running.set(self._count)
        try:
            await exchange.begin()
        except BaseException:
            exchange.replies.cancel()
            self.finish(exchange)
            raise
        return exchange, wanted

    def proxy(self, path: str, body: Any, *, refused: bool) -> ProxyResponse | None:
        """Hand a request on to the engine's upstream, where it has one and z1 has no hand in it; None elsewhere.

        `refused`: z1 cannot keep what it says. What has a budget all the same is the upstream's to keep, if it can.
        """
        other = upstream(self.engine)
        if other is None or not isinstance(body, dict) or body.get("model") not in self.served_model_names:
            return None
        budget = self.defaults.thinking_budget is not None or asks_for_thinking(body)
        thinks = budget or (path.startswith("/chat") and profiles.profile(self.engine.profile).thinks_by_default)
        if thinks and not refused:
            return None
        if budget and (body := windowed(body, self.engine, self.defaults)) is None:
            return None
        self._room_for(1)
        self._count += 1
        return ProxyResponse(self.runner, other, (path, body), self._returned)

    def _returned(self) -> None:
        self._count -= 1
        journal(passed_on=True)

    def finish(self, exchange: PendingResponse) -> None:
        """An exchange is over, one way or the other."""
        running = self._running.pop(exchange.dialect.id)
        self._count -= running.count
        self.metrics.running.set(self._count)
        self.metrics.begun(exchange.prompt_tokens, exchange.first)
        for index, ended in exchange.ends.items():
            thinks = exchange.replies.orders[index].budget.thinks
            self.metrics.ended(ended, thinks=thinks)
            ledger = ended.ledger
            journal(
                id=exchange.dialect.id,
                choice=index,
                prompt_tokens=exchange.prompt_tokens,
                thought=ledger.thought + ledger.close,
                hint=ledger.hint,
                answer=ledger.answer,
                shift=ended.shift.value if ended.shift and thinks else None,
                end=ended.end.value,
                seconds=round(ended.seconds, 3),
                **running.facts,
            )
            self._shadow.ended(exchange.dialect.id, exchange.replies.orders[index], exchange.came[index], ended.end)
        if len(exchange.ends) < running.count:
            journal(id=exchange.dialect.id, fault=str(exchange.fault or "the client went away"), **running.facts)

    def _has_room(self) -> bool:
        return self._count < self.limits.max_concurrent_requests / 4

    def _shadowed(self, name: str, seen: ShadowResult) -> None:
        self.metrics.shadowed(seen)
        facts = {"outcome": seen.outcome, "thought": seen.thinking_tokens, "saved": seen.saved, "paid": seen.paid}
        journal(id=name, shadow=seen.thinking_budget, **facts)

    async def control(self, asked: ControlRequest) -> tuple[bool, str | None]:
        """End a thought under way; whether that changed anything, and why not."""
        running = self._running.get(asked.id)
        if running is None:
            return False, "no reply of this id is under way"
        if not running.control:
            return False, "its request did not say reasoning_control: true"
        acted = running.exchange.replies.answer_now()
        return acted, None if acted else "its thought has ended, or was asked to before"

    async def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        encode = partial(self.engine.tokenizer.encode, text, add_special_tokens=False)
        return len(await asyncio.get_running_loop().run_in_executor(self._reader, encode))

    def _room_for(self, count: int) -> None:
        if count > self.limits.max_concurrent_requests:
            raise UserError("replies of one request", count, f"ask for at most {self.limits.max_concurrent_requests}")
        if self._count + count > self.limits.max_concurrent_requests:
            raise ServerBusy(
                f"{self._count} replies are under way, and no more than {self.limits.max_concurrent_requests} may be"
            )

    def _name(self, own: str | None) -> str:
        taken = any(f"{dialect.prefix}-{own}" in self._running for dialect in (ChatFormat, CompletionFormat))
        return own if own and OWN_ID.fullmatch(own) and not taken else uuid.uuid4().hex
