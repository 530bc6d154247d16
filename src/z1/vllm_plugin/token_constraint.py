"""The next forced token of one reply, and the bias on it, for a server that samples by itself.

Such a server has one hook: before each sampling step it asks which tokens are allowed. A `TokenConstraint` answers for
one reply. It gets the tokens so far and nothing else, and drives the same `Flow` as `engines/driver.py`, so the
invariants of the window hold there too. It is a function of those tokens: a reply that was moved, preempted or
restarted in another row gets a new constraint and the same forced tokens. `next_check` is the reply length at which it
has to be called again; a sample within the budget needs no check in between.

The forcing itself is in `engines/logit_mask.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile

from z1.engines.driver import update_flow
from z1.think import AnswerDetector, End, Finished, Flow, Force, Shift

NO_CHECK = sys.maxsize
"""`next_check` of a constraint that will not force anything any more."""


class TokenConstraint:
    """One reply under one window.

    `end_token` ends a reply whose answer has used up its budget or met a stop string; None leaves the answer's length
    to the server. With `check_every_token` each token is checked as soon as it is sampled, which stop strings need.
    """

    def __init__(
        self,
        flow: Flow,
        detector: AnswerDetector | None = None,
        *,
        end_token: int | None = None,
        check_every_token: bool = False,
    ) -> None:
        self._flow, self._detector = flow, detector
        self._end_token, self._check_every_token = end_token, check_every_token
        self.next_check = 0
        self.outcomes: list[str] = []
        """What began since the last call: the hint (*forced*; *repetition* after a loop), a *nudge* inside the thought,
        or the end of an answer that repeats itself (*repetition*).
        """
        self.bias: tuple[int, float] | None = None
        """The token to which the next one has a bias, and the bias on its logit; None for none."""
        self._begun = -1

    def next_token(self, token_ids: Sequence[int]) -> int | None:
        """The token that must follow `token_ids`, the whole reply so far; None if the model is free.

        Negative ids are placeholders of tokens that are not known yet; they and everything after them are ignored. If
        another token than the forced one was sampled (a grammar forbade it), nothing is forced any more. A sampled
        token cannot be taken back: if only the end of an answer's marker shows that the answer had begun and met a stop
        string, the rest of the marker stays.
        """
        is_resumed = self.next_check == 0 and len(token_ids) > 0
        self.outcomes, self.bias = [], None
        while self.next_check <= len(token_ids):
            step = self._flow.next_step()
            seen = len(self._flow.token_ids)
            if isinstance(step, Finished):
                self.next_check = NO_CHECK
                return self._end(step.end, is_last=seen == len(token_ids))
            if isinstance(step, Force):
                forced = tuple(token_ids[seen : seen + len(step.token_ids)])
                if forced != step.token_ids[: len(forced)]:
                    self.next_check = NO_CHECK
                    return None
                if self._begun != seen:
                    self._begun = seen
                    self.outcomes += [] if is_resumed and forced else [self._reason]
                if forced != step.token_ids:
                    return step.token_ids[len(forced)]
                update_flow(self._flow, forced, self._detector)
            else:
                is_single = self._check_every_token or step.bias is not None
                if not self._add_sampled(token_ids, seen, 1 if is_single else step.max_tokens):
                    if step.bias is not None:
                        self.next_check, self.bias = seen, step.bias.term(self._flow.token_ids, 0)
                    return None
        return None

    def _end(self, end: End, *, is_last: bool) -> int | None:
        """The end token of a finished reply; None if it has tokens after its end, which cannot be taken back."""
        if not is_last and end is not End.STRING:
            return None
        self.outcomes += ["repetition"] if end is End.REPETITION else []
        return self._end_token

    @property
    def _reason(self) -> str:
        """Why tokens are forced now."""
        shift = self._flow.shift_reason
        return "nudge" if shift is None else "repetition" if shift is Shift.REPETITION else "forced"

    def _add_sampled(self, token_ids: Sequence[int], seen: int, count: int) -> bool:
        """Pass the `count` tokens after `seen` to the flow; False, and wait for the rest, where some are missing."""
        new = tuple(takewhile(lambda token: token >= 0, token_ids[seen : seen + count]))
        if len(new) < count:
            self.next_check = seen + count
            return False
        update_flow(self._flow, new, self._detector)
        return True
