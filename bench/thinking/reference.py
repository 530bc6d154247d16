"""The reference's two-pass decoding on `transformers.generate`.

As in its released code (`eval/general_evaluation/reasoning.py`): batches of `width` requests think until the slowest
one has finished. After the last batch, thoughts are decoded to text, the hint's text is appended, the whole is
tokenized and prefilled again, and the answers are generated. A finished row is padded until its batch ends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from bench.thinking.turns import Measure, timed
from bench.thinking.workloads import Requests

PAD = 0


class Ends(StoppingCriteria):  # type: ignore[misc] # transformers is not followed by mypy
    """Row i ends after `limits[i]` tokens, as if the model had ended it."""

    def __init__(self, start: int, limits: Tensor) -> None:
        self._start, self._limits = start, limits
        self.eos_token_id = None  # `generate` pads finished rows only if this attribute exists

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Finished rows [B]."""
        return self._limits <= input_ids.shape[1] - self._start


class Reference:
    """`transformers.generate` over `model`, in batches of `width` requests."""

    def __init__(self, model: Any, tokenizer: Tokenizer, width: int) -> None:
        self._model, self._tokenizer, self._width = model, tokenizer, width
        self._vocabulary = tokenizer.get_vocab_size()
        self.joined = 0
        """Tokens that second passes have prefilled again, so far."""

    def thoughts(self, requests: Requests) -> Measure:
        """One pass without a window: the thoughts only."""
        return timed(lambda: _count(self._generate([r.prompt for r in requests], [r.thinking for r in requests])))

    def two_passes(self, requests: Requests) -> Measure:
        """Two passes: all thoughts, then all answers."""
        return timed(lambda: self._both(requests))

    def late(self, requests: Requests, gap: float) -> Measure:
        """Requests arrive every `gap` seconds; one that arrives during a batch waits for the next batch."""
        latencies: list[float] = []
        start = time.perf_counter()

        def serve() -> int:
            tokens = 0
            while len(latencies) < len(requests):
                first = len(latencies)
                time.sleep(max(0.0, start + first * gap - time.perf_counter()))
                arrived = min(len(requests), int((time.perf_counter() - start) / gap) + 1)
                last = min(first + self._width, max(arrived, first + 1))
                tokens += self._both(requests[first:last])
                now = time.perf_counter() - start
                latencies.extend(now - index * gap for index in range(first, last))
            return tokens

        measure = timed(serve)
        return replace(measure, latency=mean(latencies))

    def _both(self, requests: Requests) -> int:
        thoughts = self._generate([r.prompt for r in requests], [r.thinking for r in requests])
        text = self._text
        prompts, limits = [], []
        for request, thought in zip(requests, thoughts, strict=True):
            if request.answer:
                joined = text(request.prompt) + text(thought) + text(request.hint)
                prompts.append(self._tokenizer.encode(joined).ids)
                limits.append(request.answer)
        self.joined += sum(map(len, prompts))
        return _count(thoughts) + _count(self._generate(prompts, limits))

    def _text(self, token_ids: Sequence[int]) -> str:
        """The text of `token_ids`, modulo the vocabulary if the tokenizer has fewer tokens than the model."""
        return self._tokenizer.decode([token % self._vocabulary for token in token_ids])

    def _generate(self, prompts: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        found: list[list[int]] = []
        for at in range(0, len(prompts), self._width):
            found += self._batch(prompts[at : at + self._width], limits[at : at + self._width])
        return found

    def _batch(self, prompts: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        size, device = max(map(len, prompts)), self._model.device
        token_ids = torch.tensor([[PAD] * (size - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in prompts], device=device)
        ends = StoppingCriteriaList()
        if len(set(limits)) > 1:
            ends.append(Ends(size, torch.tensor(limits, device=device)))
        out = self._model.generate(
            input_ids=token_ids,
            attention_mask=mask,
            max_new_tokens=max(limits),
            do_sample=False,
            pad_token_id=PAD,
            stopping_criteria=ends,
        )
        return [row[:limit] for row, limit in zip(out[:, size:].tolist(), limits, strict=True)]


def _count(rows: Sequence[Sequence[int]]) -> int:
    return sum(map(len, rows))
