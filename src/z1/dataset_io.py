"""Dataset I/O: reads and writes tables of rows as Parquet, JSONL or gzipped JSONL.

Rows are dictionaries, read one at a time, so a table may be larger than memory. A table is a file, or a folder of files
(those under `data/` if that exists, the layout of Hugging Face datasets). Columns have no meaning here. Lone surrogates
in texts are replaced by U+FFFD. Source: https://arrow.apache.org/docs/python/parquet.html.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from z1.errors import UserError
from z1.runs import atomic_file
from z1.surrogates import may_have_surrogates, replace_in_json

ENDINGS = (".parquet", ".jsonl", ".jsonl.gz")

BATCH_ROWS = 2_000
"""Rows held in memory at a time."""

TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def files(path: Path) -> list[Path]:
    """The files of the table at `path`, sorted by name. Raises UserError if there are none."""
    if path.is_dir():
        folder = path / "data" if (path / "data").is_dir() else path
        found = sorted(part for part in folder.iterdir() if part.name.endswith(ENDINGS))
    else:
        found = [path] if path.is_file() and path.name.endswith(ENDINGS) else []
    if not found:
        raise UserError("dataset", path, f"give a folder or a file that ends in {', '.join(ENDINGS)}")
    return found


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the table at `path`. Raises UserError with file and line for an unreadable row."""
    for file in files(path):
        for _, row in read_numbered(file):
            yield row


def read_numbered(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of one file, each with its number from 1: that of its line, if it is a text file."""
    return enumerate(_parquet(file), 1) if file.suffix == ".parquet" else _lines(file)


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file, ThreadPoolExecutor(1) as ahead:
            batches = file.iter_batches(BATCH_ROWS)
            pending = ahead.submit(next, batches, None)
            while (batch := pending.result()) is not None:
                pending = ahead.submit(next, batches, None)  # decoded while these rows are used
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise UserError(f"file {path}", f"not Parquet ({error})", "give a complete file") from None


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with the numbers of their lines; blank lines are skipped."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number in count(1):
            try:
                if not (line := file.readline()):
                    return
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not a JSON object")
            except (ValueError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise UserError(f"file {path}, line {number}", error, "give one JSON object per line") from None
            yield number, (replace_in_json(row) if may_have_surrogates(line) else row)


def write(path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, type]) -> int:
    """Write `rows` atomically as one Parquet file; returns their number.

    `columns` maps names to types (str, int, float, bool) in order; a value may be None.
    """
    schema = pa.schema([(name, TYPES[kind]) for name, kind in columns.items()])
    written, source = 0, iter(rows)
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while block := list(islice(source, BATCH_ROWS)):
            writer.write_table(_table(block, schema))
            written += len(block)
    return written


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    try:
        return pa.Table.from_pylist(list(rows), schema=schema)
    except UnicodeEncodeError:
        return pa.Table.from_pylist(replace_in_json(list(rows)), schema=schema)
