"""What must happen next?

A `Flow` never acts. It says one of three things: sample at most n ids, force these ids, finished. It is told: these ids
came; shift now; the answer begins at this index, or may have begun in the last n ids. Drivers (see `engines/drive.py`)
carry the messages; any driver, in any chunks, gets the same ledger for the same ids.

    flow = Flow(window, room=4096)
    while not isinstance(step := flow.next(), Finished):
        flow.came(step.ids if isinstance(step, Force) else engine.sample(step.limit))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from z1.errors import Fault
from z1.think.ledger import Bucket, End, Ledger, Shift, Span
from z1.think.stop_strings import StopStrings
from z1.think.window import Window

STRIDE = 8
"""Ids sampled at once while an answer may meet a stop string; what was sampled behind it is dropped."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Let the model produce at least one and at most `limit` ids; stop at a stop id.

    None of the sequences in `forbidden` may be completed, whatever stands before; a stop id may be one.
    """

    limit: int
    forbidden: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Force:
    """Append these ids to the context, then say that they came."""

    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more happens."""

    end: End


class Flow:
    """One reply under one window.

    `room` is how many ids the context still holds. `detects` says that somebody will tell, after each `came`, where
    the answer begins (`answer_at`) or in how many of the last ids it may yet turn out to have begun (`undecided`);
    samples are then never longer than what is left of the answer's allowance, so that an answer found late has not
    outgrown it (the same holds for a fence that the model may close itself). `strings` end the answer with the id that
    completes one of them. `token_ids` are the ids of the reply so far.
    """

    def __init__(self, window: Window, room: int, *, detects: bool = False, strings: StopStrings | None = None) -> None:
        self.window = window
        self.token_ids: list[int] = []
        self.shifted: Shift | None = None
        self.end: End | None = None
        self._allowance = window.effective_budget(room)
        self._may_begin = window.max_answer_tokens > 0 and not window.think_end
        self._detects = detects and self._may_begin
        self._thought_end: int | None = None
        self._answer_start: int | None = None
        self._forced = 0
        self._probes = 0
        self._undecided = 0
        self._strings = strings
        self._ends = (
            *((stop,) for stop in sorted(window.stop_token_ids)),
            *((window.think_end,) if window.think_end else ()),
        )
        self._bound = (
            window.min_thinking_tokens + max(0, len(window.think_end) - 1)
            if window.min_thinking_tokens and self._ends
            else 0
        )

    def next(self) -> Sample | Force | Finished:
        """What must happen now. Asking again without telling anything gives the same again."""
        if self.end is None and self._thought_end is None and len(self.token_ids) >= self._allowance:
            self._shift(self._why_full())
        if self.end is not None:
            return Finished(self.end)
        if self._thought_end is not None and self._answer_start is None:
            return Force(self._hint_left())
        left = self._left()
        if self._strings is not None and self.answering:
            left = min(left, STRIDE)
        return Sample(min(left, self._bound - len(self.token_ids)), self._ends) if self._is_bound else Sample(left)

    def came(self, ids: Sequence[int]) -> None:
        """These ids were sampled, or were forced as `next` asked. Raises Fault where they break the last `next`."""
        step = self.next()
        if isinstance(step, Force):
            if tuple(ids) != step.token_ids:
                raise Fault(f"forced {step.token_ids} but {tuple(ids)} came")
            self.token_ids += ids
            self._forced = len(ids)
            self._begin_answer(len(self.token_ids))
            return
        limit = self._left() if isinstance(step, Sample) else 0
        if len(ids) > limit:
            raise Fault(f"{len(ids)} ids came where at most {limit} were asked for")
        for token in ids:
            self._push(token)

    def shift(self, why: Shift) -> bool:
        """Stop thinking now. True if that changed anything: not after the answer began, the hint was due, or the
        end.
        """
        if self.end is not None or self._thought_end is not None:
            return False
        self._shift(why)
        return True

    def answer_at(self, index: int) -> None:
        """The model began its answer at `index` of the reply, by itself. No effect once the thought has ended.

        No effect either where the model fences its thought (the fence says it), where a hard cut leaves no answer to
        begin, and where the model has to think longer. An answer that could only be found when it had outgrown its
        allowance (its marker is longer) begins so much later.
        """
        if not 0 <= index <= len(self.token_ids):
            raise Fault(f"an answer cannot begin at {index} of {len(self.token_ids)} ids")
        if self._thought_end is None and self._may_begin and index >= self.window.min_thinking_tokens:
            index = max(index, len(self.token_ids) - self.window.max_answer_tokens)
            self._thought_end, self.shifted = index, Shift.NATURAL
            self._begin_answer(index)

    def undecided(self, count: int) -> None:
        """The answer may yet turn out to have begun in the last `count` ids; the next sample is that much shorter."""
        self._undecided = count

    def probed(self, count: int) -> None:
        """`count` ids were paid for on a fork."""
        self._probes += count

    def abort(self) -> None:
        """The caller gave up; what came so far stands."""
        if self.end is None:
            self.end = End.ABORTED

    @property
    def answering(self) -> bool:
        """Whether the answer has begun."""
        return self._answer_start is not None

    @property
    def unsure(self) -> int:
        """How many of the last ids may yet turn out to stand in another bucket: a fence half written, or an answer."""
        if self.end is not None or self._thought_end is not None:
            return 0
        close = self.window.think_end
        fence = next((n for n in range(len(close) - 1, 0, -1) if tuple(self.token_ids[-n:]) == close[:n]), 0)
        return max(fence, self._undecided)

    def spans(self) -> tuple[Span, ...]:
        """The reply in order, each id in one bucket; empty spans are left out."""
        size = len(self.token_ids)
        stop = size - 1 if self.end is End.STOP else size
        thought_end = stop if self._thought_end is None else self._thought_end
        answer_start = stop if self._answer_start is None else self._answer_start
        middle = Bucket.HINT if self._forced else Bucket.CLOSE
        first, second = min(thought_end, stop), min(answer_start, stop)
        every = (
            (Bucket.THOUGHT, 0, first),
            (middle, first, second),
            (Bucket.ANSWER, second, stop),
            (Bucket.STOP, stop, size),
        )
        return tuple([Span(bucket, start, end) for bucket, start, end in every if start < end])

    def ledger(self) -> Ledger:
        """What was used so far."""
        used = {span.bucket.value: span.end - span.start for span in self.spans()}
        answer = used.pop(Bucket.ANSWER, 0) if self._answer_start is not None else None
        thought_end = None if self.shifted is Shift.NATURAL else self._thought_end
        phase_one = len(self.token_ids) if thought_end is None else thought_end
        return Ledger(**used, answer=answer, probe=self._probes, phase_one=phase_one)

    def _push(self, token: int) -> None:
        if self.end is End.STRING:
            return
        if self.end is not None:
            raise Fault("ids came after a stop id")
        bound = self._is_bound
        self.token_ids.append(token)
        if bound and (token in self.window.stop_token_ids or self._closes()):
            raise Fault(f"the model ended after {len(self.token_ids)} ids what it was to go on with")
        if token in self.window.stop_token_ids:
            self.end = End.STOP
            self.shifted = self.shifted or Shift.NATURAL
            return
        if self._thought_end is None and self._closes():
            self._thought_end, self.shifted = len(self.token_ids) - len(self.window.think_end), Shift.NATURAL
            self._begin_answer(len(self.token_ids))
        elif self._answer_start is not None:
            self._check_strings([token])
            self._check_answer()

    @property
    def _is_bound(self) -> bool:
        """Whether the model may not end by itself: until it has thought enough, or was made to answer."""
        return len(self.token_ids) < self._bound and (self.shifted is None or self.window.thinking_budget == 0)

    def _closes(self) -> bool:
        close = list(self.window.think_end)
        return bool(close) and self.token_ids[-len(close) :] == close

    def _left(self) -> int:
        if self._answer_start is not None:
            return self.window.max_answer_tokens - (len(self.token_ids) - self._answer_start)
        left = self._allowance - len(self.token_ids)
        if not (self._detects or self.window.think_end):
            return left
        return min(left, max(1, self.window.max_answer_tokens - self._undecided))

    def _why_full(self) -> Shift:
        return Shift.BUDGET if self._allowance == self.window.thinking_budget else Shift.CONTEXT

    def _shift(self, why: Shift) -> None:
        self._thought_end, self.shifted = len(self.token_ids), why
        if not self._hint_left():
            self._begin_answer(len(self.token_ids))

    def _hint_left(self) -> tuple[int, ...]:
        """The hint without the part that the model has already begun."""
        hint = self.window.hint
        last = tuple(self.token_ids[max(0, len(self.token_ids) - len(hint)) :])
        begun = next(n for n in range(len(last), -1, -1) if last[len(last) - n :] == hint[:n])
        return hint[begun:]

    def _begin_answer(self, index: int) -> None:
        self._answer_start = index
        self._check_strings(self.token_ids[index : -1 if self.end is End.STOP else None])
        self._check_answer()

    def _check_strings(self, ids: Sequence[int]) -> None:
        """End the reply with the id that completes a stop string, and drop what was sampled behind it."""
        complete = None if self._strings is None else self._strings.feed(ids)
        if complete is not None and self._answer_start is not None:
            del self.token_ids[self._answer_start + complete :]
            self.end = End.STRING

    def _check_answer(self) -> None:
        start = self._answer_start
        if start is not None and self.end is None and len(self.token_ids) - start >= self.window.max_answer_tokens:
            self.end = End.CUT
