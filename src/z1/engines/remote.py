"""How does a server that speaks OpenAI's API hold a session?

By `/v1/completions`, streamed: a sample is a request for so many ids behind the whole context; an interrupted one
closes its stream, and the next asks with all that came. The upstream's prefix cache makes that cheap where it has one.

Some upstreams take and give ids (vLLM: a prompt of ids, `return_token_ids`); with those nothing is guessed. Others
speak text only (llama.cpp, SGLang, hosted ones): what comes is encoded again here, so counts are this tokenizer's, and
`capabilities.ids` says so. Which of the two it is, is asked of the upstream when the engine is entered.

Errors are EngineFaults. Only connecting is tried again: a request that may have begun is never sent twice.
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

CONNECTS = 3
"""How often a connection is tried."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server: its address up to /v1, the model's name there (None: its first), a key where it wants one.

    `max_model_len`: ids that a context may have (None: what the upstream says). `has_token_ids`: whether it takes and
    gives ids; `has_windows`: whether it keeps windows itself (a vLLM with `vllm_window`). None: it is asked.
    `timeout_s` without a byte end a request.
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
    """What an upstream answered to a request that was passed on: status, media type, and the body as it comes."""

    status: int
    media_type: str
    chunks: AsyncIterator[bytes]


class RemoteSession:
    """One context, held here and sent each time; see `protocol.Session`."""

    def __init__(self, engine: RemoteEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self._cut: asyncio.Future[None] | None = None
        self._coming: list[int] = []
        self.logprobs: Sequence[Logprob] = ()

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        return self._engine.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """What came so far of the sample under way; nothing from a text-only upstream, whose text is encoded whole."""
        return self._coming if self._cut is not None and self._engine.capabilities.has_token_ids else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `max_tokens` ids, none of `forbidden` (single ids) among them."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._cut, self._coming = asyncio.get_running_loop().create_future(), []
        try:
            under_way = (self._cut, self._coming)
            reason = await self._engine.complete(self.context, self._sampling, max_tokens, under_way, forbidden)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise EngineFault(f"the upstream failed: {error!r}") from error
        finally:
            self._cut = None
        self.context += self._coming
        return Sampled(tuple(self._coming), reason)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Force `token_ids`; they are sent with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context += token_ids

    async def fork(self) -> RemoteSession:
        """Another session with the same context; it pays for a request of its own."""
        return RemoteSession(self._engine, self.context, self._sampling)

    def interrupt(self) -> None:
        """Close the stream of the sample that is under way."""
        if self._cut is not None and not self._cut.done():
            self._cut.set_result(None)

    async def close(self) -> None:
        """Nothing is held between two samples."""


class RemoteEngine:
    """An upstream and the tokenizer of its model; see `protocol.Engine`. What it can do is known once it is entered."""

    def __init__(self, upstream: Upstream, tokenizer: Tokenizer, names: tuple[str, str]) -> None:
        self._upstream, self.tokenizer = upstream, tokenizer
        self.name, self.profile = names
        self.upstream_model = upstream.model or ""
        """What the upstream calls the model."""
        self.max_model_len = upstream.max_model_len or 0
        self.capabilities = _capabilities(ids=bool(upstream.has_token_ids), least=False)
        self.has_windows = bool(upstream.has_windows)
        """Whether the upstream keeps a window that it is told in `vllm_xargs` (`vllm_request.Asked.keys`)."""
        self._client: openai.AsyncOpenAI | None = None
        self._http: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def proxy_request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[RemoteResponse]:
        """Send `body` to `path` (behind /v1) as it is, under the upstream's own name of the model.

        For what z1 has no hand in: tools, response formats, whatever an upstream knows. Leaving the context closes the
        stream. Raises EngineFault where no answer comes; an answer that is an error is an answer.
        """
        if self._http is None:
            raise EngineFault("the upstream is not connected: enter the engine first (async with)")
        where, key = self._upstream.url.rstrip("/"), self._upstream.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._http.stream(
                "POST", where + path, json={**body, "model": self.upstream_model}, headers=headers
            ) as said:
                kind = said.headers.get("content-type", "application/json")
                yield RemoteResponse(said.status_code, kind, said.aiter_bytes())
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
        limit: int,
        under_way: tuple[asyncio.Future[None], list[int]],
        never: ForbiddenSequences = (),
    ) -> FinishReason:
        """Ask for up to `limit` ids behind `context`, put them into the list as they come, until the future is done."""
        cut, ids = under_way
        with_ids = self.capabilities.has_token_ids
        prompt: Any = list(context) if with_ids else decode(self.tokenizer, context)
        asked = parameters(sampling, len(context), limit, never, with_ids=with_ids)
        if self._client is None:
            raise EngineFault("the upstream is not connected: enter the engine first (async with)")
        request = self._client.completions.create(
            model=self.upstream_model, prompt=prompt, max_tokens=limit, stream=True, **asked
        )
        stream: Any = await await_unless_cancelled(cut, request)
        if stream is CANCELLED:
            return FinishReason.INTERRUPTED
        texts: list[str] = []
        async with stream:
            ended = await _read(stream, cut, ids, texts)
        if not with_ids:
            ids += self.tokenizer.encode("".join(texts), add_special_tokens=False)[:limit]
        for at, token in enumerate(ids):
            if token in sampling.stop_token_ids:  # whatever an upstream sends behind it
                del ids[at + 1 :]
                return FinishReason.STOP
        return self._reason(ended, ids, sampling, limit)

    def _reason(self, ended: str | None, ids: list[int], sampling: Sampling, limit: int) -> FinishReason:
        if ended is None:
            return FinishReason.INTERRUPTED
        if ended == "stop":
            return self._stopped(ids, sampling, limit)
        if ended != "length" or not ids or (self.capabilities.has_token_ids and len(ids) < limit):
            raise EngineFault(f"the upstream ended with {ended!r} after {len(ids)} of {limit} ids")
        return FinishReason.LIMIT

    def _stopped(self, ids: list[int], sampling: Sampling, limit: int) -> FinishReason:
        """Upstreams that speak text do not show the stop id at which they stopped."""
        if not sampling.stop_token_ids:
            raise EngineFault("the upstream ended a reply that was to have no end")
        own = self.tokenizer.eos_token_id
        if len(ids) == limit:  # text that is longer here than there; the end comes with the next sample
            return FinishReason.LIMIT
        ids.append(own if own is not None and own in sampling.stop_token_ids else min(sampling.stop_token_ids))
        return FinishReason.STOP

    async def __aenter__(self) -> Self:
        transport = httpx2.AsyncHTTPTransport(retries=CONNECTS - 1)
        http = openai.DefaultAsyncHttpxClient(transport=transport, timeout=httpx2.Timeout(self._upstream.timeout_s))
        where, key = self._upstream.url.rstrip("/"), self._upstream.api_key or "none"
        self._http = http
        self._client = openai.AsyncOpenAI(base_url=where, api_key=key, http_client=http, max_retries=0)
        try:
            await self._learn(self._client)
        except (openai.OpenAIError, httpx2.HTTPError, AttributeError, IndexError) as error:
            await self._client.close()
            raise EngineFault(f"the upstream {where} does not answer as OpenAI's API does: {error!r}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = self._http = None

    async def _learn(self, client: openai.AsyncOpenAI) -> None:
        """The model's name, its context, whether it speaks ids, keeps them from coming, and keeps windows."""
        models = [model async for model in client.models.list()]
        chosen = next((m for m in models if m.id == self._upstream.model), None) or models[0]
        self.upstream_model = self._upstream.model or chosen.id
        said = (getattr(chosen, "max_model_len", None), (getattr(chosen, "meta", None) or {}).get("n_ctx_train"))
        self.max_model_len = self._upstream.max_model_len or next((n for n in said if n), 4096)
        if self._upstream.has_token_ids is None:
            prompt, plain = self.tokenizer.encode("a", add_special_tokens=False), {"return_token_ids": True}
            ids: list[int] = getattr(await self._tried(client, prompt, plain), "token_ids", None) or []
            bound = {**plain, "ignore_eos": True, "min_tokens": 2, "stop_token_ids": ids[:1]}
            other = getattr(await self._tried(client, prompt, bound), "token_ids", None) if ids else None
            kept = other is not None and len(other) == 2 and ids[0] not in other
            self.capabilities = _capabilities(ids=bool(ids), least=kept)
        if self._upstream.has_windows is None:
            asked = [
                {"vllm_xargs": {"z1_thinking_budget": window, "z1_hint": [0]}} for window in (UNLIMITED, UNLIMITED - 1)
            ]
            kept, refused = [await self._tried(client, "a", extra) for extra in asked]
            self.has_windows = kept is not None and refused is None

    async def _tried(self, client: openai.AsyncOpenAI, prompt: Any, extra: dict[str, Any]) -> Any:
        """The one choice of a request for two ids; None where it is refused."""
        try:
            made = await client.completions.create(
                model=self.upstream_model, prompt=prompt, max_tokens=2, temperature=0, extra_body=extra
            )
        except openai.BadRequestError:
            return None
        return made.choices[0]


async def _read(stream: AsyncIterator[Any], cut: asyncio.Future[None], ids: list[int], texts: list[str]) -> str | None:
    """What the chunks hold, until the stream says why it ended; None where it was cut."""
    while True:
        try:
            chunk: Any = await await_unless_cancelled(cut, anext(stream))  # type: ignore[arg-type]
        except StopAsyncIteration:
            raise EngineFault("the upstream's stream broke off") from None
        if chunk is CANCELLED:
            return None
        for choice in chunk.choices:
            ids += getattr(choice, "token_ids", None) or ()
            texts.append(choice.text or "")
            if choice.finish_reason is not None:
                return str(choice.finish_reason)


def parameters(
    sampling: Sampling, position: int, limit: int, never: ForbiddenSequences, *, with_ids: bool
) -> dict[str, Any]:
    """The settings of one request of `limit` ids, whose context ends at `position`.

    What an upstream can keep from coming is a stop id before so many ids, so ids that may `never` come are stop ids.
    """
    asked: dict[str, Any] = {"temperature": sampling.temperature}
    extra: dict[str, Any] = {}
    if sampling.temperature:
        asked |= {"top_p": sampling.top_p, "seed": sampling.seed_at(position)}
        extra |= {"top_k": sampling.top_k} if sampling.top_k else {}
    if with_ids:
        extra |= {
            "return_token_ids": True,
            "ignore_eos": True,
            "stop_token_ids": sorted(sampling.stop_token_ids.union(*never)),
        }
        extra |= {"min_tokens": limit} if never else {}
    return asked | ({"extra_body": extra} if extra else {})


def _capabilities(*, ids: bool, least: bool) -> Capabilities:
    return Capabilities(
        reuses_kv_cache=False,
        can_fork=False,
        is_deterministic=False,
        has_token_ids=ids,
        max_forbidden_length=int(least),
    )


def load(upstream: Upstream, model: str, profile: str | None = None) -> RemoteEngine:
    """The engine for an upstream that serves `model` (folder or hub id), whose tokenizer is read here."""
    from z1.model_files import load_tokenizer, names

    return RemoteEngine(upstream, load_tokenizer(model), names(model, profile))
