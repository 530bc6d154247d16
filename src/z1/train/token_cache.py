"""Token cache: encoded rows on disk, encoded once and memory-mapped afterwards.

A folder of plain arrays that are never unpickled: `token_ids.bin` (int32), `loss_mask.bin` (one byte per token),
`starts.npy`, and `notes.jsonl` with each row that was dropped or truncated, and the reason. The folder is written
atomically; of several processes that need it, one encodes and the others wait. The settings of the stage decide its
name, see `runs.stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from z1.errors import UserError
from z1.runs import atomic_folder, file_lock, read_lines, write_lines
from z1.train.encode import DroppedRow, EncodedRow, EncodedRows

TOKEN_IDS, LOSS_MASK, STARTS, NOTES = "token_ids.bin", "loss_mask.bin", "starts.npy", "notes.jsonl"


@dataclass(frozen=True, slots=True)
class EncodedDataset:
    """Rows on disk, and notes on dropped, truncated and other special rows."""

    rows: EncodedRows
    notes: tuple[DroppedRow, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The rows in `folder`, memory-mapped. Raises UserError if there are none, or if a file was cut."""
        notes = tuple(read_lines(folder / NOTES, DroppedRow.from_json))
        starts = _read_starts(folder)
        if len(starts) == 1:
            raise _no_rows(notes)
        token_ids = np.memmap(folder / TOKEN_IDS, np.int32, "c")
        return cls(EncodedRows(token_ids, np.memmap(folder / LOSS_MASK, np.bool_, "c"), starts), notes)


def _read_starts(folder: Path) -> NDArray[np.int64]:
    """The starts of the rows, if they fit the other files."""
    try:
        starts: NDArray[np.int64] = np.load(folder / STARTS, allow_pickle=False)
        if starts.ndim != 1 or starts.dtype != np.int64 or len(starts) == 0 or starts[0] or (np.diff(starts) < 1).any():
            raise ValueError("no ascending positions")
        sizes = [(folder / name).stat().st_size // bytes for name, bytes in ((TOKEN_IDS, 4), (LOSS_MASK, 1))]
        if sizes != [starts[-1]] * 2:
            raise ValueError(f"{starts[-1]} tokens, and files of {sizes[0]} and {sizes[1]}")
    except (ValueError, EOFError, FileNotFoundError) as error:
        raise UserError(f"encoded rows {folder}", error, "delete this folder; the rows are encoded again") from None
    return starts


def _no_rows(notes: tuple[DroppedRow, ...]) -> UserError:
    if not notes:
        return UserError("training rows", "none", "curate some first")
    got = f"none: all {len(notes)} rows were filtered out (first: {notes[0].id}, {notes[0].reason})"
    return UserError("training rows", got, "relax the filters")


def load_or_encode(folder: Path, encode: Callable[[], Iterable[EncodedRow]]) -> EncodedDataset:
    """The rows in `folder`; if it does not exist, the rows that `encode` returns are written to it first."""
    with file_lock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with atomic_folder(folder) as temporary:
                _write(temporary, encode())
    return EncodedDataset.read(folder)


def _write(folder: Path, encoded: Iterable[EncodedRow]) -> None:
    lengths, notes = [0], []
    with (folder / TOKEN_IDS).open("wb") as token_ids, (folder / LOSS_MASK).open("wb") as loss_mask:
        for row in encoded:
            if row.note:
                notes.append(DroppedRow(row.id, row.note).as_json())
            if len(row.token_ids):
                token_ids.write(row.token_ids.tobytes())
                loss_mask.write(row.loss_mask.tobytes())
                lengths.append(len(row.token_ids))
    with (folder / STARTS).open("wb") as file:
        np.save(file, np.cumsum(lengths), allow_pickle=False)
    write_lines(folder / NOTES, notes)
