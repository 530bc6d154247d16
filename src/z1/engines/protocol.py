"""The engine protocol: `Engine` and `Session`, and the values that they exchange.

A *session* holds one live context. It samples tokens, accepts forced tokens, forks, can be interrupted, and is closed.
An engine opens sessions; many run concurrently. For one model, all engines give the same tokens under deterministic
greedy decoding (`tests/engines/conformance.py`), except for near ties between kernels. `Capabilities` states what an
engine can do and at what cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from z1.errors import ContextOverflow, UserError
from z1.profiles import Tokenizer
from z1.think import EndBias


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 exclude no token.

    A random draw is keyed by (`seed`, `sample`, position in the context), so it does not depend on the batch.
    `stop_token_ids` end a sample; the stop token is its last. `logprobs` requests a `Logprob` of each token, with that
    many of the most likely tokens at its position; None requests none. With `forced_logprobs` forced tokens have one
    too, for which they are computed one by one.
    """

    stop_token_ids: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    sample: int = 0
    logprobs: int | None = None
    forced_logprobs: bool = False

    def seed_at(self, position: int) -> int:
        """A 53-bit seed for engines with a random generator of their own, a different one for each start position."""
        digest = blake2b(f"{self.seed}:{self.sample}:{position}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) >> 11


class Logprob(NamedTuple):
    """Natural log-probability of a token, and the most likely tokens at its position with theirs.

    They are the model's own: before temperature, top-k and top-p, and before tokens are forbidden or have a bias.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a chat route is asked for: messages, the thinking budget (None: none), and the reply's maximum tokens.

    `fields` are further fields of the request, such as tools. `needs_cut`: a setting that the host cannot keep itself,
    such as a deadline, may end the thought.
    """

    messages: Sequence[Mapping[str, Any]]
    thinking_budget: int | None = None
    max_tokens: int | None = None
    fields: Mapping[str, Any] | None = None
    needs_cut: bool = False


class ToolPart(NamedTuple):
    """From `position` on, counted in sampled tokens, the tokens are the name of tool call number `call` or, without a
    name, its arguments. They are text again after a part with call -1.
    """

    position: int
    call: int
    id: str = ""
    name: str = ""


class FinishReason(StrEnum):
    """Why a sample ended."""

    STOP = "stop"
    """A stop token was sampled; it is the last token."""
    LIMIT = "limit"
    """The requested number of tokens was sampled."""
    INTERRUPTED = "interrupted"
    """`interrupt` was called; the tokens so far are valid."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The tokens of one sample, in order, and why it ended."""

    token_ids: tuple[int, ...]
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, and at what cost."""

    reuses_kv_cache: bool
    """Forced tokens join the live context; nothing before them is recomputed."""
    can_fork: bool
    """A fork shares the computed context."""
    is_deterministic: bool
    """Greedy tokens do not depend on the batch."""
    has_token_ids: bool = True
    """Token ids are the model's own. Otherwise the engine exchanges text, which our tokenizer encodes."""
    max_forbidden_length: int = 0
    """Tokens of the longest sequence that `Session.sample` can forbid; 0: none."""
    can_bias: bool = False
    """Sessions can add a bias to logits."""
    has_logprobs: bool = False
    """Sessions have log-probabilities of sampled tokens."""
    has_forced_logprobs: bool = False
    """Sessions have log-probabilities of forced tokens too, if they are requested."""


ANY_LENGTH = 1 << 30
"""Longer than any sequence of tokens."""

ForbiddenSequences = Sequence[tuple[int, ...]]
"""Token sequences that may not be completed, whatever precedes them."""


class Session(Protocol):
    """One live context. Only `interrupt` may be called from another task."""

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit into the context."""
        ...

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample, read-only; () if none is running."""
        ...

    @property
    def logprobs(self) -> Sequence[Logprob]:
        """One for each token sampled since the session was opened, if `Sampling.logprobs` requests them.

        With `Sampling.forced_logprobs` one for each token, sampled or forced; forced ones once the next sample begins.
        """
        ...

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, unless interrupted, completing none of `forbidden`. Raises EngineFault.

        `bias` is None unless `Capabilities.can_bias`.
        `forbidden` has sequences of up to `Capabilities.max_forbidden_length` tokens; if there are any, they include
        all stop tokens.
        """
        ...

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens to the context. Raises EngineFault if they do not fit."""
        ...

    async def fork(self, sampling: Sampling | None = None) -> Session:
        """Another session with the same context, and with `sampling` if it is given."""
        ...

    def interrupt(self) -> None:
        """End the running sample with the tokens so far; no effect if none is running."""
        ...

    async def close(self) -> None:
        """Free what the session holds; closing twice has no effect."""
        ...


class Engine(Protocol):
    """A model that opens sessions."""

    @property
    def name(self) -> str:
        """The model's display name."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        ...

    @property
    def profile(self) -> str:
        """The name of the model's row in `profiles.PROFILES`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        ...

    @property
    def max_model_len(self) -> int:
        """The context length in tokens; known once the engine is entered."""
        ...

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> Session:
        """A session whose context is `prompt`. Raises UserError if it does not fit."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_prompt_length(prompt: Sequence[int], max_model_len: int) -> None:
    """Raise UserError unless `prompt` has 1 to `max_model_len` - 1 tokens."""
    if not prompt:
        raise UserError("prompt", "no tokens", "ask something")
    if len(prompt) >= max_model_len:
        raise ContextOverflow("prompt", f"{len(prompt)} tokens", f"give fewer than the context length, {max_model_len}")
