"""Random rows with the length distribution of the paper's data.

The dataset has 107,173 trajectories of 25 to 8,169 tokens, 1,159 on average (arXiv 2504.00810, tables 2 and 3); its 33
thousand longest have 74M of the 124M tokens, as a log-normal distribution with a sigma of 0.77 does. Lengths are
quantiles of that distribution, not samples, so that few rows have its shape too. The paper does not describe prompts:
150 tokens on average is an assumption, as is their sigma. No row is longer than 8,192 tokens, so that the reference
trains on the same tokens.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from z1.train.encode import EncodedRows

MEAN, SIGMA, SHORTEST, LONGEST = 1159.0, 0.77, 25, 8169
PROMPT, PROMPT_SIGMA = 150.0, 0.5
CUT = 8192


def rows(count: int, divisor: int, vocabulary: int, seed: int = 1) -> EncodedRows:
    """`count` rows of random tokens with the paper's lengths divided by `divisor`."""
    draw = np.random.Generator(np.random.PCG64(seed))
    prompts = draw.permutation(_quantiles(count, PROMPT, PROMPT_SIGMA, 25, 1000, divisor))
    replies = draw.permutation(_quantiles(count, MEAN, SIGMA, SHORTEST, LONGEST, divisor))
    replies = np.minimum(replies, CUT // divisor - prompts)
    lengths = prompts + replies
    starts = np.cumsum([0, *lengths], dtype=np.int64)
    loss_mask = np.concatenate([np.arange(length) >= prompt for length, prompt in zip(lengths, prompts, strict=True)])
    return EncodedRows(draw.integers(0, vocabulary, int(starts[-1])).astype(np.int32), loss_mask, starts)


def _quantiles(count: int, mean: float, sigma: float, shortest: int, longest: int, divisor: int) -> NDArray[np.int64]:
    normal = NormalDist(np.log(mean) - sigma**2 / 2, sigma)
    quantiles = np.exp([normal.inv_cdf((at + 0.5) / count) for at in range(count)])
    clipped = np.clip(quantiles, shortest, longest)
    lengths: NDArray[np.int64] = np.maximum(2, np.rint(clipped / divisor)).astype(np.int64)
    return lengths
