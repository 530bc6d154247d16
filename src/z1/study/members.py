"""The runs of a study, one for each arm and seed.

A run is recorded beside the study's page: its manifests, and its attempts without their texts. A recorded run with the
settings of the study counts as finished, so a study goes on on another machine, and its page can be written there.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from z1 import pipeline, runs
from z1.errors import UserError
from z1.evaluate import ATTEMPTS, has_attempts, record_evaluation
from z1.recipe import EvaluateSettings, Recipe
from z1.study.settings import Study

EvaluationFolders = dict[tuple[str, int], list[Path]]
"""Folders of evaluation results by arm and by index of the evaluation, one per seed."""

RECORDS = "runs"
"""The folder of recorded runs, beside the page."""


@dataclass(frozen=True, slots=True)
class Member:
    """One arm with one seed: its recipe, and the folder of its run; `model` is set if nothing is trained."""

    arm: str
    seed: int
    recipe: Recipe
    run: Path
    recorded: Path | None = None
    """The folder of its record, which need not exist."""
    model: str = ""

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders in which finished stages may be, the record last."""
        return (self.run,) if self.recorded is None else (self.run, self.recorded)

    def is_trained(self, place: Path) -> bool:
        """Whether the run or record in `place` has a model of this recipe; always if nothing is trained."""
        key = pipeline.training_key(self.recipe)
        return bool(self.model) or pipeline.finished_stage(place, "train", key) is not None

    def manifest(self) -> dict[str, Any] | None:
        """The z1.json of the trained model; None before that."""
        for place in self.places:
            for path in place.glob("train-*/model/z1.json"):
                found: dict[str, Any] = runs.read_json(path, "core_minutes")
                return found
        return None


def members(study: Study, folder: Path, records: Path | None = None) -> list[Member]:
    """All runs of a study under the `folder` of all runs. The run of a recipe's own seed has the recipe's name.

    `records` is the folder of recorded runs. Arms with the most seeds come first, and of each arm the first seeds.
    Raises UserError for two with one folder.
    """
    order = [
        (-len(arm.seeds), index, position, name)
        for position, (name, arm) in enumerate(study.arms.items())
        for index in range(len(arm.seeds))
    ]
    every = [_member(study, name, index, folder, records) for _, index, _, name in sorted(order)]
    first: dict[Path, Member] = {}
    for member in every:
        if first.setdefault(member.run, member) is not member:
            got = f"{first[member.run].arm} and {member.arm}, both with the run {member.run.name}"
            raise UserError("arms", got, 'give one another name, with changes = ["name=..."], or other seeds')
    return every


def _member(study: Study, name: str, index: int, folder: Path, records: Path | None) -> Member:
    recipe, arm = study.recipe_of(name), study.arms[name]
    seed = arm.seeds[index]
    run = recipe.name if seed == recipe.seed else f"{recipe.name}-seed{seed}"
    chosen = recipe.model_copy(update={"seed": seed})
    return Member(name, seed, chosen, folder / run, records / run if records else None, arm.model)


def plan(study: Study, folder: Path, records: Path | None = None) -> str:
    """One line: the number of trained models, and the expected core-minutes of the others."""
    every = [member for member in members(study, folder, records) if not member.model]
    done = [float(found["core_minutes"]) for member in every if (found := member.manifest()) is not None]
    left = len(every) - len(done)
    counts = f"{len(every)} models, {len(done)} trained"
    if left and done:
        return f"{counts}; the other {left} take about {left * sum(done) / len(done):.0f} core-minutes to train"
    return f"{counts}; the first one that is trained gives an estimate for the others" if left else counts


def carry_out(
    study: Study,
    folder: Path,
    progress: pipeline.ProgressReporter,
    records: Path | None = None,
    only: Collection[str] = (),
) -> Iterator[EvaluationFolders]:
    """Train and evaluate one member after the other, so that what is begun is finished first.

    Yields the folders that are done after each evaluation. What is recorded under `records` is not done again. `only`
    names the runs to work on; all if it is empty. Raises UserError for an unknown name.
    """
    every = members(study, folder, records)
    names = [member.run.name for member in every]
    if unknown := sorted(set(only) - set(names)):
        raise UserError("run", unknown[0], f"name one of {', '.join(names)}")
    done: EvaluationFolders = {}
    for member in (one for one in every if not only or one.run.name in only):
        for index, settings in evaluations_of(study, member):
            done.setdefault((member.arm, index), []).append(_evaluate(study, member, settings, progress))
            yield done


def _evaluate(study: Study, member: Member, settings: EvaluateSettings, progress: pipeline.ProgressReporter) -> Path:
    found = _found(study, member, settings)
    if found is not None and not (found / ATTEMPTS).is_file():  # a record; other stages are checked by their inputs
        return found
    model = member.model or pipeline.train_apart(member.recipe, member.run, progress)
    return pipeline.evaluate_model(settings, study.problem_seed, member.run, progress, model)


def evaluations_of(study: Study, member: Member) -> list[tuple[int, EvaluateSettings]]:
    """The evaluations of a member, with their indices."""
    arm = study.arms[member.arm]
    first_seed, own = member.seed == arm.seeds[0], {"prompt": arm.prompt} if arm.prompt else {}
    return [
        (index, one.settings().model_copy(update=own))
        for index, one in enumerate(study.evaluate)
        if (member.arm in one.arms if one.arms is not None else not member.model)
        and (first_seed or index == 0 or one.all_seeds)
    ]


def finished(study: Study, folder: Path, records: Path | None = None) -> tuple[EvaluationFolders, list[str]]:
    """The evaluations that are done, and the names of those that are not. Starts nothing."""
    done: EvaluationFolders = {}
    left = []
    for member in members(study, folder, records):
        for index, settings in evaluations_of(study, member):
            found = _found(study, member, settings)
            if found is not None:
                done.setdefault((member.arm, index), []).append(found)
            else:
                of = Path(settings.data).stem or settings.benchmark
                profile = f" ({settings.profile})" if settings.profile else ""
                left.append(f"{member.arm}, seed {member.seed}: {of}{profile}")
    return done, left


def _found(study: Study, member: Member, settings: EvaluateSettings) -> Path | None:
    """The folder of the finished evaluation of a member with these settings, from its run or its record."""
    key = pipeline.evaluation_key(settings, study.problem_seed)
    if member.model and not pipeline.model_inputs(Path(member.model)):  # a name and no folder, see `evaluate_model`
        key["model"] = member.model
    for place in member.places:
        found = pipeline.finished_stage(place, "evaluate", key) if member.is_trained(place) else None
        if found is not None and has_attempts(found):
            return found
    return None


def record(study: Study, folder: Path, records: Path, done: EvaluationFolders) -> None:
    """Record the runs of a study: their manifests, and the attempts of the evaluations that are `done`."""
    for member in members(study, folder, records):
        for name in ("curate-*/stage.json", "train-*/stage.json", "train-*/model/z1.json"):
            for path in member.run.glob(name):
                _copy(path, records / path.relative_to(folder))
    for path in (path for folders in done.values() for path in folders if path.is_relative_to(folder)):
        target = records / path.relative_to(folder)
        if not has_attempts(target):
            record_evaluation(path, target)


def _copy(source: Path, target: Path) -> None:
    with runs.atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
