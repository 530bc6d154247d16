"""The real experiment: says what it costs, runs every cell, continues where it stopped, and draws its pages.

    python -m experiments.real experiments/real/plan.toml --estimate      # tokens, hours, dollars; starts nothing
    python -m experiments.real experiments/real/plan.toml                 # the same, then every cell
    python -m experiments.real experiments/real/dry.toml                  # small models in each place, on a CPU

Each cell is an evaluation in the open format (docs/format.md), with hashes in its manifest, under runs/NAME/MODEL/.
runs/NAME/report/index.html has all cells, those that were not run with the reason, and a page per benchmark and model.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from experiments.real.arms import make_engine, make_sweep, native
from experiments.real.page import write_pages
from experiments.real.plan import Cell, Plan, cells, estimate, load, why_not
from z1 import benchmarks, evaluate, runs
from z1.errors import Z1Error
from z1.evaluate.runner import CURVE, output_hashes
from z1.integrations.ladder import paid_tokens
from z1.model_files import load_tokenizer
from z1.records import Attempt, Problem
from z1.results import ImportSettings
from z1.results.importer import graded_by, import_log


def main() -> None:
    """Run the plan that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--estimate", action="store_true", help="only say what it costs")
    given = parser.parse_args()
    try:
        run(load(given.plan), given.runs, only_estimate=given.estimate)
    except Z1Error as error:
        sys.exit(f"{error}")


def run(plan: Plan, folder: Path, *, only_estimate: bool = False) -> None:
    """Say what is left to do and what it costs, then do it."""
    done = {cell: found for cell in cells(plan) if (found := _finished(plan, folder, cell)) is not None}
    print("\n".join(estimate(plan, frozenset(done))), flush=True)
    if only_estimate:
        return
    for cell in cells(plan):
        if cell in done or why_not(plan, cell):
            continue
        started = time.monotonic()
        done[cell] = _run(plan, folder, cell)
        tokens = _sampled_tokens(done[cell], can_fork=cell.arm == "ladder")
        speed = tokens / max(time.monotonic() - started, 1e-9)
        print(f"{cell.model} {cell.bench} {cell.arm}: {tokens:,} tokens, {speed:,.0f} tokens/s", flush=True)
        print(f"  left: {estimate(plan, frozenset(done), speed or None)[-1]}", flush=True)
        write_pages(plan, folder / plan.name, done)
    print(f"page: {write_pages(plan, folder / plan.name, done)}")


def _sampled_tokens(folder: Path, *, can_fork: bool) -> int:
    """All tokens that were sampled or forced; the budgets of a ladder share their thought."""
    replies: dict[tuple[str, int], list[Attempt]] = {}
    for one in evaluate.read_attempts(folder).values():
        replies.setdefault((one.problem, one.sample), []).append(one)
    return sum(paid_tokens(attempts, can_fork=can_fork).completion for attempts in replies.values())


def _stage(plan: Plan, folder: Path, cell: Cell) -> runs.Stage:
    """The folder of a cell, keyed by the settings that its numbers depend on."""
    settings = plan.model_dump(mode="json", exclude={"models", "benchmarks", "tokens_per_second", "dollars_per_hour"})
    settings |= {"model": plan.models[cell.model].model_dump(), "bench": plan.benchmarks[cell.bench].model_dump()}
    return runs.stage(folder / plan.name / cell.model, f"{cell.bench}-{cell.arm}", settings, {})


def _finished(plan: Plan, folder: Path, cell: Cell) -> Path | None:
    stage = _stage(plan, folder, cell)
    if cell.arm == "native":
        found = sorted(path.parent for path in stage.folder.rglob("stage.json"))
        return found[0] if found else None
    return stage.folder if stage.is_done else None


def _run(plan: Plan, folder: Path, cell: Cell) -> Path:
    """Run a cell to its end; returns its evaluation folder."""
    stage, bench, model = _stage(plan, folder, cell), plan.benchmarks[cell.bench], plan.models[cell.model]
    benchmark = benchmarks.get_benchmark(bench.benchmark)
    options = benchmarks.LoadOptions(bench.data, bench.since, bench.until, bench.release)
    problems = benchmark.load(bench.problems, 0, options)
    benchmark.require_sandbox()
    if cell.arm == "native":
        log = native(plan, model.path, benchmark, problems, stage.folder / "native.jsonl")
        tokenizer = load_tokenizer(model.path)
        settings = ImportSettings(
            model=f"{cell.model} native",
            benchmark=bench.benchmark,
            count_tokens=lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
            tokenizer=model.path,
            grade=graded_by(benchmark, problems),
        )
        return import_log([log], stage.folder, settings)[0]
    asyncio.run(_sweep(plan, cell, problems, benchmark, stage.folder))
    names = {
        "run": f"{plan.name} {stage.folder.name}",
        "model": f"{cell.model} {cell.arm}",
        "benchmark": bench.benchmark,
    }
    attempts = evaluate.read_attempts(stage.folder).values()
    runs.write_json(stage.folder / CURVE, evaluate.curve(problems, attempts, names))
    stage.finish({"outputs": output_hashes(stage.folder)})
    return stage.folder


async def _sweep(
    plan: Plan, cell: Cell, problems: list[Problem], benchmark: benchmarks.Benchmark, folder: Path
) -> None:
    model, finished = plan.models[cell.model], 0

    def progress(attempts: list[Attempt]) -> None:
        nonlocal finished
        finished += 1
        if finished % max(1, len(problems) * plan.samples // 4) == 0:
            print(f"  {cell.model} {cell.bench} {cell.arm}: {finished} of {len(problems) * plan.samples}", flush=True)

    async with make_engine(plan, model.path, model.profile) as engine:
        sweep = make_sweep(plan, cell.arm, engine, benchmark)
        await evaluate.evaluate(sweep, problems, folder, plan.max_num_seqs, progress)


if __name__ == "__main__":
    main()
