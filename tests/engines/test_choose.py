"""Is a draw what the settings say?"""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from z1.engines import Sampling
from z1.engines.choose import choose, uniform

LOGITS = torch.tensor([0.0, 3.0, 1.0, 3.0, 2.0])


def test_greedy_takes_the_first_largest() -> None:
    assert choose(LOGITS, Sampling(), 0) == 1


@given(st.integers(), st.integers(0, 99), st.integers(0, 9999))
def test_uniform_is_a_function_into_the_unit_interval(seed: int, sample: int, position: int) -> None:
    point = uniform(seed, sample, position)
    assert 0 <= point < 1
    assert point == uniform(seed, sample, position)


def drawn(sampling: Sampling, count: int = 3000) -> Counter[int]:
    return Counter(choose(LOGITS, sampling, position) for position in range(count))


def test_frequencies_follow_the_softmax() -> None:
    counts = drawn(Sampling(temperature=1.0, seed=5))
    shares = LOGITS.softmax(-1)
    assert all(abs(counts[i] / 3000 - float(shares[i])) < 0.03 for i in range(5))


def test_top_k_leaves_the_k_likeliest() -> None:
    assert set(drawn(Sampling(temperature=2.0, top_k=3))) == {1, 3, 4}


def test_top_p_leaves_the_smallest_set_that_reaches_p() -> None:
    assert set(drawn(Sampling(temperature=1.0, top_p=0.5))) == {1, 3}
    assert set(drawn(Sampling(temperature=1.0, top_p=1e-9))) == {1}


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert set(drawn(Sampling(temperature=0.01))) == {1, 3}
