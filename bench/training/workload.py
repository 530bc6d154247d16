"""How long are the rows of the paper's data?

Its dataset has 107,173 trajectories of 25 to 8,169 ids, 1,159 on average (arXiv 2504.00810, tables 2 and 3); its 33
thousand longest have 74M of the 124M ids, which a log-normal distribution has at a sigma of 0.77. Quantiles of it are
taken, not draws, so that few rows have its shape as well as many. Prompts are not described there: 150 ids on average
is an assumption, as is their sigma. No row is longer than 8,192 ids, so that the reference trains on the same ids.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from z1.train.encode import EncodedRows

MEAN, SIGMA, SHORTEST, LONGEST = 1159.0, 0.77, 25, 8169
PROMPT, PROMPT_SIGMA = 150.0, 0.5
CUT = 8192


def rows(count: int, shrunk: int, vocabulary: int, seed: int = 1) -> EncodedRows:
    """`count` rows of random ids whose lengths are the paper's divided by `shrunk`."""
    draw = np.random.Generator(np.random.PCG64(seed))
    prompts = draw.permutation(_quantiles(count, PROMPT, PROMPT_SIGMA, 25, 1000, shrunk))
    replies = draw.permutation(_quantiles(count, MEAN, SIGMA, SHORTEST, LONGEST, shrunk))
    replies = np.minimum(replies, CUT // shrunk - prompts)
    sizes = prompts + replies
    starts = np.cumsum([0, *sizes], dtype=np.int64)
    learned = np.concatenate([np.arange(size) >= prompt for size, prompt in zip(sizes, prompts, strict=True)])
    return EncodedRows(draw.integers(0, vocabulary, int(starts[-1])).astype(np.int32), learned, starts)


def _quantiles(count: int, mean: float, sigma: float, least: int, most: int, shrunk: int) -> NDArray[np.int64]:
    normal = NormalDist(np.log(mean) - sigma**2 / 2, sigma)
    drawn = np.exp([normal.inv_cdf((at + 0.5) / count) for at in range(count)])
    sizes: NDArray[np.int64] = np.maximum(2, np.rint(np.clip(drawn, least, most) / shrunk)).astype(np.int64)
    return sizes
