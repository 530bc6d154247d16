"""A scripted engine: no weights, the next token is a function of the tokens so far.

Tests, documentation and examples use it as a model with known output. `Script` replays one reply a prompt, and after
the hint an answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from z1.engines.protocol import (
    Capabilities,
    FinishReason,
    ForbiddenSequences,
    Logprob,
    Sampled,
    Sampling,
    check_prompt_length,
)
from z1.errors import EngineFault
from z1.think import EndBias

NextToken = Callable[[Sequence[int]], int]
"""The next token, from the whole context."""

CERTAINTY = 10.0
"""A bias of this much or more decides the next token."""


class Characters:
    """A tokenizer whose token token_ids are code points; token 3 ends a reply."""

    chat_template: Any = "{{ messages[-1]['content'] }}"
    eos_token_id: int | None = 3

    def __len__(self) -> int:
        return 0x110000

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """One token a character."""
        return [ord(character) for character in text]

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = False) -> str:
        """The characters of the tokens."""
        kept = [token for token in token_ids if not (skip_special_tokens and token == self.eos_token_id)]
        return "".join(map(chr, kept))

    def apply_chat_template(self, conversation: list[dict[str, str]], **_: Any) -> Any:
        """The content of the last turn."""
        return conversation[-1]["content"]


@dataclass(frozen=True, slots=True)
class Script:
    """A `NextToken` for `Characters`: the reply of each prompt, and after `hint` the answer of the prompt."""

    replies: Mapping[str, str]
    answers: Mapping[str, str]
    hint: str

    def __call__(self, context: Sequence[int]) -> int:
        """The next character of the reply or the answer; the end token after the last. Raises EngineFault."""
        text = "".join(map(chr, context))
        prompt = next((prompt for prompt in self.replies if text.startswith(prompt)), None)
        if prompt is None:
            raise EngineFault(f"the script has no reply to {text!r}")
        reply, hint, answer = text[len(prompt) :].partition(self.hint) if self.hint else (text[len(prompt) :], "", "")
        full, so_far = (self.answers[prompt], answer) if hint else (self.replies[prompt], reply)
        return ord(full[len(so_far)]) if len(so_far) < len(full) else 3


class ScriptedSession:
    """One context of a `ScriptedEngine`; see `protocol.Session`."""

    def __init__(self, engine: ScriptedEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self.pending_token_ids: Sequence[int] = ()
        self.logprobs: list[Logprob] = []
        self._interrupted = False
        self._is_sampling = False

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._engine.max_model_len - len(self.context)

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, yielding to other tasks after each; `forbidden` is ignored."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        token_ids: list[int] = []
        self._interrupted, self._is_sampling, self.pending_token_ids = False, True, token_ids
        try:
            while len(token_ids) < max_tokens:
                await asyncio.sleep(self._engine.token_delay_s)
                if self._interrupted:
                    return Sampled(tuple(token_ids), FinishReason.INTERRUPTED)
                term = None if bias is None else bias.term(self.context, len(token_ids))
                is_taken = term is not None and term[1] >= CERTAINTY
                token_ids.append(term[0] if term and is_taken else self._engine.next_token(self.context))
                self.context.append(token_ids[-1])
                if (count := self._sampling.logprobs) is not None:  # a script is certain
                    self.logprobs.append(Logprob(0.0, ((token_ids[-1], 0.0),)[:count]))
                if token_ids[-1] in self._sampling.stop_token_ids:
                    return Sampled(tuple(token_ids), FinishReason.STOP)
        finally:
            self._is_sampling, self.pending_token_ids = False, ()
        return Sampled(tuple(token_ids), FinishReason.LIMIT)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        for token in token_ids:
            if self._sampling.forced_logprobs and self._sampling.logprobs is not None:
                is_own = self._engine.next_token(self.context) == token
                self.logprobs.append(Logprob(0.0 if is_own else -math.inf))
            self.context.append(token)

    async def fork(self, sampling: Sampling | None = None) -> ScriptedSession:
        """Another session with the same context."""
        return ScriptedSession(self._engine, self.context, sampling or self._sampling)

    def interrupt(self) -> None:
        """End the running sample."""
        self._interrupted = self._is_sampling

    async def close(self) -> None:
        """No effect: nothing is held."""


class ScriptedEngine:
    """An engine whose next token is `next_token(context)`; see `protocol.Engine`. `token_delay_s`: seconds a token."""

    name = "scripted"
    capabilities = Capabilities(
        reuses_kv_cache=True,
        can_fork=True,
        is_deterministic=True,
        can_bias=True,
        has_logprobs=True,
        has_forced_logprobs=True,
    )

    def __init__(
        self, next_token: NextToken, *, max_model_len: int = 4096, token_delay_s: float = 0.0, profile: str = "z1-tiny"
    ) -> None:
        self.next_token, self.token_delay_s = next_token, token_delay_s
        self.max_model_len, self.profile = max_model_len, profile
        self.tokenizer = Characters()

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        """A session whose context is `prompt`."""
        check_prompt_length(prompt, self.max_model_len)
        return ScriptedSession(self, prompt, sampling)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
