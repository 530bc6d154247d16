"""`z1 compare`: two finished runs on the same problems, paired by problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from z1.cli.options import AsJson, print_json, print_line
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable

COLUMNS = (
    *("thinking budget", "first %", "second %", "difference, points"),
    *("p value", "problems needed", "thinking tokens, ratio"),
)
"""Columns of the table, from left to right."""

PRIORITY = ("difference, points", "first %", "second %", "p value", "thinking tokens, ratio", "problems needed")
"""The same from the most to the least important."""


FirstRun = Annotated[Path, typer.Argument(help="Run, or evaluation in it.", metavar="RUN", show_default=False)]
SecondRun = Annotated[
    Path, typer.Argument(help="Run of the same problems that the first is compared with.", metavar="RUN")
]

app = typer.Typer(add_completion=False)


@app.command()
def compare(first: FirstRun, second: SecondRun, as_json: AsJson = False) -> None:
    """Compare two runs on the same problems: accuracy and thinking tokens, with intervals paired by problem."""
    from z1 import evaluate, runs

    folders = [evaluation_in(path) for path in (first, second)]
    names = [runs.read_json(folder / "curve.json", "benchmark")["benchmark"] for folder in folders]
    if names[0] != names[1]:
        raise UserError("benchmarks of the runs", f"{names[0]} and {names[1]}", "give two runs of the same benchmark")
    found = evaluate.compare(*(evaluate.read_attempts(folder).values() for folder in folders))
    if as_json:
        print_json({"first": str(folders[0]), "second": str(folders[1]), "benchmark": names[0], **found})
        return
    print_comparison(f"{folders[0]} less {folders[1]}, {found['problems']} problems of {names[0]}", found)


def evaluation_in(run: Path) -> Path:
    """The evaluation's folder in `run`, which may be that folder itself. Raises UserError if there is not just one."""
    from z1 import evaluate

    if not run.exists():
        raise UserError("run", f"no such folder: {run}", "give runs/NAME, or an evaluation in it")
    found = [run] if (run / evaluate.ATTEMPTS).is_file() else sorted(run.glob("evaluate-*"))
    if len(found) != 1:
        got = f"{len(found)} evaluations in {run}" if found else f"{run} without an evaluation"
        raise UserError("run", got, "give the folder of an evaluation, such as runs/NAME/evaluate-1a2b3c4d")
    return found[0]


def print_comparison(title: str, found: dict[str, Any]) -> None:
    """Print a comparison of `evaluate.compare`, or why there is none."""
    from z1.cli.tables import interval_cell

    if "why" in found:
        print_line(f"{title}: {found['why']}")
        return
    _table(title, found["thinking_budgets"]).print()
    matched = found["at_matched_accuracy"]
    ratio = interval_cell(matched["ratio"], ".3f") if matched["ratio"] else matched["why"]
    print_line(f"thinking tokens at {100 * matched['accuracy']:.1f} % accuracy, ratio: {ratio}")


def _table(title: str, rows: list[dict[str, Any]]) -> ResultTable:
    from z1.cli.tables import ResultTable, budget_cell, interval_cell

    table = ResultTable(
        title,
        COLUMNS,
        PRIORITY,
        "95 % intervals, paired by problem",
    )
    for row in rows:
        table.add(
            budget_cell(row["thinking_budget"]),
            f"{100 * row['ours']:.1f}",
            f"{100 * row['theirs']:.1f}",
            interval_cell(row["difference"], "+.1f", 100),
            f"{row['p_value']:.3f}",
            "-" if row["problems_needed"] is None else f"{row['problems_needed']:,}",
            interval_cell(row["thinking_ratio"], ".3f"),
        )
    return table
