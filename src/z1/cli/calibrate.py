"""`z1 calibrate`: how many thinking tokens each reasoning effort needs, from a finished evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import AsJson, print_json, print_line

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable
    from z1.evaluate.calibrate import Calibration
    from z1.evaluate.exit_savings import ExitSavings

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
ExitPolicyName = Annotated[
    str | None,
    typer.Option(
        help="Policy to bound: agreement, confidence, both or combined. By default all, at a higher confidence each.",
        metavar="POLICY",
        show_default=False,
    ),
]
ProbeInterval = Annotated[
    int | None,
    typer.Option(
        help="Thinking tokens between two probes of an exit policy, a multiple of the step of the run's budgets.",
        min=1,
        metavar="TOKENS",
        show_default="that step",
    ),
]
Clusters = Annotated[
    Path | None,
    typer.Option(
        help='JSON file {"PROBLEM": "CLUSTER"}: problems of one user or conversation count as one.',
        metavar="FILE",
        show_default=False,
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    run: RunFolder,
    max_accuracy_drop: MaxAccuracyDrop = 1.0,
    max_lost_right: MaxLostRight = None,
    max_changed_answer: MaxChangedAnswer = None,
    confidence_level: ConfidenceLevel = 0.95,
    exit_policy: ExitPolicyName = None,
    probe_interval: ProbeInterval = None,
    clusters: Clusters = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate reasoning effort: write the thinking budget of each effort, for `z1 serve --reasoning-effort-map`.

    With a bound, also an exit policy that keeps it, for `z1 serve --exit-policy`.
    """
    from z1 import evaluate, runs
    from z1.cli.compare import evaluation_in
    from z1.cli.exit_calibration import bounds_table, chosen_bound, exit_bounds, limits, policy_file
    from z1.evaluate import calibrate as calibration
    from z1.evaluate.exit_savings import exit_savings, grid_step, swept_thoughts

    risks = limits({"lost_right": max_lost_right, "changed_answer": max_changed_answer}, confidence_level)
    folder = evaluation_in(run)
    attempts = list(evaluate.read_attempts(folder).values())
    numbers = runs.read_json(folder / "curve.json", "run", "model", "benchmark")
    names = {key: numbers[key] for key in ("run", "model", "benchmark")}
    found = calibration.calibrate(attempts, max_accuracy_drop / 100, names)
    has_grid = grid_step({a.thinking_budget for a in attempts}) is not None
    every, thoughts = swept_thoughts(attempts, probe_interval) if has_grid or risks else (0, [])
    exits = [exit_savings(every, thoughts, stable) for stable in STABLE] if thoughts else []
    bounds = [exit_bounds(thoughts, limit, exit_policy, clusters) for limit in risks]
    content = {
        **found.as_json(),
        "early_exit": [one.as_json() for one in exits],
        "exit_bounds": [one.as_json() for rows in bounds for one in rows],
    }
    written = folder / CALIBRATION
    runs.write_json(written, content)
    both = list(zip(risks, bounds, strict=True))
    policies = [policy_file(chosen_bound(rows), limit, every, thoughts, names) for limit, rows in both]
    files = [folder / f"exit-policy-{limit.risk}.json" for limit in risks]
    for file, policy in zip(files, policies, strict=True):
        if policy is not None:
            runs.write_json(file, policy.as_json())
    if as_json:
        print_json(content)
        return
    _budgets_table(found).print()
    print_line(_summary(found))
    if exits:
        _exits_table(exits).print()
    for limit, rows in both:
        bounds_table(rows, limit, every).print()
    print_line(f"z1 serve MODEL --reasoning-effort-map {written}")
    for file, policy in zip(files, policies, strict=True):
        if policy is not None:
            print_line(f"z1 serve MODEL --exit-policy {file}")


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
