"""The sampler: greedy, or temperature, top-k and top-p; log-probabilities of sampled tokens.

Greedy takes the first largest logit. Otherwise temperature, then top-k, then top-p, then one random draw. A draw is
keyed by (seed, sample, position) only, so a reply does not depend on the batch.

Sorting the whole vocabulary for each token would cost more than the model. Only the `HEAD` most likely tokens are
sorted. If a draw falls outside them, that row is sorted in full, with the same result as if it had been sorted at
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from z1.engines.protocol import Logprob, Sampling

HEAD = 1024
"""Number of most likely tokens that are sorted at first."""


def sample_tokens(logits: Tensor, samplings: Sequence[Sampling], positions: Sequence[int]) -> list[int]:
    """The next token of each sequence, for `positions`, from logits [sequences, V]."""
    tokens = _argmax(logits)
    drawn = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if drawn:
        temperatures = torch.tensor([[samplings[row].temperature] for row in drawn], device=logits.device)
        scaled = logits[drawn].float() / temperatures
        head = _top_probabilities(scaled, HEAD)
        for at, row in enumerate(drawn):
            point = uniform(samplings[row].seed, samplings[row].sample, positions[row])
            found = _draw((head[0][at], head[1][at]), scaled.shape[1], samplings[row], point)
            if found is None:
                order, probabilities = _top_probabilities(scaled[at : at + 1], scaled.shape[1])
                found = _draw((order[0], probabilities[0]), scaled.shape[1], samplings[row], point)
            tokens[row] = int(order[0][-1]) if found is None else found
    return tokens


def token_logprobs(logprobs: Tensor, tokens: Sequence[int], counts: Sequence[int]) -> list[Logprob]:
    """The `Logprob` of each of `tokens` in its row of logprobs [rows, V], with `counts` of the row's most likely."""
    empty = (logprobs[:, :0], logprobs[:, :0])
    best, order = logprobs.topk(max(counts)) if max(counts, default=0) else empty
    own = logprobs.gather(1, torch.tensor(tokens, device=logprobs.device).unsqueeze(1))[:, 0].tolist()
    tops = [tuple(zip(map(int, i), v, strict=True)) for i, v in zip(order.tolist(), best.tolist(), strict=True)]
    return [Logprob(logprob, top[:count]) for logprob, top, count in zip(own, tops, counts, strict=True)]


def _argmax(logits: Tensor) -> list[int]:
    if logits.device.type == "cpu":  # numpy takes a fifteenth of torch's time
        return list(logits.float().numpy().argmax(-1).tolist())
    return list(logits.argmax(-1).tolist())


def _top_probabilities(scaled: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` most likely tokens of each row in descending order, and their probabilities, both [rows, count]."""
    values, tokens = scaled.topk(min(count, scaled.shape[1]))
    probabilities = (values.double() - scaled.double().logsumexp(-1, keepdim=True)).exp()
    return tokens.cpu().numpy(), probabilities.cpu().numpy()


def _draw(head: tuple[np.ndarray, np.ndarray], vocabulary: int, sampling: Sampling, point: float) -> int | None:
    """The token at `point` in [0, 1) of the tokens that top-k and top-p keep; None if it is outside the head."""
    tokens, probabilities = head
    total = 1.0
    if sampling.top_k:
        tokens, probabilities = tokens[: sampling.top_k], probabilities[: sampling.top_k]
        if len(tokens) < min(sampling.top_k, vocabulary):
            return None
        total = float(probabilities.sum())
    cumulative = probabilities.cumsum()
    kept_mass = total
    if sampling.top_p < 1:
        kept = int(cumulative.searchsorted(sampling.top_p * total))
        if kept == len(tokens) and not sampling.top_k and kept < vocabulary:
            return None
        kept_mass = float(cumulative[min(kept, len(tokens) - 1)])
    at = int(cumulative.searchsorted(point * kept_mass, side="right"))
    if at < len(tokens):
        return int(tokens[at])
    return None if not sampling.top_k and len(tokens) < vocabulary else int(tokens[-1])


def uniform(seed: int, sample: int, position: int) -> float:
    """A number in [0, 1) that is a function of its arguments alone."""
    digest = blake2b(f"{seed}:{sample}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53
