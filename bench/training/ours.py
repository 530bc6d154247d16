"""z1's fine-tuner loop, as in `z1 train`, without checkpoints, training log and export."""

from __future__ import annotations

from typing import Any

from z1.recipe import FinetuneSettings
from z1.train.distributed import process_group
from z1.train.encode import EncodedRows
from z1.train.sft.attention import ROWS
from z1.train.sft.loss import LossModel
from z1.train.sft.trainer import FineTuner, TrainingSet


def settings(batch: int, micro_tokens: int, **changes: Any) -> FinetuneSettings:
    """Global batches of `batch` rows, in packs of at most `micro_tokens` tokens."""
    values: dict[str, Any] = {
        "max_length": micro_tokens,
        "micro_tokens": micro_tokens,
        "batch_samples": batch,
        "epochs": 1.0,
    }
    values |= {"learning_rate": 1e-5, "precision": "float32", "gradient_checkpointing": False}
    return FinetuneSettings.model_validate(values | changes)


class Ours:
    """A model, its optimizer, and one epoch of rows."""

    def __init__(self, model: Any, rows: EncodedRows, batch: int, micro_tokens: int) -> None:
        model.set_attn_implementation(ROWS)
        self._rows, self._settings = rows, settings(batch, micro_tokens)
        self._loss_model = LossModel(model)

    def epoch(self) -> int:
        """Train on every row once; returns the number of learned tokens."""
        with process_group(single=False) as context:
            tuner = FineTuner(self._loss_model, TrainingSet(self._rows, None, "", {}), self._settings, 0, context)
            while tuner.facts["step"] < tuner.schedule.steps:
                tuner.train_step()
        return int(self._rows.learned_counts.sum())
