"""Table: the rows of a dataset's files, in order, each as samples or as the reason why it gives none.

Curation and training differ in what they make of a sample, not in how files become samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from z1 import dataset_io
from z1.dataset_rows.columns import DatasetSample, read_row
from z1.dataset_rows.formats import find_format
from z1.dataset_rows.values import LeftOut, RowDefect
from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class TableSettings:
    """How rows are read: by `columns` or by a format, which is found if it has no name; those of `split` alone."""

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    split: str = ""
    on_error: Literal["refuse", "drop"] = "refuse"
    on_error_key: str = "on_error"
    """The user's name of that setting."""

    def mapping(self, row: Mapping[str, Any]) -> Mapping[str, str]:
        """The mapping of fields to columns for a table that begins with `row`. Raises UserError if no format fits."""
        return self.columns or find_format(row, self.format)[1]


class RowPlace(NamedTuple):
    """Where a row is: its file, its number there (of its line, in a text file), and its position in the table, from
    1.
    """

    file: Path
    number: int
    position: int


class TableRow(NamedTuple):
    """A row as it is in the file, and the mapping of its table."""

    place: RowPlace
    values: Mapping[str, Any]
    columns: Mapping[str, str]


def read_rows(files: Iterable[Path], settings: TableSettings) -> Iterator[TableRow]:
    """The rows of `files`. Raises UserError for an unreadable row, or if no format fits the first one."""
    columns: Mapping[str, str] = {}
    position = 0
    for file in files:
        for number, row in dataset_io.read_numbered(file):
            position += 1
            columns = columns or settings.mapping(row)
            yield TableRow(RowPlace(file, number, position), row, columns)


class RowSamples(NamedTuple):
    """Where a row is, and its samples, or why it has none."""

    place: RowPlace
    samples: list[DatasetSample] | str


def read_samples(files: Iterable[Path], settings: TableSettings) -> Iterator[RowSamples]:
    """For every row its samples, or why it has none. Raises UserError for a row that cannot be used, with its file,
    number and column, unless the settings drop such rows.
    """
    for place, row, columns in read_rows(files, settings):
        try:
            yield RowSamples(place, read_row(row, columns, settings.split))
        except RowDefect as defect:
            if settings.on_error == "refuse":
                what = f"file {place.file}, row {place.number}, column {defect.column}"
                do = f'give {defect.expected}, or set {settings.on_error_key} = "drop"'
                raise UserError(what, defect.got, do) from None
            yield RowSamples(place, str(defect))
        except LeftOut as why:
            yield RowSamples(place, str(why))
