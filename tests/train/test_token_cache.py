"""Rows are encoded once, written atomically, and read back unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from tests.train import small
from z1.errors import UserError
from z1.train.encode import DroppedRow, EncodedRow, Encoder, Truncation, encode
from z1.train.token_cache import LOSS_MASK, STARTS, TOKEN_IDS, load_or_encode


def made() -> Iterator[EncodedRow]:
    return encode(small.rows(), Encoder(small.tokenizer(), small.PROFILE, 0.3, small.SEED), Truncation(256))


def test_rows_are_encoded_once_and_memory_mapped_afterwards(tmp_path: Path) -> None:
    calls = []

    def make() -> Iterator[EncodedRow]:
        calls.append(1)
        return made()

    folder = tmp_path / "deep" / "rows"
    for _ in range(3):
        rows = load_or_encode(folder, make).rows
        for name in ("token_ids", "loss_mask", "starts"):
            assert np.array_equal(getattr(rows, name), getattr(small.encoded(), name))
            assert getattr(rows, name).dtype == getattr(small.encoded(), name).dtype
        assert isinstance(rows.token_ids, np.memmap)
        assert isinstance(rows.loss_mask, np.memmap)
    assert len(calls) == 1


def test_dropped_and_truncated_rows_are_noted_with_the_reason(tmp_path: Path) -> None:
    one, other, third = (next(made()) for _ in range(3))
    nothing = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    every = [
        one,
        EncodedRow("7", *nothing, "too long"),
        EncodedRow("8", other.token_ids[:9], other.loss_mask[:9], "truncated"),
        third,
    ]
    for _ in range(2):
        kept = load_or_encode(tmp_path / "rows", lambda: every)
        assert kept.notes == (DroppedRow("7", "too long"), DroppedRow("8", "truncated"))
        assert kept.rows.lengths.tolist() == [len(one.token_ids), 9, len(third.token_ids)]


def test_one_of_several_processes_encodes_and_the_others_wait(tmp_path: Path) -> None:
    calls, found = [], []

    def make() -> Iterator[EncodedRow]:
        calls.append(1)
        return made()

    several = [Thread(target=lambda: found.append(len(load_or_encode(tmp_path / "rows", make).rows))) for _ in range(4)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert found == [len(small.rows())] * 4
    assert len(calls) == 1


def test_a_failed_encoding_leaves_nothing(tmp_path: Path) -> None:
    def fails() -> Iterator[EncodedRow]:
        yield next(made())
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        load_or_encode(tmp_path / "rows", fails)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert len(load_or_encode(tmp_path / "rows", made).rows) == len(small.rows())


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ([], "got none; curate"),
        (["7"], r"got none: all 1 rows were filtered out \(first: 7, too long\); relax the filters"),
    ],
    ids=["no rows", "all left out"],
)
def test_no_rows_are_refused_with_the_first_reason(notes: list[str], said: str, tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    with pytest.raises(UserError, match=said) as caught:
        load_or_encode(tmp_path / "rows", lambda: [EncodedRow(name, *nothing, "too long") for name in notes])
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "starts.npy cut": lambda folder: cut(folder / STARTS),
    "starts.npy empty": lambda folder: (folder / STARTS).write_bytes(b""),
    "starts.npy absent": lambda folder: (folder / STARTS).unlink(),
    "starts.npy of another type": lambda folder: np.save(folder / STARTS, np.array([0.0, 2.0])),
    "starts.npy of objects": lambda folder: np.save(folder / STARTS, np.array([0, "a"], object), allow_pickle=True),
    "starts.npy out of order": lambda folder: np.save(folder / STARTS, np.array([0, 9, 3])),
    "starts.npy a number": lambda folder: np.save(folder / STARTS, np.array(3)),
    "token ids cut": lambda folder: cut(folder / TOKEN_IDS),
    "loss mask cut": lambda folder: cut(folder / LOSS_MASK),
    "loss mask absent": lambda folder: (folder / LOSS_MASK).unlink(),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_cut_or_mistyped_file_is_named_in_a_line(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    load_or_encode(folder, made)
    DAMAGE[name](folder)
    with pytest.raises(UserError, match=r"encoded rows .*rows: got .*; delete this folder") as caught:
        load_or_encode(folder, made)
    assert "\n" not in str(caught.value)
