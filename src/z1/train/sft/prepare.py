"""Encode stage of fine-tuning: from a dataset or curated rows to encoded rows on disk and the pre-flight report.

Encoding is a stage of its own, and its key contains only what decides the tokens: a changed learning rate or batch size
reuses the encoded rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1 import profiles, runs
from z1.dataset_rows import SplitFiles
from z1.recipe import FinetuneSettings, Recipe, required_table
from z1.records import TrainingRow
from z1.train.encode import DroppedRow, Encoder, Truncation, encode
from z1.train.packing import PackedSchedule
from z1.train.sft import dataset, estimate
from z1.train.sft.load_base import load_base_tokenizer
from z1.train.sft.preflight import Preflight
from z1.train.token_cache import EncodedDataset, load_or_encode


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """The pre-flight report, the base (folder or hub id) with its tokenizer, and facts about the data."""

    preflight: Preflight
    base: str
    tokenizer: Any
    data_info: dict[str, Any]


def prepare(recipe: Recipe, run: Path, curated: Path | None, base: str, world_size: int) -> PreparedTraining:
    """Encode the rows of `recipe` under `run`, or reuse those on disk, for `world_size` processes. Checks nothing.

    `curated` is the file of rows from the run's own curate stage, for a recipe without a dataset.
    """
    settings = required_table(recipe.finetune, "finetune")
    tokenizer = load_base_tokenizer(base)
    encoder = Encoder(tokenizer, profiles.get_profile(settings.profile), settings.hint_share, recipe.seed)
    files = SplitFiles([curated], []) if curated else dataset.files(settings.data, settings.split)
    stage = _stage(recipe, run, encoder, files.train)
    read: Callable[[], Iterator[TrainingRow | DroppedRow]]
    if curated:
        read = partial(runs.iterate_lines, curated, TrainingRow.from_json)
    else:
        read = partial(dataset.rows, files.train, settings)
    limit = Truncation(settings.max_length, settings.truncation, "finetune.max_length")

    def part(name: str, *, held_out: bool) -> EncodedDataset:
        rows = partial(_part, read, settings, recipe.seed, held_out=held_out)
        return load_or_encode(stage.folder / name, lambda: encode(rows(), encoder, limit))

    encoded = part("rows", held_out=False)
    held_out = part("held_out", held_out=True).rows if settings.held_out else None
    schedule = PackedSchedule(encoded.rows.lengths, settings, recipe.seed)
    shape = estimate.shape(base, settings)
    preflight = Preflight(encoded, held_out, schedule, encoder.end_token_id, shape, world_size)
    info = _data_info(settings, preflight, stage)
    info["held_out_files"] = [file.name for file in files.held_out]
    return PreparedTraining(preflight, base, tokenizer, info)


def _stage(recipe: Recipe, run: Path, encoder: Encoder, files: Sequence[Path]) -> runs.Stage:
    settings = required_table(recipe.finetune, "finetune")
    limits = settings.model_dump(mode="json", include={"max_length", "truncation", "held_out"})
    reading = {"format", "split", "question", "response", "thought", "on_error"}
    columns = settings.model_dump(mode="json", include=reading) if settings.data else {}
    seed = {"seed": recipe.seed} if settings.held_out else {}
    key = {**limits, **columns, **seed, "encoder": encoder.fingerprint}
    return runs.stage(run, "encode", key, {file.name: file for file in files})


def _part(
    read: Callable[[], Iterator[TrainingRow | DroppedRow]], settings: FinetuneSettings, seed: int, *, held_out: bool
) -> Iterator[TrainingRow | DroppedRow]:
    """The rows of one part; rows that were dropped are noted with the rows to train on."""
    for row in read():
        if isinstance(row, DroppedRow):
            is_of_part = not held_out
        else:
            is_of_part = dataset.is_held_out(row, settings.held_out, seed) == held_out
        if is_of_part:
            yield row


def _data_info(settings: FinetuneSettings, preflight: Preflight, stage: runs.Stage) -> dict[str, Any]:
    rows = preflight.rows
    return {
        "source": settings.data or "the run's own rows",
        "sha256": dict(stage.inputs),
        "rows": len(rows),
        "tokens": len(rows.token_ids),
        "learned": int(rows.learned_counts.sum()),
        "held_out": len(preflight.held_out) if preflight.held_out is not None else 0,
        "noted": dict(Counter(note.reason for note in preflight.encoded.notes)),
    }
