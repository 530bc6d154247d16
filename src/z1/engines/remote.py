"""The remote engine: sessions on any server with OpenAI's API.

It uses streamed `/v1/completions`. A sample is a request for at most n tokens after the whole context; an interrupted
sample closes its stream, and the next request sends all tokens so far. The upstream's prefix cache makes that cheap, if
it has one.

Some upstreams accept and return token ids (vLLM: a prompt of token ids, `return_token_ids`), and tokens are exact.
Others exchange text only (llama.cpp, SGLang, hosted APIs): their text is encoded here, so counts are those of this
tokenizer, and `capabilities.has_token_ids` is False. The engine probes the upstream when it is entered.

Errors are EngineFaults. Only connecting is retried: a request that may have started is never sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2
import openai

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
from z1.engines.vllm_params import UNLIMITED, WindowParams
from z1.errors import EngineFault
from z1.profiles import Tokenizer, decode

CONNECT_ATTEMPTS = 3
"""Attempts to connect."""

DEFAULT_MAX_MODEL_LEN = 4096
"""The context length of an upstream that does not report one."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream server: its URL up to /v1, its name of the model (None: the first), an API key if it needs one.

    `max_model_len`: context length in tokens (None: as the upstream reports). `has_token_ids`: whether it accepts and
    returns token ids. `has_windows`: whether it enforces thinking budgets itself (vLLM with `z1.vllm_plugin`). None
    probes the upstream. A request fails after `timeout_s` without a byte.
    """

    url: str
    model: str | None = None
    api_key: str | None = None
    max_model_len: int | None = None
    has_token_ids: bool | None = None
    has_windows: bool | None = None
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class RemoteResponse:
    """The upstream's response to a proxied request: status, media type, and the body in chunks."""

    status: int
    media_type: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A running sample: its tokens so far, and the future that interrupts it."""

    token_ids: list[int]
    interrupted: asyncio.Future[None]


class RemoteSession:
    """One context, held here and sent with each request; see `protocol.Session`."""

    def __init__(self, engine: RemoteEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self._pending: _Pending | None = None
        self.logprobs: Sequence[Logprob] = ()

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._engine.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample; () from a text-only upstream, whose text is encoded at the end."""
        return self._pending.token_ids if self._pending and self._engine.capabilities.has_token_ids else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = ()) -> Sampled:
        """Sample 1 to `max_tokens` tokens, none of `forbidden` (single tokens) among them."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        pending = self._pending = _Pending([], asyncio.get_running_loop().create_future())
        try:
            reason = await self._engine.complete(self.context, self._sampling, max_tokens, pending, forbidden)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise EngineFault(f"the upstream failed: {error!r}") from error
        finally:
            self._pending = None
        self.context += pending.token_ids
        return Sampled(tuple(pending.token_ids), reason)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; they are sent with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context += token_ids

    async def fork(self) -> RemoteSession:
        """Another session with the same context, which needs a request of its own."""
        return RemoteSession(self._engine, self.context, self._sampling)

    def interrupt(self) -> None:
        """Close the stream of the running sample."""
        if self._pending is not None and not self._pending.interrupted.done():
            self._pending.interrupted.set_result(None)

    async def close(self) -> None:
        """No effect: nothing is held between two samples."""


class RemoteEngine:
    """An upstream and the tokenizer of its model; see `protocol.Engine`. Entering it probes the upstream."""

    def __init__(self, upstream: Upstream, tokenizer: Tokenizer, names: tuple[str, str]) -> None:
        self._upstream, self.tokenizer = upstream, tokenizer
        self.name, self.profile = names
        self.upstream_model = upstream.model or ""
        """The upstream's name of the model."""
        self.max_model_len = upstream.max_model_len or 0
        self.capabilities = _capabilities(has_token_ids=bool(upstream.has_token_ids), can_forbid=False)
        self.has_windows = bool(upstream.has_windows)
        """Whether the upstream enforces the budgets of `vllm_xargs` (`vllm_params.WindowParams`)."""
        self._client: openai.AsyncOpenAI | None = None
        self._http: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def proxy_request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[RemoteResponse]:
        """Send `body` to `path` (after /v1) unchanged, except for the upstream's name of the model.

        For features that z1 does not handle, such as tools and response formats. Leaving the context closes the stream.
        Raises EngineFault if there is no response; an HTTP error status is a response.
        """
        if self._http is None:
            raise EngineFault("the upstream is not connected: enter the engine first (async with)")
        url, key = self._upstream.url.rstrip("/"), self._upstream.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._http.stream(
                "POST", url + path, json={**body, "model": self.upstream_model}, headers=headers
            ) as response:
                media_type = response.headers.get("content-type", "application/json")
                yield RemoteResponse(response.status_code, media_type, response.aiter_bytes())
        except httpx2.HTTPError as error:
            raise EngineFault(f"the upstream failed: {error!r}") from error

    def request_with_budget(
        self, body: Mapping[str, Any], thinking_budget: int | None, max_answer_tokens: int | None, hint: str | None
    ) -> Mapping[str, Any] | None:
        """`body` with a budget for the upstream (None: unlimited, no cap, its own hint); None if it has no budgets."""
        if not self.has_windows:
            return None
        params = WindowParams(UNLIMITED if thinking_budget is None else thinking_budget, max_answer_tokens, hint=hint)
        return {**body, "vllm_xargs": {**(body.get("vllm_xargs") or {}), **params.to_xargs()}}

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> RemoteSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return RemoteSession(self, prompt, sampling)

    async def complete(
        self,
        context: Sequence[int],
        sampling: Sampling,
        max_tokens: int,
        pending: _Pending,
        forbidden: ForbiddenSequences = (),
    ) -> FinishReason:
        """Request up to `max_tokens` after `context`, adding them to `pending` as they arrive, until interrupted."""
        token_ids, with_ids = pending.token_ids, self.capabilities.has_token_ids
        prompt: Any = list(context) if with_ids else decode(self.tokenizer, context)
        settings = request_settings(sampling, len(context), max_tokens, forbidden, with_token_ids=with_ids)
        if self._client is None:
            raise EngineFault("the upstream is not connected: enter the engine first (async with)")
        request = self._client.completions.create(
            model=self.upstream_model, prompt=prompt, max_tokens=max_tokens, stream=True, **settings
        )
        stream: Any = await await_unless_cancelled(pending.interrupted, request)
        if stream is CANCELLED:
            return FinishReason.INTERRUPTED
        texts: list[str] = []
        async with stream:
            finish_reason = await _read(stream, pending, texts)
        if not with_ids:
            token_ids += self.tokenizer.encode("".join(texts), add_special_tokens=False)[:max_tokens]
        for at, token in enumerate(token_ids):
            if token in sampling.stop_token_ids:  # drop what the upstream sends after it
                del token_ids[at + 1 :]
                return FinishReason.STOP
        return self._finish_reason(finish_reason, token_ids, sampling, max_tokens)

    def _finish_reason(
        self, reported: str | None, token_ids: list[int], sampling: Sampling, max_tokens: int
    ) -> FinishReason:
        if reported is None:
            return FinishReason.INTERRUPTED
        if reported == "stop":
            return self._add_stop_token(token_ids, sampling, max_tokens)
        is_short = self.capabilities.has_token_ids and len(token_ids) < max_tokens
        if reported != "length" or not token_ids or is_short:
            raise EngineFault(f"the upstream ended with {reported!r} after {len(token_ids)} of {max_tokens} tokens")
        return FinishReason.LIMIT

    def _add_stop_token(self, token_ids: list[int], sampling: Sampling, max_tokens: int) -> FinishReason:
        """Add the stop token, which text-only upstreams do not return."""
        if not sampling.stop_token_ids:
            raise EngineFault("the upstream stopped a reply without stop tokens")
        eos = self.tokenizer.eos_token_id
        if (
            len(token_ids) == max_tokens
        ):  # the text has more tokens here than there; the stop follows in the next sample
            return FinishReason.LIMIT
        token_ids.append(eos if eos is not None and eos in sampling.stop_token_ids else min(sampling.stop_token_ids))
        return FinishReason.STOP

    async def __aenter__(self) -> Self:
        transport = httpx2.AsyncHTTPTransport(retries=CONNECT_ATTEMPTS - 1)
        http = openai.DefaultAsyncHttpxClient(transport=transport, timeout=httpx2.Timeout(self._upstream.timeout_s))
        url, key = self._upstream.url.rstrip("/"), self._upstream.api_key or "none"
        self._http = http
        self._client = openai.AsyncOpenAI(base_url=url, api_key=key, http_client=http, max_retries=0)
        try:
            await self._probe(self._client)
        except (openai.OpenAIError, httpx2.HTTPError, AttributeError, IndexError) as error:
            await self._client.close()
            raise EngineFault(f"the upstream {url} does not answer with OpenAI's API: {error!r}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = self._http = None

    async def _probe(self, client: openai.AsyncOpenAI) -> None:
        """Find out the model's name and context length, and whether the upstream has token ids and budgets."""
        models = [model async for model in client.models.list()]
        model = next((m for m in models if m.id == self._upstream.model), None) or models[0]
        self.upstream_model = self._upstream.model or model.id
        reported = (getattr(model, "max_model_len", None), (getattr(model, "meta", None) or {}).get("n_ctx_train"))
        known = self._upstream.max_model_len or next((n for n in reported if n), None)
        self.max_model_len = known or DEFAULT_MAX_MODEL_LEN
        if self._upstream.has_token_ids is None:
            await self._probe_token_ids(client)
        if self._upstream.has_windows is None:
            valid, invalid = (
                {"vllm_xargs": {"z1_thinking_budget": budget, "z1_hint": [0]}} for budget in (UNLIMITED, UNLIMITED - 1)
            )
            accepts_valid = await self._try(client, "a", valid) is not None
            self.has_windows = await self._try(client, "a", invalid) is None and accepts_valid

    async def _probe_token_ids(self, client: openai.AsyncOpenAI) -> None:
        """Find out whether the upstream returns token ids, and forbids stop tokens before `min_tokens`."""
        prompt, plain = self.tokenizer.encode("a", add_special_tokens=False), {"return_token_ids": True}
        first: list[int] = getattr(await self._try(client, prompt, plain), "token_ids", None) or []
        forbid_first = {**plain, "ignore_eos": True, "min_tokens": 2, "stop_token_ids": first[:1]}
        second = getattr(await self._try(client, prompt, forbid_first), "token_ids", None) if first else None
        can_forbid = second is not None and len(second) == 2 and first[0] not in second
        self.capabilities = _capabilities(has_token_ids=bool(first), can_forbid=can_forbid)

    async def _try(self, client: openai.AsyncOpenAI, prompt: Any, extra: dict[str, Any]) -> Any:
        """The choice of a request for two tokens; None if the upstream rejects it."""
        try:
            completion = await client.completions.create(
                model=self.upstream_model, prompt=prompt, max_tokens=2, temperature=0, extra_body=extra
            )
        except openai.BadRequestError:
            return None
        return completion.choices[0]


async def _read(stream: AsyncIterator[Any], pending: _Pending, texts: list[str]) -> str | None:
    """Read chunks until one has a finish reason, and return it; None if interrupted."""
    while True:
        try:
            chunk: Any = await await_unless_cancelled(pending.interrupted, anext(stream))  # type: ignore[arg-type]
        except StopAsyncIteration:
            raise EngineFault("the upstream's stream ended without a finish reason") from None
        if chunk is CANCELLED:
            return None
        for choice in chunk.choices:
            pending.token_ids.extend(getattr(choice, "token_ids", None) or ())
            texts.append(choice.text or "")
            if choice.finish_reason is not None:
                return str(choice.finish_reason)


def request_settings(
    sampling: Sampling, position: int, max_tokens: int, forbidden: ForbiddenSequences, *, with_token_ids: bool
) -> dict[str, Any]:
    """The settings of a request of `max_tokens` whose context has `position` tokens.

    An upstream forbids only stop tokens before `min_tokens`, so forbidden tokens are sent as stop tokens.
    """
    settings: dict[str, Any] = {"temperature": sampling.temperature}
    extra: dict[str, Any] = {}
    if sampling.temperature:
        settings |= {"top_p": sampling.top_p, "seed": sampling.seed_at(position)}
        extra |= {"top_k": sampling.top_k} if sampling.top_k else {}
    if with_token_ids:
        extra |= {
            "return_token_ids": True,
            "ignore_eos": True,
            "stop_token_ids": sorted(sampling.stop_token_ids.union(*forbidden)),
        }
        extra |= {"min_tokens": max_tokens} if forbidden else {}
    return settings | ({"extra_body": extra} if extra else {})


def _capabilities(*, has_token_ids: bool, can_forbid: bool) -> Capabilities:
    return Capabilities(
        reuses_kv_cache=False,
        can_fork=False,
        is_deterministic=False,
        has_token_ids=has_token_ids,
        max_forbidden_length=int(can_forbid),
    )


def load(upstream: Upstream, model: str, profile: str | None = None) -> RemoteEngine:
    """The engine of an upstream that serves `model` (folder or hub id), whose tokenizer is loaded here."""
    from z1.model_files import load_tokenizer, name_and_profile

    return RemoteEngine(upstream, load_tokenizer(model), name_and_profile(model, profile))
