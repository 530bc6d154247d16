"""Which ids come next?

Greedy takes the first largest logit. Otherwise temperature, then top-k, then top-p, then one draw. A draw is keyed by
(seed, sample, position) and by nothing else, so that a reply does not depend on what else is being decoded.

Sorting a whole vocabulary for each id would cost more than the model does. Only the `HEAD` most likely ids are sorted;
where a draw falls behind them, that row is sorted whole, with the same outcome as if it had been from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from z1.engines.protocol import Logprob, Sampling

HEAD = 1024
"""How many of the most likely ids are looked at first."""


def choose(logits: Tensor, samplings: Sequence[Sampling], positions: Sequence[int]) -> list[int]:
    """The ids to stand at `positions` of their contexts, from logits [contexts, V]."""
    ids = _largest(logits)
    drawn = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if drawn:
        heat = torch.tensor([[samplings[row].temperature] for row in drawn], device=logits.device)
        scaled = logits[drawn].float() / heat
        head = _shares(scaled, HEAD)
        for at, row in enumerate(drawn):
            point = uniform(samplings[row].seed, samplings[row].sample, positions[row])
            found = _draw((head[0][at], head[1][at]), scaled.shape[1], samplings[row], point)
            if found is None:
                order, shares = _shares(scaled[at : at + 1], scaled.shape[1])
                found = _draw((order[0], shares[0]), scaled.shape[1], samplings[row], point)
            ids[row] = int(order[0][-1]) if found is None else found
    return ids


def scores(chances: Tensor, ids: Sequence[int], counts: Sequence[int]) -> list[Logprob]:
    """The score of each of `ids` in its row, with so many of the row's best; chances [rows, V] are logarithms."""
    best, order = chances.topk(max(counts)) if max(counts, default=0) else (chances[:, :0], chances[:, :0])
    own = chances.gather(1, torch.tensor(ids, device=chances.device).unsqueeze(1))[:, 0].tolist()
    tops = [tuple(zip(map(int, i), v, strict=True)) for i, v in zip(order.tolist(), best.tolist(), strict=True)]
    return [Logprob(chance, top[:count]) for chance, top, count in zip(own, tops, counts, strict=True)]


def _largest(logits: Tensor) -> list[int]:
    if logits.device.type == "cpu":  # numpy finds it in a fifteenth of torch's time
        return list(logits.float().numpy().argmax(-1).tolist())
    return list(logits.argmax(-1).tolist())


def _shares(scaled: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` most likely ids of each row in descending order, and their shares of all, both [rows, count]."""
    values, ids = scaled.topk(min(count, scaled.shape[1]))
    shares = (values.double() - scaled.double().logsumexp(-1, keepdim=True)).exp()
    return ids.cpu().numpy(), shares.cpu().numpy()


def _draw(head: tuple[np.ndarray, np.ndarray], whole: int, sampling: Sampling, point: float) -> int | None:
    """The id at `point` in [0, 1) of what is left in, or None where that lies behind the head."""
    ids, shares = head
    total = 1.0
    if sampling.top_k:
        ids, shares = ids[: sampling.top_k], shares[: sampling.top_k]
        if len(ids) < min(sampling.top_k, whole):
            return None
        total = float(shares.sum())
    reached = shares.cumsum()
    left = total
    if sampling.top_p < 1:
        kept = int(reached.searchsorted(sampling.top_p * total))
        if kept == len(ids) and not sampling.top_k and kept < whole:
            return None
        left = float(reached[min(kept, len(ids) - 1)])
    at = int(reached.searchsorted(point * left, side="right"))
    if at < len(ids):
        return int(ids[at])
    return None if not sampling.top_k and len(ids) < whole else int(ids[-1])


def uniform(seed: int, sample: int, position: int) -> float:
    """A number in [0, 1) that is a function of its arguments alone."""
    digest = blake2b(f"{seed}:{sample}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53
