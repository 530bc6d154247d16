"""Comparisons of given models: every model is evaluated on the same problems, and nothing is trained.

A comparison is a TOML file with a table `models` of folders or hub ids. Each model has a run folder of its own, so an
interrupted comparison continues where it stopped:

    runs/NAME/MODEL/evaluate-1a2b3c4d/      attempts and numbers, one folder per evaluation
    runs/NAME/comparison.json               all models side by side, and each compared with the first
    runs/NAME/report/1-BENCHMARK/           one page per evaluation
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from z1 import benchmarks, evaluate, pipeline, profiles, report, runs
from z1.errors import Fault, UserError
from z1.evaluate import read_attempts
from z1.recipe import EvaluateSettings
from z1.settings import Settings, kind_of, read

if TYPE_CHECKING:
    from z1.engines.remote import Upstream


class GivenModel(Settings):
    """`[models.NAME]`: an existing model."""

    path: str
    """A model folder, or the hub id of one."""
    profile: str | None = None
    """Its model family; taken from the model if not given."""
    upstream_url: str = ""
    """A server with OpenAI's API that has the model, up to /v1; then only the tokenizer of `path` is read."""
    served_model_name: str | None = None
    """The name of the model on that server; the first one that it lists if not given."""
    api_key_env: str = ""
    """The environment variable with the server's API key."""

    def upstream(self) -> Upstream | None:
        """The server; None for a local model. Raises UserError if the API key is not set."""
        from z1.engines.remote import Upstream

        if not self.upstream_url:
            return None
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise UserError(f"API key of {self.upstream_url}", f"no environment variable {self.api_key_env}", "set it")
        api_key = os.environ[self.api_key_env] if self.api_key_env else None
        return Upstream(self.upstream_url, self.served_model_name, api_key)


class Comparison(Settings):
    """Given models, and the evaluations that each of them runs."""

    kind: ClassVar[str] = "comparison"

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], GivenModel] = Field(min_length=1)
    """The others are compared with the first."""
    evaluate: tuple[EvaluateSettings, ...] = Field(min_length=1)
    """The evaluations of every model."""
    transcripts: int = Field(default=12, ge=0)
    """Replies shown in each report."""


EvaluationFolders = dict[tuple[str, int], Path]
"""Folders of evaluation results by model and by index of the evaluation."""


def is_comparison(path: Path) -> bool:
    """Whether the TOML file at `path` is a comparison; False for an invalid file."""
    return kind_of(path) == Comparison.kind


def load(path: Path, overrides: Sequence[str] = ()) -> Comparison:
    """The comparison in `path`, with `overrides`; every fault in it is one line that names the key."""
    return read(path, Comparison, overrides)


def check(comparison: Comparison) -> None:
    """Check the names of benchmarks and profiles, and the API keys, before hours of work. Raises UserError."""
    for settings in comparison.evaluate:
        benchmarks.get_benchmark(settings.benchmark)
        for name, model in comparison.models.items():
            model.upstream()
            if profile := _for_model(comparison, name, settings).profile:
                profiles.get_profile(profile)


def _for_model(comparison: Comparison, name: str, settings: EvaluateSettings) -> EvaluateSettings:
    return settings.model_copy(update={"profile": settings.profile or comparison.models[name].profile})


def carry_out(comparison: Comparison, folder: Path, progress: pipeline.ProgressReporter) -> Iterator[EvaluationFolders]:
    """Evaluate every model, one after the other, under the `folder` of runs; yields the folders after each model."""
    done: EvaluationFolders = {}
    for name, model in comparison.models.items():
        for index, settings in enumerate(comparison.evaluate):
            run = folder / comparison.name / name
            own = _for_model(comparison, name, settings)
            done[name, index] = pipeline.evaluate_model(
                own, comparison.seed, run, progress, model.path, model.upstream()
            )
        yield done


def numbers(comparison: Comparison, done: EvaluationFolders) -> dict[str, Any]:
    """All models side by side, and each compared with the first."""
    evaluations = [
        {"benchmark": settings.benchmark, **_side_by_side({name: done[name, index] for name in comparison.models})}
        for index, settings in enumerate(comparison.evaluate)
    ]
    return {"name": comparison.name, "evaluations": evaluations}


def _side_by_side(folders: Mapping[str, Path]) -> dict[str, Any]:
    """The curves of all models in one evaluation, and each model compared with the first."""
    first, *others = folders
    curves = {name: runs.read_json(folder / "curve.json", "points") for name, folder in folders.items()}
    return {
        "models": {name: {"run": curve["run"], "points": curve["points"]} for name, curve in curves.items()},
        "reference": first,
        "comparisons": {name: _compare(folders[name], folders[first]) for name in others},
    }


def _compare(ours: Path, theirs: Path) -> dict[str, Any]:
    try:
        return evaluate.compare(read_attempts(ours).values(), read_attempts(theirs).values())
    except Fault as fault:
        return {"why": str(fault)}


def write(comparison: Comparison, folder: Path, done: EvaluationFolders) -> Path:
    """Write the numbers, and a page per evaluation; returns the file of numbers."""
    path = folder / comparison.name / "comparison.json"
    runs.write_json(path, numbers(comparison, done))
    for index, settings in enumerate(comparison.evaluate):
        page = path.parent / "report" / f"{index + 1}-{re.sub(r'[^a-z0-9.-]+', '-', settings.benchmark.lower())}"
        title = f"{comparison.name}: {settings.benchmark}"
        folders = [done[name, index] for name in comparison.models]
        report.write(folders, page, title=title, transcripts=comparison.transcripts, names=list(comparison.models))
    return path
