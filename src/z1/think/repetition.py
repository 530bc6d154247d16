"""Detection of a thought that repeats itself.

A loop is a block of 1 to 512 tokens that fills the end of a thought: three times and 32 tokens more, so that neither a
row of zeros nor a table with three equal lines is one. In 690 thoughts of DeepSeek-R1 that ended by themselves the
longest repetition is 14 tokens more than three times its block (LOG.md). vLLM's `repetition_detection` ends the whole
reply in this case; here the thought can shift to its answer instead.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

MAX_PERIOD = 512
"""Tokens of the longest block."""

REPEATS, MORE_TOKENS = 3, 32
"""How often a block occurs before it is a loop, and how many tokens of it follow."""

CHECK_INTERVAL = 32
"""Tokens between two checks; a loop ends after three periods and 64 tokens at the latest."""

_NEEDLE = 8
_WIDTH = array("q").itemsize


def has_loop(token_ids: Sequence[int]) -> bool:
    """Whether `token_ids` end in a loop.

    The distance to an earlier occurrence of the last 8 tokens is a possible period. The search is one of bytes, so that
    a check takes 10 microseconds.
    """
    tail = array("q", token_ids[-(MAX_PERIOD + _NEEDLE) :]).tobytes()
    last = len(tail) - _NEEDLE * _WIDTH
    at = last
    while last > 0 and (at := tail.rfind(tail[last:], 0, at + _NEEDLE * _WIDTH - 1)) >= 0:
        if at % _WIDTH == 0 and _has_period(token_ids, (last - at) // _WIDTH):
            return True
    return False


def _has_period(token_ids: Sequence[int], period: int) -> bool:
    """Whether the end of `token_ids` is a loop of `period` tokens."""
    length = REPEATS * period + MORE_TOKENS
    end = token_ids[-length:]
    return len(end) == length and end[period:] == end[:-period]
