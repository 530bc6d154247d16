"""How does a person compare models, and two runs?

Draws tables from what `comparison.py` and `evaluate.compare` computed; computes nothing itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from z1 import comparison, evaluate, runs
from z1.cli.progress import Bars, table
from z1.errors import UserError

SHARES = (0.3, 0.5, 0.8)
AGREEMENTS = (0.0, 0.5, 0.8)


def compare_models(path: Path, folder: Path) -> None:
    """Carry out the comparison in `path` under `folder`, and print every curve and every difference."""
    chosen = comparison.load(path)
    comparison.check(chosen)
    console = Console(soft_wrap=True, highlight=False)
    done: comparison.EvaluationFolders = {}
    with Bars() as watch:
        for so_far in comparison.carry_out(chosen, folder, watch):
            done = so_far
    written = comparison.write(chosen, folder, done)
    for found in done.values():
        console.print(table(found))
    for told in runs.read_json(written)["evaluations"]:
        for name, compared in told["comparisons"].items():
            _print(console, f"{name} less {told['reference']} on {told['benchmark']}", compared)
    console.print(f"numbers: {written}\nreports: {written.parent / 'report'}", markup=False)


def against(ours: Path, theirs: Path) -> None:
    """Print what the run in `ours` says against the one in `theirs`."""
    folders = [folder_of(path) for path in (ours, theirs)]
    asked = [runs.read_json(folder / "curve.json")["benchmark"] for folder in folders]
    if asked[0] != asked[1]:
        raise UserError("two runs to compare", f"{asked[0]} and {asked[1]}", "give two runs of the same benchmark")
    found = evaluate.compare(*(evaluate.read_attempts(folder).values() for folder in folders))
    console = Console(soft_wrap=True, highlight=False)
    _print(console, f"{folders[0]} less {folders[1]}, {found['problems']} problems of {asked[0]}", found)


def folder_of(path: Path) -> Path:
    """The one evaluation in `path`, which may be its own folder. Raises UserError."""
    found = [path] if (path / evaluate.ATTEMPTS).is_file() else sorted(path.glob("evaluate-*"))
    if len(found) != 1:
        got = f"{path} with {len(found)} evaluations" if found else f"{path} without an evaluation"
        raise UserError("a run to compare", got, "give an evaluation's own folder, runs/NAME/evaluate-1a2b3c4d")
    return found[0]


def _print(console: Console, title: str, found: dict[str, Any]) -> None:
    if "why" in found:
        console.print(f"{title}: {found['why']}", markup=False)
        return
    shown = Table(title=title, caption="95 % intervals, paired by problem", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("window", "ours %", "theirs %", "difference", "p", "problems needed", "thought, ratio"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in found["thinking_budgets"]:
        shown.add_row(
            "free" if row["thinking_budget"] is None else str(row["thinking_budget"]),
            f"{100 * row['ours']:.1f}",
            f"{100 * row['theirs']:.1f}",
            _interval([100 * part for part in row["difference"]], "+.1f"),
            f"{row['p_value']:.3f}",
            "-" if row["problems_needed"] is None else f"{row['problems_needed']:,}",
            _interval(row["thinking_ratio"], ".3f"),
        )
    console.print(shown)
    matched = found["at_matched_accuracy"]
    ratio = _interval(matched["ratio"], ".3f") if matched["ratio"] else matched["why"]
    console.print(f"thought at {100 * matched['accuracy']:.1f} %, ratio: {ratio}", markup=False)


def _interval(values: list[float] | None, form: str) -> str:
    if values is None:
        return "-"
    low, value, high = (format(part, form) for part in values)
    return f"{value} [{low}, {high}]"


def needed(points: float) -> None:
    """Print how many problems show a difference of `points`, by accuracy and by how much two runs agree."""
    if not 0 < points < 100:
        raise UserError("difference to see", points, "give points between 0 and 100")
    shown = Table(title=f"problems that show {points:g} points in 4 of 5 runs", box=SIMPLE_HEAD)
    for heading in ("accuracy", *(f"agreement {share:g}" for share in AGREEMENTS)):
        shown.add_column(heading, justify="right")
    for accuracy in SHARES:
        counts = (evaluate.problems_needed(points / 100, accuracy, agreement) for agreement in AGREEMENTS)
        shown.add_row(f"{accuracy:.0%}", *(f"{count:,}" for count in counts))
    caption = "agreement: correlation of two runs from problem to problem; 0 for different problems"
    shown.caption = caption
    Console(soft_wrap=True).print(shown)
