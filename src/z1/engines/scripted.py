"""What would happen with a model whose thoughts are written down?

An engine without weights: the next id is a function of the ids so far. It ships, because tests, documentation and
examples need a model whose every id is known. `Script` replays one reply a prompt and answers a hint with an answer of
its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from z1.engines.protocol import Capabilities, ForbiddenSequences, Logprob, Reason, Sampled, Sampling, refuse_unfit
from z1.errors import EngineFault

Next = Callable[[Sequence[int]], int]
"""The next id, from the whole context."""


class Characters:
    """A tokenizer in which each character is its code point; the end of a reply is id 3."""

    chat_template: Any = "{{ messages[-1]['content'] }}"
    eos_token_id: int | None = 3

    def __len__(self) -> int:
        return 0x110000

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """One id a character."""
        return [ord(character) for character in text]

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = False) -> str:
        """The characters of the ids."""
        kept = [token for token in token_ids if not (skip_special_tokens and token == self.eos_token_id)]
        return "".join(map(chr, kept))

    def apply_chat_template(self, conversation: list[dict[str, str]], **_: Any) -> Any:
        """The last turn alone."""
        return conversation[-1]["content"]


@dataclass(frozen=True, slots=True)
class Script:
    """A `Next` for `Characters`: each prompt's `replies`, and after `hint` the prompt's `answers`."""

    replies: Mapping[str, str]
    answers: Mapping[str, str]
    hint: str

    def __call__(self, context: Sequence[int]) -> int:
        """The next character of the reply or of the answer; the end after its last."""
        text = "".join(map(chr, context))
        prompt = next((prompt for prompt in self.replies if text.startswith(prompt)), None)
        if prompt is None:
            raise EngineFault(f"the script has no reply to {text!r}")
        said, hinted, answer = text[len(prompt) :].partition(self.hint) if self.hint else (text[len(prompt) :], "", "")
        whole, so_far = (self.answers[prompt], answer) if hinted else (self.replies[prompt], said)
        return ord(whole[len(so_far)]) if len(so_far) < len(whole) else 3


class ScriptedSession:
    """One context of a `ScriptedEngine`; see `protocol.Session`."""

    def __init__(self, engine: ScriptedEngine, context: Sequence[int], sampling: Sampling) -> None:
        self._engine, self._sampling = engine, sampling
        self.context = list(context)
        self.pending_token_ids: Sequence[int] = ()
        self.logprobs: list[Logprob] = []
        self._interrupted = False
        self._sampling_now = False

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        return self._engine.max_model_len - len(self.context)

    async def sample(self, limit: int, never: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `limit` ids, giving way to others after each. A script says what it says."""
        if not 1 <= limit <= self.free_tokens:
            raise EngineFault(f"{limit} ids were asked for where {self.free_tokens} fit")
        ids: list[int] = []
        self._interrupted, self._sampling_now, self.pending_token_ids = False, True, ids
        try:
            while len(ids) < limit:
                await asyncio.sleep(self._engine.pace)
                if self._interrupted:
                    return Sampled(tuple(ids), Reason.INTERRUPTED)
                ids.append(self._engine.next_id(self.context))
                self.context.append(ids[-1])
                if (count := self._sampling.logprobs) is not None:  # there is no doubt in a script
                    self.logprobs.append(Logprob(0.0, ((ids[-1], 0.0),)[:count]))
                if ids[-1] in self._sampling.stop_token_ids:
                    return Sampled(tuple(ids), Reason.STOP)
        finally:
            self._sampling_now, self.pending_token_ids = False, ()
        return Sampled(tuple(ids), Reason.LIMIT)

    async def append(self, ids: Sequence[int]) -> None:
        """Force `ids`."""
        if len(ids) > self.free_tokens:
            raise EngineFault(f"{len(ids)} ids are forced where {self.free_tokens} fit")
        self.context += ids

    async def fork(self) -> ScriptedSession:
        """Another session with the same context."""
        return ScriptedSession(self._engine, self.context, self._sampling)

    def interrupt(self) -> None:
        """End the sample that is under way."""
        self._interrupted = self._sampling_now

    async def close(self) -> None:
        """Nothing is held."""


class ScriptedEngine:
    """An engine whose next id is `next_id` of the context; see `protocol.Engine`. `pace` is seconds an id."""

    name = "scripted"
    capabilities = Capabilities(reuses_kv_cache=True, can_fork=True, is_deterministic=True, has_logprobs=True)

    def __init__(
        self, next_id: Next, *, max_model_len: int = 4096, pace: float = 0.0, profile: str = "z1-tiny"
    ) -> None:
        self.next_id, self.max_model_len, self.pace, self.profile = next_id, max_model_len, pace, profile
        self.tokenizer = Characters()

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        """A session whose context is `prompt`."""
        refuse_unfit(prompt, self.max_model_len)
        return ScriptedSession(self, prompt, sampling)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
