"""An engine in a worker process.

The worker process constructs the engine and computes; this process has a session for each of the worker's and is an
engine like any other. Commands go to the worker and tokens come back, as pickled plain values over a socket pair. What
needs no computation (whether a prompt fits, how many tokens are free) is answered here, without waiting for a step of
the model.

The worker lives as long as the socket: it ends when this process ends, however that happens. Signals are handled by
this process. If the worker ends by itself, all running samples raise EngineFault and `is_alive` becomes false. If it is
stopped or hangs, `is_responsive` becomes false, and samples that were interrupted raise EngineFault.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import pickle
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from z1.engines.local.worker_process import is_stopped, start_process
from z1.engines.protocol import (
    Engine,
    FinishReason,
    ForbiddenSequences,
    Logprob,
    Sampled,
    Sampling,
    Session,
    check_prompt_length,
)
from z1.errors import EngineFault, Z1Error
from z1.think import EndBias

POLL_INTERVAL = 0.005
"""Seconds between two polls of new tokens in the worker; a step of the model may take longer."""

SHUTDOWN_TIMEOUT = 10
"""Seconds that the worker has to end."""

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two messages of an idle worker."""

MAX_SILENCE = 7
"""Heartbeats that the worker may omit. A step of the model delays them, so three times the longest silence so far is
allowed as well."""

_Command = tuple[str, int, Any]
"""A method of `_Worker`, the session's number, and its argument."""

_WorkerReply = tuple[int, Sequence[int], Sequence[Logprob], FinishReason | str | None]
"""A session's number, new tokens, their log-probabilities, and how the sample ended: a string is an error, None means
that it continues.
"""

_SIZE = struct.Struct("!Q")


class SubprocessSession:
    """One context in the worker; see `protocol.Session`. After a cancelled sample it can only be closed."""

    def __init__(self, engine: SubprocessEngine, number: int, num_tokens: int) -> None:
        self._engine, self._number, self._num_tokens = engine, number, num_tokens
        self._pending: list[int] = []
        self._done: asyncio.Future[Sampled] | None = None
        self._fault: EngineFault | None = None
        self.is_interrupted = False
        """Whether its reply must end soon, so that it cannot wait for a worker that does not respond."""
        self.logprobs: list[Logprob] = []

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._engine.max_model_len - self._num_tokens - len(self._pending)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample."""
        return () if self._done is None else self._pending

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, completing none of `forbidden`."""
        if self._fault is not None:
            raise self._fault
        self._engine.send("sample", self._number, (max_tokens, forbidden, bias))
        self._done = asyncio.get_running_loop().create_future()
        try:
            return await self._done
        finally:
            self._num_tokens += len(self._pending)
            self._pending, self._done = [], None

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; the next sample prefills them in one step."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self._num_tokens += len(token_ids)
        self._engine.send("append", self._number, tuple(token_ids))

    async def fork(self, sampling: Sampling | None = None) -> SubprocessSession:
        """Another session with the same context."""
        return self._engine.make_session(self._num_tokens, "fork", (self._number, sampling))

    def interrupt(self) -> None:
        """End the running sample. It raises EngineFault if the worker does not respond."""
        self.is_interrupted = True
        if self._done is not None and not self._done.done():
            self._engine.send("interrupt", self._number)
            self._engine.fail_unanswered(self)

    async def close(self) -> None:
        """Close the session in the worker."""
        self._engine.close_session(self._number)

    def receive(self, token_ids: Sequence[int], logprobs: Sequence[Logprob], end: FinishReason | str | None) -> None:
        """Take a reply of the worker about the running sample (called by the engine)."""
        self._pending += token_ids
        self.logprobs += logprobs
        if isinstance(end, FinishReason):
            if self._done is not None and not self._done.done():
                self._done.set_result(Sampled(tuple(self._pending), end))
        elif end is not None:
            self._fault = EngineFault(end)
            if self._done is not None and not self._done.done():
                self._done.set_exception(self._fault)


class SubprocessEngine:
    """The engine that `make` constructs in a worker process; see `protocol.Engine`. `make` must be picklable.

    The constructor returns when the worker is ready. It raises the Z1Error that `make` raises, EngineFault for others.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._socket, worker_socket = socket.socketpair()
        with worker_socket:
            self._process = start_process(worker_socket)
        attributes = _engine_attributes(self._socket, make)
        if attributes is None or isinstance(attributes, Z1Error):
            self._socket.close()
            status = self._process.wait()
            raise attributes or EngineFault(f"the engine's process ended before it was ready (status {status})")
        self.name, self.profile, self.tokenizer, self.capabilities = attributes[:4]
        self.max_model_len: int = attributes[4]
        self._sessions: dict[int, SubprocessSession] = {}
        self._numbers = itertools.count()
        self._writer: asyncio.StreamWriter | None = None
        self.is_alive = False
        """Whether the worker accepts commands."""
        self._is_stopped, self._silence, self._longest_silence = False, 0, 0

    @property
    def is_responsive(self) -> bool:
        """Whether the worker answers: it is neither stopped nor silent for long."""
        return not self._is_stopped and self._silence <= max(MAX_SILENCE, 3 * self._longest_silence)

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> SubprocessSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return self.make_session(len(prompt), "open", (tuple(prompt), sampling))

    def make_session(self, num_tokens: int, command: str, argument: object) -> SubprocessSession:
        """A session of `num_tokens` that the worker makes by `command`."""
        number = next(self._numbers)
        self.send(command, number, argument)
        session = self._sessions[number] = SubprocessSession(self, number, num_tokens)
        return session

    def close_session(self, number: int) -> None:
        """Close a session in the worker; closing twice has no effect."""
        if self._sessions.pop(number, None) is not None and self.is_alive:
            self.send("close", number)

    def send(self, command: str, number: int, argument: object = None) -> None:
        """Send a command to the worker. Raises EngineFault if the worker has ended."""
        if self._writer is None or not self.is_alive:
            raise EngineFault("the engine's process has ended")
        self._writer.write(_packed((command, number, argument)))

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self.is_alive = True
        self._receiver = asyncio.create_task(self._receive_replies(reader))
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._watcher.cancel()
        self._writer.close()
        await self._receiver
        try:
            await asyncio.to_thread(self._process.wait, SHUTDOWN_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _receive_replies(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                replies: list[_WorkerReply] = await _receive(reader)
                self._longest_silence, self._silence = max(self._longest_silence, self._silence), 0
                for number, token_ids, logprobs, end in replies:
                    if (session := self._sessions.get(number)) is not None:
                        session.receive(token_ids, logprobs, end)
        self.is_alive = False
        for session in self._sessions.values():
            session.receive((), (), "the engine's process has ended")

    async def _watch(self) -> None:
        """Count the heartbeats that are missing. What this process itself sleeps through is not counted."""
        while self.is_alive:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            self._is_stopped = is_stopped(self._process.pid)
            self._silence += not self._is_stopped
            for session in list(self._sessions.values()):
                self.fail_unanswered(session)

    def fail_unanswered(self, session: SubprocessSession) -> None:
        """Fail the sample of an interrupted session if the worker does not respond (called by the session)."""
        if session.is_interrupted and not self.is_responsive:
            session.receive((), (), "the engine's process does not respond")


def _engine_attributes(connection: socket.socket, make: Callable[[], Engine]) -> Any:
    """The attributes of the worker's engine; the error if it could not be constructed; None if the worker ended."""
    with connection.makefile("rwb") as pipe:
        pipe.write(_packed(make))
        pipe.flush()
        head = pipe.read(_SIZE.size)
        return pickle.loads(pipe.read(*_SIZE.unpack(head))) if head else None


def _packed(value: object) -> bytes:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(data)) + data


async def _receive(reader: asyncio.StreamReader) -> Any:
    return pickle.loads(await reader.readexactly(*_SIZE.unpack(await reader.readexactly(_SIZE.size))))


# The rest runs in the worker process.


def run_worker(descriptor: int) -> None:
    """Run the worker on the socket `descriptor` until that is closed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_serve(socket.socket(fileno=descriptor)))


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        try:
            engine: Engine = (await _receive(reader))()
            await engine.__aenter__()
        except Z1Error as error:
            writer.write(_packed(error))
            await writer.drain()
            return
        attributes = (engine.name, engine.profile, engine.tokenizer, engine.capabilities, engine.max_model_len)
        writer.write(_packed(attributes))
        try:
            worker = _Worker(engine, writer)
            worker.send_heartbeat()
            gc.freeze()  # the model's objects are permanent: scanning them again would delay every session
            while True:
                await worker.execute(await _receive(reader))
        finally:
            await engine.__aexit__(None, None, None)


class _Worker:
    """The sessions of the worker's engine by number, and the replies to send about them."""

    def __init__(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        self._engine, self._writer = engine, writer
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[int, Session] = {}
        self._samples: dict[int, asyncio.Task[None]] = {}
        self._num_sent_tokens: dict[int, int] = {}
        self._num_sent_logprobs: dict[int, int] = {}
        self._replies: list[_WorkerReply] = []

    async def execute(self, command: _Command) -> None:
        """Run a command; a sample continues as a task."""
        name, number, argument = command
        try:
            await getattr(self, name)(number, argument)
        except Exception as error:  # an engine's code is not ours: any exception is an engine fault
            self._send(number, (), _message(error))

    async def open(self, number: int, argument: tuple[tuple[int, ...], Sampling]) -> None:
        """Open a session."""
        self._sessions[number] = await self._engine.open(*argument)

    async def fork(self, number: int, argument: tuple[int, Sampling | None]) -> None:
        """Fork a session."""
        origin, sampling = argument
        self._sessions[number] = await self._sessions[origin].fork(sampling)

    async def append(self, number: int, token_ids: tuple[int, ...]) -> None:
        """Append forced tokens."""
        await self._sessions[number].append(token_ids)

    async def sample(self, number: int, argument: tuple[int, ForbiddenSequences, EndBias | None]) -> None:
        """Start a sample; samples are polled while there are any."""
        if not self._samples:
            self._loop.call_later(POLL_INTERVAL, self._poll)
        self._num_sent_tokens[number] = 0
        self._samples[number] = self._loop.create_task(self._sample(number, argument))

    async def interrupt(self, number: int, _: None) -> None:
        """Interrupt a sample; one that was requested just before has started by then."""
        await asyncio.sleep(0)
        self._sessions[number].interrupt()

    async def close(self, number: int, _: None) -> None:
        """Cancel the sample of a session and close it."""
        if (task := self._samples.pop(number, None)) is not None:
            task.cancel()
            await asyncio.wait({task})
        self._num_sent_logprobs.pop(number, None)
        if (session := self._sessions.pop(number, None)) is not None:
            await session.close()

    async def _sample(self, number: int, argument: tuple[int, ForbiddenSequences, EndBias | None]) -> None:
        end: FinishReason | str
        try:
            sampled = await self._sessions[number].sample(*argument)
            token_ids, end = sampled.token_ids[self._num_sent_tokens[number] :], sampled.reason
        except Exception as error:  # as in `execute`
            token_ids, end = (), _message(error)
        self._samples.pop(number, None)
        self._send(number, token_ids, end)

    def _poll(self) -> None:
        """Send the new tokens of every running sample."""
        for number in self._samples:
            pending, sent = self._sessions[number].pending_token_ids, self._num_sent_tokens[number]
            if len(pending) > sent:
                self._send(number, tuple(pending[sent:]), None)
                self._num_sent_tokens[number] = len(pending)
        if self._samples:
            self._loop.call_later(POLL_INTERVAL, self._poll)

    def _send(self, number: int, token_ids: Sequence[int], end: FinishReason | str | None) -> None:
        if not self._replies:
            self._loop.call_soon(self._flush)
        session, sent = self._sessions.get(number), self._num_sent_logprobs.get(number, 0)
        logprobs = () if session is None else tuple(session.logprobs[sent:])  # those of forced tokens come before
        self._num_sent_logprobs[number] = sent + len(logprobs)
        self._replies.append((number, token_ids, logprobs, end))

    def send_heartbeat(self) -> None:
        """Show, now and regularly, that the worker responds: an empty list of replies."""
        self._writer.write(_packed([]))
        self._loop.call_later(HEARTBEAT_INTERVAL, self.send_heartbeat)

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        self._writer.write(_packed(replies))


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, Z1Error) else f"the engine failed: {error!r}"
