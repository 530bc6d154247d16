"""Does the thought go round in circles?

Pure: ids in, yes or no out. A loop is one block of ids, written `times` times in a row at the end, and long enough not
to be a ruled line or a row of zeros. vLLM's `repetition_detection` ends the whole reply there; here the thought can be
shifted to its answer instead.
"""

from __future__ import annotations

from collections.abc import Sequence

TIMES = 4
LEAST = 64
LONGEST = 256


def loops(ids: Sequence[int], times: int = TIMES, least: int = LEAST, longest: int = LONGEST) -> bool:
    """Whether `ids` end with a block of at most `longest` ids that stands there `times` times, `least` ids in all."""
    size = len(ids)
    for period in range(1, min(longest, size // times) + 1):
        whole = max(period * times, least)
        if whole <= size and all(ids[at] == ids[at - period] for at in range(size - 1, size - whole + period - 1, -1)):
            return True
    return False
