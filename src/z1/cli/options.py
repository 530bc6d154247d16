"""What verbs share: common parameters, the check for parameters that a mode does not use, JSON output."""

from __future__ import annotations

import json
import sys
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any

import typer

from z1.errors import UserError

RUNS = Path("runs")

BUDGETS = "Budgets and sampling"
"""A panel of `--help`."""

RecipePath = Annotated[
    Path,
    typer.Argument(
        help="Recipe file, or the name of a recipe in the package, such as tiny.", metavar="RECIPE", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Value in place of the file's, such as train.learning_rate=1e-5 or source.0.split=train; repeatable.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
RunsPath = Annotated[Path, typer.Option("--runs", help="Folder that holds all runs.", metavar="FOLDER")]
MODEL_KINDS = "Model folder, GGUF file, hub id, package:NAME, or smol"
ModelName = Annotated[
    str | None, typer.Option("--model", help=f"{MODEL_KINDS}; z1-tiny by default.", metavar="MODEL", show_default=False)
]
RecipeModel = Annotated[
    str | None,
    typer.Option("--model", help=f"{MODEL_KINDS}; the recipe's own by default.", metavar="MODEL", show_default=False),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Model family (template, think tags, hint); detected by default.",
        metavar="PROFILE",
        show_default=False,
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="Numbers of weights and KV cache on a CPU: float32, bfloat16 (half the memory), or auto: float32 where it "
        "fits.",
        metavar="DTYPE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
DownloadOnly = Annotated[
    bool, typer.Option("--download-only", help="Only download data and weights, and print a hash and path for each.")
]
MaxAnswerTokens = Annotated[
    int | None,
    typer.Option(
        "--max-answer-tokens",
        help="Maximum number of answer tokens.",
        metavar="TOKENS",
        show_default="512",
        rich_help_panel=BUDGETS,
    ),
]
EndLoops = Annotated[
    bool,
    typer.Option("--end-loops", help="End thoughts and answers that repeat themselves.", rich_help_panel=BUDGETS),
]
SoftTokens = Annotated[
    int,
    typer.Option(
        help="Thinking tokens before the budget in which the end of the thought becomes likelier.",
        min=0,
        rich_help_panel=BUDGETS,
        metavar="TOKENS",
    ),
]
GraceTokens = Annotated[
    int,
    typer.Option(
        help="Thinking tokens before the budget in which the hint waits for the end of a sentence.",
        min=0,
        rich_help_panel=BUDGETS,
        metavar="TOKENS",
    ),
]


def given_flags(context: typer.Context) -> dict[str, str]:
    """The parameters that are on the command line: name of the function's parameter, and the flag as it is typed."""
    found = {}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            flag = max(parameter.opts, key=len)
            found[str(parameter.name)] = flag if flag.startswith("-") else str(parameter.metavar or flag).upper()
    return found


def refuse_unused(context: typer.Context, mode: str, used: Container[str]) -> None:
    """Raise UserError for a parameter on the command line that is not `used` in this `mode`, such as "--describe"."""
    for name, flag in given_flags(context).items():
        if name not in used:
            raise UserError(f"{context.info_name} {mode}", f"{flag}, which it does not use", f"omit {flag}")


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of a command: indented on a terminal, else a line."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1 if sys.stdout.isatty() else None)
    sys.stdout.write("\n")


def print_line(line: str) -> None:
    """Print a line as it is: no markup, no colours, no wrapping."""
    sys.stdout.write(line + "\n")
