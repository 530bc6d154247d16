"""How do the rows of a recipe become what a fine-tuning begins with?

From the dataset, or the run's own curated rows, to encoded rows on disk and the pre-flight that counts them. Encoding
is a stage of its own, keyed by what decides the ids and by nothing else: another rate or batch encodes nothing again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1 import profiles, runs
from z1.recipe import FinetuneSettings, Recipe, required_table
from z1.records import TrainingRow
from z1.train.encode import Encoder, Truncation, encode
from z1.train.packing import PackedSchedule
from z1.train.scratch import tokenizer as tokenizers
from z1.train.sft import dataset, estimate
from z1.train.sft.preflight import Preflight
from z1.train.token_cache import EncodedDataset, once


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counted rows, who is to learn them (folder or hub id), its tokenizer, and what they say about themselves."""

    preflight: Preflight
    base: str
    tokenizer: Any
    data_info: dict[str, Any]


def prepare(recipe: Recipe, run: Path, curated: Path | None, base: str, world: int) -> Prepared:
    """Encode the rows of `recipe` under `run`, or take those that are there, for `world` processes; nothing is refused.

    `curated` is the file of rows that the run's own curate stage left, for a recipe that names no dataset.
    """
    chosen = required_table(recipe.finetune, "finetune")
    tokenizer = tokenizers.of(base)
    encoder = Encoder(tokenizer, profiles.get_profile(chosen.profile), chosen.hint_share, recipe.seed)
    files = [curated] if curated else dataset.files(chosen.data)
    stage = _stage(recipe, run, encoder, files)
    read = (
        partial(runs.iterate_lines, curated, TrainingRow.from_json) if curated else partial(dataset.rows, files, chosen)
    )
    limit = Truncation(chosen.max_length, chosen.truncation, "finetune.max_length")

    def part(name: str, *, held_out: bool) -> EncodedDataset:
        rows = partial(_part, read, chosen, recipe.seed, held_out=held_out)
        return once(stage.folder / name, lambda: encode(rows(), encoder, limit))

    stored = part("rows", held_out=False)
    held = part("held_out", held_out=True).rows if chosen.held_out else None
    plan = PackedSchedule(stored.rows.lengths, chosen, recipe.seed)
    preflight = Preflight(stored, held, plan, encoder.end_token_id, estimate.shape(base, chosen), world)
    return Prepared(preflight, base, tokenizer, _about(chosen, preflight, stage))


def _stage(recipe: Recipe, run: Path, encoder: Encoder, files: Sequence[Path]) -> runs.Stage:
    chosen = required_table(recipe.finetune, "finetune")
    asked = chosen.model_dump(mode="json", include={"max_length", "over_long", "held_out"})
    columns = chosen.model_dump(mode="json", include={"question", "response", "thought"}) if chosen.data else {}
    seed = {"seed": recipe.seed} if chosen.held_out else {}
    settings = {**asked, **columns, **seed, "encoder": encoder.fingerprint}
    return runs.stage(run, "encode", settings, {file.name: file for file in files})


def _part(
    read: Callable[[], Iterator[TrainingRow]], chosen: FinetuneSettings, seed: int, *, held_out: bool
) -> Iterator[TrainingRow]:
    return (row for row in read() if dataset.is_held_out(row.question, chosen.held_out, seed) == held_out)


def _about(chosen: FinetuneSettings, preflight: Preflight, stage: runs.Stage) -> dict[str, Any]:
    rows = preflight.rows
    return {
        "source": chosen.data or "the run's own rows",
        "sha256": dict(stage.inputs),
        "rows": len(rows),
        "ids": len(rows.token_ids),
        "learned": int(rows.learned_counts.sum()),
        "held_out": len(preflight.held_out) if preflight.held_out is not None else 0,
        "left_out": dict(Counter(note.reason for note in preflight.encoded.notes)),
    }
