"""Result tables whose cells are never truncated.

On a terminal too narrow for all columns, whole columns are dropped by priority and named below the table. Elsewhere
(a pipe, a file) the table is as wide as it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = "  "


@dataclass(slots=True)
class ResultTable:
    """A title, columns, rows of cells, and a caption. The first column is always shown.

    `priority` names the other columns from the most to the least important; columns that are not in it are dropped
    first, from the right.
    """

    title: str
    columns: Sequence[str]
    priority: Sequence[str] = ()
    caption: str = ""
    text_columns: frozenset[str] = frozenset()
    """Columns with text, which are aligned left; numbers are aligned right."""
    complete_in: str = "--json"
    """Where a user finds the columns that are not shown."""
    rows: list[Sequence[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if unknown := set(self.priority) - set(self.columns):
            raise ValueError(f"no column {', '.join(sorted(unknown))}")

    def add(self, *cells: str) -> None:
        """Add a row, a cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    def print(self, console: Console | None = None) -> None:
        """Print the table, with the columns that fit the `console`, stdout by default."""
        console = console or Console(highlight=False, force_terminal=sys.stdout.isatty())
        shown = self.fitting(console.width) if console.is_terminal else range(len(self.columns))
        lines = [
            Text(self.title, "bold"),
            Text(self._line(self.columns, shown), "bold"),
            Text("-" * self._width(shown), "dim"),
            *(Text(self._line(row, shown)) for row in self.rows),
        ]
        if self.caption:
            lines.append(Text(self.caption, "dim"))
        if dropped := [name for at, name in enumerate(self.columns) if at not in shown]:
            lines.append(Text(f"not shown at this width: {', '.join(dropped)}; {self.complete_in} has all", "dim"))
        for line in lines:
            console.print(line, soft_wrap=True)
        console.print()

    def fitting(self, width: int) -> Sequence[int]:
        """Numbers of the columns that fit into `width` terminal cells, the least important dropped."""
        shown = list(range(len(self.columns)))
        last = len(self.priority)
        rank = {name: place for place, name in enumerate(self.priority)}
        for at in sorted(shown[1:], key=lambda at: (rank.get(self.columns[at], last), at), reverse=True):
            if self._width(shown) <= width:
                break
            shown.remove(at)
        return shown

    def _sizes(self, shown: Sequence[int]) -> list[int]:
        return [max(cell_len(row[at]) for row in (self.columns, *self.rows)) for at in shown]

    def _width(self, shown: Sequence[int]) -> int:
        return sum(self._sizes(shown)) + len(GAP) * (len(shown) - 1)

    def _line(self, row: Sequence[str], shown: Sequence[int]) -> str:
        sizes = self._sizes(shown)
        cells = (self._padded(row[at], size, self.columns[at]) for at, size in zip(shown, sizes, strict=True))
        return GAP.join(cells).rstrip()

    def _padded(self, cell: str, size: int, column: str) -> str:
        space = " " * (size - cell_len(cell))
        return cell + space if column in self.text_columns else space + cell


def budget_cell(thinking_budget: int | None) -> str:
    """A thinking budget as a cell; None and -1 are unlimited."""
    return "unlimited" if thinking_budget in (None, -1) else f"{thinking_budget:,}"


def interval_cell(interval: Sequence[float] | None, form: str = ".1f", scale: float = 1.0) -> str:
    """ "value [low, high]" of an interval (low, value, high), each times `scale`; "-" where there is none."""
    if interval is None:
        return "-"
    low, value, high = (format(scale * part, form) for part in interval)
    return f"{value} [{low}, {high}]"
