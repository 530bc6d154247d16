"""Studies: several recipes and seeds side by side.

A study is a TOML file: arms (a recipe and its seeds each), the reference arm, evaluations and acceptance criteria. Each
arm and seed is an ordinary run in a folder of its own, so an interrupted study continues where it stopped and finished
work is skipped. Seeds change the training data and their order, never the base or the evaluation problems, so that all
comparisons are paired by problem.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from z1 import pipeline, runs
from z1 import recipe as recipes
from z1.errors import UserError
from z1.evaluate import PROBLEMS, read_attempts, scores
from z1.evaluate.scores import ModelScores
from z1.recipe import EvaluateSettings, Recipe
from z1.records import Problem
from z1.report import study_page, study_pictures
from z1.report.study_page import StudyPage
from z1.settings import Settings, read

EvaluationFolders = dict[tuple[str, int], list[Path]]
"""Folders of evaluation results by arm and by index of the evaluation, one per seed."""

PAIRED = ("accuracy_difference", "thinking_ratio", "thinking_ratio_at_matched_accuracy")
"""Metrics that compare two arms."""


class StudyArm(Settings):
    """`[arms.NAME]`: a recipe, and the seeds that it is trained with."""

    recipe: str
    """A file in the study's folder, or the name of a recipe in the package (see `recipe.find`)."""
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    changes: tuple[str, ...] = ()
    """What differs from the recipe, such as "name=other" and "train.muon_lr=0.01" (as `--set`)."""


class StudyEvaluation(EvaluateSettings):
    """`[[evaluate]]`: one evaluation of the study's models."""

    arms: tuple[str, ...] | None = None
    """The arms that it applies to; all if not given."""

    def settings(self) -> EvaluateSettings:
        """The settings of the evaluation itself."""
        return self.model_copy(update={"arms": None})


class Criterion(Settings):
    """`[[criteria]]`: an acceptance criterion, which is a bound on one number of the study."""

    name: str
    metric: Literal[
        "accuracy", "core_minutes", "accuracy_difference", "thinking_ratio", "thinking_ratio_at_matched_accuracy"
    ]
    arm: str
    against: str | None = None
    """The other arm, for a difference or a ratio."""
    end: Literal["low", "value", "high"] = "value"
    """Which end of the 95 % interval is compared with the bound."""
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("no bound, or two; give at_least or at_most")
        if (self.metric in PAIRED) == (self.against is None):
            raise ValueError(f"metric {self.metric} and against = {self.against}; give against for pairs of arms only")
        return self


class Study(Settings):
    """Several recipes and seeds side by side."""

    kind: ClassVar[str] = "study"

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    problem_seed: int = 1
    """Draws the problems of every evaluation, the same for all arms and seeds."""
    reference: str
    """The arm that every other arm is compared with."""
    arms: dict[str, StudyArm] = Field(min_length=1)
    evaluate: tuple[StudyEvaluation, ...] = Field(min_length=1)
    """The first seed of an arm is evaluated by all of these, further seeds by the first only."""
    criteria: tuple[Criterion, ...] = ()
    page: StudyPage = StudyPage()
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _names_its_arms(self) -> Self:
        named = [self.reference, *self.page.arms]
        named += [arm for one in self.criteria for arm in (one.arm, one.against) if arm is not None]
        named += [arm for one in self.evaluate for arm in one.arms or ()]
        if unknown := sorted(set(named) - self.arms.keys()):
            raise ValueError(f"the unknown arm {unknown[0]}; name one of {', '.join(self.arms)}")
        if self.evaluate[0].arms is not None:
            raise ValueError("a first evaluation for some arms only; leave arms out of it")
        return self

    def recipe_of(self, arm: str) -> Recipe:
        """The recipe of an arm."""
        chosen = self.arms[arm]
        return recipes.load(recipes.find(chosen.recipe, self._folder), chosen.changes)

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of arms to compare: the reference with each other arm, then those of the criteria."""
        pairs = [(self.reference, arm) for arm in self.arms if arm != self.reference]
        pairs += [(one.arm, one.against) for one in self.criteria if one.against is not None]
        return list(dict.fromkeys(pairs))


def load(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study in `path`, with `overrides`; every fault in it is one line that names the key."""
    study = read(path, Study, overrides)
    study._folder = path.parent
    return study


@dataclass(frozen=True, slots=True)
class Member:
    """One arm with one seed: its recipe, and the folder of its run."""

    arm: str
    seed: int
    recipe: Recipe
    run: Path


def members(study: Study, folder: Path) -> list[Member]:
    """All runs of a study under the `folder` of all runs. The run of a recipe's own seed has the recipe's name.

    Arms with the most seeds come first, and of each arm the first seeds. Raises UserError for two with one folder.
    """
    order = [
        (-len(arm.seeds), index, position, name)
        for position, (name, arm) in enumerate(study.arms.items())
        for index in range(len(arm.seeds))
    ]
    every = [_member(study, name, index, folder) for _, index, _, name in sorted(order)]
    first: dict[Path, Member] = {}
    for member in every:
        if first.setdefault(member.run, member) is not member:
            got = f"{first[member.run].arm} and {member.arm}, both with the run {member.run.name}"
            raise UserError("arms", got, 'give one another name, with changes = ["name=..."], or other seeds')
    return every


def _member(study: Study, name: str, index: int, folder: Path) -> Member:
    recipe, seed = study.recipe_of(name), study.arms[name].seeds[index]
    run = recipe.name if seed == recipe.seed else f"{recipe.name}-seed{seed}"
    return Member(name, seed, recipe.model_copy(update={"seed": seed}), folder / run)


def plan(study: Study, folder: Path) -> str:
    """One line: the number of trained models, and the expected core-minutes of the others."""
    every = members(study, folder)
    done = [minutes for member in every if (minutes := _minutes(member.run)) is not None]
    left = len(every) - len(done)
    counts = f"{len(every)} models, {len(done)} trained"
    if left and done:
        return f"{counts}; the other {left} take about {left * sum(done) / len(done):.0f} core-minutes to train"
    return f"{counts}; the first one that is trained gives an estimate for the others" if left else counts


def _minutes(run: Path) -> float | None:
    manifests = [runs.read_json(path, "core_minutes")["core_minutes"] for path in run.glob("train-*/model/z1.json")]
    return float(manifests[0]) if manifests else None


def carry_out(study: Study, folder: Path, progress: pipeline.ProgressReporter) -> Iterator[EvaluationFolders]:
    """Train every member and run the first evaluation on it, then the other evaluations on the first seed of each arm.

    Yields the folders that are done after each evaluation.
    """
    done: EvaluationFolders = {}
    work = [(member, *one) for member in members(study, folder) for one in _evaluations(study, member)]
    for member, index, settings in sorted(work, key=lambda one: one[1] > 0):  # stable: the first evaluations, in order
        model = pipeline.train(member.recipe, member.run, progress)
        recipe = member.recipe.model_copy(update={"seed": study.problem_seed, "evaluate": settings})
        done.setdefault((member.arm, index), []).append(pipeline.evaluate(recipe, member.run, progress, model))
        yield done


def _evaluations(study: Study, member: Member) -> list[tuple[int, EvaluateSettings]]:
    """The evaluations of a member, with their indices."""
    first_seed = member.seed == study.arms[member.arm].seeds[0]
    return [
        (index, one.settings())
        for index, one in enumerate(study.evaluate)
        if (one.arms is None or member.arm in one.arms) and (first_seed or index == 0)
    ]


def finished(study: Study, folder: Path) -> tuple[EvaluationFolders, list[str]]:
    """The evaluations that are done, and the names of those that are not. Starts nothing."""
    done: EvaluationFolders = {}
    left = []
    for member in members(study, folder):
        for index, settings in _evaluations(study, member):
            key = {"seed": study.problem_seed, **settings.model_dump(mode="json", exclude_none=True)}
            paths = sorted(member.run.glob("evaluate-*/stage.json"))
            stages = [path for path in paths if runs.read_json(path, "settings")["settings"] == key]
            if stages:
                done.setdefault((member.arm, index), []).append(stages[-1].parent)
            else:
                profile = f" ({settings.profile})" if settings.profile else ""
                left.append(f"{member.arm}, seed {member.seed}: {settings.benchmark}{profile}")
    return done, left


def numbers(study: Study, folder: Path, done: EvaluationFolders) -> dict[str, Any]:
    """The numbers of the study, ready for JSON; `done` are the folders of finished evaluations."""
    every = {member.arm: member for member in reversed(members(study, folder))}
    paths = {arm: folders for (arm, index), folders in done.items() if index == 0}
    problems = [one for folders in paths.values() for one in runs.read_lines(folders[0] / PROBLEMS, Problem.from_json)]
    steps, kinds = {one.id: one.steps for one in problems}, {one.id: one.kind for one in problems}
    scored = {arm: arm_scores(folders) for arm, folders in paths.items()}
    result: dict[str, Any] = {
        "reference": study.reference,
        "accuracy": {arm: one.accuracy() for arm, one in scored.items()},
        "comparisons": [
            {"arm": arm, "against": other, **_comparison(scored[arm], scored[other])}
            for arm, other in study.pairs()
            if arm in scored and other in scored and any(scored[other].unlimited()[1].values())
        ],
        "core_minutes": {arm: _total_minutes(every[arm].run) for arm in scored},
        "seeds": {arm: [_unlimited_point(path)["accuracy"] for path in folders] for arm, folders in paths.items()},
        "by_difficulty": {arm: scores.by_group(one, steps, "steps") for arm, one in scored.items()},
        "by_budget_and_difficulty": {
            arm: [
                {"thinking_budget": budget, **row}
                for budget in scored[arm].right
                if budget is not None
                for row in scores.by_group(scored[arm], steps, "steps", budget)
            ]
            for arm in study.page.arms or scored
            if arm in scored
        },
        "by_kind": {arm: scores.by_group(one, kinds, "kind") for arm, one in scored.items() if any(kinds.values())},
        "curves": {arm: scores.points(one) for arm, one in scored.items()},
        "evaluations": [_evaluation(study, key, folders) for key, folders in done.items()],
    }
    return {**result, "criteria": criteria(study, result)}


def arm_scores(folders: Sequence[Path]) -> ModelScores:
    """The scores of an arm from the evaluation folders of its seeds."""
    return scores.model_scores(
        [sample for path in folders for sample in scores.split_samples(read_attempts(path).values())]
    )


def _comparison(ours: ModelScores, theirs: ModelScores) -> dict[str, Any]:
    return {
        "accuracy_difference": scores.difference(ours, theirs),
        "thinking_ratio": scores.ratio(ours.unlimited()[1], theirs.unlimited()[1]),
        "thinking_ratio_at_matched_accuracy": scores.at_matched_accuracy(ours, theirs),
        "thinking_ratio_within_1_point": scores.at_matched_accuracy(ours, theirs, 0.01),
    }


def _evaluation(study: Study, key: tuple[str, int], folders: Sequence[Path]) -> dict[str, Any]:
    arm, index = key
    return {
        "arm": arm,
        "benchmark": study.evaluate[index].benchmark,
        "profile": study.evaluate[index].profile,
        "runs": [f"{path.parent.name} {path.name}" for path in folders],
        "unlimited": _unlimited_point(folders[0]),
    }


def _unlimited_point(folder: Path) -> dict[str, Any]:
    point: dict[str, Any] = runs.read_json(folder / "curve.json", "points")["points"][-1]
    return point


def _total_minutes(run: Path) -> float:
    """Core-minutes of a model's training steps, including those of all its bases."""
    manifest: Any = runs.read_json(next(iter(run.glob("train-*/model/z1.json"))), "core_minutes")
    total = 0.0
    while manifest:
        total, manifest = total + float(manifest.get("core_minutes", 0.0)), manifest.get("base")
    return total


def criteria(study: Study, numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Each criterion with the number that was `found` and whether it `is_met`; those without a number are left out."""
    results = []
    for one in study.criteria:
        value = _measured(one, numbers)
        if value is None:
            continue
        found = value[("low", "value", "high").index(one.end)] if isinstance(value, list | tuple) else value
        is_met = found >= one.at_least if one.at_least is not None else found <= (one.at_most or 0.0)
        results.append({**one.model_dump(mode="json", exclude_none=True), "found": found, "is_met": is_met})
    return results


def _measured(one: Criterion, numbers: dict[str, Any]) -> Any:
    if one.metric not in PAIRED:
        return numbers[one.metric].get(one.arm)
    pair = (one.arm, one.against)
    return next((row[one.metric] for row in numbers["comparisons"] if (row["arm"], row["against"]) == pair), None)


def write(study: Study, folder: Path, numbers: dict[str, Any], output_dir: Path, sections: Sequence[str] = ()) -> Path:
    """Write the study into `output_dir`: its numbers beside those of other studies in results.json, its page, its
    pictures, and the manifests of its runs (under `folder`). `sections` are added to the page.

    Returns the file of numbers.
    """
    path = output_dir / "results.json"
    others = runs.read_json(path) if path.exists() else {}
    runs.write_json(path, {**others, study.name: numbers})
    runs.write_text(output_dir / "results.md", study_page.page(study.name, numbers, study.page, sections))
    for name, content in study_pictures.draw(numbers, study.page).items():
        runs.write_bytes(output_dir / name, content)
    for run in {member.run for member in members(study, folder)}:
        for manifest in (*run.glob("*-*/stage.json"), *run.glob("train-*/model/z1.json")):
            _copy(manifest, output_dir / "runs" / manifest.relative_to(folder))
    return path


def _copy(source: Path, target: Path) -> None:
    with runs.atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
