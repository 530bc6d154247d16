"""How long may it think?

Delimited budget forcing, no thinking and a hard cut are values of `Window`, not kinds of it:

    Window(1024, 512, hint, stops)                 the paper's Shifted Thinking Window
    Window(1024, 512, hint, stops, close=fence)    budget forcing for a model that fences its thoughts
    Window(0, 512, hint, stops)                    answer at once
    Window(None, 512, hint, stops)                 think freely, up to what the context holds
    Window(1024, 0, (), stops)                     a hard cut: no hint and no answer
    Window(1024, 512, hint, stops, least=64)       the model may not end its thought by itself before 64 ids
"""

from __future__ import annotations

from dataclasses import dataclass

from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class Window:
    """What the user chose. All counts are ids.

    `thinking_budget` is the allowance for the thought (None is free, 0 answers at once), `max_answer_tokens` the
    allowance from the answer's first id on, its end-of-sequence id included. `hint` is forced when the thought is
    shifted; `stop_token_ids` are the ids that end the reply; `think_end` is the sequence with which the model itself
    ends a fenced thought, () where it has no fence. `min_thinking_tokens` is how many ids the model has to think before
    it may end the thought by itself: until then it may neither stop nor close its fence, and no answer is seen in what
    it writes. Where nothing is thought (0) it is how many ids come before it may stop.
    """

    thinking_budget: int | None
    max_answer_tokens: int
    hint: tuple[int, ...]
    stop_token_ids: frozenset[int]
    think_end: tuple[int, ...] = ()
    min_thinking_tokens: int = 0

    def __post_init__(self) -> None:
        if self.thinking_budget is not None and self.thinking_budget < 0:
            raise UserError(
                "window", self.thinking_budget, "give 0 (answer at once) or more, or leave it out to think freely"
            )
        if self.max_answer_tokens < 0:
            raise UserError("answer allowance", self.max_answer_tokens, "give 0 or more")
        if self.max_answer_tokens == 0 and self.hint:
            raise UserError("answer allowance", 0, "give 1 or more, or drop the hint for a hard cut")
        most = self.max_answer_tokens if self.thinking_budget == 0 else self.thinking_budget
        if self.min_thinking_tokens < 0 or (most is not None and self.min_thinking_tokens > most):
            raise UserError(
                "minimum",
                self.min_thinking_tokens,
                f"give 0 to {most}, which is the most" if most else "give 0 or more",
            )

    @property
    def reserved_tokens(self) -> int:
        """Most ids that can follow the thought: hint and answer."""
        return len(self.hint) + self.max_answer_tokens

    def effective_budget(self, room: int) -> int:
        """Ids that the thought may take where `room` ids fit in all; the hint and the answer are always kept room
        for.
        """
        left = room - self.reserved_tokens
        if left < 0:
            raise UserError(
                "room for hint and answer", f"{room} ids for {self.reserved_tokens}", "lower the answer allowance"
            )
        allowed = left if self.thinking_budget is None else min(self.thinking_budget, left)
        if allowed < self.min_thinking_tokens and self.thinking_budget != 0:
            raise UserError(
                "room for the minimum of thought", f"{allowed} ids for {self.min_thinking_tokens}", "lower one of them"
            )
        return allowed
