"""`z1 replay`: what thinking budgets would have saved on recorded chat requests, and which answers they change.

With `--recorded` no model is needed: the file has traces whose probes others measured (`evaluate/recorded.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from z1.cli.options import RUNS, AsJson, ModelName, RunsPath, print_json, print_line, refuse_unused
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable
    from z1.evaluate.replay import ReplaySavings
    from z1.pipeline import ProgressReporter
    from z1.runs import Stage

SAVINGS = "savings.json"

CONCURRENCY = 64

PRIORITY = (
    "answers changed %",
    "thinking tokens saved %",
    "all tokens saved",
    "saved per 1,000 requests",
    "shifted",
    "thinking tokens",
    "missing",
)
"""Columns of the table, the most important first."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Settings of a replay; `model` None is z1-tiny, `price_per_mtok` is per million output tokens."""

    model: str | None
    thinking_budgets: tuple[int, ...]
    max_answer_tokens: int
    price_per_mtok: float | None = None


Requests = Annotated[
    Path,
    typer.Argument(
        help="Chat requests or a batch file, JSONL; with --recorded, traces with probes.",
        metavar="REQUESTS|TRACES",
        show_default=False,
    ),
]
Recorded = Annotated[
    bool, typer.Option("--recorded", help="The file has traces whose probes were recorded: no model is needed.")
]
Reference = Annotated[
    float,
    typer.Option(
        help="With --recorded: share of the thought whose answer exits are compared with.",
        min=0.01,
        max=1,
        metavar="SHARE",
    ),
]
ThinkingBudgets = Annotated[
    str, typer.Option(help="Thinking budgets to compare with unlimited thinking.", metavar="TOKENS,...")
]
MaxAnswerTokens = Annotated[int, typer.Option(help="Maximum number of answer tokens.", metavar="TOKENS")]
PricePerMtok = Annotated[
    float | None, typer.Option(help="Price of a million output tokens.", metavar="PRICE", show_default=False)
]

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    context: typer.Context,
    requests: Requests,
    model: ModelName = None,
    thinking_budgets: ThinkingBudgets = "64,128,256,512,1024,2048",
    max_answer_tokens: MaxAnswerTokens = 512,
    price_per_mtok: PricePerMtok = None,
    recorded: Recorded = False,
    reference: Reference = 1.0,
    runs: RunsPath = RUNS,
    as_json: AsJson = False,
) -> None:
    """Replay recorded chat requests at several thinking budgets: what is saved, and which answers change."""
    if recorded:
        refuse_unused(context, "--recorded", {"requests", "thinking_budgets", "recorded", "reference", "as_json"})
        score_recorded(requests, parse_budgets(thinking_budgets), reference, as_json=as_json)
        return
    if reference != 1:
        raise UserError("reference", reference, "add --recorded; other requests are compared with unlimited thinking")
    options = ReplayOptions(model, parse_budgets(thinking_budgets), max_answer_tokens, price_per_mtok)
    replay_requests(requests, options, runs, as_json=as_json)


def parse_budgets(text: str) -> tuple[int, ...]:
    """ "64,128" as numbers of tokens, ascending. Raises UserError."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = [-1]
    if found[0] < 0:
        do = "give numbers of tokens, such as 64,128,256; unlimited thinking is always among them"
        raise UserError("thinking_budgets", text, do)
    return tuple(found)


def score_recorded(
    path: Path, thinking_budgets: tuple[int, ...], reference: float = 1.0, *, as_json: bool = False
) -> None:
    """Score budgets and early exits on the recorded traces in `path`, and print them."""
    from z1.cli.tables import ResultTable, interval_cell
    from z1.evaluate import recorded

    rows = recorded.score(recorded.read_traces(path), thinking_budgets, reference)
    if as_json:
        print_json({"traces": str(path), "reference": reference, "rules": [row.as_json() for row in rows]})
        return
    columns = ["rule", "accuracy %", "difference, points", "thinking tokens", "tokens saved", "exited", "probes"]
    caption = f"95 % intervals, paired by trace, against the answer after {reference:.0%} of the thought; a rule that "
    caption += "is chosen here has to be judged on other traces"
    table = ResultTable(f"{rows[0].traces} recorded traces", columns, columns[1:], caption)
    for row in rows:
        table.add(
            row.rule,
            interval_cell(row.accuracy, scale=100),
            interval_cell(row.accuracy_difference, "+.1f", 100),
            interval_cell(row.thinking_tokens),
            interval_cell(row.thinking_tokens_saved),
            f"{row.exited:.0%}",
            f"{row.probes:.1f}",
        )
    table.print()


def replay_requests(path: Path, options: ReplayOptions, folder: Path, *, as_json: bool = False) -> None:
    """Replay the requests in `path` under `folder`, write what was saved, and print it."""
    from z1 import evaluate, runs
    from z1.cli.progress import show_progress
    from z1.evaluate.replay import savings
    from z1.models import shipped

    model = options.model or str(shipped())
    stage = _stage(path, options, model, folder)
    with show_progress() as progress:
        progress.start("replay", 0)
        with stage.claim() as has_work:
            if has_work:
                _generate(path, options, model, stage, progress)
            rows = savings(evaluate.read_attempts(stage.folder).values(), options.price_per_mtok)
            if has_work and not any(row.missing for row in rows):
                stage.finish({"requests": rows[0].requests})
        progress.finish(f"attempts in {stage.folder}")
    content = {"requests": str(path), "model": model, "thinking_budgets": [row.as_json() for row in rows]}
    runs.write_json(stage.folder / SAVINGS, content)
    if as_json:
        print_json(content)
        return
    _savings_table(rows).print()
    print_line(f"numbers: {stage.folder / SAVINGS}")


def _stage(path: Path, options: ReplayOptions, model: str, folder: Path) -> Stage:
    from z1 import runs
    from z1.evaluate.replay import load_requests
    from z1.pipeline import model_inputs

    load_requests(path)  # refused before a folder is made
    files = model_inputs(Path(model))
    settings = {
        "thinking_budgets": options.thinking_budgets,
        "max_answer_tokens": options.max_answer_tokens,
        **({} if files else {"model": model}),
    }
    return runs.stage(folder / "replay", "replay", settings, {"requests": path, **files})


def _generate(path: Path, options: ReplayOptions, model: str, stage: Stage, progress: ProgressReporter) -> None:
    from z1 import evaluate
    from z1.engines.local.engine import LocalSettings, load
    from z1.evaluate.conversations import conversation_benchmark
    from z1.evaluate.replay import ORIGIN, load_requests

    problems, done = load_requests(path), 0
    engine = load(model, LocalSettings(max_num_seqs=2 * CONCURRENCY))
    tokenizer = stage.inputs.get("tokenizer.json", "")
    sweep = evaluate.Sweep(
        engine, conversation_benchmark(ORIGIN), options.thinking_budgets, options.max_answer_tokens, tokenizer
    )
    progress.start("replay", len(problems))

    def count(_: Any) -> None:
        nonlocal done
        done += 1
        progress.update(done)

    async def generate() -> None:
        async with engine:
            await evaluate.evaluate(sweep, problems, stage.folder, CONCURRENCY, count)

    asyncio.run(generate())


def _savings_table(rows: list[ReplaySavings]) -> ResultTable:
    from z1.cli.tables import ResultTable, budget_cell, interval_cell

    columns = ["thinking budget", "shifted", "answers changed %", "thinking tokens", "thinking tokens saved %"]
    columns += ["all tokens saved", "missing", *(["saved per 1,000 requests"] if rows[0].cost_saved else [])]
    title = f"{rows[0].requests} requests against unlimited thinking"
    table = ResultTable(title, columns, [name for name in PRIORITY if name in columns], "95 % intervals")
    for row in rows:
        table.add(
            budget_cell(row.thinking_budget),
            f"{row.shifted:.0%}",
            interval_cell(row.changed, scale=100),
            interval_cell(row.thinking_tokens),
            interval_cell(row.thinking_saved, scale=100),
            interval_cell(row.paid_tokens_saved),
            str(row.missing),
            *([interval_cell(row.cost_saved, ".2f")] if row.cost_saved else []),
        )
    return table
