"""`z1 import`: logs of other tools as an evaluation in the open format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, AsJson, RunsPath, print_json, print_line
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.records import Problem
    from z1.results.log_reply import CountTokens, Grader

Logs = Annotated[
    list[Path],
    typer.Argument(
        help="Logs of one model on one benchmark: inspect_ai, lm-eval samples, OpenAI batch output, LiveCodeBench "
        "output, or rows with columns (JSONL, JSON, CSV, Parquet).",
        metavar="LOG...",
        show_default=False,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="A field and the column that has it; repeat for others.",
        metavar="FIELD=COLUMN",
        show_default=False,
    ),
]
ModelLabel = Annotated[
    str, typer.Option("--model-name", help="Name of the model; the log's by default.", metavar="NAME")
]
BenchmarkLabel = Annotated[
    str, typer.Option("--benchmark-name", help="Name of the benchmark; the log's by default.", metavar="NAME")
]
Filter = Annotated[
    str, typer.Option("--filter", help="Filter of lm-eval or scorer of Inspect that gives the verdict.", metavar="NAME")
]
ThinkingBudget = Annotated[
    int | None,
    typer.Option(
        help="Thinking budget of a log that does not state one; unlimited by default.", metavar="TOKENS", min=0
    ),
]
TokenizerName = Annotated[
    str,
    typer.Option(
        "--tokenizer", help="Model folder, GGUF file or hub id whose tokenizer counts tokens.", metavar="MODEL"
    ),
]
GradeWith = Annotated[
    str, typer.Option("--grade-with", help="Benchmark that grades the replies, by problem id.", metavar="BENCHMARK")
]
Data = Annotated[str, typer.Option("--data", help="Local file of that benchmark; the hub by default.", metavar="FILE")]

app = typer.Typer(add_completion=False)


@app.command("import")
def import_(
    logs: Logs,
    columns: Columns = None,
    model_name: ModelLabel = "",
    benchmark_name: BenchmarkLabel = "",
    filter_name: Filter = "",
    thinking_budget: ThinkingBudget = None,
    tokenizer: TokenizerName = "",
    grade_with: GradeWith = "",
    data: Data = "",
    runs: RunsPath = RUNS,
    as_json: AsJson = False,
) -> None:
    """Import logs of other tools: attempts and the curve, in a folder that every other verb reads."""
    from z1.cli.stages import curve_json, curve_table
    from z1.results import ImportSettings, import_log

    grade, problems = _grader(grade_with, data) if grade_with else (None, ())
    settings = ImportSettings(
        parse_columns(columns or []),
        model_name,
        benchmark_name,
        filter_name,
        thinking_budget,
        _counter(tokenizer) if tokenizer else None,
        tokenizer,
        grade,
        problems,
    )
    folder, notes = import_log(logs, runs / "imported" / logs[0].stem.partition(".")[0], settings)
    if as_json:
        print_json({**curve_json(folder), "understood": notes})
        return
    for note in notes:
        print_line(note)
    curve_table(folder).print()
    print_line(f"evaluation: {folder}")


def parse_columns(given: list[str]) -> dict[str, str]:
    """ "verdict=is_ok" and others as columns by field. Raises UserError."""
    pairs = [text.partition("=") for text in given]
    if wrong := next(
        (text for text, (name, _, column) in zip(given, pairs, strict=True) if not name or not column), ""
    ):
        raise UserError("--map", wrong, "give FIELD=COLUMN, such as verdict=is_correct")
    return {name: column for name, _, column in pairs}


def _counter(name: str) -> CountTokens:
    from z1.model_files import load_tokenizer

    tokenizer = load_tokenizer(name)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _grader(name: str, data: str) -> tuple[Grader, Sequence[Problem]]:
    """The grader of a benchmark, and its problems."""
    from z1 import benchmarks
    from z1.results.importer import graded_by

    benchmark = benchmarks.get_benchmark(name)
    benchmark.require_sandbox()
    problems = benchmark.load(1 << 30, 0, benchmarks.LoadOptions(data))
    return graded_by(benchmark, problems), problems
