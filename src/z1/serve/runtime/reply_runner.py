"""Runs generations on an engine and emits events.

Windows are applied in the server's event loop, while the engine computes elsewhere (an engine that computes in this
process blocks all replies for the duration of a step). Each reply is polled at most every `stream_interval` seconds,
and a poll emits the tokens since the last one. A cancelled reply frees its session immediately.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from z1 import profiles
from z1.engines import (
    Allowance,
    Control,
    Conversation,
    DriverOptions,
    Engine,
    Logprob,
    Probe,
    Sampling,
    Session,
    ToolPart,
    run_flow,
)
from z1.errors import EngineFault, Z1Error
from z1.serve.api.budget import NO_POLICY, Budget, Policy, exit_rules, make_window, unforced_window
from z1.think import FORCED, AnswerDetector, Bucket, End, Flow, Ledger, Shift, Window

POLL_INTERVAL = 0.005
"""Minimum seconds between two polls."""

POLL_SECONDS_PER_REQUEST = 0.0001
"""Seconds between two polls, for each running request; polling one takes a thirtieth of that."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply to generate. `stop_strings` end the answer; `arrival_time` is that of the HTTP request (monotonic);
    `prefix_token_ids` is a thought that the reply continues. `messages` are the conversation, for hosts that take no
    prompt. `allowance` limits the thought together with those of other replies. With `chat_fields` (tools, a response
    format) the upstream's chat route generates the reply; `needs_cut`: a setting that such a host cannot keep itself
    may end the thought.
    """

    prompt_token_ids: tuple[int, ...]
    budget: Budget
    sampling: Sampling
    stop_strings: tuple[str, ...] = ()
    arrival_time: float = field(default_factory=time.monotonic)
    policy: Policy = NO_POLICY
    prefix_token_ids: tuple[int, ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()
    chat_fields: Mapping[str, Any] | None = None
    needs_cut: bool = False
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The reply has started: its window, and its maximum tokens. `is_exact`: z1 keeps the budget, not a host."""

    window: Window
    max_tokens: int
    is_exact: bool = True


class NewTokens(NamedTuple):
    """New tokens of one bucket, with log-probabilities if they were requested and the tokens sampled.

    `tool` is the part of a tool call that they are.
    """

    bucket: Bucket
    token_ids: tuple[int, ...]
    logprobs: tuple[Logprob, ...] = ()
    tool: ToolPart | None = None


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The reply is complete. `time_to_answer` and `seconds` count from the arrival of the request to the first token of
    the answer (None: no answer) and to the end. `logprobs` are those of the session, if they were requested.
    """

    ledger: Ledger
    shift: Shift | None
    end: End
    time_to_answer: float | None
    seconds: float
    logprobs: tuple[Logprob, ...] = ()


NO_TOKENS = Ledger()


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply has failed or was cancelled; tokens emitted before remain valid. `ledger` counts all generated ones."""

    error: Z1Error
    ledger: Ledger = NO_TOKENS
    shift: Shift | None = None
    is_cancelled: bool = False


Event = Started | NewTokens | Probe | ReplyFinished | Failed


IndexedEvent = tuple[int, Event]
"""The index of a reply in its request, and the event."""

Observer = Callable[[int, Event], None]
"""Called with the index of a reply in its request, and an event."""


class ReplyGroup:
    """The replies of one request. `observe` is called with every event before the client can get it."""

    def __init__(self, requests: Sequence[GenerationRequest], observe: Observer | None = None) -> None:
        self.requests, self._observe = tuple(requests), observe
        self.running: dict[int, _RunningReply] = {}
        """Replies that have not finished, by index; the runner adds and removes them."""
        self._events: list[IndexedEvent] = []
        self._waiter: asyncio.Future[None] | None = None

    async def events(self) -> list[IndexedEvent]:
        """The events since the last call, at least one, or none after `wake`. Not to be called after the last event."""
        if not self._events:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        events, self._events = self._events, []
        return events

    def answer_now(self) -> bool:
        """End the thoughts; returns whether any was still running."""
        changed = [reply.answer_now() for reply in self.running.values()]
        return any(changed)

    def cancel(self) -> None:
        """Cancel the running replies and free their sessions. No effect on finished ones."""
        for reply in self.running.values():
            with suppress(Z1Error):  # a defect of the engine ends the reply all the same
                reply.poll(0)  # what was generated so far is counted
            reply.task.cancel()

    def emit(self, index: int, event: Event) -> None:
        """Add an event."""
        if self._observe is not None:
            self._observe(index, event)
        self._events.append((index, event))
        self.wake()

    def wake(self) -> None:
        """Let a waiting `events` return, with no event if there is none."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ReplyRunner:
    """Runs replies on an engine. Call `open` before the first request and `close` after the last."""

    def __init__(self, engine: Engine, stream_interval: float = 0.05) -> None:
        self.engine, self._stream_interval = engine, stream_interval
        self._running: dict[ReplyGroup, None] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._has_work, self._is_open = asyncio.Event(), False
        self.poll_count = 0

    async def open(self) -> None:
        """Start the engine. Raises what the engine raises."""
        await self.engine.__aenter__()
        self._is_open = True
        self._poller = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Cancel all running replies, and close the engine."""
        self._is_open = False
        tasks = [reply.task for reply in self._replies()] + [*self._background, self._poller]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.__aexit__(None, None, None)

    @property
    def is_alive(self) -> bool:
        """Whether requests can be started."""
        return self._is_open and getattr(self.engine, "is_alive", True)

    @property
    def is_responsive(self) -> bool:
        """Whether the engine is alive and has answered lately."""
        return self.is_alive and getattr(self.engine, "is_responsive", True)

    @property
    def running_requests(self) -> int:
        """Number of requests with running replies."""
        return len(self._running)

    def start(self, requests: Sequence[GenerationRequest], observe: Observer | None = None) -> ReplyGroup:
        """Start the replies of one request; `observe` is called with every event of them."""
        group = ReplyGroup(requests, observe)
        if not self.is_alive:
            group.emit(0, Failed(EngineFault("the engine has stopped")))
            return group
        self._running[group] = None
        for index, request in enumerate(group.requests):
            reply = group.running[index] = _RunningReply(request, partial(group.emit, index))
            reply.task = asyncio.create_task(reply.run(self.engine))
            reply.task.add_done_callback(partial(self._remove, group, index))
        self._has_work.set()
        return group

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends or the runner is closed. Raises EngineFault if the engine has stopped."""
        if not self.is_alive:
            work.close()
            raise EngineFault("the engine has stopped")
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _poll(self) -> None:
        """Poll every reply that is due; one without tokens yet is always due."""
        while True:
            if not self._running:
                self._has_work.clear()
                await self._has_work.wait()
            self.poll_count += 1
            now = time.monotonic()
            for reply in self._replies():
                if now >= reply.due:
                    reply.poll(now + self._stream_interval)
            await asyncio.sleep(max(POLL_INTERVAL, POLL_SECONDS_PER_REQUEST * len(self._running)))

    def _replies(self) -> list[_RunningReply]:
        return [reply for group in self._running for reply in group.running.values()]

    def _remove(self, group: ReplyGroup, index: int, _: asyncio.Task[None]) -> None:
        del group.running[index]
        if not group.running:
            del self._running[group]


class _RunningReply:
    """One reply: its task, its control, and the time of its next poll."""

    task: asyncio.Task[None]

    def __init__(self, request: GenerationRequest, emit: Callable[[Event], None]) -> None:
        self._request, self._emit_now = request, emit
        self._delayed: list[Event] | None = None
        self._control: Control | None = None
        self._flow: Flow | None = None
        self._is_answer_requested = False
        self._time_to_answer: float | None = None
        self._num_logprobs = self._num_sampled = 0
        self._next_poll = 0.0
        self.due = 0.0

    def _emit(self, event: Event) -> None:
        """Emit an event, or keep it until the upstream has accepted the request."""
        if self._delayed is None or isinstance(event, Failed):
            self._emit_now(event)
        else:
            self._delayed.append(event)

    def _emit_delayed(self) -> None:
        delayed, self._delayed = self._delayed or [], None
        for event in delayed:
            self._emit_now(event)

    async def run(self, engine: Engine) -> None:
        """Generate the reply; every failure becomes an event."""
        try:
            session = await self._open(engine)
            try:
                if hasattr(session, "on_accepted"):  # until then its failure is the status of the response
                    self._delayed, session.on_accepted = [], self._emit_delayed
                finished = await self._drive(engine, session)
                self._emit_delayed()
                self._emit(finished)
            finally:
                await session.close()
        except Z1Error as error:
            self._emit(self._failed(error))
        except asyncio.CancelledError:
            self._emit(replace(self._failed(EngineFault("the reply was cancelled")), is_cancelled=True))
        except Exception as error:  # third-party engine code may raise anything
            self._emit(self._failed(EngineFault(f"the engine failed: {error!r}")))

    def _failed(self, error: Z1Error) -> Failed:
        return Failed(error) if self._flow is None else Failed(error, self._flow.ledger(), self._flow.shift_reason)

    async def _open(self, engine: Engine) -> Session:
        """A session of the engine; a host that offers chat completions alone gets the conversation."""
        request = self._request
        open_chat = getattr(engine, "open_chat", None)
        if open_chat is None or not (request.chat_fields is not None or getattr(engine, "is_chat_only", False)):
            return await engine.open(request.prompt_token_ids + request.prefix_token_ids, request.sampling)
        start = (request.prompt_token_ids, request.sampling)
        limits = (request.budget.limit, request.budget.max_tokens)
        asked = Conversation(request.messages, *limits, request.chat_fields, request.needs_cut)
        session: Session = await open_chat(asked, start)
        if request.prefix_token_ids:
            await session.append(request.prefix_token_ids)
        return session

    def poll(self, next_poll: float) -> None:
        """Emit the tokens of the running sample; the next poll is due at `next_poll`, or now if there are none yet."""
        self._next_poll = next_poll
        if self._control is not None:
            self._control.poll()

    def answer_now(self) -> bool:
        """End the thought, even before it has started; returns whether this call changed anything."""
        if self._control is not None:
            return self._control.answer_now()
        is_first, self._is_answer_requested = not self._is_answer_requested, True
        return is_first and self._request.budget.has_thinking and self._request.budget.limit != 0

    async def _drive(self, engine: Engine, session: Session) -> ReplyFinished:
        request = self._request
        flow, detector = self._make_flow(engine, session)
        self._flow = flow
        self._control = Control(flow, session)
        if self._is_answer_requested:
            self._control.answer_now()
        deadline = request.budget.deadline
        if deadline is not None:
            deadline = max(0.0, deadline - self._elapsed())
        self._logprobs, self._tool_parts = session.logprobs, getattr(session, "tool_parts", ())
        exits = exit_rules(request.policy, engine, request.sampling, self._emit)
        options = DriverOptions(detector, None, deadline, self._on_tokens, exits, request.allowance)
        await run_flow(flow, session, options, self._control)
        end = flow.end or End.ABORTED
        times = (self._time_to_answer, self._elapsed())
        return ReplyFinished(flow.ledger(), flow.shift_reason, end, *times, tuple(self._logprobs))

    def _make_flow(self, engine: Engine, session: Session) -> tuple[Flow, AnswerDetector | None]:
        """The flow of the reply, which has its prefix already, and the answer detector of its profile."""
        request, profile = self._request, profiles.get_profile(engine.profile)
        prefix = request.prefix_token_ids
        window, max_tokens = make_window(engine.tokenizer, profile, request.budget, session.free_tokens + len(prefix))
        policy, repetition = request.policy, None
        if policy.repetition:
            nudge, near = (policy.max_nudges, policy.nudge), policy.near_repetition
            repetition = profiles.make_repetition(engine.tokenizer, *nudge, near=near)
        window = replace(window, stop_token_ids=request.sampling.stop_token_ids, repetition=repetition)
        is_exact = not getattr(session, "keeps_budget", False) or request.budget.limit is None
        if not getattr(session, "can_force", True):  # the host ends its thought, and takes no hint
            window = unforced_window(window)
        detector = None
        if request.budget.has_thinking:
            detector = profiles.make_detector(engine.tokenizer, profile, window.min_thinking_tokens)
        kind, is_own = request.budget.answer_kind, request.budget.hint is None
        part = partial(profiles.answer_part, profile, kind=kind, is_own=is_own)
        strings = profiles.make_stop_strings(engine.tokenizer, request.stop_strings, part)
        flow = Flow(window, max_tokens, detects_answer=detector is not None, stop_strings=strings)
        for token in prefix:
            flow.add_tokens((token,))
        self._emit(Started(window, max_tokens, is_exact))
        return flow, detector

    def _on_tokens(self, bucket: Bucket, token_ids: tuple[int, ...]) -> None:
        self.due = self._next_poll
        if bucket is Bucket.ANSWER and self._time_to_answer is None:
            self._time_to_answer = self._elapsed()
        position = self._num_sampled
        self._num_sampled += 0 if bucket in FORCED else len(token_ids)
        if self._tool_parts:
            return self._emit_parts(bucket, token_ids, position)
        first = self._num_logprobs
        if bucket not in FORCED or self._request.sampling.forced_logprobs:
            self._num_logprobs += len(token_ids)
        logprobs = () if bucket in FORCED else tuple(self._logprobs[first : self._num_logprobs])
        return self._emit(NewTokens(bucket, token_ids, logprobs))

    def _emit_parts(self, bucket: Bucket, token_ids: tuple[int, ...], first: int) -> None:
        """Emit tokens, sampled from position `first` on, by the part of a tool call that they are."""
        last = first + len(token_ids)
        starts = [part.position for part in self._tool_parts if first < part.position < last]
        for start, end in pairwise([first, *starts, last]):
            part = next((one for one in reversed(self._tool_parts) if one.position <= start), None)
            part = part if part is not None and part.call >= 0 else None
            self._emit(NewTokens(bucket, token_ids[start - first : end - first], (), part))

    def _elapsed(self) -> float:
        return time.monotonic() - self._request.arrival_time
