"""How do many sessions share one model on this machine?

Continuous batching: each step takes one id further every session that is sampling, and computes what was forced on one
or what a new one begins with in one piece, as far as the step's rows go. Sessions join and leave at any step. Who has
which part of the store is `slots.py`'s business, how a step is computed `decoder.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from z1.chat import Tokenizer
from z1.engines.choose import choose, scores
from z1.engines.decoder import FAMILIES, Chunk, Decoder, supports
from z1.engines.general import General, refuse_partial_attention
from z1.engines.masks import completing, forbid
from z1.engines.protocol import ANY, Capabilities, Never, Reason, Sampled, Sampling, Score, refuse_unfit
from z1.engines.slots import Context, Slots, shared_soon
from z1.engines.weights import load_model
from z1.errors import EngineFault, UserError


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`slots` contexts are held at once, of up to `length` ids each; a step computes at most `rows` ids.

    `deterministic` makes greedy ids independent of what else runs, to the bit, on a CPU.
    """

    slots: int = 64
    length: int = 4096
    deterministic: bool = False
    rows: int = 512


@dataclass(slots=True, eq=False)
class _Work:
    """A sample that is under way."""

    session: LocalSession
    limit: int
    done: asyncio.Future[Sampled]
    ids: list[int]
    never: Never


class LocalSession:
    """One context on a `LocalEngine`; see `protocol.Session`."""

    def __init__(self, engine: LocalEngine, context: Context, sampling: Sampling) -> None:
        self._engine, self.context, self.sampling = engine, context, sampling
        self._work: _Work | None = None
        self.scores: list[Score] = []

    @property
    def room(self) -> int:
        """Ids that still fit."""
        return self._engine.length - len(self.context.ids)

    @property
    def coming(self) -> Sequence[int]:
        """What came so far of the sample under way."""
        return () if self._work is None else self._work.ids

    async def sample(self, limit: int, never: Never = ()) -> Sampled:
        """At least one and at most `limit` ids, none of `never` completed."""
        if not 1 <= limit <= self.room:
            raise EngineFault(f"{limit} ids were asked for where {self.room} fit")
        self._work = _Work(self, limit, asyncio.get_running_loop().create_future(), [], never)
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
        self.context.ids += ids

    async def fork(self) -> LocalSession:
        """Another session with the same context; what was computed is copied when it goes on."""
        return LocalSession(self._engine, Context(list(self.context.ids), forked=True), self.sampling)

    def interrupt(self) -> None:
        """End the sample that is under way."""
        if self._work is not None and not self._work.done.done():
            self._work.done.set_result(Sampled(tuple(self._work.ids), Reason.INTERRUPTED))

    async def close(self) -> None:
        """Give the slot back."""
        self._engine.release(self.context)


class LocalEngine:
    """A transformers model in this process; see `protocol.Engine`. Made by `load`."""

    def __init__(self, model: Any, tokenizer: Tokenizer, names: tuple[str, str], settings: LocalSettings) -> None:
        self.name, self.profile = names
        self.tokenizer, self._rows = tokenizer, max(settings.rows, settings.slots)
        self.length = min(settings.length, getattr(model.config, "max_position_embeddings", settings.length))
        self.forward = forward(model, settings, self.length)
        exact = settings.deterministic
        self.capabilities = Capabilities(keeps_cache=True, forks=True, deterministic=exact, forbids=ANY, logprobs=True)
        self._slots = Slots(settings.slots, self.forward.copy)
        self._work: dict[_Work, None] = {}
        self._steps = 0
        self._pump: asyncio.Task[None] | None = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> LocalSession:
        """A session whose context is `prompt`."""
        refuse_unfit(prompt, self.length)
        return LocalSession(self, Context(list(prompt)), sampling)

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
        return len(self._slots.free) == self._slots.count and not self._work

    def begin(self, work: _Work) -> None:
        """Take a sample on; the pump runs while there are any."""
        self._work[work] = None
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    def drop(self, work: _Work) -> None:
        """Forget a sample that has ended or was given up."""
        self._work.pop(work, None)

    def release(self, context: Context) -> None:
        """Take a closed context's slot back."""
        self._slots.release(context)

    async def _run(self) -> None:
        while self._work:
            self._steps += 1
            try:
                self._step(self._ready())
            except Exception as error:  # the model's code is not ours: whatever it raises is an engine's fault
                self._fail(error)
            await asyncio.sleep(0)

    def _ready(self) -> list[_Work]:
        """Samples whose contexts have a slot, in the order in which they were asked for.

        One that waits for a slot makes all behind it wait. One whose beginning is just being computed for another waits
        a step and takes it over.
        """
        waiting: list[_Work] = []
        ready: list[_Work] = []
        for work in self._work:
            if not work.done.done():
                work.session.context.asked = self._steps
                (ready if work.session.context.slot is not None else waiting).append(work)
        coming = [c for c in (work.session.context for work in ready) if len(c.ids) - c.computed > 1]
        for work in waiting:
            context = work.session.context
            if coming and shared_soon(context, coming, self._slots.longest(context)[1]):
                continue
            if not self._slots.place(context, self._steps):
                break
            ready.append(work)
            coming.append(context)
        return ready

    def _step(self, works: list[_Work]) -> None:
        """Compute what the step has rows for, decoding first, and give every context that is then complete an id."""
        self._slots.settle([work.session.context for work in works])
        works.sort(key=lambda work: len(work.session.context.ids) - work.session.context.computed > 1)
        chunks: list[Chunk] = []
        left = self._rows
        for work in works:
            context = work.session.context
            start = min(context.computed, len(context.ids) - 1)
            ids = context.ids[start : start + left]
            if not ids:
                break
            chunks.append(Chunk(context.slot or 0, start, ids))
            left -= len(ids)
        if not chunks:
            return
        logits = self.forward.last_logits(chunks)
        for work, chunk in zip(works, chunks, strict=False):
            work.session.context.computed = chunk.start + len(chunk.ids)
        last = works[len(chunks) - 1].session.context
        done = works[: len(chunks) - (last.computed < len(last.ids))]  # only the last may be cut short
        samplings = [work.session.sampling for work in done]
        asked = [row for row, sampling in enumerate(samplings) if sampling.logprobs is not None]
        chances = logits[asked].float().log_softmax(-1) if asked else logits
        _forbid(logits, done)
        tokens = choose(logits[: len(done)], samplings, [len(work.session.context.ids) for work in done])
        if asked:
            told = scores(chances, [tokens[row] for row in asked], [samplings[row].logprobs or 0 for row in asked])
            for row, score in zip(asked, told, strict=True):
                done[row].session.scores.append(score)
        for work, token in zip(done, tokens, strict=True):
            self._came(work, token)

    def _came(self, work: _Work, token: int) -> None:
        session = work.session
        session.context.ids.append(token)
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


@torch.inference_mode()
def _forbid(logits: torch.Tensor, works: Sequence[_Work]) -> None:
    """Take away what may not come in a few of `works`; logits [works or more, V]."""
    bound = [(row, work) for row, work in enumerate(works) if work.never]
    taken = [(row, token) for row, work in bound for token in completing(work.session.context.ids, work.never)]
    forbid(logits, [row for row, _ in taken], [token for _, token in taken])


def forward(model: Any, settings: LocalSettings, length: int) -> Decoder | General:
    """What computes `model`: our own forward pass, or transformers' with a word of warning."""
    refuse_partial_attention(model.config)
    if settings.deterministic and (model.device.type != "cpu" or model.dtype != torch.float32):
        got = f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
        raise UserError("deterministic mode", got, "use float32 on a CPU, or do without")
    if supports(model.config):
        return Decoder(model, settings.slots, length, deterministic=settings.deterministic)
    log = logging.getLogger(__name__)
    log.warning("model type %s: computed by transformers, slower than %s", model.config.model_type, ", ".join(FAMILIES))
    return General(model, settings.slots, length, deterministic=settings.deterministic)


def load(model: str | Path, settings: LocalSettings = LocalSettings(), profile: str | None = None) -> LocalEngine:
    """The engine for a model folder or a hub id; the profile is the folder's own unless one is given."""
    loaded = load_model(str(model), profile)
    return LocalEngine(loaded.model, loaded.tokenizer, (loaded.name, loaded.profile), settings)
