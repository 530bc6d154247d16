"""The ledger: tokens of a reply by bucket, why its thought ended (`Shift`), and how the reply ended (`End`).

Every token of a reply is in exactly one bucket; the buckets add up to the tokens produced (the *ledger* invariant).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import NamedTuple


class Bucket(StrEnum):
    """The part of the reply that a token belongs to."""

    THOUGHT = "thought"
    """Sampled before the answer."""
    BIASED = "biased"
    """Sampled before the answer, with a bias on the end of the thought."""
    NUDGE = "nudge"
    """Forced inside the thought, after which the model goes on with it."""
    CLOSE = "close"
    """The think end tag that the model wrote itself."""
    HINT = "hint"
    """Forced at the shift: hint and answer prefix."""
    ANSWER = "answer"
    """Sampled from the answer's first token on."""
    STOP = "stop"
    """The token that ended the reply."""


THINKING = (Bucket.THOUGHT, Bucket.BIASED, Bucket.NUDGE, Bucket.CLOSE)
"""The buckets of the thought, in which the thinking budget is counted, and of the model's own end tag."""

OPTIONAL = frozenset({Bucket.BIASED.value, Bucket.NUDGE.value})
"""The buckets that no reply has unless it was asked for."""

FORCED = (Bucket.NUDGE, Bucket.HINT)
"""The buckets of tokens that the model did not sample."""


class Shift(StrEnum):
    """Why the thought ended and the answer began."""

    NATURAL = "natural"
    """The model began its answer, or ended the reply, by itself."""
    BUDGET = "budget"
    """The thinking budget was used up."""
    CONTEXT = "context"
    """The context length, less the space reserved for the answer, was used up before the budget."""
    DEADLINE = "deadline"
    """The deadline passed."""
    CONTROL = "control"
    """The caller requested the answer now."""
    CONVERGED = "converged"
    """Enough probes gave the same answer."""
    REPETITION = "repetition"
    """The thought repeated itself."""
    SESSION = "session"
    """The thinking budget that several replies share was used up."""


class End(StrEnum):
    """How the reply ended."""

    STOP = "stop"
    """By itself, with a stop token."""
    STRING = "string"
    """With a stop string in the answer."""
    CUT = "cut"
    """The answer budget was used up."""
    REPETITION = "repetition"
    """The answer repeated itself."""
    ABORTED = "aborted"
    """The caller cancelled it before it ended."""


class Span(NamedTuple):
    """Tokens `start` to `end` (exclusive) of the reply are in `bucket`."""

    bucket: Bucket
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Tokens used, by bucket.

    `answer` is None if the reply ended by itself without a border between thought and answer. `phase_one` is the
    paper's count of "thinking tokens": every token before the hint, or the whole reply if no hint was forced (its
    section 2.2, and `eval/general_evaluation/reasoning.py` of its code); it includes the answer of a reply that was not
    shifted. `probe` tokens were sampled on forks and are not part of the reply.
    """

    thought: int = 0
    close: int = 0
    hint: int = 0
    answer: int | None = None
    stop: int = 0
    probe: int = 0
    phase_one: int = 0
    biased: int = 0
    nudge: int = 0

    def as_json(self) -> dict[str, int | None]:
        """The counts by name; those of `OPTIONAL` only where there are any."""
        return {name: count for name, count in asdict(self).items() if count or name not in OPTIONAL}

    @property
    def thinking_tokens(self) -> int:
        """Tokens of the buckets in `THINKING`."""
        return self.thought + self.biased + self.nudge + self.close

    @property
    def completion_tokens(self) -> int:
        """Tokens of the reply: all buckets but probe."""
        return self.reasoning_tokens + (self.answer or 0) + self.stop

    @property
    def reasoning_tokens(self) -> int:
        """Reasoning tokens in the sense of OpenAI's API: thinking tokens and hint."""
        return self.thinking_tokens + self.hint

    @property
    def paid_tokens(self) -> int:
        """All tokens produced for this reply, probes included."""
        return self.completion_tokens + self.probe
