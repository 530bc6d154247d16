"""Splits: which files of a dataset are for training, and which are held out.

A file is held out if a part of its name or of its folder's name is that of a split (`test-00000.parquet`,
`gsm8k_test.jsonl`, `validation/a.jsonl`), if the dataset's card assigns it to one (`configs` in README.md,
https://huggingface.co/docs/hub/datasets-manual-configuration), or if its Parquet metadata has such a `split`. Held-out
files are never curated or trained on unless they are asked for by name; decontamination compares with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from z1 import dataset_io
from z1.errors import UserError

HELD_OUT = frozenset(
    {"test", "tests", "validation", "valid", "val", "dev", "eval", "evaluation", "heldout", "held_out", "held-out"}
)
"""Names of splits that are not trained on."""

TRAIN = "train"

CARD = "README.md"


class SplitFiles(NamedTuple):
    """The files of a dataset, in order of name."""

    train: list[Path]
    held_out: list[Path]


def split_files(path: Path, split: str = "") -> SplitFiles:
    """The files of the table at `path`: those of `split`, or without one those that are not held out.

    A path to one file asks for it by name. Raises UserError if there are none.
    """
    found = dataset_io.files(path)
    if path.is_file():
        return SplitFiles(found, [])
    assigned = _card_splits(path)
    splits = {file: _split(file, path, assigned) for file in found}
    if split:
        return SplitFiles(_files_of(split, splits, path), [])
    held_out = [file for file in found if is_held_out_name(splits[file])]
    train = [file for file in found if file not in held_out]
    if not train:
        got = f"only held-out files: {', '.join(file.name for file in held_out)}"
        raise UserError(f"training files of {path}", got, "name one of them, or its split, to train on it")
    return SplitFiles(train, held_out)


def _files_of(split: str, splits: Mapping[Path, str], path: Path) -> list[Path]:
    """The files of `split`, or all files if their rows name their splits."""
    if named := [file for file, own in splits.items() if own == split]:
        return named
    first = next((row for file in splits for _, row in dataset_io.read_numbered(file)), {})
    if "split" not in first:
        names = ", ".join(sorted(set(filter(None, splits.values())))) or "none"
        raise UserError(f"split {split} of {path}", f"files of splits: {names}", "name one of them, or a file")
    return list(splits)


def is_held_out_name(name: str) -> bool:
    """Whether a split of this name is held out."""
    return name.strip().lower() in HELD_OUT


def _split(file: Path, root: Path, assigned: list[tuple[str, str]]) -> str:
    """The split of a file, "" if nothing names one."""
    inside = file.relative_to(root).as_posix()
    if found := next((split for pattern, split in assigned if fnmatch(inside, pattern)), ""):
        return found
    parts = [part for name in inside.split("/") for part in re.split(r"[-_. ]+", name.lower())]
    named = next((part for part in parts if is_held_out_name(part)), TRAIN if TRAIN in parts else "")
    return named or _parquet_split(file)


def _parquet_split(file: Path) -> str:
    if file.suffix != ".parquet":
        return ""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return ""  # an unreadable file is reported where its rows are read
    return str(metadata.get(b"split", b""), "utf-8", "replace")


def _card_splits(root: Path) -> list[tuple[str, str]]:
    """Patterns of files and their splits, from the dataset's card."""
    card = root / CARD
    if not card.is_file():
        return []
    from huggingface_hub import metadata_load  # only where there is a card

    try:
        configs = (metadata_load(card) or {}).get("configs") or []
    except ValueError:
        return []  # a text file without metadata
    return [found for config in configs if isinstance(config, dict) for found in _patterns(config.get("data_files"))]


def _patterns(data_files: Any) -> list[tuple[str, str]]:
    if isinstance(data_files, str | list) and not any(isinstance(entry, dict) for entry in data_files):
        return []  # files without splits
    found = []
    for entry in data_files or []:
        if isinstance(entry, dict) and "split" in entry:
            paths = entry.get("path") or []
            found += [(str(one), str(entry["split"])) for one in (paths if isinstance(paths, list) else [paths])]
    return found
