"""How do many sessions share one model on this machine?

Continuous batching: each step takes one id further every session that is sampling, and computes what was forced on one
or what a new one begins with in one piece. Sessions join and leave at any step. A session owns a slot of the store only
while it needs one: when all are taken one that is not sampling is given up, and its context is computed again when it
goes on, so a full store makes sessions wait or compute again, and never fails one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from z1.chat import Tokenizer
from z1.engines.choose import choose
from z1.engines.protocol import Capabilities, Reason, Sampled, Sampling
from z1.engines.slots import Chunk, Forward
from z1.engines.weights import load_model
from z1.errors import EngineFault, UserError


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`slots` contexts are held at once, of up to `length` ids each; `deterministic` needs float32 on a CPU."""

    slots: int = 64
    length: int = 4096
    deterministic: bool = False


@dataclass(slots=True, eq=False)
class _Work:
    """A sample that is under way."""

    session: LocalSession
    limit: int
    done: asyncio.Future[Sampled]
    ids: list[int]


class LocalSession:
    """One context on a `LocalEngine`; see `protocol.Session`."""

    def __init__(self, engine: LocalEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self.sampling = engine, sampling
        self.context = list(context)
        self.slot: int | None = None
        self.computed = 0
        self._work: _Work | None = None

    @property
    def room(self) -> int:
        """Ids that still fit."""
        return self._engine.length - len(self.context)

    async def sample(self, limit: int) -> Sampled:
        """At least one and at most `limit` ids."""
        if not 1 <= limit <= self.room:
            raise EngineFault(f"{limit} ids were asked for where {self.room} fit")
        self._work = _Work(self, limit, asyncio.get_running_loop().create_future(), [])
        self._engine.begin(self._work)
        try:
            return await self._work.done
        finally:
            self._engine.drop(self._work)
            self._work = None

    async def append(self, ids: Sequence[int]) -> None:
        """Force `ids`; they are computed in one piece with the next sample."""
        if len(ids) > self.room:
            raise EngineFault(f"{len(ids)} ids are forced where {self.room} fit")
        self.context += ids

    async def fork(self) -> LocalSession:
        """Another session with the same context; what was computed is copied where a slot is to be had."""
        other = LocalSession(self._engine, self.context, self.sampling)
        self._engine.share(self, other)
        return other

    def interrupt(self) -> None:
        """End the sample that is under way."""
        if self._work is not None and not self._work.done.done():
            self._work.done.set_result(Sampled(tuple(self._work.ids), Reason.INTERRUPTED))

    async def close(self) -> None:
        """Give the slot back."""
        self._engine.release(self)


class LocalEngine:
    """A transformers model in this process; see `protocol.Engine`. Made by `load`."""

    def __init__(self, model: Any, tokenizer: Tokenizer, names: tuple[str, str], settings: LocalSettings) -> None:
        self.name, self.profile = names
        self.tokenizer = tokenizer
        self.length = min(settings.length, getattr(model.config, "max_position_embeddings", settings.length))
        self.forward = Forward(model, settings.slots, self.length, deterministic=settings.deterministic)
        self.capabilities = Capabilities(keeps_cache=True, forks=True, deterministic=settings.deterministic)
        self._free = deque(range(settings.slots))
        self._owners: dict[int, LocalSession] = {}
        self._work: dict[_Work, None] = {}
        self._pump: asyncio.Task[None] | None = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> LocalSession:
        """A session whose context is `prompt`."""
        if not prompt:
            raise UserError("prompt", "no ids", "ask something")
        if len(prompt) >= self.length:
            raise UserError("prompt", f"{len(prompt)} ids", f"give fewer than the {self.length} that the context holds")
        return LocalSession(self, prompt, sampling)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pump is not None:
            self._pump.cancel()

    @property
    def idle(self) -> bool:
        """Whether every slot is free and nothing is sampled."""
        return not self._owners and not self._work

    def begin(self, work: _Work) -> None:
        """Take a sample on; the pump runs while there are any."""
        self._work[work] = None
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    def drop(self, work: _Work) -> None:
        """Forget a sample that has ended or was given up."""
        self._work.pop(work, None)

    def release(self, session: LocalSession) -> None:
        """Take a session's slot back; what it had computed is gone."""
        if session.slot is not None:
            del self._owners[session.slot]
            self._free.append(session.slot)
            session.slot, session.computed = None, 0

    def share(self, source: LocalSession, target: LocalSession) -> None:
        """Give `target` a copy of what `source` has computed, if a slot is free."""
        if source.slot is not None and self._free:
            self._own(target)
            self.forward.cache.copy(source.slot, target.slot or 0, source.computed)
            target.computed = source.computed

    def _own(self, session: LocalSession) -> None:
        session.slot = self._free.popleft()
        self._owners[session.slot] = session

    async def _run(self) -> None:
        while self._work:
            try:
                self._step([work for work in list(self._work) if not work.done.done() and self._place(work.session)])
            except Exception as error:  # the model's code is not ours: whatever it raises is an engine's fault
                self._fail(error)
            await asyncio.sleep(0)

    def _place(self, session: LocalSession) -> bool:
        """Whether the session has a slot now: its own, a free one, or that of a session that is not sampling."""
        if session.slot is None:
            if not self._free:
                busy = {work.session for work in self._work}
                idle = next((owner for owner in self._owners.values() if owner not in busy), None)
                if idle is None:
                    return False
                self.release(idle)
            self._own(session)
        return True

    def _step(self, works: list[_Work]) -> None:
        chunks = []
        for work in works:
            session = work.session
            start = min(session.computed, len(session.context) - 1)
            chunks.append(Chunk(session.slot or 0, start, session.context[start:]))
        for work, logits in zip(works, self.forward.last_logits(chunks) if chunks else [], strict=True):
            session = work.session
            session.computed = len(session.context)
            token = choose(logits, session.sampling, len(session.context))
            session.context.append(token)
            work.ids.append(token)
            stopped = token in session.sampling.stops
            if stopped or len(work.ids) == work.limit:
                work.done.set_result(Sampled(tuple(work.ids), Reason.STOP if stopped else Reason.LIMIT))
                self._work.pop(work, None)

    def _fail(self, error: Exception) -> None:
        for work in list(self._work):
            if not work.done.done():
                work.done.set_exception(EngineFault(f"the model failed: {error!r}"))
            self._work.pop(work, None)


def load(model: str | Path, settings: LocalSettings = LocalSettings(), profile: str | None = None) -> LocalEngine:
    """The engine for a model folder or a hub id; the profile is the folder's own unless one is given."""
    loaded = load_model(str(model), profile)
    return LocalEngine(loaded.model, loaded.tokenizer, (loaded.name, loaded.profile), settings)
