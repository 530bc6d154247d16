"""The window: thinking budget, answer budget, hint and stop tokens of one reply.

Delimited budget forcing, no thinking and a hard cut are values of `Window`, not classes:

    Window(1024, 512, hint, stops)                              the paper's Shifted Thinking Window
    Window(1024, 512, hint, stops, think_end=tag)               budget forcing for a model with think tags
    Window(0, 512, hint, stops)                                 answer at once
    Window(None, 512, hint, stops)                              unlimited, up to the context length
    Window(1024, 0, (), stops)                                  a hard cut: no hint and no answer
    Window(1024, 512, hint, stops, min_thinking_tokens=64)      no natural end of the thought before 64 tokens
    Window(1024, 512, hint, stops, closing=closing)             what the thought left open is closed before the hint
    Window(1024, 512, hint, stops, repetition=Repetition())     a thought that repeats itself shifts, an answer ends
    Window(1024, 512, hint, stops, landing=landing)             the hint waits for the end of a sentence
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from z1.errors import UserError
from z1.think.repetition import Repetition
from z1.think.soft_landing import SoftLanding


@dataclass(frozen=True, slots=True)
class Closing:
    """The tokens that precede the hint, as a function of the thought: they close what a cut thought left open.

    `close(token_ids, begun)` returns at most `max_tokens` tokens for a thought whose last `begun` tokens are already
    the beginning of the hint. If it returns none, those count as the beginning; otherwise all of the hint follows. It
    is not called for an empty thought.
    """

    max_tokens: int
    close: Callable[[Sequence[int], int], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Window:
    """The settings of one reply. All counts are tokens.

    `thinking_budget` is the maximum of the thought (None: unlimited, 0: answer at once). `max_answer_tokens` is the
    maximum from the answer's first token on, its end-of-sequence token included. `hint` is forced at the shift, after
    the tokens of `closing`; `stop_token_ids` end the reply; `think_end` is the token sequence with which the model ends
    its thought, () for a model without think tags. Before `min_thinking_tokens` the model may neither stop nor write
    `think_end`, and no answer is detected; with a thinking budget of 0 the minimum counts the answer. `repetition` and
    `landing` (None: neither) are described where they are defined.
    """

    thinking_budget: int | None
    max_answer_tokens: int
    hint: tuple[int, ...]
    stop_token_ids: frozenset[int]
    think_end: tuple[int, ...] = ()
    min_thinking_tokens: int = 0
    closing: Closing | None = None
    repetition: Repetition | None = None
    landing: SoftLanding | None = None

    def __post_init__(self) -> None:
        if self.thinking_budget is not None and self.thinking_budget < 0:
            raise UserError(
                "thinking_budget", self.thinking_budget, "give 0 (answer at once) or more, or None (unlimited)"
            )
        if self.max_answer_tokens < 0:
            raise UserError("max_answer_tokens", self.max_answer_tokens, "give 0 or more")
        if self.max_answer_tokens == 0 and (self.hint or self.closing):
            raise UserError("max_answer_tokens", 0, "give 1 or more, or remove hint and closing for a hard cut")
        maximum = self.max_answer_tokens if self.thinking_budget == 0 else self.thinking_budget
        if self.min_thinking_tokens < 0 or (maximum is not None and self.min_thinking_tokens > maximum):
            limits = f"give 0 to {maximum}" if maximum else "give 0 or more"
            raise UserError("min_thinking_tokens", self.min_thinking_tokens, limits)

    @property
    def max_hint_tokens(self) -> int:
        """Maximum tokens that are forced: closing and hint. An empty thought leaves nothing to close."""
        return len(self.hint) + (self.closing.max_tokens if self.closing and self.thinking_budget != 0 else 0)

    @property
    def reserved_tokens(self) -> int:
        """Maximum tokens after the thought: closing, hint and answer."""
        return self.max_hint_tokens + self.max_answer_tokens

    def effective_budget(self, free_tokens: int) -> int:
        """Maximum thinking tokens if `free_tokens` fit in total; hint and answer are always reserved.

        Raises UserError if they, or the minimum, do not fit.
        """
        left = free_tokens - self.reserved_tokens
        if left < 0:
            got = f"{free_tokens} free tokens for {self.reserved_tokens}"
            raise UserError("space for hint and answer", got, "lower max_answer_tokens")
        budget = left if self.thinking_budget is None else min(self.thinking_budget, left)
        if budget < self.min_thinking_tokens and self.thinking_budget != 0:
            got = f"{budget} free tokens for {self.min_thinking_tokens}"
            raise UserError("space for min_thinking_tokens", got, "lower min_thinking_tokens or max_answer_tokens")
        return budget
