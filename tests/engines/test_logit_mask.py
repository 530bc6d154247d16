"""Can what was forced be undone, and does it disturb anybody else?"""

from __future__ import annotations

import torch

from z1.engines.logit_mask import completing_tokens, forbid, force

IMPOSSIBLE = float("-inf")


def logits() -> torch.Tensor:
    return torch.randn(4, 10, generator=torch.Generator().manual_seed(0))


def test_a_forced_id_has_all_of_the_probability_at_any_temperature() -> None:
    forced = force(logits(), [2, 0], [7, 3])
    for heat in (0.01, 1.0, 100.0):
        shares = (forced / heat).softmax(-1)
        assert [float(shares[2, 7]), float(shares[0, 3])] == [1, 1]


def test_other_rows_stay_as_they_are() -> None:
    before = logits()
    assert torch.equal(force(before.clone(), [2, 0], [7, 3])[[1, 3]], before[[1, 3]])
    assert torch.equal(force(before.clone(), [], []), before)


def test_what_a_grammar_forbids_is_not_forced() -> None:
    before = logits()
    before[1, 4] = IMPOSSIBLE
    after = force(before.clone(), [1, 2], [4, 5])
    assert torch.equal(after[1], before[1])
    assert after[2].isneginf().sum() == 9


def test_a_large_penalty_afterwards_changes_nothing() -> None:
    forced = force(logits(), [3], [1])
    forced[3, 1] -= 1e6
    assert int(forced[3].argmax()) == 1


def test_what_is_forbidden_is_never_drawn_and_all_else_stays() -> None:
    before = logits()
    after = forbid(before.clone(), [2, 2, 0], [7, 1, 3])
    assert [int(row.isneginf().sum()) for row in after] == [1, 0, 2, 0]
    assert torch.equal(after[~after.isneginf()], before[~after.isneginf()])
    assert torch.equal(forbid(before.clone(), [], []), before)


def test_what_completes_a_sequence_depends_on_what_stands_before() -> None:
    never = ((3,), (5, 6), (5, 5, 6), (1, 2, 3, 4))
    assert completing_tokens([], never) == [3]
    assert completing_tokens([9, 5], never) == [3, 6]
    assert completing_tokens([5, 5], never) == [3, 6, 6]
    assert completing_tokens([2, 3], never) == [3]
    assert completing_tokens([0, 1, 2, 3], never) == [3, 4]
