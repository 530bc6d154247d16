"""Which rows of a dataset does a fine-tuning learn from, and which are held out?

A dataset is a file, a folder, or a hub id whose files are fetched once; of files that are named after splits those of
"train" alone are read. Columns are named by the recipe. Rows of one question are held out together, so that no held-out
loss is that of a question learned with another response. Does not encode and leaves nothing out.
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

SPLIT = "train"


def files(data: str) -> list[Path]:
    """The files of dataset `data` in order of name, fetched from the hub where it is no path.

    Raises UserError, in one line, where there are none or the hub cannot be reached.
    """
    path = Path(data)
    found = dataset_io.files(_fetched(data) if not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", data) else path)
    named = [file for file in found if file.name.startswith(SPLIT)]
    return named or found


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(name, repo_type="dataset", allow_patterns=[f"*{end}" for end in dataset_io.ENDINGS])
        )
    except (OSError, ValueError) as error:
        why = str(error).strip().partition("\n")[0]
        do = "give a folder or file, or fetch it where there is a network"
        raise UserError(f"dataset {name}", why or type(error).__name__, do) from None


def rows(found: Sequence[Path], settings: FinetuneSettings) -> Iterator[TrainingRow]:
    """The rows of these files, in order. Raises UserError where a column of the recipe is not there."""
    number = 0
    for file in found:
        for value in dataset_io.read(file):
            number += 1
            thought = _text(value, settings.thought, file) if settings.thought else ""
            question, answer = _text(value, settings.question, file), _text(value, settings.response, file)
            yield TrainingRow(str(value.get("id") or number), question, thought, answer, "", None)


def _text(row: Mapping[str, Any], column: str, file: Path) -> str:
    if column not in row:
        raise UserError(f"column {column} of {file}", f"columns {', '.join(row)}", "name the right one in [finetune]")
    return "" if row[column] is None else str(row[column])


def is_held_out(question: str, share: float, seed: int) -> bool:
    """Whether the rows of `question` are among the `share` that is held out; a function of its arguments alone."""
    digest = sha256(f"{seed}:{question}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
