"""The local engine: continuous batching of prefill and decode steps over one model in this process.

Each step decodes one token for every session that is sampling, and prefills new prompts and forced tokens, up to the
step's token limit. Sessions join and leave at any step. `kv_cache.py` allocates slots, `decoder.py` computes a step and
`sampler.py` chooses the tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from z1.engines.local.decoder import FAMILIES, Decoder, PrefillChunk, supports
from z1.engines.local.kv_cache import KVCache, SequenceState, will_share_more
from z1.engines.local.memory import context_length, describe, fit_contexts, free_memory, memory_need
from z1.engines.local.sampler import sample_tokens, token_logprobs
from z1.engines.local.transformers_decoder import FULL, TransformersDecoder, layer_kinds, reject_other_layers
from z1.engines.local.weights import read_weights
from z1.engines.logit_mask import add_bias, completing_tokens, forbid
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
from z1.model_files import find_model, load_model
from z1.model_files.cache import say
from z1.profiles import Tokenizer
from z1.think import EndBias

DTYPES = ("auto", "float32", "bfloat16")

SAY_ABOVE = 1_000_000_000
"""Bytes above which the memory that a model will take is printed."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings of the local engine.

    The KV cache holds `max_num_seqs` sequences of up to `max_model_len` tokens; a step computes at most
    `max_num_batched_tokens`. `deterministic` makes greedy tokens independent of the batch, to the bit, on one kind of
    CPU. `dtype` is that of weights and cache on a CPU: float32, bfloat16, or auto, which is float32 where that fits.
    """

    max_num_seqs: int = 64
    max_model_len: int = 4096
    deterministic: bool = False
    max_num_batched_tokens: int = 512
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UserError("dtype", self.dtype, f"choose one of {', '.join(DTYPES)}")


@dataclass(slots=True, eq=False)
class _SampleRequest:
    """A running sample."""

    session: LocalSession
    sequence: SequenceState
    max_tokens: int
    done: asyncio.Future[Sampled]
    token_ids: list[int]
    forbidden: ForbiddenSequences
    bias: EndBias | None = None

    @property
    def is_prefilling(self) -> bool:
        """Whether more than the last token is still to be computed."""
        return len(self.sequence.token_ids) - self.sequence.num_computed_tokens > 1


class LocalSession:
    """One context on a `LocalEngine`; see `protocol.Session`."""

    def __init__(self, engine: LocalEngine, sequence: SequenceState, sampling: Sampling) -> None:
        self._engine, self.sequence, self.sampling = engine, sequence, sampling
        self._request: _SampleRequest | None = None
        self.logprobs: list[Logprob] = []
        self.forced: deque[int] = deque()
        """Forced tokens that the next sample computes one by one, for their log-probabilities."""

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._engine.max_model_len - len(self.sequence.token_ids) - len(self.forced)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample."""
        return () if self._request is None else self._request.token_ids

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, completing none of `forbidden`, with `bias`."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        done = asyncio.get_running_loop().create_future()
        self._request = _SampleRequest(self, self.sequence, max_tokens, done, [], forbidden, bias)
        self._engine.add_request(self._request)
        try:
            return await self._request.done
        finally:
            self._engine.remove_request(self._request)
            self._request = None

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; the next sample prefills them in one step, or one by one for log-probabilities."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        has_logprobs = self.sampling.forced_logprobs and self.sampling.logprobs is not None
        (self.forced if has_logprobs else self.sequence.token_ids).extend(token_ids)

    async def fork(self, sampling: Sampling | None = None) -> LocalSession:
        """Another session with the same context; its KV cache is copied at its first sample."""
        context = [*self.sequence.token_ids, *self.forced]
        return LocalSession(self._engine, SequenceState(context, is_fork=True), sampling or self.sampling)

    def interrupt(self) -> None:
        """End the running sample."""
        if self._request is not None and not self._request.done.done():
            self._request.done.set_result(Sampled(tuple(self._request.token_ids), FinishReason.INTERRUPTED))

    async def close(self) -> None:
        """Release the slot."""
        self._engine.kv_cache.release(self.sequence)


class LocalEngine:
    """A transformers model in this process; see `protocol.Engine`. `load` makes one."""

    def __init__(self, model: Any, tokenizer: Tokenizer, names: tuple[str, str], settings: LocalSettings) -> None:
        self.name, self.profile = names
        self.tokenizer = tokenizer
        self._max_batch = max(settings.max_num_batched_tokens, settings.max_num_seqs)
        self.max_model_len = min(
            settings.max_model_len, getattr(model.config, "max_position_embeddings", settings.max_model_len)
        )
        self.decoder = make_decoder(model, settings, self.max_model_len)
        self.capabilities = Capabilities(
            reuses_kv_cache=True,
            can_fork=True,
            is_deterministic=settings.deterministic,
            max_forbidden_length=ANY_LENGTH,
            can_bias=True,
            has_logprobs=True,
            has_forced_logprobs=True,
        )
        self.kv_cache = KVCache(settings.max_num_seqs, self.decoder.copy)
        self._requests: dict[_SampleRequest, None] = {}
        self._steps = 0
        self._loop: asyncio.Task[None] | None = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> LocalSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return LocalSession(self, SequenceState(list(prompt)), sampling)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.cancel()

    def add_request(self, request: _SampleRequest) -> None:
        """Add a sample, and start the loop of steps if it is not running."""
        self._requests[request] = None
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())

    def remove_request(self, request: _SampleRequest) -> None:
        """Remove a sample that has ended or was cancelled."""
        self._requests.pop(request, None)

    async def _run(self) -> None:
        while self._requests:
            self._steps += 1
            try:
                self._step(self._schedule())
            except Exception as error:  # the model's code is not ours: any exception is an engine fault
                self._fail(error)
            await asyncio.sleep(0)

    def _schedule(self) -> list[_SampleRequest]:
        """The samples whose sequences have a slot, in order of arrival.

        A sample that waits for a slot blocks all later ones. A sample whose prefix is being prefilled by another one
        waits a step and copies it.
        """
        waiting: list[_SampleRequest] = []
        ready: list[_SampleRequest] = []
        for request in self._requests:
            if not request.done.done():
                request.sequence.last_used_step = self._steps
                (ready if request.sequence.slot is not None else waiting).append(request)
        prefilling = [request.sequence for request in ready if request.is_prefilling]
        for request in waiting:
            sequence = request.sequence
            if prefilling and will_share_more(sequence, prefilling, self.kv_cache.longest_prefix(sequence)[1]):
                continue
            if not self.kv_cache.allocate(sequence, self._steps):
                break
            ready.append(request)
            prefilling.append(sequence)
        return ready

    def _step(self, requests: list[_SampleRequest]) -> None:
        """Compute one batch, decoding first, and sample a token for every sequence whose context is then complete."""
        self.kv_cache.compact([request.sequence for request in requests])
        requests.sort(key=lambda request: request.is_prefilling)
        chunks = self._chunks(requests)
        if not chunks:
            return
        logits = self.decoder.last_logits(chunks)
        for request, chunk in zip(requests, chunks, strict=False):
            request.sequence.num_computed_tokens = chunk.start + len(chunk.token_ids)
        last = requests[len(chunks) - 1].sequence
        is_cut = last.num_computed_tokens < len(last.token_ids)  # only the last chunk may be incomplete
        self._sample(requests[: len(chunks) - is_cut], logits)

    def _chunks(self, requests: Sequence[_SampleRequest]) -> list[PrefillChunk]:
        """The tokens to compute in this step, one chunk a request, up to the batch limit."""
        chunks: list[PrefillChunk] = []
        left = self._max_batch
        for request in requests:
            sequence = request.sequence
            start = min(sequence.num_computed_tokens, len(sequence.token_ids) - 1)
            token_ids = sequence.token_ids[start : start + left]
            if not token_ids:
                break
            chunks.append(PrefillChunk(sequence.slot or 0, start, token_ids))
            left -= len(token_ids)
        return chunks

    def _sample(self, requests: Sequence[_SampleRequest], logits: Tensor) -> None:
        """Sample the next token of each request from logits [requests or more, V]."""
        samplings = [request.session.sampling for request in requests]
        rows = [row for row, sampling in enumerate(samplings) if sampling.logprobs is not None]
        logprobs = logits[rows].float().log_softmax(-1) if rows else logits
        _steer(logits, requests)
        positions = [len(request.sequence.token_ids) for request in requests]
        sampled = sample_tokens(logits[: len(requests)], samplings, positions)
        forced = (request.session.forced for request in requests)
        tokens = [queue[0] if queue else token for queue, token in zip(forced, sampled, strict=True)]
        if rows:
            counts = [samplings[row].logprobs or 0 for row in rows]
            found = token_logprobs(logprobs, [tokens[row] for row in rows], counts)
            for row, logprob in zip(rows, found, strict=True):
                requests[row].session.logprobs.append(logprob)
        for request, token in zip(requests, tokens, strict=True):
            self._add_token(request, token)

    def _add_token(self, request: _SampleRequest, token: int) -> None:
        request.sequence.token_ids.append(token)
        if request.session.forced:
            request.session.forced.popleft()
            return
        request.token_ids.append(token)
        is_stop = token in request.session.sampling.stop_token_ids
        if is_stop or len(request.token_ids) == request.max_tokens:
            reason = FinishReason.STOP if is_stop else FinishReason.LIMIT
            request.done.set_result(Sampled(tuple(request.token_ids), reason))
            self._requests.pop(request, None)

    def _fail(self, error: Exception) -> None:
        for request in list(self._requests):
            if not request.done.done():
                request.done.set_exception(EngineFault(f"the model failed: {error!r}"))
            self._requests.pop(request, None)


@torch.inference_mode()
def _steer(logits: Tensor, requests: Sequence[_SampleRequest]) -> None:
    """Mask the forbidden tokens of `requests` in logits [requests or more, V], and add their biases."""
    masked = [
        (row, token)
        for row, request in enumerate(requests)
        if request.forbidden
        for token in completing_tokens(request.sequence.token_ids, request.forbidden)
    ]
    forbid(logits, [row for row, _ in masked], [token for _, token in masked])
    biased = [
        (row, *term)
        for row, request in enumerate(requests)
        if request.bias is not None
        and (term := request.bias.term(request.sequence.token_ids, len(request.token_ids))) is not None
    ]
    if biased:
        add_bias(logits, *zip(*biased, strict=True))


def make_decoder(model: Any, settings: LocalSettings, max_model_len: int) -> Decoder | TransformersDecoder:
    """The decoder of `model`: z1's forward pass, or transformers' with a warning. Raises UserError."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    reject_other_layers(config)
    if settings.deterministic and (model.device.type != "cpu" or model.dtype != torch.float32):
        got = f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
        raise UserError("deterministic mode", got, "use float32 on a CPU, or turn it off")
    if supports(model.config) and layer_kinds(model.config) == {FULL}:
        return Decoder(model, settings.max_num_seqs, max_model_len, deterministic=settings.deterministic)
    log = logging.getLogger(__name__)
    log.warning("model type %s: computed by transformers, slower than %s", model.config.model_type, ", ".join(FAMILIES))
    return TransformersDecoder(model, settings.max_num_seqs, max_model_len, deterministic=settings.deterministic)


def load(model: str | Path, settings: LocalSettings = LocalSettings(), profile: str | None = None) -> LocalEngine:
    """The engine of a model folder, a GGUF file or a hub id; `profile` overrides the model's own. Raises UserError.

    On a CPU it has as many sequences as fit into memory, at most `max_num_seqs`, and prints what it will take.
    """
    folder = find_model(str(model))
    dtype, settings = (None, settings) if torch.cuda.is_available() else fit_memory(folder, settings)
    weights = read_weights(folder, dtype) if dtype is not None else None
    loaded = load_model(str(model), profile, weights, dtype)
    return LocalEngine(loaded.model, loaded.tokenizer, (loaded.name, loaded.profile), settings)


def fit_memory(folder: Path, settings: LocalSettings) -> tuple[torch.dtype, LocalSettings]:
    """The dtype of the weights, and `settings` with as many sequences as fit. Raises UserError if not one does."""
    length, free = context_length(folder, settings.max_model_len), free_memory()
    rows = max(settings.max_num_batched_tokens, settings.max_num_seqs)
    names = ["float32", "bfloat16"] if settings.dtype == "auto" and not settings.deterministic else [settings.dtype]
    names = ["float32" if name == "auto" else name for name in names]
    for name in names:
        need = memory_need(folder, name, length, rows, settings.max_num_seqs)
        try:
            contexts = fit_contexts(need, settings.max_num_seqs, length, free)
            break
        except UserError:
            if name == names[-1]:
                raise
    if need.total(contexts) > SAY_ABOVE or contexts < settings.max_num_seqs:
        say(describe(need, contexts, settings.max_num_seqs, length, free))
    return getattr(torch, need.dtype), replace(settings, max_num_seqs=contexts)
