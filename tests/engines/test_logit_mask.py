"""Logit masks cannot be undone and change no other row."""

from __future__ import annotations

import torch

from z1.engines.logit_mask import completing_tokens, forbid, force

IMPOSSIBLE = float("-inf")


def logits() -> torch.Tensor:
    return torch.randn(4, 10, generator=torch.Generator().manual_seed(0))


def test_a_forced_token_has_probability_1_at_any_temperature() -> None:
    forced = force(logits(), [2, 0], [7, 3])
    for heat in (0.01, 1.0, 100.0):
        shares = (forced / heat).softmax(-1)
        assert [float(shares[2, 7]), float(shares[0, 3])] == [1, 1]


def test_other_rows_are_unchanged() -> None:
    before = logits()
    assert torch.equal(force(before.clone(), [2, 0], [7, 3])[[1, 3]], before[[1, 3]])
    assert torch.equal(force(before.clone(), [], []), before)


def test_a_token_that_a_grammar_forbids_is_not_forced() -> None:
    before = logits()
    before[1, 4] = IMPOSSIBLE
    after = force(before.clone(), [1, 2], [4, 5])
    assert torch.equal(after[1], before[1])
    assert after[2].isneginf().sum() == 9


def test_a_later_penalty_has_no_effect() -> None:
    forced = force(logits(), [3], [1])
    forced[3, 1] -= 1e6
    assert int(forced[3].argmax()) == 1


def test_only_forbidden_tokens_change() -> None:
    before = logits()
    after = forbid(before.clone(), [2, 2, 0], [7, 1, 3])
    assert [int(row.isneginf().sum()) for row in after] == [1, 0, 2, 0]
    assert torch.equal(after[~after.isneginf()], before[~after.isneginf()])
    assert torch.equal(forbid(before.clone(), [], []), before)


def test_completing_tokens_depend_on_the_context() -> None:
    never = ((3,), (5, 6), (5, 5, 6), (1, 2, 3, 4))
    assert completing_tokens([], never) == [3]
    assert completing_tokens([9, 5], never) == [3, 6]
    assert completing_tokens([5, 5], never) == [3, 6, 6]
    assert completing_tokens([2, 3], never) == [3]
    assert completing_tokens([0, 1, 2, 3], never) == [3, 4]
