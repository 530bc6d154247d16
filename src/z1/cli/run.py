"""`z1 run`: all stages of a recipe, and how long they will take.

Expected times are processor time, from a run of z1-tiny on an Intel Xeon: training and evaluation in proportion to
tokens (problems) and parameters, curation in proportion to problems.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, AsJson, Overrides, RecipePath, RunsPath, print_json

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable
    from z1.recipe import ModelSettings, Recipe

PARAMETERS = 655_360
"""Of z1-tiny, on which the times below were measured, without its norms and biases."""

TRAINING_MINUTES = 50.1 / 13.6e6
"""Of a token of training: 50.1 core-minutes for 13.6M tokens (the records in models/z1-tiny/z1.json)."""

CURATION_MINUTES = 8.3 / 114_000
"""Of a problem: what the same run used besides its training steps, until the model was written."""

EVALUATION_MINUTES = 3.0 / 4_200
"""Of a problem at six thinking budgets, and its share of the report."""


DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print the stages, which are done, and the expected minutes.")
]

app = typer.Typer(add_completion=False)


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run all stages of a recipe: curate, train, evaluate, report; finished stages are skipped."""
    from z1 import pipeline
    from z1.cli.stages import ALL, load_recipe, run_stages

    chosen = load_recipe(recipe, overrides or ())
    planned = plan(chosen, runs)
    if not dry_run:
        if pipeline.process_rank()[0] == 0:
            typer.echo(summary(planned), err=True)
        return run_stages(chosen, runs, ALL, as_json=as_json)
    if as_json:
        stages = [asdict(stage) for stage in planned]
        print_json({"stages": stages, "expected_minutes": expected_minutes(planned), "summary": summary(planned)})
    else:
        _table(planned).print()


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of a recipe: whether it is done, and the expected processor time, None where it is not known."""

    recipe: str
    stage: str
    is_done: bool
    expected_minutes: float | None


def plan(recipe: Recipe, runs: Path) -> list[PlannedStage]:
    """All stages that `z1 run` goes through, those of the recipe's bases first. Nothing is written."""
    from z1 import pipeline

    chain = pipeline.chain(recipe)
    size = _parameters(chain[0].model)
    found = [stage for one in chain for stage in _training_stages(one, runs / one.name, size)]
    key = pipeline.evaluation_key(recipe.evaluate, recipe.seed)
    evaluated = pipeline.finished_stage(runs / recipe.name, "evaluate", key) is not None
    minutes = None if size is None else round(recipe.evaluate.problems * EVALUATION_MINUTES * size / PARAMETERS, 1)
    found.append(PlannedStage(recipe.name, "evaluate", evaluated and all(stage.is_done for stage in found), minutes))
    return [*found, PlannedStage(recipe.name, "report", False, 0.2)]


def expected_minutes(planned: list[PlannedStage]) -> float | None:
    """Processor time of the stages that are left; None if one of them is not known."""
    left = [stage.expected_minutes for stage in planned if not stage.is_done]
    known = [minutes for minutes in left if minutes is not None]
    return round(sum(known), 1) if len(known) == len(left) else None


def summary(planned: list[PlannedStage]) -> str:
    """Stages, what is done and the expected time, in a line."""
    minutes, done = expected_minutes(planned), sum(stage.is_done for stage in planned)
    time = f"about {minutes:.0f} minutes of processor time" if minutes is not None else "time not known in advance"
    return f"{planned[-1].recipe}: {len(planned)} stages, {done} done; the others take {time}"


def _training_stages(recipe: Recipe, folder: Path, size: int | None) -> list[PlannedStage]:
    from z1 import pipeline

    found = []
    if recipe.curate:
        minutes = (recipe.curate.problems + recipe.curate.word_problems) * CURATION_MINUTES
        is_done = pipeline.finished_stage(folder, "curate", pipeline.curation_key(recipe)) is not None
        found.append(PlannedStage(recipe.name, "curate", is_done, round(minutes, 1)))
    if recipe.train or recipe.finetune:
        tokens = recipe.train.train_tokens if recipe.train else None
        known = None if tokens is None or size is None else round(tokens * TRAINING_MINUTES * size / PARAMETERS, 1)
        is_done = pipeline.finished_stage(folder, "train", pipeline.training_key(recipe)) is not None
        found.append(PlannedStage(recipe.name, "train", is_done, known))
    return found


def _parameters(model: ModelSettings | None) -> int | None:
    """Weights of a model that is trained from scratch, embedding included."""
    if model is None:
        return None
    attention = 2 * model.hidden**2 + 2 * model.hidden * model.hidden * model.key_value_heads // model.heads
    return model.vocabulary * model.hidden + model.layers * (attention + 3 * model.hidden * model.feed_forward)


def _table(planned: list[PlannedStage]) -> ResultTable:
    from z1.cli.tables import ResultTable

    found = ResultTable(
        summary(planned),
        ("recipe", "stage", "done", "minutes"),
        ("stage", "minutes", "done"),
        "processor time",
        frozenset({"recipe", "stage", "done"}),
    )
    for one in planned:
        minutes = "unknown" if one.expected_minutes is None else f"{one.expected_minutes:.1f}"
        found.add(one.recipe, one.stage, "yes" if one.is_done else "no", minutes)
    return found
