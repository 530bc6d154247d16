"""What was used, how did it end, and why was it shifted?

Every id of a reply stands in exactly one bucket; the buckets add up to the ids produced (the *ledger* law).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Bucket(StrEnum):
    """Where an id stands."""

    THOUGHT = "thought"
    """Sampled before the answer."""
    CLOSE = "close"
    """The fence that the model closed itself."""
    HINT = "hint"
    """Forced at the shift: hint and answer prefix."""
    ANSWER = "answer"
    """Sampled from the answer's first id on."""
    STOP = "stop"
    """The id that ended the reply."""


class Shift(StrEnum):
    """Why the thought ended and the answer began."""

    NATURAL = "natural"
    """The model began to answer, or ended, by itself."""
    BUDGET = "budget"
    """The window's thinking allowance was used up."""
    CONTEXT = "context"
    """The context, less the room kept for the answer, was used up before the window was."""
    DEADLINE = "deadline"
    """Time was up."""
    CONTROL = "control"
    """Somebody asked for the answer now."""
    CONVERGED = "converged"
    """Probes gave the same answer often enough."""
    REPETITION = "repetition"
    """The thought went round in circles."""


class End(StrEnum):
    """How the reply ended."""

    STOP = "stop"
    """By itself, with a stop id."""
    STRING = "string"
    """With a stop string in the answer."""
    CUT = "cut"
    """Its last allowance was used up."""
    ABORTED = "aborted"
    """The caller gave up before it ended."""


class Span(NamedTuple):
    """Ids `start` to `end` (exclusive) of the reply stand in `bucket`."""

    bucket: Bucket
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Ids used, by bucket.

    `answer` is None where the reply ended by itself with no border between thought and answer. `phase_one` is the
    paper's count of "thinking tokens": every id up to the hint, or the whole reply where none was forced (its section
    2.2, and `eval/general_evaluation/reasoning.py` of its code); it counts the answer of a reply that was not shifted.
    `probe` ids were paid for on forks and are not part of the reply.
    """

    thought: int = 0
    close: int = 0
    hint: int = 0
    answer: int | None = None
    stop: int = 0
    probe: int = 0
    phase_one: int = 0

    @property
    def completion_tokens(self) -> int:
        """Ids of the reply: all buckets but probes."""
        return self.thought + self.close + self.hint + (self.answer or 0) + self.stop

    @property
    def reasoning_tokens(self) -> int:
        """What OpenAI's API calls reasoning tokens: thought, close and hint."""
        return self.thought + self.close + self.hint

    @property
    def paid_tokens(self) -> int:
        """Everything that was produced for this reply, probes included."""
        return self.completion_tokens + self.probe
