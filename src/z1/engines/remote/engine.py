"""The remote engine: a model on an upstream server with OpenAI's API, and the tokenizer of that model here.

Some upstreams accept and return token ids (vLLM: a prompt of token ids, `return_token_ids`), and tokens are exact.
Others exchange text only (llama.cpp, SGLang, hosted APIs): their text is encoded here, so counts are those of this
tokenizer, and `capabilities.has_token_ids` is False. The engine probes the upstream when it is entered. Errors are
EngineFaults.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast

from z1 import profiles
from z1.engines.protocol import Capabilities, Conversation, Sampling, check_prompt_length
from z1.engines.remote.chat import ChatSession
from z1.engines.remote.completions import CompletionSession, Model
from z1.engines.remote.connection import Connection, RemoteResponse, Upstream
from z1.engines.remote.hosts import Host, find_host
from z1.engines.remote.redaction import redact
from z1.engines.remote.replies import read_pieces
from z1.engines.vllm_params import UNLIMITED, WindowParams
from z1.errors import EngineFault, UpstreamFault, UserError
from z1.families import AnswerKind
from z1.profiles import Tokenizer
from z1.prompts import control_texts

DEFAULT_MAX_MODEL_LEN = 4096
"""The context length of an upstream that does not report one."""

REFUSED = frozenset({400, 404, 405, 422, 500, 501, 502})
"""Statuses that say, at a probe, that the upstream cannot do what was asked."""


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
        self.host = find_host(upstream.url, upstream.host)
        """How the upstream's chat route takes a budget."""
        self._connection: Connection | None = None
        self._model: Model | None = None

    @asynccontextmanager
    async def proxy_request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[RemoteResponse]:
        """Send `body` to `path` (after /v1) unchanged, except for the upstream's name of the model.

        For features that z1 does not handle, such as tools and response formats. Leaving the context closes the stream.
        Raises EngineFault if there is no response; an HTTP error status is a response.
        """
        async with self._connected().proxy(path, {**body, "model": self.upstream_model}) as response:
            yield response

    def request_with_budget(
        self,
        body: Mapping[str, Any],
        thinking_budget: int | None,
        max_answer_tokens: int | None,
        hint: str | None,
        answer_kind: AnswerKind | None,
    ) -> Mapping[str, Any] | None:
        """`body` with a budget for the upstream (None: unlimited, no cap, its own hint); None if it has no budgets."""
        if not self.has_windows:
            return None
        budget = UNLIMITED if thinking_budget is None else thinking_budget
        params = WindowParams(budget, max_answer_tokens, hint=hint, answer_kind=answer_kind)
        return {**body, "vllm_xargs": {**(body.get("vllm_xargs") or {}), **params.to_xargs()}}

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> CompletionSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        if self._model is None:
            raise EngineFault(NOT_ENTERED)
        return CompletionSession(self._model, prompt, sampling)

    def check_settings(self, thinking_budget: int | None, cuts: Sequence[str], *, has_thinking: bool) -> None:
        """Raise UserError for a budget of a conversation that the host cannot keep, and for the first of `cuts`:
        settings for which z1 would have to cut the reply, if the host does not continue one.
        """
        host, profile = self._chat_host(needs_cut=bool(cuts)), profiles.get_profile(self.profile)
        cannot = f"leave it out; the upstream (host {host.name}) "
        if "prompt" in cuts:
            raise UserError("prompt", "a text completion", "use /v1/chat/completions; the upstream offers chat only")
        if has_thinking and not profile.think_end:
            do = "serve with a --profile that has think tags, such as qwen3; the upstream offers chat only"
            raise UserError("thinking_budget", f"profile {profile.name}", do)
        if host.can_continue:
            return
        if cuts:
            raise UserError(cuts[0], "a setting that cuts the thought", cannot + "does not continue a reply")
        if thinking_budget is not None and not host.keeps_budgets:
            raise UserError("thinking_budget", thinking_budget, cannot + "has no field for it")
        if thinking_budget and thinking_budget < host.min_budget:
            raise UserError("thinking_budget", thinking_budget, f"give 0, or at least {host.min_budget}")

    async def open_chat(self, conversation: Conversation, start: tuple[Sequence[int], Sampling]) -> ChatSession:
        """A session for a conversation. `start` has the prompt as tokens, which are only counted, and the sampling."""
        check_prompt_length(start[0], self.max_model_len)
        if self._model is None:
            raise EngineFault(NOT_ENTERED)
        host = self._chat_host(needs_cut=conversation.needs_cut)
        return ChatSession(self._model, profiles.get_profile(self.profile), host, conversation, start)

    def _chat_host(self, *, needs_cut: bool) -> Host:
        """How the upstream's chat route keeps a budget: by our plug-in, unless z1 has to cut the reply."""
        return PLUGIN if self.has_windows and not needs_cut else self.host

    async def __aenter__(self) -> Self:
        self._connection = Connection(self._upstream)
        try:
            await self._probe(self._connection)
            self._model = self._make_model(self._connection)
        except EngineFault as error:
            await self._connection.close()
            url = redact(self._connection.url)
            raise EngineFault(f"the upstream {url} does not answer with OpenAI's API: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = self._model = None

    def _connected(self) -> Connection:
        if self._connection is None:
            raise EngineFault(NOT_ENTERED)
        return self._connection

    def _make_model(self, connection: Connection) -> Model:
        profile, tokenizer = profiles.get_profile(self.profile), cast(Any, self.tokenizer)
        stops = {profiles.decode(tokenizer, [token]) for token in profiles.stop_token_ids(tokenizer, profile)}
        return Model(
            connection,
            self.upstream_model,
            tokenizer,
            profiles.token_bytes(tokenizer),
            tuple(sorted({profile.think_end, *(stops & control_texts(tokenizer))} - {""})),
            tuple(tokenizer.encode("")),
            len(tokenizer) if hasattr(tokenizer, "__len__") else None,
            self.max_model_len,
            self.capabilities,
        )

    async def _probe(self, connection: Connection) -> None:
        """Find out the model's name and context length, and whether the upstream has token ids and budgets."""
        card = await self._find_model(connection)
        self.upstream_model = self._upstream.model or str(card["id"])
        if self._upstream.host is None:
            self.host = find_host(self._upstream.url, owner=card.get("owned_by"))
        self.max_model_len = self._upstream.max_model_len or _context_length(card) or DEFAULT_MAX_MODEL_LEN
        if self._upstream.has_token_ids is None:
            await self._probe_token_ids(connection)
        if self._upstream.has_windows is None and self.capabilities.has_token_ids:
            valid, invalid = (
                {"vllm_xargs": {"z1_thinking_budget": budget, "z1_hint": [0]}} for budget in (UNLIMITED, UNLIMITED - 1)
            )
            accepts_valid = await self._try(connection, "a", valid) is not None
            self.has_windows = await self._try(connection, "a", invalid) is None and accepts_valid

    async def _find_model(self, connection: Connection) -> dict[str, Any]:
        """The upstream's entry for the model; a given name is enough where the upstream lists none."""
        try:
            listed = await connection.fetch("GET", "/models")
        except UpstreamFault as error:
            if self._upstream.model is None or error.status not in REFUSED:
                raise
            listed = []
        found = listed.get("data", ()) if isinstance(listed, dict) else listed
        cards = [one for one in found or () if isinstance(one, dict) and isinstance(one.get("id"), str)]
        name = self._upstream.model
        card = next((one for one in cards if name in (None, one["id"])), {"id": name} if name else None)
        if card is None:
            raise EngineFault("/models lists no model; give its name")
        return card

    async def _probe_token_ids(self, connection: Connection) -> None:
        """Find out whether the upstream returns token ids, and forbids stop tokens before `min_tokens`."""
        prompt, plain = self.tokenizer.encode("a", add_special_tokens=False), {"return_token_ids": True}
        first = await self._try(connection, prompt, plain) or ()
        forbid_first = {**plain, "ignore_eos": True, "min_tokens": 2, "stop_token_ids": list(first[:1])}
        second = await self._try(connection, prompt, forbid_first) if first else None
        can_forbid = second is not None and len(second) == 2 and first[0] not in second
        self.capabilities = _capabilities(has_token_ids=bool(first), can_forbid=can_forbid)

    async def _try(self, connection: Connection, prompt: Any, extra: dict[str, Any]) -> tuple[int, ...] | None:
        """The token ids of a request for two tokens; None if the upstream rejects it."""
        body = {"model": self.upstream_model, "prompt": prompt, "max_tokens": 2, "temperature": 0}
        try:
            completion = await connection.fetch("POST", "/completions", {**body, **extra})
        except UpstreamFault as error:
            if error.status not in REFUSED:
                raise
            return None
        if not isinstance(completion, dict):
            raise EngineFault("/completions answered with JSON that is no completion")
        return next((piece.token_ids for piece in read_pieces(completion, None)), ())


class ChatEngine(RemoteEngine):
    """An upstream that offers chat completions alone. It is opened with a conversation instead of a prompt."""

    is_chat_only = True

    def __init__(self, upstream: Upstream, tokenizer: Tokenizer, names: tuple[str, str]) -> None:
        super().__init__(replace(upstream, has_token_ids=False, has_windows=False), tokenizer, names)

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> CompletionSession:
        """Raise EngineFault: a chat host takes no prompt."""
        raise EngineFault("the upstream offers chat completions only, and takes no prompt")


PLUGIN = Host("vllm", budget=lambda tokens: {"vllm_xargs": WindowParams(tokens).to_xargs()})
"""A vLLM server with `z1.vllm_plugin`."""

NOT_ENTERED = "the upstream is not connected: enter the engine first (async with)"


def _context_length(card: Mapping[str, Any]) -> int | None:
    """The context length in an upstream's entry of a model, under the names that servers use."""
    meta = card["meta"] if isinstance(card.get("meta"), dict) else {}
    names = ("max_model_len", "max_context_length", "context_length", "context_window")
    given = (*(card.get(name) for name in names), meta.get("n_ctx"), meta.get("n_ctx_train"))
    return next((value for value in given if type(value) is int and value > 0), None)


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

    engine = ChatEngine if upstream.api == "chat" else RemoteEngine
    return engine(upstream, load_tokenizer(model), name_and_profile(model, profile))
