"""`z1 demo`: replies of a model in the package; of z1-tiny also the curve beside that of a model that thinks long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, RunsPath, print_line
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.recipe import EvaluateSettings

PROBLEMS, BUDGETS = 180, (0, 16, 32, 64, 128, 256)
"""Problems, and thinking budgets, of the demo's evaluation."""

TRANSCRIPTS = 12

CUT = 40
"""The thinking budget under which the last program is shown again."""

NEXT = """\
Three things to try next:
  your own model     z1 think --model Qwen/Qwen3-0.6B "How many primes are below 60?" --thinking-budget 256
  inside vLLM        z1 serve Qwen/Qwen3-8B --print-vllm-flags
  train one          z1 run tiny --dry-run
To change the programs: z1 demo --ask, or z1 serve --chat for a page in the browser."""

SMOL_NOTE = """\
z1-smol was trained on small programs and word problems, and is often wrong on other wording.
How often it is right: docs/tiny.md"""

Ask = Annotated[bool, typer.Option("--ask", help="Ask for programs of your own before the models are measured.")]

Model = Annotated[
    str,
    typer.Option(
        help="Model to show: tiny, or smol (SmolLM2-135M with an adapter, on questions in English).", metavar="NAME"
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def demo(runs: RunsPath = RUNS, ask: Ask = False, model: Model = "tiny") -> None:
    """Show the model in the package on three programs, and its curve beside that of a model trained to think long."""
    from z1.models import NAMED, SHIPPED, SMOL

    name = NAMED.get(model)
    if name not in (SHIPPED, SMOL):
        raise UserError("--model", model, "give tiny or smol")
    _show_replies(name, ask=ask)
    if name == SHIPPED:
        _show_curves(runs)
    print_line(NEXT if name == SHIPPED else SMOL_NOTE)


def _show_curves(runs: Path) -> None:
    """Measure z1-tiny and long-tiny, and print and draw their curves."""
    from z1 import pipeline
    from z1.cli.progress import show_progress
    from z1.cli.stages import curve_table
    from z1.models import LONG, SHIPPED, shipped

    with show_progress() as progress:
        models = [shipped(name) for name in (SHIPPED, LONG)]
        numbers = [pipeline.evaluate_model(_evaluation(), 0, runs / "demo", progress, model) for model in models]
    for folder in numbers:
        table = curve_table(folder)
        table.complete_in = str(folder / "curve.json")
        table.print()
    _write_report(numbers, runs / "demo" / "report")


def _show_replies(model: str, *, ask: bool) -> None:
    from rich.console import Console

    from z1.cli.tables import budget_cell
    from z1.cli.think import show_reply
    from z1.llm import LLM
    from z1.models import EXAMPLES, SHIPPED, SMOL_EXAMPLES
    from z1.synthetic import tracer

    console = Console(highlight=False)
    questions = EXAMPLES if model == SHIPPED else SMOL_EXAMPLES
    with LLM(model, max_num_seqs=1) as llm:
        for question, budget in (*((one, None) for one in questions), (questions[-1], CUT)):
            console.rule(f"thinking budget: {budget_cell(budget)}", align="left")
            console.print(question.rstrip("\n"), markup=False)
            if model == SHIPPED:
                ran = tracer.trace(question, 100)
                console.print(f"(Python prints {ran.printed if ran else 'nothing'}.)", style="cyan")
            show_reply(llm, question, thinking_budget=budget)
        if ask:
            from z1.cli.chat import converse

            print_line("Your own programs: one line, or several between lines of three quotes. /quit goes on.")
            converse(llm, {})


def _write_report(numbers: list[Path], out: Path) -> None:
    """Write the page with the curves, or print why there is none."""
    from importlib.util import find_spec

    from z1 import report
    from z1.errors import install_hint

    if find_spec("matplotlib") is None:
        print_line(f"report: none without matplotlib; {install_hint('report')}")
        return
    page = report.write(numbers, out, title="z1 beside long", transcripts=TRANSCRIPTS)
    print_line(f"report: {page}")


def _evaluation() -> EvaluateSettings:
    from z1.recipe import EvaluateSettings

    return EvaluateSettings(problems=PROBLEMS, thinking_budgets=BUDGETS, max_answer_tokens=24, concurrency=64)
