"""The sampler draws with the distribution of its settings."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from z1.engines import Sampling
from z1.engines.local import sampler as module
from z1.engines.local.sampler import sample_tokens, token_logprobs, uniform

LOGITS = torch.tensor([0.0, 3.0, 1.0, 3.0, 2.0])


def test_greedy_takes_the_first_largest() -> None:
    assert sample_tokens(LOGITS[None].repeat(2, 1), [Sampling(), Sampling(seed=3)], [0, 5]) == [1, 1]


@given(st.integers(), st.integers(0, 99), st.integers(0, 9999))
def test_uniform_is_a_function_into_the_unit_interval(seed: int, sample: int, position: int) -> None:
    point = uniform(seed, sample, position)
    assert 0 <= point < 1
    assert point == uniform(seed, sample, position)


def drawn(sampling: Sampling, count: int = 3000) -> Counter[int]:
    return Counter(sample_tokens(LOGITS.expand(count, -1), [sampling] * count, range(count)))


def test_frequencies_follow_the_softmax() -> None:
    counts = drawn(Sampling(temperature=1.0, seed=5))
    shares = LOGITS.softmax(-1)
    assert all(abs(counts[i] / 3000 - float(shares[i])) < 0.03 for i in range(5))


def test_top_k_keeps_the_k_most_likely() -> None:
    assert set(drawn(Sampling(temperature=2.0, top_k=3))) == {1, 3, 4}


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    assert set(drawn(Sampling(temperature=1.0, top_p=0.5))) == {1, 3}
    assert len(set(drawn(Sampling(temperature=1.0, top_p=1e-9)))) == 1


def test_top_p_applies_after_top_k() -> None:
    assert set(drawn(Sampling(temperature=1.0, top_k=2, top_p=0.9))) == {1, 3}
    assert len(set(drawn(Sampling(temperature=1.0, top_k=2, top_p=0.4)))) == 1


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert set(drawn(Sampling(temperature=0.01))) == {1, 3}


SETTINGS = [
    Sampling(temperature=1.0),
    Sampling(temperature=3.0, seed=1),
    Sampling(temperature=1.0, top_p=0.7),
    Sampling(temperature=1.0, top_k=7),
    Sampling(temperature=1.0, top_k=40, top_p=0.8),
    Sampling(),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_a_short_head_gives_the_draws_of_the_whole_vocabulary(
    sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(200, 50, generator=torch.Generator().manual_seed(1))
    whole = sample_tokens(logits, [sampling] * 200, range(200))
    monkeypatch.setattr(module, "HEAD", 3)
    assert sample_tokens(logits, [sampling] * 200, range(200)) == whole


def test_a_draw_does_not_depend_on_the_batch() -> None:
    logits = torch.randn(len(SETTINGS), 50, generator=torch.Generator().manual_seed(2))
    together = sample_tokens(logits, SETTINGS, range(len(SETTINGS)))
    alone = [sample_tokens(logits[i : i + 1], [sampling], [i])[0] for i, sampling in enumerate(SETTINGS)]
    assert together == alone


def test_logprobs_are_those_of_the_softmax_in_descending_order() -> None:
    chances = LOGITS[None].repeat(3, 1).log_softmax(-1)
    shares = LOGITS.softmax(-1).log().tolist()
    for count, (token, score) in zip((0, 1, 3), enumerate(token_logprobs(chances, [0, 1, 2], [0, 1, 3])), strict=True):
        assert score.logprob == pytest.approx(shares[token])
        assert [logprob for _, logprob in score.top] == pytest.approx(sorted(shares, reverse=True)[:count])
        assert all(shares[one] == pytest.approx(logprob) for one, logprob in score.top)
    assert token_logprobs(chances[:1], [4], [0])[0].top == ()
