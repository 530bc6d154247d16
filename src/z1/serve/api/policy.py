"""When may a thought of this request end early?

Safe data that a client sends, and never code: how often to probe, how many equal answers are enough, whether a thought
that goes round is ended, and whether probes are told as they come (*anytime* answers). It makes the exits of
`engines/exits.py`; two answers are equal where `grading/agree.py` says so, or letter for letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from z1 import profiles
from z1.engines import Convergence, Engine, ExitRule, Probe, RepetitionExit
from z1.grading.equivalence import canonical_answer

NEVER = 1 << 30
"""Equal answers in a row that no thought has."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A probe every `every` ids of thought, with at most `answer` ids; an exit after `stable` equal ones (None: never).

    `tell` gives probes to the client.
    """

    every: int = 64
    stable: int | None = None
    answer: int = 64
    normalizer: Literal["said", "exact"] = "said"
    repetition: bool = False
    tell: bool = False

    @property
    def probes(self) -> bool:
        """Whether forks are needed."""
        return self.stable is not None or self.tell


NONE = Policy()
"""A thought ends by itself, or with its budget."""


def exits(policy: Policy, engine: Engine, tell: Callable[[Probe], None]) -> tuple[ExitRule, ...]:
    """The exits of one reply; `tell` hears of every probe."""
    made: list[ExitRule] = [RepetitionExit()] if policy.repetition else []
    if policy.probes:
        reads = canonical_answer if policy.normalizer == "said" else str.strip

        def read(ids: Sequence[int]) -> str:
            return reads(profiles.text_of(engine.tokenizer, ids))

        made.append(Convergence(policy.every, policy.stable or NEVER, policy.answer, read, tell))
    return tuple(made)
