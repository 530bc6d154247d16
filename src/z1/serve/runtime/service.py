"""Admission of requests, the running requests, "answer now", and the log.

The service parses a request, enforces the limits, starts the replies, and logs how they ended.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from z1 import profiles
from z1.engines import Engine
from z1.errors import EngineFault, UserError, Z1Error
from z1.exit_policy import CalibratedPolicy
from z1.serve.api.openai_format import ChatFormat, CompletionFormat, WireFormat
from z1.serve.api.reply_text import OutputOptions
from z1.serve.api.request_parser import ParsedRequest, RequestDefaults, count_prompt_tokens, parse_request
from z1.serve.api.schema import ChatRequest, ControlRequest, Request, SessionBudget
from z1.serve.api.session import SessionSettings, parse_session
from z1.serve.api.signature import Signer
from z1.serve.metrics import Metrics, UsageCounts, log_line
from z1.serve.runtime.exit_watch import ExitObserver, ExitResult, ExitWatch, check_exit_policy
from z1.serve.runtime.ledger_file import LedgerFile
from z1.serve.runtime.proxy import ProxyResponse, as_proxyable, has_thinking_fields, translate_budget
from z1.serve.runtime.reply_runner import Event, Failed, GenerationRequest, ReplyFinished, ReplyRunner
from z1.serve.runtime.response import PendingResponse
from z1.serve.runtime.sent_items import SentItems
from z1.serve.runtime.sessions import Sessions, Turn
from z1.serve.runtime.shadow import Shadow, ShadowResult

CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""Valid values of the header X-Request-Id."""


NO_KEY = "none"
"""The name under which usage and sessions are kept where the server has no API key."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """`max_concurrent_requests` counts replies, `max_body_bytes` is per request, and a stream is flushed at most every
    `stream_interval` seconds. An item of a response can be named by its id for `item_ttl` seconds after its last use.

    Finished replies are evaluated at `shadow_budgets` while fewer than a quarter of `max_concurrent_requests` run.
    Under an exit policy, `full_thought_share` of the requests keep their whole thought, for its monitor.
    """

    max_concurrent_requests: int = 256
    max_body_bytes: int = 1 << 20
    stream_interval: float = 0.05
    shadow_budgets: tuple[int, ...] = ()
    full_thought_share: float = 0.05
    item_ttl: float = 3600


@dataclass(frozen=True, slots=True)
class ClientIds:
    """What a client chose for its request: the id, the token without which nobody may end the thought, and its session
    (the header). `key` is the name of its API key.
    """

    request_id: str | None = None
    control_token: str | None = None
    session: str | None = None
    key: str = NO_KEY


MakeFormat = Callable[[str, ParsedRequest], WireFormat]
"""The wire format of a response, from the request's id and the parsed request."""


class ServerBusy(Z1Error):
    """The server is at its limit of concurrent requests."""


class UnknownModel(UserError):
    """The server does not serve this model."""


@dataclass(slots=True)
class _RunningRequest:
    response: PendingResponse
    reply_count: int
    allows_control: bool
    client: ClientIds
    log_fields: dict[str, Any] = field(default_factory=dict)


class ChatService:
    """The requests of one server."""

    def __init__(
        self,
        engine: Engine,
        defaults: RequestDefaults,
        limits: ServerLimits,
        ledger: LedgerFile | None = None,
        exit_policy: CalibratedPolicy | None = None,
    ) -> None:
        self.engine, self.defaults, self.limits = engine, defaults, limits
        self.metrics, self.runner = Metrics(), ReplyRunner(engine, limits.stream_interval)
        self.ledger = ledger or LedgerFile()
        self.sessions, self.sent_items = Sessions(self.ledger), SentItems(limits.item_ttl)
        self.metrics.usage.sums.update(self.ledger.read_usage())
        self.served_model_names = defaults.served_model_names or (engine.name,)
        self.signer = Signer.from_environment(os.environ)
        self._parser = ThreadPoolExecutor(1, "z1-parser")  # one thread: a tokenizer is not thread-safe
        self._running: dict[str, _RunningRequest] = {}
        self._running_replies = 0
        self._token_bytes: Callable[[int], bytes] = profiles.token_bytes(engine.tokenizer)
        self._upstream = as_proxyable(engine)
        self.on_finished: Callable[[PendingResponse], None] | None = None
        """Called with every finished request, in its own context; for traces."""
        self.exit_watch: ExitWatch | None = None
        if exit_policy is not None:
            check_exit_policy(exit_policy, limits.full_thought_share, engine)
            self.exit_watch = ExitWatch(exit_policy, limits.full_thought_share, self._token_bytes, self._record_exit)
            self.defaults = replace(defaults, exit_policy=self.exit_watch.policy)
        self._shadow: Shadow | None = None
        if limits.shadow_budgets:
            self._shadow = Shadow(
                limits.shadow_budgets, self.runner, self._token_bytes, self._is_mostly_idle, self._record_shadow
            )

    async def open(self) -> None:
        """Start the engine."""
        await self.runner.open()
        if self._shadow is not None:
            self.runner.run_in_background(self._shadow.run())

    async def close(self) -> None:
        """Cancel all running replies, and close the engine and the ledger."""
        await self.runner.close()
        self._parser.shutdown()
        await self.ledger.close()

    @property
    def running_replies(self) -> int:
        """Number of running replies, proxied ones included."""
        return self._running_replies

    @property
    def can_proxy(self) -> bool:
        """Whether the engine has an upstream that can answer requests itself."""
        return self._upstream is not None

    async def submit(
        self, request: Request, client: ClientIds, log_fields: dict[str, Any], make_format: MakeFormat | None = None
    ) -> tuple[PendingResponse, ParsedRequest]:
        """Start the replies to `request`; the response has OpenAI's format of chat or text completions by default.

        Raises UnknownModel, ServerBusy, SessionExhausted, UserError, LedgerFault or EngineFault.
        """
        self._check_model(request.model)
        self._check_capacity(request.n or 1)
        settings = None
        if request.session is not None or client.session is not None:
            settings = parse_session(request.session, client.session)
            request = request.model_copy(update={"session": SessionBudget.model_validate(asdict(settings))})
        loop = asyncio.get_running_loop()
        parsed = await loop.run_in_executor(self._parser, parse_request, request, self.engine, self.defaults)
        account = None
        if settings is not None:
            account = await self.sessions.open(client.key, settings, thinks=any(map(_thinks, parsed.generations)))
        count = len(parsed.generations)
        self._check_capacity(count)
        if not self.runner.is_alive:
            raise EngineFault("the engine has stopped; restart the server")
        request_id = self._request_id(client, allows_control=parsed.reasoning_control)
        if make_format is None:
            openai_format = ChatFormat if isinstance(request, ChatRequest) else CompletionFormat
            make_format = lambda name, _: openai_format(name, request.model, include_usage=parsed.include_usage)  # noqa: E731
        wire_format = make_format(request_id, parsed)
        turns: list[Turn] = []
        if account is not None:
            turns = [Turn(account, self.ledger, (wire_format.id, n, request.model)) for n in range(count)]
        generations, exits = self._with_exits(parsed.generations, client.key, settings)
        observe = partial(self._book, (client.key, request.model), generations, turns, exits)
        replies = self.runner.start(_with_allowances(generations, turns), observe)
        response = PendingResponse(replies, wire_format, self._options(parsed), parsed.prompt_tokens)
        if turns or self.ledger.is_persistent:
            response.commit = self.ledger.commit
        if turns:
            response.budget_fields = lambda index: turns[index].status()
        self._running[wire_format.id] = _RunningRequest(response, count, parsed.reasoning_control, client, log_fields)
        self._count_replies(count)
        try:
            await response.wait_started()
        except BaseException:
            response.replies.cancel()
            self.finish(response)
            raise
        return response, parsed

    def proxy(self, path: str, body: Any, key: str, *, is_rejected: bool) -> ProxyResponse | None:
        """The upstream's response to a request of API key `key` that z1 does not handle; None if z1 handles or rejects
        it.

        `is_rejected`: z1 does not support the request. If it has a budget, it is proxied only to an upstream that can
        enforce one.
        """
        if self._upstream is None or not isinstance(body, dict) or body.get("model") not in self.served_model_names:
            return None
        limits = (self.defaults.budget_of(body["model"]), self.defaults.max_thinking_budget)
        has_budget = limits != (None, None) or has_thinking_fields(body)
        profile = profiles.get_profile(self.engine.profile)
        has_thinking = has_budget or (path.startswith("/chat") and profile.thinks_by_default)
        if has_thinking and not is_rejected:
            return None
        if has_budget and (body := translate_budget(body, self.engine, self.defaults)) is None:
            return None
        self._check_capacity(1)
        self._running_replies += 1
        finish = partial(self._finish_proxied, (key, body["model"]))
        commit = self.ledger.commit if self.ledger.is_persistent else None
        return ProxyResponse(self.runner, self._upstream, (path, body), finish, commit)

    def finish(self, response: PendingResponse) -> None:
        """Remove a request that has finished, failed or been cancelled, and log its replies."""
        response_id = response.wire_format.id
        running = self._running.pop(response_id)
        self._count_replies(-running.reply_count)
        self.metrics.count_prompt(response.prompt_tokens, response.time_to_first_token)
        for index, event in response.finished.items():
            request = response.replies.requests[index]
            has_thinking, ledger = request.budget.has_thinking, event.ledger
            self.metrics.count_reply(event, has_thinking=has_thinking)
            log_line(
                id=response_id,
                choice=index,
                prompt_tokens=response.prompt_tokens,
                thinking_tokens=ledger.thinking_tokens,
                hint_tokens=ledger.hint,
                answer_tokens=ledger.answer,
                reason=event.shift.value if event.shift and has_thinking else None,
                end=event.end.value,
                seconds=round(event.seconds, 3),
                **running.log_fields,
            )
            if self._shadow is not None:
                self._shadow.submit(response_id, request, response.new_tokens[index], event.end)
        if self.on_finished is not None:
            self.on_finished(response)
        unfinished = running.reply_count - len(response.finished)
        self.metrics.count_unfinished(unfinished, response.error)
        if unfinished:
            log_line(id=response_id, error=str(response.error or "the client disconnected"), **running.log_fields)

    async def control(self, request: ControlRequest, token: str | None = None) -> tuple[bool, str | None]:
        """End a running thought; returns whether this call changed anything, and if not, the reason."""
        running = next((one for name, one in self._running.items() if _is_meant(request.id, token, name, one)), None)
        if running is None:
            return False, "no running reply has this id, or it has another X-Control-Token"
        if not running.allows_control:
            return False, "the request was sent without reasoning_control: true"
        changed = running.response.replies.answer_now()
        return changed, None if changed else "the thought has already ended, or an answer was already requested"

    async def count_prompt_tokens(self, request: ChatRequest) -> int:
        """Number of tokens of a conversation. Raises UnknownModel or UserError."""
        self._check_model(request.model)
        count = partial(count_prompt_tokens, request, self.engine, self.defaults)
        return await asyncio.get_running_loop().run_in_executor(self._parser, count)

    def _options(self, parsed: ParsedRequest) -> OutputOptions:
        return OutputOptions(
            profiles.get_profile(self.engine.profile),
            self._token_bytes,
            parsed.separate_reasoning,
            parsed.include_reasoning,
            parsed.return_token_ids,
            parsed.logprobs,
            parsed.token_ledger,
        )

    def _with_exits(
        self, generations: Sequence[GenerationRequest], key: str, session: SessionSettings | None
    ) -> tuple[Sequence[GenerationRequest], Sequence[ExitObserver | None]]:
        """The requests with what the exit policy makes of them, and what follows their replies."""
        if self.exit_watch is None:
            return generations, [None] * len(generations)
        return self.exit_watch.start(generations, None if session is None else f"{key} {session.id}")

    def _book(
        self,
        names: tuple[str, str],
        generations: Sequence[GenerationRequest],
        turns: Sequence[Turn],
        exits: Sequence[ExitObserver | None],
        index: int,
        event: Event,
    ) -> None:
        """Book an event of a reply, before its client can get it. `names` are those of the API key and the model."""
        if (observer := exits[index]) is not None:
            observer.on_event(event)
        if turns:
            turns[index].on_event(event)
        if isinstance(event, ReplyFinished) or (isinstance(event, Failed) and event.ledger.paid_tokens):
            request = generations[index]
            prompt_tokens = len(request.prompt_token_ids) if request.sampling.sample == 0 else 0
            self._add_usage(names, UsageCounts.of_reply(prompt_tokens, event.ledger))

    def _add_usage(self, names: tuple[str, str], counts: UsageCounts) -> None:
        changed = self.metrics.usage.add(*names, counts)
        if self.ledger.is_persistent:
            self.ledger.mark_usage(changed, self.metrics.usage.sums[changed])

    def _count_replies(self, change: int) -> None:
        self._running_replies += change
        self.metrics.running.set(self._running_replies)

    def _finish_proxied(self, names: tuple[str, str], counts: UsageCounts | None) -> None:
        self._running_replies -= 1
        if counts is not None:
            self._add_usage(names, counts)
        log_line(proxied=True)

    def _is_mostly_idle(self) -> bool:
        return self._running_replies < self.limits.max_concurrent_requests / 4

    def _record_shadow(self, response_id: str, result: ShadowResult) -> None:
        self.metrics.count_shadow(result)
        log_line(
            id=response_id,
            shadow_budget=result.thinking_budget,
            outcome=result.outcome,
            thinking_tokens=result.thinking_tokens,
            saved_tokens=result.saved_tokens,
            sampled_tokens=result.sampled_tokens,
        )

    def _record_exit(self, result: ExitResult) -> None:
        assert self.exit_watch is not None
        monitor = self.exit_watch.monitor
        self.metrics.count_exit(result, self.exit_watch.totals.net_saved_tokens, monitor)
        if result.outcome == "changed":
            log_line(exit_outcome="changed", exit_evidence=round(monitor.evidence, 3), exit_alarm=monitor.alarm)

    def _check_model(self, name: str) -> None:
        if name not in self.served_model_names:
            raise UnknownModel("model", f"{name}, which does not exist", f"use {self.served_model_names[0]}")

    def _check_capacity(self, count: int) -> None:
        limit = self.limits.max_concurrent_requests
        if count > limit:
            raise UserError("n", f"{count} replies of one request", f"request at most {limit}")
        if self._running_replies + count > limit:
            raise ServerBusy(f"{self._running_replies} of at most {limit} replies are running; try again later")

    def _request_id(self, client: ClientIds, *, allows_control: bool) -> str:
        """The client's id for its request if it is valid and not in use, else a new one.

        Whoever knows the id of a reply may end its thought. So a reply for which that is allowed has a chosen id, which
        others may choose or guess, only with a token.
        """
        chosen = client.request_id
        in_use = chosen is not None and any(
            name == f"{one.response.wire_format.id_prefix}{chosen}" for name, one in self._running.items()
        )
        is_valid = chosen and CLIENT_REQUEST_ID.fullmatch(chosen) and not in_use
        is_safe = client.control_token is not None or not allows_control
        return chosen if chosen and is_valid and is_safe else uuid.uuid4().hex


def _thinks(request: GenerationRequest) -> bool:
    """Whether a reply may have a thought."""
    return request.budget.has_thinking and request.budget.limit != 0


def _with_allowances(requests: Sequence[GenerationRequest], turns: Sequence[Turn]) -> Sequence[GenerationRequest]:
    """`requests`, the thoughts of which take their tokens from the session."""
    if not turns:
        return requests
    both = zip(requests, turns, strict=True)
    return [replace(request, allowance=turn) if _thinks(request) else request for request, turn in both]


def _is_meant(response_id: str, token: str | None, name: str, running: _RunningRequest) -> bool:
    """Whether a control request means the running request `name`; with a token also by the id that its client chose."""
    client = running.client
    if client.control_token is None:
        return token is None and response_id == name
    chosen = f"{running.response.wire_format.id_prefix}{client.request_id}"
    is_token = token is not None and hmac.compare_digest(token.encode(), client.control_token.encode())
    return is_token and response_id in (name, chosen)
