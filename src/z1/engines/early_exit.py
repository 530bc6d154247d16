"""Early-exit rules, which end a thought before its budget is used.

A rule is checked every `interval` thinking tokens. The interval is counted in tokens and not in samples, so a reply
does not depend on how its tokens were chunked. `AnswerExit` (`answer_exit.py`) ends a thought whose probed answer is
sure enough. Loops are ended by the flow itself (`think/repetition.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from z1.engines.protocol import Session
from z1.think import Flow, Shift


class ExitRule(Protocol):
    """A rule that may end a thought; one instance a reply."""

    @property
    def interval(self) -> int:
        """Thinking tokens between two checks."""
        ...

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """Why the thought should end now; None to continue."""
        ...


def tokens_to_next_check(rules: Sequence[ExitRule], thinking_tokens: int) -> int | None:
    """Tokens from `thinking_tokens` to the next check of one of `rules`; None without rules."""
    return min((rule.interval - thinking_tokens % rule.interval for rule in rules), default=None)


async def check_rules(rules: Sequence[ExitRule], flow: Flow, session: Session) -> Shift | None:
    """The result of the first rule that is due and ends the thought; none is due before the thought's minimum."""
    thinking_tokens = len(flow.token_ids)
    if flow.end is not None or flow.shift_reason is not None:
        return None
    if thinking_tokens < max(1, flow.window.min_thinking_tokens):
        return None
    for rule in rules:
        if thinking_tokens % rule.interval == 0 and (why := await rule.check(flow, session)) is not None:
            return why
    return None
