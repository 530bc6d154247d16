"""Rows of other people's datasets: problems and trajectories in the formats of the ecosystem.

`read_row` turns one row of a table into *samples* by a mapping of fields to columns (`columns.py`). The mapping is
given, or it is that of a known format (`formats.py`), which is found by the columns of the table. Every column has a
type (`values.py`): a value of another type is a `RowDefect`, never its Python spelling. A row that is well formed but
has nothing to learn from is `LeftOut` with a reason. Thought and answer are separated (`thoughts.py`).

`read_samples` does so for the files of a dataset (`table.py`), without those that are held out (`splits.py`). Curation
and training read rows through this package alone.
"""

from __future__ import annotations

from z1.dataset_rows.columns import DatasetSample, check_mapping, read_row
from z1.dataset_rows.formats import FORMATS, find_format
from z1.dataset_rows.splits import SplitFiles, split_files
from z1.dataset_rows.table import TableSettings, read_rows, read_samples
from z1.dataset_rows.values import LeftOut, RowDefect

__all__ = [
    "FORMATS",
    "DatasetSample",
    "LeftOut",
    "RowDefect",
    "SplitFiles",
    "TableSettings",
    "check_mapping",
    "find_format",
    "read_row",
    "read_rows",
    "read_samples",
    "split_files",
]
