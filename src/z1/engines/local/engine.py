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

from z1.engines.local.decoder import FAMILIES, Decoder, PrefillChunk, supports
from z1.engines.local.kv_cache import KVCache, SequenceState, shared_soon
from z1.engines.local.sampler import choose, scores
from z1.engines.local.transformers_decoder import TransformersDecoder, refuse_partial_attention
from z1.engines.logit_mask import completing_tokens, forbid
from z1.engines.protocol import (
    ANY_LENGTH,
    Capabilities,
    FinishReason,
    ForbiddenSequences,
    Logprob,
    Sampled,
    Sampling,
    check_prompt_length,
)
from z1.errors import EngineFault, UserError
from z1.model_files import load_model
from z1.profiles import Tokenizer


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings of the local engine.

    The KV cache holds `max_num_seqs` sequences of up to `max_model_len` tokens; a step computes at most
    `max_num_batched_tokens`. `deterministic` makes greedy tokens independent of the batch, to the bit, on one kind of
    CPU.
    """

    max_num_seqs: int = 64
    max_model_len: int = 4096
    deterministic: bool = False
    max_num_batched_tokens: int = 512


@dataclass(slots=True, eq=False)
class _SampleRequest:
    """A sample that is under way."""

    session: LocalSession
    limit: int
    done: asyncio.Future[Sampled]
    token_ids: list[int]
    forbidden: ForbiddenSequences


class LocalSession:
    """One context on a `LocalEngine`; see `protocol.Session`."""

    def __init__(self, engine: LocalEngine, context: SequenceState, sampling: Sampling) -> None:
        self._engine, self.context, self.sampling = engine, context, sampling
        self._work: _SampleRequest | None = None
        self.logprobs: list[Logprob] = []

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        return self._engine.max_model_len - len(self.context.token_ids)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """What came so far of the sample under way."""
        return () if self._work is None else self._work.token_ids

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `max_tokens` ids, none of `forbidden` completed."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._work = _SampleRequest(self, max_tokens, asyncio.get_running_loop().create_future(), [], forbidden)
        self._engine.begin(self._work)
        try:
            return await self._work.done
        finally:
            self._engine.drop(self._work)
            self._work = None

    async def append(self, token_ids: Sequence[int]) -> None:
        """Force `token_ids`; they are computed in one piece with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context.token_ids += token_ids

    async def fork(self) -> LocalSession:
        """Another session with the same context; what was computed is copied when it goes on."""
        return LocalSession(self._engine, SequenceState(list(self.context.token_ids), forked=True), self.sampling)

    def interrupt(self) -> None:
        """End the sample that is under way."""
        if self._work is not None and not self._work.done.done():
            self._work.done.set_result(Sampled(tuple(self._work.token_ids), FinishReason.INTERRUPTED))

    async def close(self) -> None:
        """Give the slot back."""
        self._engine.release(self.context)


class LocalEngine:
    """A transformers model in this process; see `protocol.Engine`. Made by `load`."""

    def __init__(self, model: Any, tokenizer: Tokenizer, names: tuple[str, str], settings: LocalSettings) -> None:
        self.name, self.profile = names
        self.tokenizer, self._rows = tokenizer, max(settings.max_num_batched_tokens, settings.max_num_seqs)
        self.max_model_len = min(
            settings.max_model_len, getattr(model.config, "max_position_embeddings", settings.max_model_len)
        )
        self.decoder = forward(model, settings, self.max_model_len)
        exact = settings.deterministic
        self.capabilities = Capabilities(
            reuses_kv_cache=True,
            can_fork=True,
            is_deterministic=exact,
            max_forbidden_length=ANY_LENGTH,
            has_logprobs=True,
        )
        self._slots = KVCache(settings.max_num_seqs, self.decoder.copy)
        self._work: dict[_SampleRequest, None] = {}
        self._steps = 0
        self._pump: asyncio.Task[None] | None = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> LocalSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return LocalSession(self, SequenceState(list(prompt)), sampling)

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

    def begin(self, work: _SampleRequest) -> None:
        """Take a sample on; the pump runs while there are any."""
        self._work[work] = None
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    def drop(self, work: _SampleRequest) -> None:
        """Forget a sample that has ended or was given up."""
        self._work.pop(work, None)

    def release(self, context: SequenceState) -> None:
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

    def _ready(self) -> list[_SampleRequest]:
        """Samples whose contexts have a slot, in the order in which they were asked for.

        One that waits for a slot makes all behind it wait. One whose beginning is just being computed for another waits
        a step and takes it over.
        """
        waiting: list[_SampleRequest] = []
        ready: list[_SampleRequest] = []
        for work in self._work:
            if not work.done.done():
                work.session.context.last_used = self._steps
                (ready if work.session.context.slot is not None else waiting).append(work)
        coming = [c for c in (work.session.context for work in ready) if len(c.token_ids) - c.computed > 1]
        for work in waiting:
            context = work.session.context
            if coming and shared_soon(context, coming, self._slots.longest(context)[1]):
                continue
            if not self._slots.place(context, self._steps):
                break
            ready.append(work)
            coming.append(context)
        return ready

    def _step(self, works: list[_SampleRequest]) -> None:
        """Compute what the step has rows for, decoding first, and give every context that is then complete an id."""
        self._slots.settle([work.session.context for work in works])
        works.sort(key=lambda work: len(work.session.context.token_ids) - work.session.context.computed > 1)
        chunks: list[PrefillChunk] = []
        left = self._rows
        for work in works:
            context = work.session.context
            start = min(context.computed, len(context.token_ids) - 1)
            ids = context.token_ids[start : start + left]
            if not ids:
                break
            chunks.append(PrefillChunk(context.slot or 0, start, ids))
            left -= len(ids)
        if not chunks:
            return
        logits = self.decoder.last_logits(chunks)
        for work, chunk in zip(works, chunks, strict=False):
            work.session.context.computed = chunk.start + len(chunk.token_ids)
        last = works[len(chunks) - 1].session.context
        done = works[: len(chunks) - (last.computed < len(last.token_ids))]  # only the last may be cut short
        samplings = [work.session.sampling for work in done]
        asked = [row for row, sampling in enumerate(samplings) if sampling.logprobs is not None]
        chances = logits[asked].float().log_softmax(-1) if asked else logits
        _forbid(logits, done)
        tokens = choose(logits[: len(done)], samplings, [len(work.session.context.token_ids) for work in done])
        if asked:
            told = scores(chances, [tokens[row] for row in asked], [samplings[row].logprobs or 0 for row in asked])
            for row, score in zip(asked, told, strict=True):
                done[row].session.logprobs.append(score)
        for work, token in zip(done, tokens, strict=True):
            self._came(work, token)

    def _came(self, work: _SampleRequest, token: int) -> None:
        session = work.session
        session.context.token_ids.append(token)
        work.token_ids.append(token)
        stopped = token in session.sampling.stop_token_ids
        if stopped or len(work.token_ids) == work.limit:
            work.done.set_result(Sampled(tuple(work.token_ids), FinishReason.STOP if stopped else FinishReason.LIMIT))
            self._work.pop(work, None)

    def _fail(self, error: Exception) -> None:
        for work in list(self._work):
            if not work.done.done():
                work.done.set_exception(EngineFault(f"the model failed: {error!r}"))
            self._work.pop(work, None)


@torch.inference_mode()
def _forbid(logits: torch.Tensor, works: Sequence[_SampleRequest]) -> None:
    """Take away what may not come in a few of `works`; logits [works or more, V]."""
    bound = [(row, work) for row, work in enumerate(works) if work.forbidden]
    taken = [
        (row, token)
        for row, work in bound
        for token in completing_tokens(work.session.context.token_ids, work.forbidden)
    ]
    forbid(logits, [row for row, _ in taken], [token for _, token in taken])


def forward(model: Any, settings: LocalSettings, length: int) -> Decoder | TransformersDecoder:
    """What computes `model`: our own forward pass, or transformers' with a word of warning."""
    refuse_partial_attention(model.config)
    if settings.deterministic and (model.device.type != "cpu" or model.dtype != torch.float32):
        got = f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
        raise UserError("deterministic mode", got, "use float32 on a CPU, or do without")
    if supports(model.config):
        return Decoder(model, settings.max_num_seqs, length, deterministic=settings.deterministic)
    log = logging.getLogger(__name__)
    log.warning("model type %s: computed by transformers, slower than %s", model.config.model_type, ", ".join(FAMILIES))
    return TransformersDecoder(model, settings.max_num_seqs, length, deterministic=settings.deterministic)


def load(model: str | Path, settings: LocalSettings = LocalSettings(), profile: str | None = None) -> LocalEngine:
    """The engine for a model folder or a hub id; the profile is the folder's own unless one is given."""
    loaded = load_model(str(model), profile)
    return LocalEngine(loaded.model, loaded.tokenizer, (loaded.name, loaded.profile), settings)
