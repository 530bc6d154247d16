"""Detection of a reply that repeats itself, and what happens to it.

A loop is a block of 1 to 512 tokens that fills the end of a thought: three times and 32 tokens more, so that neither a
row of zeros nor a table with three equal lines is one. In 690 thoughts of DeepSeek-R1 that ended by themselves the
longest repetition is 14 tokens more than three times its block (LOG.md). vLLM's `repetition_detection` ends the whole
reply in this case; here the thought shifts to its answer instead, or goes on after a *nudge*. A loop in the answer ends
the reply.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from z1.errors import UserError

MAX_PERIOD = 512
"""Tokens of the longest block."""

REPEATS, MORE_TOKENS = 3, 32
"""How often a block occurs before it is a loop, and how many tokens of it follow."""

CHECK_INTERVAL = 32
"""Tokens between two checks; a loop ends after three periods and 64 tokens at the latest."""

NEAR_MORE_TOKENS, NEAR_INTERVAL = 192, 128
"""The tokens that follow three blocks of a near-loop, numbers as one token each, and the tokens between two checks."""

_NEEDLE = 8
_WIDTH = array("q").itemsize


def has_loop(token_ids: Sequence[int], start: int = 0) -> bool:
    """Whether what follows the first `start` of `token_ids` ends in a loop.

    The distance to an earlier occurrence of the last 8 tokens is a possible period. The search is one of bytes, so that
    a check takes 10 microseconds.
    """
    size = len(token_ids)
    periods = _periods(token_ids[max(start, size - MAX_PERIOD - _NEEDLE) :])
    return any(_has_period(token_ids, size - start, period, MORE_TOKENS) for period in periods)


def has_near_loop(token_ids: Sequence[int], start: int, is_number: Callable[[int], bool]) -> bool:
    """Whether what follows the first `start` of `token_ids` ends in a loop in which only numbers change.

    Adjacent tokens for which `is_number` holds count as one token, the same for all numbers. A list of numbered lines
    looks like the beginning of such a loop, so `NEAR_MORE_TOKENS` follow the three blocks.
    """
    tail = _without_numbers(token_ids[max(start, len(token_ids) - 2 * MAX_PERIOD) :], is_number)
    if next(iter(_periods(tail[-MAX_PERIOD - _NEEDLE :])), None) is None:
        return False
    text = _without_numbers(token_ids[max(start, len(token_ids) - 3 * REPEATS * MAX_PERIOD) :], is_number)
    periods = _periods(text[-MAX_PERIOD - _NEEDLE :])
    return any(_has_period(text, len(text), period, NEAR_MORE_TOKENS) for period in periods)


def _without_numbers(token_ids: Sequence[int], is_number: Callable[[int], bool]) -> list[int]:
    kept = [-1 if is_number(token) else token for token in token_ids]
    return [token for at, token in enumerate(kept) if token != -1 or not at or kept[at - 1] != -1]


def _periods(tail: Sequence[int]) -> Iterator[int]:
    """The distances to earlier occurrences of the last 8 tokens of `tail`."""
    data = array("q", tail).tobytes()
    last = len(data) - _NEEDLE * _WIDTH
    at = last
    while last > 0 and (at := data.rfind(data[last:], 0, at + _NEEDLE * _WIDTH - 1)) >= 0:
        if at % _WIDTH == 0:
            yield (last - at) // _WIDTH


def _has_period(token_ids: Sequence[int], available: int, period: int, more: int) -> bool:
    """Whether the end of `token_ids`, within the last `available`, is three blocks of `period` tokens and `more`."""
    length = REPEATS * period + more
    end = token_ids[-length:]
    return length <= available and end[period:] == end[:-period]


@dataclass(frozen=True, slots=True)
class Repetition:
    """What happens to a reply that repeats itself: its thought shifts to the answer, its answer ends the reply.

    In place of the first `max_nudges` shifts the tokens of `nudge` are forced, and the thought goes on: they count as
    thinking tokens, and only what follows them can be the next loop. Where they do not fit into the budget, the thought
    shifts. A check, `is_loop`, is due every `interval` tokens of the reply.
    """

    nudge: tuple[int, ...] = ()
    max_nudges: int = 0
    interval: int = CHECK_INTERVAL
    is_loop: Callable[[Sequence[int], int], bool] = has_loop

    def __post_init__(self) -> None:
        if self.max_nudges < 0:
            raise UserError("max_nudges", self.max_nudges, "give 0 (shift to the answer) or more")
        if self.max_nudges and not self.nudge:
            raise UserError("nudge", "no text", "give one, or max_nudges 0")

    def is_found(self, token_ids: Sequence[int], start: int) -> bool:
        """Whether a check is due after `token_ids`, and what follows `start` ends in a loop."""
        size = len(token_ids)
        return start < size and size % self.interval == 0 and self.is_loop(token_ids, start)
