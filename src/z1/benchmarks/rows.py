"""Rows of benchmark files: read from JSONL, JSON, CSV and Parquet, and turned into problems.

Rows are read without running code of the data set. Whatever is wrong with a row is found when it is loaded, before
anything is generated, and is a one-line UserError with its file and row. Lone surrogates are replaced by U+FFFD.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from z1.benchmarks.hub import HubFiles, find_files
from z1.errors import UserError
from z1.records import Problem
from z1.surrogates import may_have_surrogates, replace_in_json

Row = dict[str, Any]

T = TypeVar("T")

UNREADABLE = (ValueError, RecursionError, EOFError, OSError, zlib.error, csv.Error)
"""What the readers raise for a file that is cut, damaged or of another kind."""


def load_problems(hub: HubFiles, data: str, make: Callable[[Row, int], Problem], count: int | None) -> list[Problem]:
    """The first `count` problems of all files of `hub`, or below `data` (see `read_problems`)."""
    return read_problems(find_files(hub, data), make, count)


def read_problems(paths: list[Path], make: Callable[[Row, int], Problem], count: int | None) -> list[Problem]:
    """The first `count` problems of all files (None for all); `make` gets a row and its number, from 0, over all files.

    Raises UserError with file and row for a row of which `make` cannot make a problem, and for an id that was there
    before.
    """
    found: dict[str, Problem] = {}
    for path in paths:
        for number, row in enumerate(read_rows(path), 1):
            if len(found) == count:
                break
            with_row = f"{path}, row {number}"
            problem = make_problem(with_row, lambda row=row: make(row, len(found)))  # type: ignore[misc]
            add_problem(found, problem, with_row)
    return list(found.values())


def make_problem(where: str, make: Callable[[], T]) -> T:
    """The result of `make`; its UserError gets the file and row in `where`."""
    try:
        return make()
    except UserError as error:
        raise UserError(f"{where}, {error.what}", error.got, error.do) from None


def add_problem(found: dict[str, Problem], problem: Problem, where: str) -> None:
    """Add `problem` to those `found`, by id. Raises UserError if there is one with its id."""
    if problem.id in found:
        raise UserError(f"{where}, id", problem.id, "give every row an id of its own")
    found[problem.id] = problem


def read_rows(path: Path) -> list[Row]:
    """The rows of one .jsonl, .json, .csv (each also with .gz) or .parquet file."""
    kind = "".join(path.suffixes[-2:]).removesuffix(".gz")[-8:].rpartition(".")[2]
    try:
        if kind == "parquet":
            import pyarrow.parquet

            return [replace_in_json(row) for row in pyarrow.parquet.read_table(path).to_pylist()]
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if kind == "csv":
            return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        if kind == "json" and content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            rows = json.loads(content)
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("not an array of objects")
            return [replace_in_json(row) for row in rows]
    except UNREADABLE as error:
        raise UserError(f"data in {path}", f"invalid {kind} ({error})", "give a complete file") from None
    return [_parse(path, number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]


def read_lines(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a .jsonl file, each with its byte offset."""
    with path.open("rb") as file:
        offset = 0
        for number, line in enumerate(file, 1):
            if line.strip():
                yield offset, _parse(path, number, line)
            offset += len(line)


def _parse(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"data in {path}, line {number}", error, "give one JSON object per line") from None
    return replace_in_json(row) if may_have_surrogates(line) else row


def get_column(row: Row, *names: str) -> Any:
    """The first of the columns `names` that `row` has. Raises UserError if it has none."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise UserError("a column", f"no column {' or '.join(names)}", "give a file of the hub's own format")


def get_text(row: Row, *names: str) -> str:
    """The text in the first of the columns `names` that `row` has; a number is its digits.

    Raises UserError if there is no text, or only white space.
    """
    value = get_column(row, *names)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"column {' or '.join(names)}", repr(value)[:60], "give a text")
    return value


def get_texts(row: Row, name: str) -> list[str]:
    """The texts in the list in column `name`; empty if the column is absent or null. Raises UserError for any other
    value.
    """
    value = row.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UserError(f"column {name}", repr(value)[:60], "give a list of texts")
    return value
