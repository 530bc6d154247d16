"""`z1 calibrate`: how many thinking tokens each reasoning effort needs, from a finished evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import AsJson, print_json, print_line

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable
    from z1.evaluate.calibrate import Calibration
    from z1.evaluate.exit_savings import ExitBound, ExitSavings

STABLE = (2, 3, 4, 6)
"""Equal answers in a row after which an early exit is tried."""

CALIBRATION = "calibration.json"


RunFolder = Annotated[
    Path, typer.Argument(help="Run with an evaluation at several budgets.", metavar="RUN", show_default=False)
]
MaxAccuracyDrop = Annotated[
    float, typer.Option(help="Points of accuracy that the chosen budget may lose.", metavar="POINTS")
]

MaxLostRight = Annotated[
    float | None,
    typer.Option(
        help="Bound on the share of problems whose right answer an early exit may lose.",
        metavar="SHARE",
        show_default=False,
    ),
]
MaxChangedAnswer = Annotated[
    float | None,
    typer.Option(
        help="Bound on the share of problems whose answer an early exit may change; needs no right answers.",
        metavar="SHARE",
        show_default=False,
    ),
]
ConfidenceLevel = Annotated[float, typer.Option(help="Confidence of these bounds.", metavar="SHARE")]

app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    run: RunFolder,
    max_accuracy_drop: MaxAccuracyDrop = 1.0,
    max_lost_right: MaxLostRight = None,
    max_changed_answer: MaxChangedAnswer = None,
    confidence_level: ConfidenceLevel = 0.95,
    as_json: AsJson = False,
) -> None:
    """Calibrate reasoning effort: write the thinking budget of each effort, for `z1 serve --reasoning-effort-map`.

    With a bound, also the earliest exit by equal answers that keeps it.
    """
    from z1 import evaluate, runs
    from z1.cli.compare import evaluation_in
    from z1.evaluate import calibrate as calibration
    from z1.evaluate.exit_savings import early_exit_savings, exit_bound, grid_step

    folder = evaluation_in(run)
    attempts = list(evaluate.read_attempts(folder).values())
    numbers = runs.read_json(folder / "curve.json", "run", "model", "benchmark")
    names = {key: numbers[key] for key in ("run", "model", "benchmark")}
    found = calibration.calibrate(attempts, max_accuracy_drop / 100, names)
    exits = (
        [early_exit_savings(attempts, stable) for stable in STABLE]
        if grid_step({a.thinking_budget for a in attempts})
        else []
    )
    wanted = {"lost_right": max_lost_right, "changed_answer": max_changed_answer}
    bounds = [
        exit_bound(attempts, risk, limit, confidence_level) for risk, limit in wanted.items() if limit is not None
    ]
    written = folder / CALIBRATION
    content = {
        **found.as_json(),
        "early_exit": [one.as_json() for one in exits],
        "exit_bounds": [one.as_json() for one in bounds],
    }
    runs.write_json(written, content)
    if as_json:
        print_json(content)
        return
    _budgets_table(found).print()
    print_line(_summary(found))
    if exits:
        _exits_table(exits).print()
    for bound in bounds:
        print_line(_bound(bound))
    print_line(f"z1 serve MODEL --reasoning-effort-map {written}")


def _summary(found: Calibration) -> str:
    from z1.cli.tables import budget_cell, interval_cell

    efforts = ", ".join(f"{effort} {budget_cell(budget)}" for effort, budget in found.efforts.items())
    drop, budget = f"{100 * found.max_accuracy_drop:g} points", budget_cell(found.sufficient_budget)
    claim = (
        f"a budget of {budget} loses at most {drop} (95 %)"
        if found.is_shown
        else f"no budget is shown to lose at most {drop} by {found.problems} problems; {budget} has the best score"
    )
    return (
        f"thinking budget of each effort: {efforts}\n"
        f"{claim} and saves {found.thinking_saved:.0%} of thinking\n"
        f"its loss is {interval_cell(found.loss, scale=100)} points, corrected by {100 * found.selection_bias:.1f} for "
        "being chosen and measured on the same problems\n"
    )


def _bound(bound: ExitBound) -> str:
    from z1.cli.tables import interval_cell

    limit = f"{bound.max_risk:.1%} {bound.risk} at confidence {bound.confidence:.0%}"
    if bound.stable is None:
        return f"no exit by equal answers is shown to have at most {limit}, by {bound.problems} problems\n"
    return (
        f"an exit after {bound.stable} equal answers, a probe every {bound.every} tokens, has at most {limit}, for "
        f"independent problems from where these {bound.problems} come\n"
        f"measured on them: {interval_cell(bound.measured, scale=100)} %, with {bound.thinking_ratio:.2f} of the "
        "thinking tokens, probes not counted\n"
    )


def _budgets_table(found: Calibration) -> ResultTable:
    from z1.cli.tables import ResultTable, budget_cell, interval_cell

    table = ResultTable(
        f"{found.model} on {found.problems} problems of {found.benchmark}",
        ("thinking budget", "accuracy %", "thinking tokens", "loss, points"),
        ("accuracy %", "loss, points", "thinking tokens"),
        f"95 % intervals; loss against the best budget, for all budgets together; run {found.run}",
    )
    for row in found.rows:
        table.add(
            budget_cell(row.thinking_budget),
            interval_cell(row.accuracy, scale=100),
            interval_cell(row.thinking_tokens),
            interval_cell(row.loss, scale=100),
        )
    return table


def _exits_table(exits: list[ExitSavings]) -> ResultTable:
    from z1.cli.tables import ResultTable, interval_cell

    table = ResultTable(
        f"early exit, a probe every {exits[0].every} tokens",
        ("equal answers", "exited", "loss, points", "thinking tokens saved", "all tokens saved"),
        ("loss, points", "all tokens saved", "exited", "thinking tokens saved"),
    )
    for one in exits:
        table.add(
            str(one.stable),
            f"{one.exited:.0%}",
            interval_cell(one.accuracy_lost, scale=100),
            interval_cell(one.thinking_tokens_saved),
            interval_cell(one.paid_tokens_saved),
        )
    return table
