"""Detection of a thought that repeats itself.

A loop is one block of tokens, repeated at least `min_repeats` times in a row at the end, and long enough not to be a
ruled line or a row of zeros. vLLM's `repetition_detection` ends the whole reply in this case; here the thought can
shift to its answer instead.
"""

from __future__ import annotations

from collections.abc import Sequence

MIN_REPEATS = 4
MIN_LOOP_TOKENS = 64
MAX_BLOCK_TOKENS = 256


def has_loop(
    token_ids: Sequence[int],
    min_repeats: int = MIN_REPEATS,
    min_tokens: int = MIN_LOOP_TOKENS,
    max_block: int = MAX_BLOCK_TOKENS,
) -> bool:
    """Whether `token_ids` end in a loop: a block of at most `max_block` tokens, `min_repeats` times, over at least
    `min_tokens`.
    """
    size = len(token_ids)
    for period in range(1, min(max_block, size // min_repeats) + 1):
        length = max(period * min_repeats, min_tokens)
        compared = range(size - 1, size - length + period - 1, -1)
        if length <= size and all(token_ids[at] == token_ids[at - period] for at in compared):
            return True
    return False
