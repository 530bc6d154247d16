"""The report counts what training will use, and a training that would go wrong is refused with the reason."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from z1.errors import UserError
from z1.recipe import FinetuneSettings, load, required_table
from z1.train.encode import DroppedRow, EncodedRows
from z1.train.packing import PackedSchedule
from z1.train.sft.estimate import ModelShape
from z1.train.sft.preflight import Preflight
from z1.train.token_cache import EncodedDataset

END = 2

QWEN_7B = ModelShape(7_615_616_512, 152_064 * 3584, 7_615_616_512, 3584, 18_944, 28, tied=False)
"""Counts of Qwen2.5-Coder-7B (its config.json)."""

SMALL = ModelShape(1000, 100, 1000, 10, 10, 1, tied=True)


def rows(lengths: np.ndarray) -> EncodedRows:
    """Rows of one prompt token and a reply with an end token."""
    starts = np.cumsum([0, *lengths])
    token_ids, loss_mask = np.full(starts[-1], 7, np.int32), np.ones(starts[-1], np.bool_)
    token_ids[starts[1:] - 1] = END
    loss_mask[starts[:-1]] = False
    return EncodedRows(token_ids, loss_mask, starts)


@cache
def published() -> EncodedRows:
    """As many rows as Z1-Code-Reasoning-107K has, of its distribution (mean 1,159, 25 to 8,169), at a hundredth."""
    drawn = np.random.default_rng(0).lognormal(np.log(828), 0.82, 107_173).clip(25, 8169)
    assert abs(drawn.mean() - 1159) < 20
    return rows(2 + (drawn / 100).astype(np.int64))


def chosen(**changes: Any) -> FinetuneSettings:
    """The recipe's settings, its lengths at a hundredth."""
    scaled = {"max_length": 164, "micro_tokens": 164, **changes}
    return required_table(load("z1-7b").finetune, "finetune").model_copy(update=scaled)


def preflight(made: EncodedRows, notes: tuple[DroppedRow, ...] = (), world_size: int = 8, **changes: Any) -> Preflight:
    return Preflight(
        EncodedDataset(made, notes), None, PackedSchedule(made.lengths, chosen(**changes), 42), END, SMALL, world_size
    )


def test_the_recipe_of_the_paper_takes_836_steps_and_the_report_derives_them() -> None:
    made = preflight(published())
    made.check()
    report = dict(made.summary())
    assert report["steps"] == "836 = 107,173 rows // 256 = 418 whole batches an epoch (165 rows left out), 2 epochs"
    assert report["a step"].startswith("256 samples, about ")
    assert report["ends"].startswith("0 rows have no end token, 0 contain ")


@pytest.mark.parametrize(("samples", "steps"), [(128, "1,674"), (255, "840")])
def test_another_batch_size_gives_other_steps_and_is_refused(samples: int, steps: str) -> None:
    with pytest.raises(UserError, match=f"^steps: got {steps} from 107,173 rows, not the 836 of the recipe; corr"):
        preflight(published(), batch_samples=samples).check()


def test_micro_batches_are_those_of_the_schedule() -> None:
    made = preflight(published())
    each = {len(made.schedule.micro_batches(step, rank, 8)) for step in (0, 835) for rank in range(8)}
    report = dict(made.summary())["processes"]
    assert report.startswith(f"8, each with {min(each)}")
    assert "of at most 164 tokens a step" in report
    assert "padded groups" in dict(preflight(published(), packing=False).summary())["processes"]


def test_rows_without_end_token_and_with_an_early_one_are_counted() -> None:
    made = rows(np.array([5] * 10))
    made.token_ids[4] = 7  # the first row loses its end, the second's has no loss, the third has it twice
    made.loss_mask[9] = False
    made.token_ids[12] = END
    found = preflight(made, batch_samples=5, steps=None)
    assert (found.rows_without_end(), found.rows_with_early_end()) == (2, 1)
    assert dict(found.summary())["ends"] == "2 rows have no end token, 1 contain another one in their text"


def test_learned_tokens_are_reported_with_quantiles() -> None:
    report = dict(preflight(rows(np.arange(2, 103)), batch_samples=5, steps=None).summary())
    assert report["learned"] == "1 | 6 · 26 · 51 · 76 · 96 | 101, mean 51.0 tokens a row; 98.1% of all tokens"
    assert report["rows"] == "101 to train on, 5,252 tokens"


def test_a_row_without_learned_tokens_is_refused_with_its_number() -> None:
    made = rows(np.array([5] * 10))
    made.loss_mask[15:20] = False
    with pytest.raises(
        UserError, match=r"^rows without learned tokens: got 1 \(first: number 3\); correct the dataset$"
    ):
        preflight(made, batch_samples=5, steps=None).check()


def noted(**counts: int) -> tuple[DroppedRow, ...]:
    return tuple(DroppedRow(f"{why}{n}", why.replace("_", " ")) for why, count in counts.items() for n in range(count))


def test_too_many_dropped_rows_are_refused_with_the_reasons() -> None:
    made = rows(np.array([5] * 94))
    settings: dict[str, Any] = {"batch_samples": 5, "steps": None}
    preflight(made, noted(too_long=4), **settings).check()
    preflight(made, noted(too_long=6), max_dropped=0.06, **settings).check()
    with pytest.raises(UserError) as caught:
        preflight(made, noted(too_long=4, empty=2), **settings).check()
    assert str(caught.value) == (
        "training rows: got 6 of 100 rows dropped or truncated (4 too long (first: too long0), 2 empty "
        "(first: empty0)); raise finetune.max_length above 164, or finetune.max_dropped if intended"
    ).replace("too long0", "too_long0")
    notes = dict(preflight(made, noted(empty=2), **settings).summary())["notes"]
    assert notes == "2 empty (first: empty0); all are listed in notes.jsonl"


def test_truncated_rows_count_as_lost_and_rows_without_a_thought_do_not() -> None:
    made = rows(np.array([5] * 100))
    settings: dict[str, Any] = {"batch_samples": 5, "steps": None}
    preflight(made, noted(no_thought=100), **settings).check()
    with pytest.raises(UserError, match="got 6 of 100 rows dropped or truncated"):
        preflight(made, noted(truncated=6), **settings).check()


def test_held_out_rows_and_batches_of_tokens_are_reported() -> None:
    made = preflight(published(), batch_samples=None, batch_tokens=3000, steps=None)
    report = dict(replace(made, held_out=rows(np.array([5] * 9))).summary())
    assert report["rows"].endswith(" tokens, 9 held out")
    assert report["steps"] == f"{made.schedule.steps:,} whole batches of at most 3,000 tokens, 2 epochs"


def test_memory_and_time_are_those_of_the_base() -> None:
    made = preflight(published())
    made = replace(made, shape=QWEN_7B, schedule=PackedSchedule(made.schedule.lengths, chosen(micro_tokens=16_384), 42))
    report = dict(made.summary())
    assert report["memory"].startswith("about 2")
    assert "weights, gradients, moments 15.2" in report["memory"]
    assert " h on this CPU, " in report["time"]
    assert " h on H100" in report["time"]
