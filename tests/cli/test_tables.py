"""No cell is truncated: on a narrow terminal whole columns are dropped by priority and named."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from z1.cli.tables import ResultTable, budget_cell, interval_cell

CELLS = ("1,024", "-0.5 [-12.5, +11.5]", "50.0 [40.0, 60.0]", "0.001", "1,570")
COLUMNS = ("thinking budget", "difference, points", "accuracy %", "p value", "problems needed")


def printed(width: int | None) -> list[str]:
    """The table on a terminal of this width, or in a pipe."""
    table = ResultTable("a title", COLUMNS, ("accuracy %", "p value", "difference, points"), "a caption")
    table.add(*CELLS)
    table.add("unlimited", "1.0 [0.0, 2.0]", "1.0 [0.0, 2.0]", "1.000", "-")
    out = io.StringIO()
    console = Console(file=out, width=width or 40, height=25, force_terminal=width is not None, color_system=None)
    table.print(console)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "shown", "dropped"),
    [
        (60, (0, 2, 3), "difference, points, problems needed"),
        (80, (0, 1, 2, 3), "problems needed"),
        (120, (0, 1, 2, 3, 4), ""),
        (None, (0, 1, 2, 3, 4), ""),
        (20, (0,), "difference, points, accuracy %, p value, problems needed"),
    ],
)
def test_columns_are_dropped_by_priority_and_named(width: int | None, shown: tuple[int, ...], dropped: str) -> None:
    lines = printed(width)
    assert lines[0] == "a title"
    for cells in (COLUMNS, CELLS):
        (line,) = [line for line in lines[1:] if line.lstrip().startswith(cells[0])]
        assert "  ".join(line.split()) == "  ".join("  ".join(cells[at].split()) for at in shown)
        assert len(line) <= max(width or 200, 15)
    named = [line for line in lines if line.startswith("not shown")]
    assert named == ([f"not shown at this width: {dropped}; --json has all"] if dropped else [])
    assert "a caption" in lines


def test_another_place_with_all_columns_is_named() -> None:
    table = ResultTable("t", ("a", "long heading"), complete_in="runs/curve.json")
    out = io.StringIO()
    table.print(Console(file=out, width=9, height=25, force_terminal=True, color_system=None))
    assert "not shown at this width: long heading; runs/curve.json has all" in out.getvalue()


def test_numbers_are_aligned_right_and_text_left() -> None:
    table = ResultTable("t", ("name", "count"), text_columns=frozenset({"name"}))
    table.add("a", "1")
    table.add("long name", "1,000")
    out = io.StringIO()
    table.print(Console(file=out))
    assert out.getvalue().splitlines()[1:5] == [
        "name       count",
        "----------------",
        "a              1",
        "long name  1,000",
    ]
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        table.add("a", "b", "c")


def test_a_priority_of_a_column_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no column p value"):
        ResultTable("t", ("a", "b"), ("p value", "b"))


def test_a_pipe_is_no_terminal_even_with_colours_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    table = ResultTable("t", COLUMNS)
    table.add(*CELLS)
    table.print()
    text = capsys.readouterr().out
    assert "1,570" in text and "not shown" not in text


def test_cells() -> None:
    assert (budget_cell(None), budget_cell(-1), budget_cell(2048)) == ("unlimited", "unlimited", "2,048")
    assert interval_cell([0.1, 0.25, 0.5], ".1f", 100) == "25.0 [10.0, 50.0]"
    assert interval_cell(None) == "-"
