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

    `thinking` is the allowance for the thought (None is free, 0 answers at once), `answer` the allowance from the
    answer's first id on, its end-of-sequence id included. `hint` is forced when the thought is shifted; `stops` are the
    ids that end the reply; `close` is the sequence with which the model itself ends a fenced thought, () where it has
    no fence. `least` is how many ids the model has to think before it may end the thought by itself: until then it may
    neither stop nor close its fence, and no answer is seen in what it writes. Where nothing is thought (0) it is how
    many ids come before it may stop.
    """

    thinking: int | None
    answer: int
    hint: tuple[int, ...]
    stops: frozenset[int]
    close: tuple[int, ...] = ()
    least: int = 0

    def __post_init__(self) -> None:
        if self.thinking is not None and self.thinking < 0:
            raise UserError("window", self.thinking, "give 0 (answer at once) or more, or leave it out to think freely")
        if self.answer < 0:
            raise UserError("answer allowance", self.answer, "give 0 or more")
        if self.answer == 0 and self.hint:
            raise UserError("answer allowance", 0, "give 1 or more, or drop the hint for a hard cut")
        most = self.answer if self.thinking == 0 else self.thinking
        if self.least < 0 or (most is not None and self.least > most):
            raise UserError("minimum", self.least, f"give 0 to {most}, which is the most" if most else "give 0 or more")

    @property
    def after(self) -> int:
        """Most ids that can follow the thought: hint and answer."""
        return len(self.hint) + self.answer

    def allowance(self, room: int) -> int:
        """Ids that the thought may take where `room` ids fit in all; the hint and the answer are always kept room
        for.
        """
        left = room - self.after
        if left < 0:
            raise UserError("room for hint and answer", f"{room} ids for {self.after}", "lower the answer allowance")
        allowed = left if self.thinking is None else min(self.thinking, left)
        if allowed < self.least and self.thinking != 0:
            raise UserError("room for the minimum of thought", f"{allowed} ids for {self.least}", "lower one of them")
        return allowed
