"""The budget is never exceeded, nothing that fits is dropped, and the order of the input does not matter."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.curate.pairs import CandidateRow
from z1.curate.plan import SelectSettings
from z1.curate.token_budget import apply_budget

Order = Literal["random", "longest", "shortest"]

ORDERS: list[Order] = ["random", "longest", "shortest"]


def made(sizes: list[int]) -> list[CandidateRow]:
    return [CandidateRow(str(n), "p", size, difficulty=str(n % 3)) for n, size in enumerate(sizes)]


def staying(entries: list[CandidateRow]) -> Counter[str]:
    """Tokens of the kept rows, by difficulty."""
    found: Counter[str] = Counter()
    for entry in entries:
        found[entry.difficulty] += 0 if entry.reason else entry.tokens
    return found


@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.integers(1, 400),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.randoms(),
)
def test_the_budget_is_never_exceeded_and_nothing_that_fits_is_dropped(
    sizes: list[int], budget: int, order: Order, stratified: bool, rng: object
) -> None:
    settings = SelectSettings(budget=budget, order=order, stratified=stratified)
    entries = made(sizes)
    taken = apply_budget(entries, settings, 3)
    staying = {one.id for one in entries if not one.reason}
    assert taken == sum(one.tokens for one in entries if not one.reason) <= budget
    assert all(taken + one.tokens > budget for one in entries if one.reason)
    shuffled = made(sizes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    apply_budget(shuffled, settings, 3)
    assert {one.id for one in shuffled if not one.reason} == staying


@pytest.mark.parametrize(("order", "staying"), [("longest", {60, 30}), ("shortest", {10, 20, 30}), ("random", None)])
def test_rows_are_taken_in_the_configured_order(order: Order, staying: set[int] | None) -> None:
    entries = made([40, 60, 20, 30, 10])
    apply_budget(entries, SelectSettings(budget=95, order=order), 0)
    found = {one.tokens for one in entries if not one.reason}
    assert found == staying or (staying is None and sum(found) <= 95)
    if order == "longest":
        assert next(one.reason for one in entries if one.tokens == 40) == "over the budget: 40 tokens, 35 left"


def test_the_random_order_depends_on_the_seed() -> None:
    def staying(seed: int) -> list[str]:
        entries = made([10] * 100)
        assert apply_budget(entries, SelectSettings(budget=505), seed) == 500
        return [one.id for one in entries if not one.reason]

    assert staying(1) == staying(1) != staying(2)


def test_without_a_budget_all_kept_rows_remain() -> None:
    entries = [CandidateRow("a", "p", 5), CandidateRow("b", "p", 7, "no code")]
    assert apply_budget(entries, SelectSettings(), 0) == 5
    assert [one.reason for one in entries] == ["", "no code"]


@given(st.lists(st.integers(1, 50), min_size=90, max_size=120), st.integers(1, 400), st.sampled_from(ORDERS))
def test_with_stratification_every_difficulty_gets_its_share(sizes: list[int], budget: int, order: Order) -> None:
    entries = made(sizes)
    apply_budget(entries, SelectSettings(budget=budget, order=order, stratified=True), 3)
    found = staying(entries)
    if sum(sizes[::3]) > budget and sum(sizes[1::3]) > budget and sum(sizes[2::3]) > budget:
        assert max(found.values()) - min(found.values()) <= 2 * max(sizes)


def test_shares_weigh_difficulties_and_an_unused_share_goes_to_the_others() -> None:
    entries = [CandidateRow(f"{kind}{n}", "p", 10, difficulty=kind) for kind in ("easy", "hard") for n in range(100)]
    entries += [CandidateRow("odd", "p", 10, difficulty="odd")]
    settings = SelectSettings(budget=410, stratified=True, shares={"hard": 3})
    assert apply_budget(entries, settings, 1) == 410
    assert staying(entries) == {"easy": 100, "hard": 300, "odd": 10}
    assert {entry.reason for entry in entries} == {"", "over the budget: 10 tokens, 0 left"}


def test_shares_without_stratification_are_rejected() -> None:
    with pytest.raises(ValueError, match="stratified"):
        SelectSettings(shares={"hard": 2.0})
