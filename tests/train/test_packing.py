"""Batches count samples or tokens; the division into packs and processes changes only the speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train import small
from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.packing import PackedSchedule, RowNumbers, epoch_batches, make_groups, make_packs, pack, pad

LAW = settings(max_examples=80, deadline=None, derandomize=True)
PUBLISHED = 107_173
"""Rows of Z1-Code-Reasoning-107K (arXiv 2504.00810, table 3)."""

MAX_TOKENS = 64
SIZES = st.lists(st.integers(1, MAX_TOKENS), min_size=1, max_size=60).map(lambda sizes: np.array(sizes, np.int64))
WORLD_SIZES = st.integers(1, 5)


def chosen(**changes: Any) -> FinetuneSettings:
    given_ = {
        "max_length": MAX_TOKENS,
        "epochs": 2.0,
        "micro_tokens": MAX_TOKENS,
        "learning_rate": 1e-3,
        "batch_samples": 4,
        **changes,
    }
    return FinetuneSettings(**given_)


def plan(sizes: RowNumbers, seed: int = 0, **changes: Any) -> PackedSchedule:
    return PackedSchedule(sizes, chosen(**changes), seed)


# which rows a step sees


@pytest.mark.parametrize(
    ("batch", "epochs", "steps"), [(256, 2.0, 836), (128, 2.0, 1674), (128, 1.0, 837)], ids=["256", "128", "128 x 1"]
)
def test_the_papers_836_steps_are_256_samples_and_two_epochs(batch: int, epochs: float, steps: int) -> None:
    assert plan(np.ones(PUBLISHED, np.int64), batch_samples=batch, epochs=epochs).steps == steps


@given(SIZES, st.integers(1, 12), st.integers(0, 9))
@LAW
def test_an_epoch_repeats_no_row_and_leaves_out_less_than_a_batch(sizes: RowNumbers, samples: int, seed: int) -> None:
    made = plan(sizes, seed, batch_samples=min(samples, len(sizes)), epochs=3.0)
    each = len(sizes) // min(samples, len(sizes))
    assert made.steps == 3 * each
    for epoch in range(3):
        seen = np.concatenate([made.batch(step) for step in range(epoch * each, (epoch + 1) * each)])
        assert len(set(seen.tolist())) == len(seen) == each * min(samples, len(sizes))


@given(SIZES, st.integers(MAX_TOKENS, 4 * MAX_TOKENS), st.integers(0, 9))
@LAW
def test_a_batch_of_tokens_ends_before_the_row_that_does_not_fit(sizes: RowNumbers, tokens: int, seed: int) -> None:
    made = plan(sizes, seed, batch_samples=None, batch_tokens=tokens, epochs=1.0)
    if sizes.sum() < tokens:
        with pytest.raises(UserError, match="a global batch"):
            _ = made.steps
        return
    seen = [made.batch(step) for step in range(len(made._batch_list))]
    flat = [int(row) for batch in seen for row in batch]
    assert len(set(flat)) == len(flat)
    for batch, after in zip(seen, [*seen[1:], None], strict=True):
        assert sizes[batch].sum() <= tokens
        assert after is None or sizes[batch].sum() + sizes[after[0]] > tokens
    assert sizes.sum() - sizes[flat].sum() < tokens


def test_epochs_and_seeds_differ_in_order_and_the_order_is_a_function_of_them() -> None:
    made = plan(np.ones(40, np.int64), 7)
    orders = [[made.batch(step).tolist() for step in range(10)], [made.batch(step).tolist() for step in range(10, 20)]]
    assert orders[0] != orders[1]
    assert orders[0] == [plan(np.ones(40, np.int64), 7, epochs=1.0).batch(step).tolist() for step in range(10)]
    assert orders[0] != [plan(np.ones(40, np.int64), 8).batch(step).tolist() for step in range(10)]


def test_a_partial_epoch_is_the_beginning_of_the_epoch() -> None:
    whole, part = plan(np.ones(40, np.int64), epochs=2.0), plan(np.ones(40, np.int64), epochs=1.5)
    assert part.steps == 15
    assert [part.batch(n).tolist() for n in range(15)] == [whole.batch(n).tolist() for n in range(15)]


@given(SIZES, st.integers(1, 400), st.integers(0, 9))
@LAW
def test_training_on_a_number_of_tokens_ends_with_the_batch_that_reaches_it(
    sizes: RowNumbers, tokens: int, seed: int
) -> None:
    length = {"epochs": None, "train_tokens": tokens}
    made = plan(sizes, seed, batch_samples=min(3, len(sizes)), **length)
    each = [int(sizes[made.batch(step)].sum()) for step in range(made.steps)]
    assert sum(each[:-1]) < tokens <= sum(each)
    whole = plan(sizes, seed, batch_samples=min(3, len(sizes)), epochs=float(made.steps))
    assert [made.batch(n).tolist() for n in range(made.steps)] == [whole.batch(n).tolist() for n in range(made.steps)]


@pytest.mark.parametrize("batch", [{"batch_samples": 11}, {"batch_samples": None, "batch_tokens": 11}], ids=str)
def test_a_batch_larger_than_the_dataset_is_refused_in_one_line(batch: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"^a global batch: got 11 of 10 rows, 10 tokens, in 2 epochs; lower "
    ) as caught:
        _ = plan(np.ones(10, np.int64), **batch).steps
    assert "\n" not in str(caught.value)


# who computes them


@given(SIZES, WORLD_SIZES, st.booleans(), st.integers(MAX_TOKENS, 4 * MAX_TOKENS))
@LAW
def test_processes_have_equally_many_micro_batches_that_make_up_the_batch(
    sizes: RowNumbers, world_size: int, packing: bool, max_tokens: int
) -> None:
    made = plan(sizes, packing=packing, micro_tokens=max_tokens, batch_samples=max(1, len(sizes) // 2))
    for step in range(made.steps):
        parts = [made.micro_batches(step, rank, world_size) for rank in range(world_size)]
        assert len({len(part) for part in parts}) == 1
        rows = [int(row) for part in parts for micro in part for row in micro]
        assert sorted(rows) == sorted(made.batch(step).tolist())
        for micro in (micro for part in parts for micro in part if len(micro)):
            held = sizes[micro].sum() if packing else sizes[micro].max() * len(micro)
            assert held <= max_tokens


@given(SIZES, WORLD_SIZES)
@LAW
def test_no_process_is_idle_while_there_are_enough_rows(sizes: RowNumbers, world_size: int) -> None:
    for divide in (make_packs, make_groups):
        empty = sum(len(part) == 0 for part in divide(sizes, MAX_TOKENS, world_size))
        assert empty == 0 if len(sizes) >= len(divide(sizes, MAX_TOKENS, world_size)) else empty < world_size


def test_packs_are_full_and_balanced_and_groups_have_similar_lengths() -> None:
    sizes = np.random.default_rng(0).gamma(1.2, 1000, 256).astype(np.int64).clip(25, 8192)
    filled = [int(sizes[part].sum()) for part in make_packs(sizes, 16_384, 8)]
    assert len(filled) == 8 * -(-sizes.sum() // (8 * 16_384))
    assert min(filled) > 0.95 * max(filled)
    grouped = make_groups(sizes, 16_384, 8)
    assert sizes.sum() > 0.85 * sum(sizes[part].max() * len(part) for part in grouped)


# what a micro-batch holds


def test_rows_of_a_pack_are_end_to_end_with_positions_from_zero() -> None:
    rows, numbers = small.encoded(), np.array([4, 0, 9])
    made = pack(rows, numbers)
    assert made.cu_seqlens.tolist() == np.cumsum([0, *rows.lengths[numbers]]).tolist()
    assert made.max_seqlen == rows.lengths[numbers].max()
    for at, row in enumerate(numbers):
        part, own = slice(made.cu_seqlens[at], made.cu_seqlens[at + 1]), slice(rows.starts[row], rows.starts[row + 1])
        assert made.token_ids[part].tolist() == rows.token_ids[own].tolist()
        assert made.loss_mask[part].tolist() == rows.loss_mask[own].tolist()
        assert made.positions[part].tolist() == list(range(rows.lengths[row]))


def test_the_first_token_of_a_row_has_no_loss() -> None:
    rows = small.encoded()
    assert not rows.loss_mask[rows.starts[:-1]].any()
    assert rows.learned_counts.tolist() == [
        int(rows.loss_mask[rows.starts[n] : rows.starts[n + 1]].sum()) for n in range(len(rows))
    ]


def test_padding_is_on_the_right_and_has_no_loss() -> None:
    rows, numbers = small.encoded(), np.array([4, 0, 9])
    ids, learned = pad(rows, numbers)
    assert ids.shape == learned.shape == (3, rows.lengths[numbers].max())
    for at, row in enumerate(numbers):
        size, own = rows.lengths[row], slice(rows.starts[row], rows.starts[row + 1])
        assert ids[at, :size].tolist() == rows.token_ids[own].tolist()
        assert learned[at, :size].tolist() == rows.loss_mask[own].tolist()
        assert not learned[at, size:].any()


def test_no_rows_are_one_token_without_loss() -> None:
    rows, none = small.encoded(), np.zeros(0, np.int64)
    made = pack(rows, none)
    assert (made.token_ids.shape, made.loss_mask.tolist(), made.cu_seqlens.tolist()) == ((1,), [False], [0, 1])
    ids, learned = pad(rows, none)
    assert (ids.shape, learned.tolist()) == ((1, 1), [[False]])


# batches of rows of similar length

ROW_LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@given(ROW_LENGTHS, st.integers(1, 200), st.integers(0, 2**32), st.integers(0, 9))
@LAW
def test_an_epoch_has_every_row_once_and_no_batch_is_too_large(
    sizes: list[int], batch_tokens: int, seed: int, epoch: int
) -> None:
    made = epoch_batches(sizes, batch_tokens, seed, epoch)
    assert sorted(np.concatenate(made).tolist()) == list(range(len(sizes)))
    for batch in made:
        assert len(batch) == 1 or max(sizes[row] for row in batch) * len(batch) <= batch_tokens


@given(ROW_LENGTHS, st.integers(1, 200), st.integers(0, 2**32), st.integers(0, 9))
@LAW
def test_the_order_is_a_function_of_lengths_seed_and_epoch(
    sizes: list[int], batch_tokens: int, seed: int, epoch: int
) -> None:
    first, second = (epoch_batches(given_, batch_tokens, seed, epoch) for given_ in (sizes, np.array(sizes)))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_epochs_and_seeds_differ_in_order() -> None:
    sizes = small.encoded().lengths
    orders = {
        str([batch.tolist() for batch in epoch_batches(sizes, 400, *key)]) for key in ((0, 0), (0, 1), (1, 0), (1, 1))
    }
    assert len(orders) == 4


def test_rows_of_similar_length_are_batched_together() -> None:
    sizes = np.random.default_rng(0).integers(10, 120, 300)
    made = epoch_batches(sizes, 1500, 0, 0)
    max_tokens = sum(sizes[batch].max() * len(batch) for batch in made)
    assert sizes.sum() > 0.85 * max_tokens
