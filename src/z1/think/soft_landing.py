"""A soft landing: the end of a thought becomes likelier before its limit, and the hint waits for a border of the text.

The thought's limit is the last token at which the hint may be forced. From `soft_tokens` before it the model is helped
to end by itself: the next token of its think end tag gets a rising bias, or, in a family without think tags, a sentence
that announces the end is forced at the next border. From `grace_tokens` before it the hint is forced at the first
border: the end of a sentence, a line or a block of code. No limit becomes longer.

Token ids and counts only: `is_border` knows the text (`z1.profiles.make_landing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class EndBias:
    """A rising bias on the token that continues `sequence`, to be added to its logit before temperature.

    Token `n` of the sample, from 0, has `maximum * (offset + n + 1) / length`, until the sequence is complete.
    """

    sequence: tuple[int, ...]
    maximum: float
    length: int
    offset: int = 0

    def term(self, context: Sequence[int], n: int) -> tuple[int, float] | None:
        """The token with a bias after `context`, whose last `n` tokens are of this sample, and the bias; None if the
        sequence is complete.
        """
        sequence, size = self.sequence, len(self.sequence)
        tail = tuple(context[max(0, len(context) - n - size) :])
        first = max(size, len(tail) - n + 1)
        if any(tail[end - size : end] == sequence for end in range(first, len(tail) + 1)):
            return None
        begun = next(count for count in range(size - 1, -1, -1) if tail[len(tail) - count :] == sequence[:count])
        return sequence[begun], self.maximum * (self.offset + n + 1) / self.length


@dataclass(frozen=True, slots=True)
class SoftLanding:
    """How a thought ends at its limit.

    `soft_tokens` before it the end becomes likelier: by a bias that rises to `max_bias` with think tags, by `wrap_up`
    without them (forced once, counted as nudge, only where it fits). `grace_tokens` before it the hint is forced at the
    first border. `is_border(token_ids)` says whether a thought may be cut after these tokens.
    """

    soft_tokens: int = 0
    grace_tokens: int = 0
    max_bias: float = 0.0
    wrap_up: tuple[int, ...] = ()
    is_border: Callable[[Sequence[int]], bool] = bool

    def __post_init__(self) -> None:
        for name in ("soft_tokens", "grace_tokens", "max_bias"):
            if getattr(self, name) < 0:
                raise UserError(name, getattr(self, name), "give 0 or more")
