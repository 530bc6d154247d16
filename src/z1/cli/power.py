"""`z1 power`: how many problems show a difference of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import AsJson, print_json
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable

ACCURACIES = (0.3, 0.5, 0.8)
AGREEMENTS = (0.0, 0.5, 0.8)
"""Correlations of two runs from problem to problem; 0 for different problems."""


Points = Annotated[
    float, typer.Argument(help="Difference of accuracy, such as 2.5.", metavar="POINTS", show_default=False)
]

app = typer.Typer(add_completion=False)


@app.command()
def power(points: Points, as_json: AsJson = False) -> None:
    """Print how many problems show a difference of so many points in 4 of 5 experiments."""
    if not 0 < points < 100:
        raise UserError("difference", points, "give points between 0 and 100")
    from z1 import evaluate

    needed = {
        (accuracy, agreement): evaluate.problems_needed(points / 100, accuracy, agreement)
        for accuracy in ACCURACIES
        for agreement in AGREEMENTS
    }
    if as_json:
        rows = [{"accuracy": key[0], "agreement": key[1], "problems": count} for key, count in needed.items()]
        print_json({"points": points, "rows": rows})
        return
    _table(points, needed).print()


def _table(points: float, needed: Mapping[tuple[float, float], int]) -> ResultTable:
    from z1.cli.tables import ResultTable

    columns = [f"agreement {agreement:g}" for agreement in AGREEMENTS]
    table = ResultTable(
        f"problems that show {points:g} points in 4 of 5 experiments",
        ["accuracy", *columns],
        columns,
        "agreement: correlation of two runs from problem to problem; 0 for different problems",
    )
    for accuracy in ACCURACIES:
        table.add(f"{accuracy:.0%}", *(f"{needed[accuracy, agreement]:,}" for agreement in AGREEMENTS))
    return table
