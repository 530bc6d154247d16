"""TRL's SFTTrainer in several settings.

`packed` (best-fit decreasing, which turns on padding-free batches; on a CPU transformers builds a block mask from the
positions), `grouped` (rows of similar length together, pad), and `wrapped` (rows cut at the end of a block; it
attends across rows and is reported separately). Datasets are prepared and packed before the clock starts.
"""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import numpy as np

from bench.training.reference import IGNORED
from z1.train.encode import EncodedRows

SETTINGS: dict[str, dict[str, Any]] = {
    "packed": {"packing": True, "per_device_train_batch_size": 1},
    "grouped, 2": {"per_device_train_batch_size": 2, "train_sampling_strategy": "group_by_length"},
    "grouped, 8": {"per_device_train_batch_size": 8, "train_sampling_strategy": "group_by_length"},
    "wrapped": {"packing": True, "packing_strategy": "wrapped", "per_device_train_batch_size": 1},
}


class Sft:
    """A trainer of TRL, and one epoch of rows in one of the `SETTINGS`."""

    def __init__(
        self, model: Any, tokenizer: Any, rows: EncodedRows, batch: int, setting: str, micro_tokens: int
    ) -> None:
        from datasets import Dataset
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        arguments = SETTINGS[setting]
        token_ids = np.split(rows.token_ids, rows.starts[1:-1])
        loss_masks = np.split(rows.loss_mask, rows.starts[1:-1])
        labels = [np.where(mask, row, IGNORED).tolist() for row, mask in zip(token_ids, loss_masks, strict=True)]
        data = Dataset.from_dict({"input_ids": [row.tolist() for row in token_ids], "labels": labels})
        packs = max(1, round(int(rows.lengths.sum()) / micro_tokens / (len(rows) / batch)))
        each = packs if arguments.get("packing") else batch // arguments["per_device_train_batch_size"]
        self._folder = tempfile.TemporaryDirectory()
        config = SFTConfig(
            output_dir=self._folder.name,
            max_length=micro_tokens,
            gradient_accumulation_steps=each,
            num_train_epochs=1,
            learning_rate=1e-5,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            optim="adamw_torch_fused",
            **arguments,
        )
        self._learned = int(rows.learned_counts.sum())
        self.trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)

    def epoch(self) -> int:
        """Train on every row once; returns the number of learned tokens."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.trainer.train()
        return self._learned
