"""Rows of a fine-tuning dataset, and its held-out share.

A dataset is a file, a folder, or a hub id whose files are downloaded once. Files and rows of test splits are not read
(`z1.dataset_rows.splits`); rows are read as `z1 curate` reads them. Rows of one question are held out together, so that
no held-out question is trained on with another response. Does not encode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from z1 import dataset_io, profiles
from z1.dataset_rows import DatasetSample, LeftOut, RowDefect, SplitFiles, find_format, read_row, split_files
from z1.errors import UserError
from z1.profiles import Profile
from z1.recipe import FinetuneSettings
from z1.records import TrainingRow
from z1.surrogates import encode_for_hash
from z1.train.encode import DroppedRow


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
    columns: Mapping[str, str] = {}
    number = 0
    for file in paths:
        for line, row in dataset_io.read_numbered(file):
            number += 1
            columns = columns or _mapping(settings, row)
            try:
                samples = read_row(row, columns, settings.split)
            except RowDefect as defect:
                if settings.on_error == "refuse":
                    what = f"file {file}, row {line}, column {defect.column}"
                    do = f'give {defect.expected}, or set finetune.on_error = "drop"'
                    raise UserError(what, defect.got, do) from None
                yield DroppedRow(f"{file.name}:{line}", str(defect))
            except LeftOut as why:
                yield DroppedRow(f"{file.name}:{line}", str(why))
            else:
                yield from (_training_row(sample, str(number), profile) for sample in samples)


def _mapping(settings: FinetuneSettings, row: Mapping[str, Any]) -> Mapping[str, str]:
    """The recipe's columns, or those of the format that the first row has."""
    if not settings.question:
        return find_format(row, settings.format)[1]
    thought = {"thought": settings.thought} if settings.thought else {}
    return {"id": "id?", "question": settings.question, "response": settings.response, **thought}


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
    return TrainingRow(name, sample.question, thought, answer, "", None)


def is_held_out(question: str, share: float, seed: int) -> bool:
    """Whether the rows of `question` are in the held-out `share`; a function of its arguments only."""
    digest = sha256(encode_for_hash(f"{seed}:{question}")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
