"""Where do encoded rows lie, so that they are encoded once, whoever asks and however often?

A folder of plain arrays that are mapped into memory and never unpickled: `ids.bin` (int32), `learned.bin` (a byte an
id), `starts.npy`, and `notes.jsonl` with each row that was left out or truncated, and why. It appears whole or not at
all; of several processes that want it one encodes and the others wait. What it is made from decides its name, see
`runs.stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from z1.errors import UserError
from z1.records import Record
from z1.runs import atomic_folder, file_lock, read_lines, write_lines
from z1.train.encode import Encoded, EncodedRows


@dataclass(frozen=True, slots=True)
class DroppedRow(Record):
    """Why a row is left out, or that it was truncated."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class EncodedDataset:
    """Rows as they lie on disk, and what is to be said about others."""

    rows: EncodedRows
    notes: tuple[DroppedRow, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The rows in `folder`, mapped into memory. Raises UserError where there are none."""
        starts = np.load(folder / "starts.npy", allow_pickle=False)
        notes = tuple(read_lines(folder / "notes.jsonl", DroppedRow.from_json))
        if len(starts) == 1:
            why = (
                f"none; {len(notes)} left out, the first one ({notes[0].id}) as {notes[0].reason}" if notes else "none"
            )
            raise UserError("training rows", why, "curate some first" if not notes else "loosen what leaves them out")
        ids = np.memmap(folder / "ids.bin", np.int32, "c")
        return cls(EncodedRows(ids, np.memmap(folder / "learned.bin", np.bool_, "c"), starts), notes)


def once(folder: Path, make: Callable[[], Iterable[Encoded]]) -> EncodedDataset:
    """The rows in `folder`, or those that `make` gives, kept there for the next time."""
    with file_lock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with atomic_folder(folder) as temporary:
                _write(temporary, make())
    return EncodedDataset.read(folder)


def _write(folder: Path, encoded: Iterable[Encoded]) -> None:
    sizes, notes = [0], []
    with (folder / "ids.bin").open("wb") as ids, (folder / "learned.bin").open("wb") as learned:
        for made in encoded:
            if made.note:
                notes.append(DroppedRow(made.id, made.note).as_json())
            if len(made.token_ids):
                ids.write(made.token_ids.tobytes())
                learned.write(made.loss_mask.tobytes())
                sizes.append(len(made.token_ids))
    with (folder / "starts.npy").open("wb") as file:
        np.save(file, np.cumsum(sizes), allow_pickle=False)
    write_lines(folder / "notes.jsonl", notes)
