"""Rows of a fine-tuning dataset, and its held-out share.

A dataset is a file, a folder, or a hub id whose files are downloaded once. If files are named after splits, only those
of "train" are read. The recipe names the columns. Rows of one question are held out together, so that no held-out
question is trained on with another response. Does not encode or drop rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from z1 import dataset_io
from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.records import TrainingRow
from z1.surrogates import encode_for_hash

SPLIT = "train"


def files(data: str) -> list[Path]:
    """The files of dataset `data` in order of name, downloaded from the hub if it is not a path.

    Raises UserError if there are none or the hub cannot be reached.
    """
    path = Path(data)
    every = dataset_io.files(_download(data) if not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", data) else path)
    named = [file for file in every if file.name.startswith(SPLIT)]
    return named or every


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(name, repo_type="dataset", allow_patterns=[f"*{end}" for end in dataset_io.ENDINGS])
        )
    except (OSError, ValueError) as error:
        why = str(error).strip().partition("\n")[0]
        do = "give a folder or file, or download it on a machine with network access"
        raise UserError(f"dataset {name}", why or type(error).__name__, do) from None


def rows(paths: Sequence[Path], settings: FinetuneSettings) -> Iterator[TrainingRow]:
    """The rows of these files, in order. Raises UserError if a column of the recipe is missing."""
    number = 0
    for file in paths:
        for value in dataset_io.read(file):
            number += 1
            thought = _text(value, settings.thought, file) if settings.thought else ""
            question, answer = _text(value, settings.question, file), _text(value, settings.response, file)
            yield TrainingRow(str(value.get("id") or number), question, thought, answer, "", None)


def _text(row: Mapping[str, Any], column: str, file: Path) -> str:
    if column not in row:
        raise UserError(
            f"column {column} of {file}", f"columns {', '.join(row)}", "correct the column name in [finetune]"
        )
    return "" if row[column] is None else str(row[column])


def is_held_out(question: str, share: float, seed: int) -> bool:
    """Whether the rows of `question` are in the held-out `share`; a function of its arguments only."""
    digest = sha256(encode_for_hash(f"{seed}:{question}")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
