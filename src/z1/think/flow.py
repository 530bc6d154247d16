"""The flow: the next step of one reply under one window.

A `Flow` never acts. `next_step` returns one of three steps: sample at most n tokens, force these tokens, finished. The
driver reports what happened: tokens were added, the thought should shift now, the answer starts at this index or may
have started in the last n tokens. Any driver, in any chunks, gets the same ledger for the same tokens
(`engines/driver.py` is the usual one).

    flow = Flow(window, free_tokens=4096)
    while not isinstance(step := flow.next_step(), Finished):
        flow.add_tokens(step.token_ids if isinstance(step, Force) else engine.sample(step.max_tokens))
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from z1.errors import Fault
from z1.think.ledger import Bucket, End, Ledger, Shift, Span
from z1.think.repetition import Repetition
from z1.think.soft_landing import EndBias, SoftLanding
from z1.think.stop_strings import StopStrings
from z1.think.window import Window

NO_LANDING = SoftLanding()
"""The end of the thought is as likely as ever, and the hint waits for nothing."""

STOP_STRING_CHUNK = 8
"""Tokens sampled at once while an answer may meet a stop string; tokens after the match are dropped."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sample 1 to `max_tokens` tokens, up to a stop token.

    None of the sequences in `forbidden` may be completed, whatever precedes them; a stop token may be one. `bias` makes
    the end of the thought likelier.
    """

    max_tokens: int
    forbidden: tuple[tuple[int, ...], ...] = ()
    bias: EndBias | None = None


@dataclass(frozen=True, slots=True)
class Force:
    """Append these tokens to the context, then add them to the flow."""

    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply has ended."""

    end: End


class Flow:
    """One reply under one window.

    `free_tokens` is the space left in the context. With `detects_answer` the driver reports, after each `add_tokens`,
    where the answer starts (`start_answer`) or in how many of the last tokens it may have started
    (`set_undecided_tokens`). Samples are then never longer than the rest of the answer budget, so that an answer that
    is detected late has not exceeded it; the same holds for a think end tag that the model may write itself.
    `stop_strings` end the answer with the token that completes one. `token_ids` are the tokens of the reply so far.
    """

    def __init__(
        self,
        window: Window,
        free_tokens: int,
        *,
        detects_answer: bool = False,
        stop_strings: StopStrings | None = None,
    ) -> None:
        self.window = window
        self.token_ids: list[int] = []
        self.shift_reason: Shift | None = None
        self.end: End | None = None
        self._budget = window.effective_budget(free_tokens)
        self._may_start_answer = window.max_answer_tokens > 0 and not window.think_end
        self._detects_answer = detects_answer and self._may_start_answer
        self._thought_end: int | None = None
        self._answer_start: int | None = None
        self._hint: tuple[int, ...] = ()
        self._nudge: tuple[int, ...] = ()
        self._nudges: list[tuple[int, int]] = []
        self._num_loops = 0
        self._checked = -1
        self._forced = 0
        self._probes = 0
        self._undecided = 0
        self._stop_strings = stop_strings
        self._end_sequences = (
            *((stop,) for stop in sorted(window.stop_token_ids)),
            *((window.think_end,) if window.think_end else ()),
        )
        has_minimum = window.min_thinking_tokens and self._end_sequences
        self._minimum = window.min_thinking_tokens + max(0, len(window.think_end) - 1) if has_minimum else 0
        self._landing = window.landing or NO_LANDING
        self._grace_start = max(self._budget - self._landing.grace_tokens, window.min_thinking_tokens)
        soft_start = max(self._budget - self._landing.soft_tokens, self._minimum)
        has_bias = window.think_end and self._landing.max_bias and self._landing.soft_tokens
        has_wrap_up = self._landing.wrap_up and not window.think_end
        self._bias_start = soft_start if has_bias else sys.maxsize
        self._border_start = min(soft_start, self._grace_start) if has_wrap_up else self._grace_start

    def next_step(self) -> Sample | Force | Finished:
        """The next step. Calling it again without a report returns the same step."""
        if self.end is None and self._checked != len(self.token_ids):
            self._checked = len(self.token_ids)
            self._check()
        if self.end is not None:
            return Finished(self.end)
        if self._thought_end is not None and self._answer_start is None:
            return Force(self._hint)
        if self._thought_end is None and self._nudge:
            return Force(self._nudge)
        left = self._max_sample()
        if self._stop_strings is not None and self.is_answering:
            left = min(left, STOP_STRING_CHUNK)
        if self._is_below_minimum:
            return Sample(min(left, self._minimum - len(self.token_ids)), self._end_sequences)
        if self._answer_start is None and len(self.token_ids) >= self._bias_start:
            length = self._landing.soft_tokens
            offset = len(self.token_ids) - (self._budget - length)
            return Sample(left, bias=EndBias(self.window.think_end, self._landing.max_bias, length, offset))
        return Sample(left)

    def add_tokens(self, token_ids: Sequence[int]) -> None:
        """Report tokens that were sampled, or forced as `next_step` said. Raises Fault if they contradict the step."""
        step = self.next_step()
        if isinstance(step, Force):
            if tuple(token_ids) != step.token_ids:
                raise Fault(f"expected the forced tokens {step.token_ids}, got {tuple(token_ids)}")
            self.token_ids += token_ids
            if self._thought_end is None:
                self._nudges.append((len(self.token_ids) - len(token_ids), len(self.token_ids)))
                self._nudge = ()
                return
            self._forced = len(token_ids)
            is_stopped = self._stop_strings is not None and self._stop_strings.feed_forced(token_ids)
            self._start_answer(len(self.token_ids))
            self.end = End.STRING if is_stopped else self.end
            return
        maximum = self._max_sample() if isinstance(step, Sample) else 0
        if len(token_ids) > maximum:
            raise Fault(f"expected at most {maximum} tokens, got {len(token_ids)}")
        for token in token_ids:
            self._push(token)

    def shift(self, why: Shift) -> bool:
        """End the thought now. True if this changes anything: not once the answer, the hint or the end is due."""
        if self.end is not None or self._thought_end is not None:
            return False
        self._shift(why)
        return True

    def start_answer(self, index: int) -> None:
        """Report that the model itself started its answer at `index` of the reply. No effect after the thought's end.

        No effect either with think tags (the tag ends the thought), after a hard cut, or before the minimum. An answer
        that was detected only after it exceeded its budget (its marker is longer) starts that much later.
        """
        if not 0 <= index <= len(self.token_ids):
            raise Fault(f"an answer cannot start at {index} of {len(self.token_ids)} tokens")
        if self._thought_end is None and self._may_start_answer and index >= self.window.min_thinking_tokens:
            index = max(index, len(self.token_ids) - self.window.max_answer_tokens)
            self._thought_end, self.shift_reason = index, Shift.NATURAL
            self._start_answer(index)

    def set_undecided_tokens(self, count: int) -> None:
        """Report that the answer may have started in the last `count` tokens; the next sample is that much shorter."""
        self._undecided = count

    def forced_hint(self) -> tuple[int, ...]:
        """The tokens that a shift would force now: closing and hint, or the rest of a hint that the model has begun."""
        hint, closing = self.window.hint, self.window.closing
        last = tuple(self.token_ids[max(0, len(self.token_ids) - len(hint)) :])
        begun = next(n for n in range(len(last), -1, -1) if last[len(last) - n :] == hint[:n])
        if closing is None or not self.token_ids:
            return hint[begun:]
        closed = closing.close(self.token_ids, begun)
        if len(closed) > closing.max_tokens:
            raise Fault(f"a closing of {len(closed)} tokens, at most {closing.max_tokens} were reserved")
        return (*closed, *hint) if closed else hint[begun:]

    def add_probe_tokens(self, count: int) -> None:
        """Report `count` tokens sampled on a fork."""
        self._probes += count

    @property
    def is_answering(self) -> bool:
        """Whether the answer has begun."""
        return self._answer_start is not None

    @property
    def undecided_tokens(self) -> int:
        """The number of last tokens whose bucket may change: part of a think end tag, or the start of an answer."""
        if self.end is not None or self._thought_end is not None:
            return 0
        tag = self.window.think_end
        started = next((n for n in range(len(tag) - 1, 0, -1) if tuple(self.token_ids[-n:]) == tag[:n]), 0)
        return max(started, self._undecided)

    def spans(self) -> tuple[Span, ...]:
        """The reply in order, each token in one bucket; empty spans are omitted."""
        size = len(self.token_ids)
        stop = size - 1 if self.end is End.STOP else size
        thought_end = stop if self._thought_end is None else self._thought_end
        answer_start = stop if self._answer_start is None else self._answer_start
        middle = Bucket.HINT if self._forced else Bucket.CLOSE
        first, second = min(thought_end, stop), min(answer_start, stop)
        spans = (
            *self._thought_spans(first),
            (middle, first, second),
            (Bucket.ANSWER, second, stop),
            (Bucket.STOP, stop, size),
        )
        return tuple([Span(bucket, start, end) for bucket, start, end in spans if start < end])

    def ledger(self) -> Ledger:
        """The tokens used so far, by bucket."""
        used = Counter[str]()
        for bucket, start, end in self.spans():
            used[bucket.value] += end - start
        answer = used.pop(Bucket.ANSWER, 0) if self._answer_start is not None else None
        thought_end = None if self.shift_reason is Shift.NATURAL else self._thought_end
        phase_one = len(self.token_ids) if thought_end is None else thought_end
        return Ledger(**used, answer=answer, probe=self._probes, phase_one=phase_one)

    def _thought_spans(self, end: int) -> Iterator[tuple[Bucket, int, int]]:
        """The thought up to `end`: sampled without and with a bias, and between them what was forced."""
        start = 0
        for nudge in (*self._nudges, (end, end)):
            first, last = (min(at, end) for at in nudge)
            border = min(max(self._bias_start, start), first)
            yield from ((Bucket.THOUGHT, start, border), (Bucket.BIASED, border, first), (Bucket.NUDGE, first, last))
            start = last

    def _check(self) -> None:
        """What the tokens so far bring about: a shift, a nudge, or the end of an answer that repeats itself."""
        size, landing = len(self.token_ids), self._landing
        if self._thought_end is not None:
            if self._answer_start is not None and self._has_loop(self._answer_start):
                self.end = End.REPETITION
        elif size >= self._budget:
            self._shift(self._limit)
        elif size < max(1, self.window.min_thinking_tokens):
            return
        elif self._has_loop(self._nudges[-1][1] if self._nudges else 0):
            self._end_loop()
        elif size >= self._border_start and landing.is_border(self.token_ids):
            if size >= self._grace_start:
                self._shift(self._limit)
            elif size + len(landing.wrap_up) < self._budget:
                self._nudge, self._border_start = landing.wrap_up, self._grace_start

    @property
    def _limit(self) -> Shift:
        return Shift.BUDGET if self._budget == self.window.thinking_budget else Shift.CONTEXT

    def _has_loop(self, start: int) -> bool:
        return self.window.repetition is not None and self.window.repetition.is_found(self.token_ids, start)

    def _end_loop(self) -> None:
        """Nudge the thought if a nudge is left and fits, else shift it."""
        repetition = self.window.repetition or Repetition()
        self._num_loops += 1
        fits = len(self.token_ids) + len(repetition.nudge) < self._budget
        if fits and self._num_loops <= repetition.max_nudges:
            self._nudge = repetition.nudge
        else:
            self._shift(Shift.REPETITION)

    def _push(self, token: int) -> None:
        if self.end is End.STRING:
            return
        if self.end is not None:
            raise Fault("got tokens after a stop token")
        below_minimum = self._is_below_minimum
        self.token_ids.append(token)
        if below_minimum and (token in self.window.stop_token_ids or self._ends_with_tag()):
            raise Fault(f"the model ended its thought after {len(self.token_ids)} tokens, before the minimum")
        if token in self.window.stop_token_ids:
            self.end = End.STOP
            self.shift_reason = self.shift_reason or Shift.NATURAL
            return
        if self._thought_end is None and self._ends_with_tag():
            self._thought_end = len(self.token_ids) - len(self.window.think_end)
            self.shift_reason = Shift.NATURAL
            self._start_answer(len(self.token_ids))
        elif self._answer_start is not None:
            self._check_stop_strings([token])
            self._check_answer_budget()

    @property
    def _is_below_minimum(self) -> bool:
        """Whether the model may not end the thought yet; a shift lifts the minimum."""
        is_short = len(self.token_ids) < self._minimum
        return is_short and (self.shift_reason is None or self.window.thinking_budget == 0)

    def _ends_with_tag(self) -> bool:
        tag = list(self.window.think_end)
        return bool(tag) and self.token_ids[-len(tag) :] == tag

    def _max_sample(self) -> int:
        """Tokens up to the next one at which something may happen."""
        size, repetition = len(self.token_ids), self.window.repetition
        left = self._space()
        if repetition is not None:
            left = min(left, repetition.interval - size % repetition.interval)
        if self._answer_start is None:
            left = min(left, max(1, self._border_start - size))
            left = min(left, self._bias_start - size if size < self._bias_start else left)
        return left

    def _space(self) -> int:
        if self._answer_start is not None:
            return self.window.max_answer_tokens - (len(self.token_ids) - self._answer_start)
        left = self._budget - len(self.token_ids)
        if not (self._detects_answer or self.window.think_end):
            return left
        return min(left, max(1, self.window.max_answer_tokens - self._undecided))

    def _shift(self, why: Shift) -> None:
        self._thought_end, self.shift_reason = len(self.token_ids), why
        self._hint = self.forced_hint()
        if not self._hint:
            self._start_answer(len(self.token_ids))

    def _start_answer(self, index: int) -> None:
        self._answer_start = index
        self._check_stop_strings(self.token_ids[index : -1 if self.end is End.STOP else None])
        self._check_answer_budget()

    def _check_stop_strings(self, token_ids: Sequence[int]) -> None:
        """End the reply with the token that completes a stop string, and drop the tokens after it."""
        match_end = None if self._stop_strings is None else self._stop_strings.feed(token_ids)
        if match_end is not None and self._answer_start is not None:
            del self.token_ids[self._answer_start + match_end :]
            self.end = End.STRING

    def _check_answer_budget(self) -> None:
        start = self._answer_start
        if start is not None and self.end is None and len(self.token_ids) - start >= self.window.max_answer_tokens:
            self.end = End.CUT
