"""How does an engine compute in a process of its own?

A child makes the engine and computes; this side holds a session for each of its own, and is an engine like any other.
Orders go over and ids come back, plain values over a pair of sockets. What needs no computing (whether a
prompt fits, how much room is left) is known here, so that nobody waits for a step of the model to hear it.

The child lives as long as the socket does: it ends when this process does, however that ends. Signals are this
process's business. A child that ends by itself makes an EngineFault of all that is under way, and `alive` false.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

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

TICK = 0.005
"""Seconds between two looks at what came; a step of the model may take longer."""

PATIENCE = 10
"""Seconds that a child has to end once it is told to."""

Order = tuple[str, int, Any]
"""A method of `_Worker`, the session's number, and what else it takes."""

_WorkerReply = tuple[int, Sequence[int], Sequence[Logprob], FinishReason | str | None]
"""A session's number, the ids that came and their scores, and how the sample ended: a text is a fault, None says that
it goes on."""

_SIZE = struct.Struct("!Q")


class SubprocessSession:
    """One context in the child; see `protocol.Session`. After a sample was cancelled it can only be closed."""

    def __init__(self, engine: SubprocessEngine, number: int, held: int) -> None:
        self._engine, self._number, self._held = engine, number, held
        self._coming: list[int] = []
        self._done: asyncio.Future[Sampled] | None = None
        self._fault: EngineFault | None = None
        self.logprobs: list[Logprob] = []

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        return self._engine.max_model_len - self._held - len(self._coming)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """What came so far of the sample under way."""
        return () if self._done is None else self._coming

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `max_tokens` ids, none of `forbidden` completed."""
        if self._fault is not None:
            raise self._fault
        self._engine.order("sample", self._number, (max_tokens, forbidden))
        self._done = asyncio.get_running_loop().create_future()
        try:
            return await self._done
        finally:
            self._held += len(self._coming)
            self._coming, self._done = [], None

    async def append(self, token_ids: Sequence[int]) -> None:
        """Force `token_ids`; they are computed in one piece with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self._held += len(token_ids)
        self._engine.order("append", self._number, tuple(token_ids))

    async def fork(self) -> SubprocessSession:
        """Another session with the same context."""
        return self._engine.session(self._held, "fork", self._number)

    def interrupt(self) -> None:
        """End the sample that is under way."""
        if self._done is not None and not self._done.done():
            self._engine.order("interrupt", self._number)

    async def close(self) -> None:
        """Free what the child holds for it."""
        self._engine.forget(self._number)

    def came(self, ids: Sequence[int], scores: Sequence[Logprob], end: FinishReason | str | None) -> None:
        """The child tells of the sample under way (the engine calls this)."""
        self._coming += ids
        self.logprobs += scores
        if isinstance(end, FinishReason):
            if self._done is not None and not self._done.done():
                self._done.set_result(Sampled(tuple(self._coming), end))
        elif end is not None:
            self._fault = EngineFault(end)
            if self._done is not None and not self._done.done():
                self._done.set_exception(self._fault)


class SubprocessEngine:
    """The engine that `make` makes in a child; see `protocol.Engine`. `make` can be pickled.

    Made when the child is ready. Raises what `make` raises of ours, EngineFault for anything else.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(theirs)
        facts = _facts(self._socket, make)
        if facts is None or isinstance(facts, Z1Error):
            self._socket.close()
            status = self._process.wait()
            raise facts or EngineFault(f"the engine's process ended before it was ready (status {status})")
        self.name, self.profile, self.tokenizer, self.capabilities = facts[:4]
        self.max_model_len: int = facts[4]
        self._sessions: dict[int, SubprocessSession] = {}
        self._numbers = itertools.count()
        self._writer: asyncio.StreamWriter | None = None
        self.is_alive = False
        """Whether the child can be asked."""

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> SubprocessSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return self.session(len(prompt), "open", (tuple(prompt), sampling))

    def session(self, held: int, how: str, value: object) -> SubprocessSession:
        """A session of `held` ids that the child makes by the order `how`."""
        number = next(self._numbers)
        self.order(how, number, value)
        made = self._sessions[number] = SubprocessSession(self, number, held)
        return made

    def forget(self, number: int) -> None:
        """Have the child close a session; it may be closed already."""
        if self._sessions.pop(number, None) is not None and self.is_alive:
            self.order("close", number)

    def order(self, what: str, number: int, value: object = None) -> None:
        """Ask for something at once. Raises EngineFault where nobody hears it."""
        if self._writer is None or not self.is_alive:
            raise EngineFault("the engine's process has ended")
        self._writer.write(_packed((what, number, value)))

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self.is_alive = True
        self._listening = asyncio.create_task(self._listen(reader))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._writer.close()
        await self._listening
        try:
            await asyncio.to_thread(self._process.wait, PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                told: list[_WorkerReply] = await _receive(reader)
                for number, ids, scores, end in told:
                    if (session := self._sessions.get(number)) is not None:
                        session.came(ids, scores, end)
        self.is_alive = False
        for session in self._sessions.values():
            session.came((), (), "the engine's process has ended")


def _spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """The child, in a session of its own, so that a terminal's Ctrl-C is not for it."""
    end = theirs.fileno()
    return subprocess.Popen(
        [sys.executable, "-c", f"from z1.engines.local.worker import host; host({end})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        pass_fds=[end],
        start_new_session=True,
    )


def _facts(end: socket.socket, make: Callable[[], Engine]) -> Any:
    """What the child says of the engine that it made; the error where it could not; None where it ended."""
    with end.makefile("rwb") as pipe:
        pipe.write(_packed(make))
        pipe.flush()
        head = pipe.read(_SIZE.size)
        return pickle.loads(pipe.read(*_SIZE.unpack(head))) if head else None


def _packed(value: object) -> bytes:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(data)) + data


async def _receive(reader: asyncio.StreamReader) -> Any:
    return pickle.loads(await reader.readexactly(*_SIZE.unpack(await reader.readexactly(_SIZE.size))))


# What follows runs in the child.


def host(descriptor: int) -> None:
    """Be the child, at the other end of the socket `descriptor`, until that is closed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_host(socket.socket(fileno=descriptor)))


async def _host(end: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=end)
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        try:
            engine: Engine = (await _receive(reader))()
            await engine.__aenter__()
        except Z1Error as error:
            writer.write(_packed(error))
            await writer.drain()
            return
        facts = (engine.name, engine.profile, engine.tokenizer, engine.capabilities, engine.max_model_len)
        writer.write(_packed(facts))
        try:
            hosted = _Worker(engine, writer)
            gc.freeze()  # what is there now stays: looking through all of it again would hold up every session
            while True:
                await hosted.obey(await _receive(reader))
        finally:
            await engine.__aexit__(None, None, None)


class _Worker:
    """The sessions of the engine, by their numbers, and what is to be told of them."""

    def __init__(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        self._engine, self._writer = engine, writer
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[int, Session] = {}
        self._samples: dict[int, asyncio.Task[None]] = {}
        self._seen: dict[int, int] = {}
        self._scored: dict[int, int] = {}
        self._out: list[_WorkerReply] = []

    async def obey(self, order: Order) -> None:
        """Carry out an order; a sample goes on by itself."""
        what, number, value = order
        try:
            await getattr(self, what)(number, value)
        except Exception as error:  # an engine's code is not ours: whatever it raises is its fault
            self._tell(number, (), _said(error))

    async def open(self, number: int, asked: tuple[tuple[int, ...], Sampling]) -> None:
        """A new session."""
        self._sessions[number] = await self._engine.open(*asked)

    async def fork(self, number: int, origin: int) -> None:
        """A session with the context of another."""
        self._sessions[number] = await self._sessions[origin].fork()

    async def append(self, number: int, ids: tuple[int, ...]) -> None:
        """Force ids."""
        await self._sessions[number].append(ids)

    async def sample(self, number: int, asked: tuple[int, ForbiddenSequences]) -> None:
        """Begin a sample; what comes is looked at while there are any."""
        if not self._samples:
            self._loop.call_later(TICK, self._look)
        self._seen[number] = 0
        self._samples[number] = self._loop.create_task(self._sample(number, asked))

    async def interrupt(self, number: int, _: None) -> None:
        """End a sample; one that was asked for just before has begun by then."""
        await asyncio.sleep(0)
        self._sessions[number].interrupt()

    async def close(self, number: int, _: None) -> None:
        """End a session, and first its sample."""
        if (task := self._samples.pop(number, None)) is not None:
            task.cancel()
            await asyncio.wait({task})
        self._scored.pop(number, None)
        if (session := self._sessions.pop(number, None)) is not None:
            await session.close()

    async def _sample(self, number: int, asked: tuple[int, ForbiddenSequences]) -> None:
        end: FinishReason | str
        try:
            sampled = await self._sessions[number].sample(*asked)
            ids, end = sampled.token_ids[self._seen[number] :], sampled.reason
        except Exception as error:  # as in `obey`
            ids, end = (), _said(error)
        self._samples.pop(number, None)
        self._tell(number, ids, end)

    def _look(self) -> None:
        """Tell what came of every sample under way."""
        for number in self._samples:
            came = self._sessions[number].pending_token_ids
            if len(came) > self._seen[number]:
                self._tell(number, tuple(came[self._seen[number] :]), None)
                self._seen[number] = len(came)
        if self._samples:
            self._loop.call_later(TICK, self._look)

    def _tell(self, number: int, ids: Sequence[int], end: FinishReason | str | None) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        session, told = self._sessions.get(number), self._scored.get(number, 0)
        scores = () if session is None else tuple(session.logprobs[told : told + len(ids)])
        self._scored[number] = told + len(scores)
        self._out.append((number, ids, scores, end))

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._writer.write(_packed(out))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Z1Error) else f"the engine failed: {error!r}"
