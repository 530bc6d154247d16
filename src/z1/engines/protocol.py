"""What does z1 ask of an engine?

A *session* holds one live context: it samples ids, takes ids that are forced on it, forks, can be interrupted, and is
closed. An engine opens sessions; many run at once and none waits for another. All engines give the same ids for the
same model under deterministic greedy decoding (`tests/engines/conformance.py`), but for near ties between kernels;
capabilities say at what cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from z1.errors import UserError
from z1.profiles import Tokenizer


@dataclass(frozen=True, slots=True)
class Sampling:
    """How ids are chosen. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 leave every id in.

    A draw is keyed by (`seed`, `sample`, position in the context), so that it does not depend on what else runs.
    `stop_token_ids` end a sample with the stop id as its last. `logprobs` asks for a `Logprob` of each id, with so many
    of the most likely ids at its place; None asks for none.
    """

    stop_token_ids: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    sample: int = 0
    logprobs: int | None = None

    def seed_at(self, position: int) -> int:
        """A seed of 53 bits for engines that draw by themselves: another one for each place where a sample begins."""
        digest = blake2b(f"{self.seed}:{self.sample}:{position}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) >> 11


class Logprob(NamedTuple):
    """How likely an id was where it was drawn (natural logarithm), and the most likely ids there, with theirs.

    The model's own distribution: before temperature, top-k and top-p, and before ids are taken away.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Reason(StrEnum):
    """Why a sample ended."""

    STOP = "stop"
    """A stop id came; it is the last of the ids."""
    LIMIT = "limit"
    """As many ids came as were asked for."""
    INTERRUPTED = "interrupted"
    """`interrupt` was called; the ids so far stand."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The ids of one sample, in order, and why it ended."""

    token_ids: tuple[int, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, and at what cost."""

    reuses_kv_cache: bool
    """Forced ids join the live context; nothing before them is computed again."""
    can_fork: bool
    """A fork shares what was computed."""
    is_deterministic: bool
    """Greedy ids do not depend on what else runs."""
    has_token_ids: bool = True
    """Ids are the model's own. Otherwise it speaks text, and ids are what our tokenizer makes of it."""
    max_forbidden_length: int = 0
    """Ids of the longest sequence that a sample can be kept from completing (`Session.sample`); 0: it cannot be."""
    has_logprobs: bool = False
    """Sessions have scores."""


ANY = 1 << 30
"""Longer than any sequence of ids."""

ForbiddenSequences = Sequence[tuple[int, ...]]
"""Sequences of ids that may not be completed, whatever stands before."""


class Session(Protocol):
    """One live context. Not for use by two tasks at once, but for `interrupt`."""

    @property
    def free_tokens(self) -> int:
        """Ids that still fit."""
        ...

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The ids that came so far of the sample under way, to be read only; () where none is."""
        ...

    @property
    def logprobs(self) -> Sequence[Logprob]:
        """Of each id sampled since the session was opened, and of those coming, where `Sampling.logprobs` asks."""
        ...

    async def sample(self, limit: int, never: ForbiddenSequences = ()) -> Sampled:
        """At least one and at most `limit` ids, unless interrupted; none of `never` is completed. Raises EngineFault.

        `never` holds sequences of up to `Capabilities.max_forbidden_length` ids; where there are any, all stop ids are
        among them.
        """
        ...

    async def append(self, ids: Sequence[int]) -> None:
        """Force `ids` on the context. Raises EngineFault where they do not fit."""
        ...

    async def fork(self) -> Session:
        """Another session with the same context."""
        ...

    def interrupt(self) -> None:
        """End the sample that is under way with the ids that came so far; no effect where none is."""
        ...

    async def close(self) -> None:
        """Free what the session holds; closing twice is no fault."""
        ...


class Engine(Protocol):
    """Something that opens sessions for one model."""

    @property
    def name(self) -> str:
        """What a person calls this model."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        ...

    @property
    def profile(self) -> str:
        """Name of the model's row in `chat.PROFILES`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        ...

    @property
    def max_model_len(self) -> int:
        """Ids that a context may have; known once the engine is entered."""
        ...

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> Session:
        """A session whose context is `prompt`. Raises UserError where it does not fit."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def refuse_unfit(prompt: Sequence[int], length: int) -> None:
    """Raises UserError where a context of `length` ids cannot begin with `prompt`."""
    if not prompt:
        raise UserError("prompt", "no ids", "ask something")
    if len(prompt) >= length:
        raise UserError("prompt", f"{len(prompt)} ids", f"give fewer than the {length} that the context holds")
