"""Workloads: requests with uniform and mixed lengths of thought.

The length of a thought is its request's thinking budget, because random weights never end a thought. In `mixed` half of
the thoughts are short and half eight times longer, and all are shifted. In `natural` the short ones are whole replies
that end by themselves, so that the reference's second pass has half the requests.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.thinking.models import SEED


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens of a prompt, of the hint and of an answer, and the size of the vocabulary."""

    prompt: int
    hint: int
    answer: int
    vocabulary: int = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, its tokens of thought, the hint that is then forced, and its tokens of answer."""

    prompt: tuple[int, ...]
    thinking: int
    hint: tuple[int, ...]
    answer: int

    @property
    def sampled(self) -> int:
        """Tokens that the model samples."""
        return self.thinking + self.answer

    @property
    def length(self) -> int:
        """Tokens of the whole reply."""
        return self.thinking + len(self.hint) + self.answer


Requests = Sequence[Request]


def uniform(count: int, thinking: int, sizes: Sizes) -> list[Request]:
    """All thoughts have the same length."""
    return _requests([(thinking, sizes.answer)] * count, sizes)


def mixed(count: int, short: int, sizes: Sizes) -> list[Request]:
    """Half of the thoughts have `short` tokens, half eight times as many, in random order; all are shifted."""
    return _requests(_shuffle([(short, sizes.answer), (8 * short, sizes.answer)] * (count // 2)), sizes)


def natural(count: int, short: int, sizes: Sizes) -> list[Request]:
    """As `mixed`, but the short ones are whole replies (`short` tokens and an answer) without a hint."""
    return _requests(_shuffle([(short + sizes.answer, 0), (8 * short, sizes.answer)] * (count // 2)), sizes)


def _shuffle(lengths: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return random.Random(SEED).sample(lengths, len(lengths))


def _requests(lengths: Sequence[tuple[int, int]], sizes: Sizes) -> list[Request]:
    draw = random.Random(SEED)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(sizes.vocabulary) for _ in range(count))

    hint = tokens(sizes.hint)
    return [Request(tokens(sizes.prompt), thinking, hint if answer else (), answer) for thinking, answer in lengths]
