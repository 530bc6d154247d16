"""Which id comes next?

Greedy takes the first largest logit. Otherwise temperature, then top-k, then top-p, then one draw. The draw is keyed by
(seed, sample, position) and by nothing else, so that a reply does not depend on what else is being decoded.
"""

from __future__ import annotations

from hashlib import blake2b

from torch import Tensor

from z1.engines.protocol import Sampling


def choose(logits: Tensor, sampling: Sampling, position: int) -> int:
    """The id to stand at `position` of the context, from its logits [vocabulary]."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    values, ids = (logits.float() / sampling.temperature).sort(descending=True, stable=True)
    if sampling.top_k:
        values, ids = values[: sampling.top_k], ids[: sampling.top_k]
    shares = values.softmax(-1).cumsum(-1)
    kept = int((shares < sampling.top_p).sum()) + 1 if sampling.top_p < 1 else len(shares)
    kept = min(kept, len(shares))
    point = uniform(sampling.seed, sampling.sample, position) * float(shares[kept - 1])
    return int(ids[min(int((shares[:kept] <= point).sum()), kept - 1)])


def uniform(seed: int, sample: int, position: int) -> float:
    """A number in [0, 1) that is a function of its arguments alone."""
    digest = blake2b(f"{seed}:{sample}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53
