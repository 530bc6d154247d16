"""How does a person read efforts off a run, and replay traffic?

Picks the engine, and draws tables of what `evaluate/calibrate.py`, `converge.py` and `replay.py` computed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from z1 import evaluate, runs
from z1.cli.evaluate import folder_of
from z1.cli.progress import Bars
from z1.errors import UserError
from z1.evaluate.calibrate import Calibration, calibrate
from z1.evaluate.exit_savings import early_exit_savings, grid_step
from z1.evaluate.replay import ReplaySavings, load_requests, replay_benchmark, savings
from z1.models import shipped
from z1.records import Interval

STABLE = (2, 3, 4, 6)
"""Equal answers after which an early exit is tried."""

CALIBRATION = "calibration.json"
SAVINGS = "savings.json"
SLOTS = 64


def efforts(run: Path, points: float) -> None:
    """Read the table of efforts off the evaluation in `run`, within `points` of its best; write it there, and print."""
    folder = folder_of(run)
    attempts = list(evaluate.read_attempts(folder).values())
    numbers = runs.read_json(folder / "curve.json")
    names = {key: numbers[key] for key in ("run", "model", "benchmark")}
    found = calibrate(attempts, points / 100, names)
    exits = (
        [early_exit_savings(attempts, stable) for stable in STABLE]
        if grid_step({a.thinking_budget for a in attempts})
        else []
    )
    written = folder / CALIBRATION
    runs.write_json(written, {**found.as_json(), "early_exit": [one.as_json() for one in exits]})
    console = Console(soft_wrap=True, highlight=False)
    console.print(_windows(found))
    console.print(_said(found), markup=False)
    if exits:
        shown = _table(
            f"leaving early, a probe every {exits[0].every}", "equal", "leave", "lost", "thought saved", "ids saved"
        )
        for one in exits:
            cells = (_points(one.accuracy_lost), _count(one.thought_saved), _count(one.paid_saved))
            shown.add_row(str(one.stable), f"{one.exited:.0%}", *cells)
        console.print(shown)
    console.print(f"z1 serve MODEL --efforts {written}", markup=False)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Settings of a replay; `model` None is z1-tiny, `price_per_mtok` is per million output tokens."""

    model: str | None
    thinking_budgets: tuple[int, ...]
    max_answer_tokens: int
    price_per_mtok: float | None = None


def replay(path: Path, asked: ReplayOptions, folder: Path) -> None:
    """Replay the requests in `path` under `folder`: what windows would have saved, and which answers they change."""
    from z1.engines.local.engine import LocalSettings, load
    from z1.pipeline import model_inputs

    problems, bench, model = load_requests(path), replay_benchmark(path), asked.model or str(shipped())
    files = model_inputs(Path(model))
    settings = {
        "thinking_budgets": asked.thinking_budgets,
        "max_answer_tokens": asked.max_answer_tokens,
        **({} if files else {"model": model}),
    }
    stage = runs.stage(folder / "replay", "replay", settings, {"requests": path, **files})
    with Bars() as watch:
        watch.start("replay", len(problems))
        if not stage.is_done:
            engine = load(model, LocalSettings(max_num_seqs=2 * SLOTS))
            setting = evaluate.Sweep(
                engine, bench, asked.thinking_budgets, asked.max_answer_tokens, stage.inputs.get("tokenizer.json", "")
            )
            done = 0

            def tell(_: Any) -> None:
                nonlocal done
                done += 1
                watch.update(done)

            async def run_it() -> None:
                async with engine:
                    await evaluate.evaluate(setting, problems, stage.folder, SLOTS, tell)

            asyncio.run(run_it())
        rows = savings(evaluate.read_attempts(stage.folder).values(), asked.price_per_mtok)
        if not stage.is_done and not any(row.missing for row in rows):
            stage.finish({"requests": len(problems)})
        watch.finish(f"attempts in {stage.folder}")
    written = stage.folder / SAVINGS
    runs.write_json(
        written, {"requests": str(path), "model": model, "thinking_budgets": [row.as_json() for row in rows]}
    )
    console = Console(soft_wrap=True, highlight=False)
    console.print(_savings(rows, asked.price_per_mtok))
    console.print(f"numbers: {written}", markup=False)


def windows_in(text: str) -> tuple[int, ...]:
    """ "64,128" as numbers of ids. Raises UserError."""
    try:
        found = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        found = (-1,)
    if found[0] < 0:
        raise UserError("windows", text, "give numbers of ids with commas between them, such as 64,128,256")
    return found


def _said(found: Calibration) -> str:
    table = ", ".join(f"{effort} {_ids(ids)}" for effort, ids in found.efforts.items())
    return (
        f"efforts, in ids of thought: {table}\n"
        f"a budget of {_ids(found.sufficient_budget)} loses at most {100 * found.max_accuracy_drop:g} points and saves "
        f"{found.thinking_saved:.0%} of thinking; held-out loss {_points(found.held_out_loss)} points"
    )


def _windows(found: Calibration) -> Table:
    what = f"{found.model} on {found.problems} problems of {found.benchmark}"
    shown = _table(what, "window", "accuracy %", "thought", "lost, points")
    shown.caption = f"95 % intervals; lost against the best; run {found.run}"
    for row in found.rows:
        shown.add_row(_ids(row.thinking_budget), _points(row.accuracy), _count(row.thought), _points(row.loss))
    return shown


def _savings(rows: list[ReplaySavings], price: float | None) -> Table:
    heads = ("window", "shifted", "answers changed %", "thought", "thought saved %", "ids saved", "missing")
    shown = _table(f"{rows[0].requests} requests against free thinking", *heads, *(["per 1,000"] if price else []))
    for row in rows:
        cells = [str(row.thinking_budget), f"{row.shifted:.0%}", _points(row.changed), _count(row.thought)]
        cells += [_points(row.thought_saved), _count(row.paid_saved), str(row.missing)]
        shown.add_row(
            *cells,
            *(
                [f"{row.cost_saved[1]:.2f} [{row.cost_saved[0]:.2f}, {row.cost_saved[2]:.2f}]"]
                if row.cost_saved
                else []
            ),
        )
    return shown


def _table(title: str, *heads: str) -> Table:
    shown = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads:
        shown.add_column(head, justify="right", no_wrap=True)
    return shown


def _ids(ids: int) -> str:
    return "free" if ids == -1 else str(ids)


def _points(interval: Interval) -> str:
    low, value, high = (100 * share for share in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _count(interval: Interval) -> str:
    low, value, high = interval
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
