"""What do given models make of the same problems?

A comparison is a TOML file with a table `models`: folders or hub ids, and nothing is trained. Every model is put
through every evaluation; each has a run folder of its own, so that what was stopped goes on where it was:

    runs/NAME/MODEL/evaluate-1a2b3c4d/      attempts and numbers, one folder an evaluation
    runs/NAME/comparison.json               all models side by side, and each against the first
    runs/NAME/report/1-BENCHMARK/           a page an evaluation
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from z1 import benchmarks, evaluate, pipeline, profiles, report, runs
from z1 import recipe as recipes
from z1.errors import Fault, UserError
from z1.evaluate import read_attempts
from z1.recipe import EvaluateSettings, Settings

if TYPE_CHECKING:
    from z1.engines.remote import Upstream


class GivenModel(Settings):
    """`[models.NAME]`: a model that exists."""

    path: str
    """A model folder, or the hub id of one."""
    profile: str | None = None
    """How it is spoken to, where that is not its own way."""
    address: str = ""
    """Of a server that speaks OpenAI's API and has the model, up to /v1; then only the tokenizer of `path` is read."""
    served: str | None = None
    """What that server calls the model; the first that it names where nothing is said."""
    key: str = ""
    """Name of the environment variable that holds the server's key."""

    def upstream(self) -> Upstream | None:
        """The server; None for a model that is computed here. Raises UserError for a key that is not set."""
        from z1.engines.remote import Upstream

        if not self.address:
            return None
        if self.key and not os.environ.get(self.key):
            raise UserError(f"key of {self.address}", f"no environment variable {self.key}", "set it")
        return Upstream(self.address, self.served, os.environ[self.key] if self.key else None)


class Comparison(Settings):
    """Given models side by side: a recipe that trains nothing."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], GivenModel] = Field(min_length=1)
    """The first is what the others are compared with."""
    evaluate: tuple[EvaluateSettings, ...] = Field(min_length=1)
    """What every model is put through."""
    transcripts: int = Field(default=12, ge=0)
    """Replies shown in each report."""


Done = dict[tuple[str, int], Path]
"""Folders of numbers by model and by number of the evaluation."""


def is_comparison(path: Path) -> bool:
    """Whether the TOML file at `path` is a comparison, by its table `models`; a broken one is not: load says why."""
    try:
        return "models" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def load(path: Path) -> Comparison:
    """The comparison in `path`; every fault in it is one line that names the key."""
    return recipes.read(path, Comparison)


def check(comparison: Comparison) -> None:
    """Refuse now what would otherwise be refused after hours: names that stand in no table."""
    for settings in comparison.evaluate:
        benchmarks.get_benchmark(settings.benchmark)
        for name, model in comparison.models.items():
            model.upstream()
            if profile := _asked(comparison, name, settings).profile:
                profiles.get_profile(profile)


def _asked(comparison: Comparison, name: str, settings: EvaluateSettings) -> EvaluateSettings:
    return settings.model_copy(update={"profile": settings.profile or comparison.models[name].profile})


def carry_out(comparison: Comparison, folder: Path, watch: pipeline.ProgressReporter) -> Iterator[Done]:
    """Evaluate every model, one after the other, under the `folder` of all runs; gives what is done after each."""
    done: Done = {}
    for name, model in comparison.models.items():
        for number, settings in enumerate(comparison.evaluate):
            run = folder / comparison.name / name
            asked = _asked(comparison, name, settings)
            done[name, number] = pipeline.evaluate_model(
                asked, comparison.seed, run, watch, model.path, model.upstream()
            )
        yield done


def numbers(comparison: Comparison, done: Done) -> dict[str, Any]:
    """All models side by side, and each against the first."""
    first = next(iter(comparison.models))
    told = []
    for number, settings in enumerate(comparison.evaluate):
        folders = {name: done[name, number] for name in comparison.models}
        curves = {name: runs.read_json(folder / "curve.json") for name, folder in folders.items()}
        others = {name: folder for name, folder in folders.items() if name != first}
        told.append(
            {
                "benchmark": settings.benchmark,
                "models": {name: {"run": curve["run"], "points": curve["points"]} for name, curve in curves.items()},
                "reference": first,
                "comparisons": {name: _compare(folder, folders[first]) for name, folder in others.items()},
            }
        )
    return {"name": comparison.name, "evaluations": told}


def _compare(ours: Path, theirs: Path) -> dict[str, Any]:
    try:
        return evaluate.compare(read_attempts(ours).values(), read_attempts(theirs).values())
    except Fault as fault:
        return {"why": str(fault)}


def write(comparison: Comparison, folder: Path, done: Done) -> Path:
    """Write the numbers and a page an evaluation; returns the file of numbers."""
    path = folder / comparison.name / "comparison.json"
    runs.write_json(path, numbers(comparison, done))
    for number, settings in enumerate(comparison.evaluate):
        page = path.parent / "report" / f"{number + 1}-{settings.benchmark}"
        title = f"{comparison.name}: {settings.benchmark}"
        folders = [done[name, number] for name in comparison.models]
        report.write(folders, page, title=title, transcripts=comparison.transcripts)
    return path
