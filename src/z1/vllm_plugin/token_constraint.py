"""Which id must come next, where somebody else does the sampling?

A server that runs its own loop can be bent in one place only: it asks, before each draw, what may be drawn. A
`TokenConstraint` answers for one reply. It is told the ids so far and nothing else, and drives the same `Flow` as
`drive` does; so the laws of the window hold there too. It is a function of those ids: a reply that was moved, preempted
or begun again in another row gets a new guide and the same answers. It says how long it may be left alone (`due`): a
sample that the flow allows needs no look at its inside.

It does not know who forces the ids, nor how; `masks.py` does that to logits.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile

from z1.engines.driver import tell
from z1.think import AnswerDetector, End, Finished, Flow, Force

NEVER = sys.maxsize
"""`due` of a guide that will not force anything any more."""


class TokenConstraint:
    """One reply under one window.

    `ending` is the id that ends a reply whose answer has used up its allowance or met a stop string; None leaves the
    allowance to whoever samples. With `each` every id is looked at as soon as it came, which stop strings need.
    """

    def __init__(
        self, flow: Flow, detector: AnswerDetector | None = None, *, ending: int | None = None, each: bool = False
    ) -> None:
        self._flow, self._detector = flow, detector
        self._ending, self._each = ending, each
        self.due = 0

    def next(self, ids: Sequence[int]) -> int | None:
        """The id that must stand behind `ids`, the whole reply so far; None where the model is free.

        Negative ids are places of ids that are not known yet; nothing from there on is looked at. Where another id than
        the one asked for came (a grammar forbade it), nothing is forced any more. What was drawn cannot be taken back:
        where only the end of its marker shows that an answer had begun, and met a stop string, the rest of the marker
        stays.
        """
        while self.due <= len(ids):
            step = self._flow.next()
            seen = len(self._flow.token_ids)
            if isinstance(step, Finished):
                self.due = NEVER
                now = step.end is End.STRING or (step.end is End.CUT and seen == len(ids))
                return self._ending if now else None
            if isinstance(step, Force):
                came = tuple(ids[seen : seen + len(step.token_ids)])
                if came != step.token_ids[: len(came)]:
                    self.due = NEVER
                elif came == step.token_ids:
                    self._flow.came(came)
                else:
                    return step.token_ids[len(came)]
            elif not self._sampled(ids, seen, 1 if self._each else step.limit):
                return None
        return None

    def _sampled(self, ids: Sequence[int], seen: int, limit: int) -> bool:
        came = tuple(takewhile(lambda token: token >= 0, ids[seen : seen + limit]))
        if len(came) < limit:
            self.due = seen + limit
            return False
        tell(self._flow, came, self._detector)
        return True
