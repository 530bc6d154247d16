"""What is counted is what will be trained on, and what would go wrong silently is refused by name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from z1.errors import UserError
from z1.recipe import FinetuneSettings, load, required_table
from z1.train.encode import EncodedRows
from z1.train.packing import PackedSchedule
from z1.train.sft.estimate import ModelShape
from z1.train.sft.preflight import Preflight
from z1.train.token_cache import DroppedRow, EncodedDataset

RECIPE = Path(__file__).parents[3] / "recipes" / "z1-7b.toml"

STOP = 2

QWEN_7B = ModelShape(7_615_616_512, 152_064 * 3584, 7_615_616_512, 3584, 18_944, 28, tied=False)
"""Counts of Qwen2.5-Coder-7B (its config.json)."""

SMALL = ModelShape(1000, 100, 1000, 10, 10, 1, tied=True)


def rows(sizes: np.ndarray) -> EncodedRows:
    """Rows of one prompt id and a reply that ends."""
    starts = np.cumsum([0, *sizes])
    ids, learned = np.full(starts[-1], 7, np.int32), np.ones(starts[-1], np.bool_)
    ids[starts[1:] - 1] = STOP
    learned[starts[:-1]] = False
    return EncodedRows(ids, learned, starts)


@cache
def published() -> EncodedRows:
    """As many rows as Z1-Code-Reasoning-107K has, of its distribution (mean 1,159, 25 to 8,169), at a hundredth."""
    drawn = np.random.default_rng(0).lognormal(np.log(828), 0.82, 107_173).clip(25, 8169)
    assert abs(drawn.mean() - 1159) < 20
    return rows(2 + (drawn / 100).astype(np.int64))


def chosen(**changes: Any) -> FinetuneSettings:
    """The recipe's settings, its lengths at a hundredth."""
    scaled = {"max_length": 164, "micro_tokens": 164, **changes}
    return required_table(load(RECIPE).finetune, "finetune").model_copy(update=scaled)


def preflight(made: EncodedRows, notes: tuple[DroppedRow, ...] = (), world: int = 8, **changes: Any) -> Preflight:
    return Preflight(
        EncodedDataset(made, notes), None, PackedSchedule(made.lengths, chosen(**changes), 42), STOP, SMALL, world
    )


def test_the_recipe_of_the_paper_takes_its_836_steps_and_says_how() -> None:
    made = preflight(published())
    made.check()
    said = dict(made.summary())
    assert said["steps"] == "836 = 107,173 rows // 256 = 418 whole batches an epoch (165 rows over), 2 epochs"
    assert said["a step"].startswith("256 samples, about ")
    assert said["ends"].startswith("0 rows lose theirs, 0 hold")


@pytest.mark.parametrize(("samples", "steps"), [(128, "1,674"), (255, "840")])
def test_the_batch_that_the_paper_names_gives_other_steps_and_is_refused(samples: int, steps: str) -> None:
    with pytest.raises(UserError, match=f"^the steps: got {steps} from 107,173 rows, not the 836 of the recipe; corr"):
        preflight(published(), batch_samples=samples).check()


def test_micro_batches_are_those_of_the_plan() -> None:
    made = preflight(published())
    each = {len(made.schedule.micro_batches(step, rank, 8)) for step in (0, 835) for rank in range(8)}
    said = dict(made.summary())["processes"]
    assert said.startswith(f"8, each with {min(each)}")
    assert "of at most 164 ids a step" in said
    assert "padded groups" in dict(preflight(published(), packing=False).summary())["processes"]


def test_rows_whose_end_is_not_learned_or_stands_in_their_text_are_counted() -> None:
    made = rows(np.array([5] * 10))
    made.token_ids[4] = 7  # the first row loses its end, the second one's is seen only, the third says it twice
    made.loss_mask[9] = False
    made.token_ids[12] = STOP
    found = preflight(made, batch_samples=5, steps=None)
    assert (found.rows_without_end(), found.rows_with_early_end()) == (2, 1)
    assert dict(found.summary())["ends"] == "2 rows lose theirs, 1 hold another one in their text"


def test_what_of_a_row_is_learned_is_said_with_its_spread() -> None:
    said = dict(preflight(rows(np.arange(2, 103)), batch_samples=5, steps=None).summary())
    assert said["learned"] == "1 | 6 · 26 · 51 · 76 · 96 | 101, mean 51.0 ids a row; 98.1% of all ids"
    assert said["rows"] == "101 to learn from, 5,252 ids"


def test_a_row_with_nothing_to_learn_is_refused_by_its_place() -> None:
    made = rows(np.array([5] * 10))
    made.loss_mask[15:20] = False
    with pytest.raises(UserError, match=r"^rows with nothing to learn: got 1, the first at place 3; "):
        preflight(made, batch_samples=5, steps=None).check()


def noted(**counts: int) -> tuple[DroppedRow, ...]:
    return tuple(DroppedRow(f"{why}{n}", why.replace("_", " ")) for why, count in counts.items() for n in range(count))


def test_a_training_that_lost_too_many_rows_is_refused_with_the_reasons() -> None:
    made = rows(np.array([5] * 94))
    settings: dict[str, Any] = {"batch_samples": 5, "steps": None}
    preflight(made, noted(too_long=4), **settings).check()
    preflight(made, noted(too_long=6), left_out=0.06, **settings).check()
    with pytest.raises(UserError) as caught:
        preflight(made, noted(too_long=4, empty=2), **settings).check()
    assert str(caught.value) == (
        "the rows to learn from: got 6 of 100 rows left out or truncated (4 too long (first: too long0), 2 empty "
        "(first: empty0)); raise finetune.max_length above 164, or finetune.left_out if it is meant"
    ).replace("too long0", "too_long0")
    assert dict(preflight(made, noted(empty=2), **settings).summary())["left out"].startswith(
        "2 empty (first: empty0); "
    )


def test_truncated_rows_count_as_lost_and_rows_without_a_fence_do_not() -> None:
    made = rows(np.array([5] * 100))
    settings: dict[str, Any] = {"batch_samples": 5, "steps": None}
    preflight(made, noted(no_fence=100), **settings).check()
    with pytest.raises(UserError, match="got 6 of 100 rows left out or truncated"):
        preflight(made, noted(truncated=6), **settings).check()


def test_held_out_rows_and_batches_of_tokens_are_said() -> None:
    made = preflight(published(), batch_samples=None, batch_tokens=3000, steps=None)
    said = dict(replace(made, held_out=rows(np.array([5] * 9))).summary())
    assert said["rows"].endswith(" ids, 9 held out")
    assert said["steps"] == f"{made.schedule.steps:,} whole batches of at most 3,000 ids, 2 epochs"


def test_memory_and_time_are_those_of_the_base() -> None:
    made = preflight(published())
    made = replace(made, shape=QWEN_7B, schedule=PackedSchedule(made.schedule.lengths, chosen(micro_tokens=16_384), 42))
    said = dict(made.summary())
    assert said["memory"].startswith("about 2")
    assert "weights, gradients, moments 15.2" in said["memory"]
    assert " h on this CPU, " in said["time"]
    assert " h on H100" in said["time"]
