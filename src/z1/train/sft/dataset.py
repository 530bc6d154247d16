"""Rows of a fine-tuning dataset, and its held-out share.

A dataset is a file, a folder, or a hub id whose files are downloaded once. Files and rows of test splits are not read
(`z1.dataset_rows.splits`); rows are read as `z1 curate` reads them. Rows of one question are held out together, and so
are the exchanges of a conversation, so that no held-out question is trained on with another response. Does not encode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from z1 import dataset_io, profiles
from z1.dataset_rows import DatasetSample, SplitFiles, TableSettings, read_samples, split_files
from z1.errors import UserError
from z1.profiles import Profile
from z1.recipe import FinetuneSettings
from z1.records import TrainingRow
from z1.surrogates import encode_for_hash
from z1.train.encode import ConversationRow, DroppedRow


def files(data: str, split: str = "") -> SplitFiles:
    """The files of dataset `data` to train on and those held out, downloaded from the hub if it is not a path.

    Raises UserError if there are none or the hub cannot be reached.
    """
    path = Path(data)
    return split_files(_download(data) if not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", data) else path, split)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*(f"*{end}" for end in dataset_io.ENDINGS), "README.md"]
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except (OSError, ValueError) as error:
        why = str(error).strip().partition("\n")[0]
        do = "give a folder or file, or download it on a machine with network access"
        raise UserError(f"dataset {name}", why or type(error).__name__, do) from None


def rows(paths: Sequence[Path], settings: FinetuneSettings) -> Iterator[TrainingRow | DroppedRow]:
    """The rows of these files, in order; those that give no example with the reason. Raises UserError for a row that
    cannot be used, with its file, number and column, unless the recipe drops such rows.
    """
    profile = profiles.get_profile(settings.profile)
    for place, found in read_samples(paths, _table_settings(settings)):
        if isinstance(found, str):
            yield DroppedRow(f"{place.file.name}:{place.number}", found)
        else:
            yield from (_training_row(sample, str(place.position), profile) for sample in found)


def _table_settings(settings: FinetuneSettings) -> TableSettings:
    columns = {}
    if settings.question:
        thought = {"thought": settings.thought} if settings.thought else {}
        columns = {"id": "id?", "question": settings.question, "response": settings.response, **thought}
    return TableSettings(columns, settings.format, settings.split, settings.on_error, "finetune.on_error")


def _training_row(sample: DatasetSample, number: str, profile: Profile) -> TrainingRow | DroppedRow:
    name = sample.id or number
    if sample.number is not None:
        name = f"{name}:{sample.number}"
    if sample.left_out or sample.passed is False:
        return DroppedRow(name, sample.left_out or "not right, by the dataset")
    thought, answer = sample.thought, sample.response
    if thought and not thought[-1].isspace():
        thought += "\n" if profile.think_end else "\n\n"
    if thought and profile.think_end and not profile.think_end.endswith("\n"):
        answer = ("\n\n" if profile.think_end.startswith("</") else "\n") + answer
    if sample.history:
        return ConversationRow(name, sample.question, thought, answer, "", None, sample.history)
    return TrainingRow(name, sample.question, thought, answer, "", None)


def is_held_out(row: TrainingRow, share: float, seed: int) -> bool:
    """Whether a row is in the held-out `share`, by its question or the first one of its conversation, and the seed."""
    question = row.history[0]["content"] if isinstance(row, ConversationRow) else row.question
    digest = sha256(encode_for_hash(f"{seed}:{question}")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
