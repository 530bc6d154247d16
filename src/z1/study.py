"""What do several recipes and seeds, side by side, say together?

A study is a TOML file: arms (a recipe each), seeds, and what every model is put through. Each arm and seed is an
ordinary run in a folder of its own, so a study that is stopped goes on where it was; what is done is passed over. Seeds
change the data and their order, never the base or the problems of the evaluation, so that everything is paired.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from z1 import pipeline, runs
from z1 import recipe as recipes
from z1.curate.select import level
from z1.evaluate import PROBLEMS, read_attempts
from z1.evaluate import scores as compared
from z1.evaluate.intervals import Interval
from z1.evaluate.leakage import leakage
from z1.evaluate.scores import ModelScores
from z1.evaluate.second_look import second_look
from z1.recipe import EvaluateSettings, Recipe, Settings
from z1.records import Problem
from z1.report import study_page
from z1.synthetic import DatasetRequest, collect

Done = dict[tuple[str, int], list[Path]]
"""Folders of numbers by arm and by number of the evaluation, one a seed."""

REFERENCE = "z1"
"""The arm that the others are compared with."""

RATIOS = {"long": "thinking_ratio", "full": "thinking_ratio_full"}
"""Under which name the ratio of thought ids at matched accuracy stands among the results, by arm."""

PROGRAMS = 1200
"""Of the test, whose thoughts the teacher writes for both arms, to say what ratio the data has by design."""


class StudyArm(Settings):
    """`[arms.NAME]`: a recipe, and the seeds that it is trained with."""

    recipe: str
    """A file beside the study, or the name of a recipe that ships with z1 (see `find`)."""
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)


class Study(Settings):
    """Several recipes and seeds side by side."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    problem_seed: int = 1
    """Draws the problems of every evaluation, whatever the arm and its seed."""
    arms: dict[str, StudyArm] = Field(min_length=1)
    evaluate: tuple[EvaluateSettings, ...] = Field(min_length=1)
    """What models are put through: the first of each arm through all of it, those of further seeds through the first
    alone.
    """
    _folder: Path = PrivateAttr(default=Path())

    def recipe_of(self, arm: str) -> Recipe:
        """The recipe of an arm."""
        return recipes.load(recipes.find(self.arms[arm].recipe, self._folder))


def load(path: Path) -> Study:
    """The study in `path`; every fault in it is one line that names the key."""
    study = recipes.read(path, Study)
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
    """All runs of a study under the `folder` of all runs; a recipe's own seed is its own run.

    First come the arms with the most seeds, which are what the study is about, and of them the first seeds.
    """
    order = [
        (-len(arm.seeds), round_, place, name)
        for place, (name, arm) in enumerate(study.arms.items())
        for round_ in range(len(arm.seeds))
    ]
    return [_member(study, name, round_, folder) for _, round_, _, name in sorted(order)]


def _member(study: Study, name: str, round_: int, folder: Path) -> Member:
    recipe, seed = study.recipe_of(name), study.arms[name].seeds[round_]
    run = recipe.name if seed == recipe.seed else f"{recipe.name}-seed{seed}"
    return Member(name, seed, recipe.model_copy(update={"seed": seed}), folder / run)


def plan(study: Study, folder: Path) -> str:
    """What is done and what is left, in a line, with the core-minutes to expect by those that are done."""
    every = members(study, folder)
    done = [minutes for member in every if (minutes := _minutes(member.run)) is not None]
    left = len(every) - len(done)
    said = f"{len(every)} models, {len(done)} trained"
    if left and done:
        return f"{said}; the other {left} take about {left * sum(done) / len(done):.0f} core-minutes to train"
    return f"{said}; how long one takes is said when the first is trained" if left else said


def _minutes(run: Path) -> float | None:
    found = [runs.read_json(path)["core_minutes"] for path in run.glob("train-*/model/z1.json")]
    return float(found[0]) if found else None


def carry_out(study: Study, folder: Path, watch: pipeline.Watcher) -> Iterator[Done]:
    """Train and evaluate every member, then put the first of each arm through the rest; gives what is done so far after
    each.
    """
    done: Done = {}
    every = members(study, folder)
    for rest in (False, True):
        for member in every:
            for number, settings in _wanted(study, member)[1:] if rest else _wanted(study, member)[:1]:
                model = pipeline.train(member.recipe, member.run, watch)
                asked = member.recipe.model_copy(update={"seed": study.problem_seed, "evaluate": settings})
                done.setdefault((member.arm, number), []).append(pipeline.evaluate(asked, member.run, watch, model))
                yield done


def _wanted(study: Study, member: Member) -> list[tuple[int, EvaluateSettings]]:
    """The first seed of an arm is put through everything, the others through the study's first evaluation; a way to
    close a thought is tried on models that were not taught another one.
    """
    first = member.seed == study.arms[member.arm].seeds[0]
    plain = member.recipe.profile == "z1-tiny"
    every = [(n, one) for n, one in enumerate(study.evaluate) if one.profile is None or plain]
    return every if first else every[:1]


def found(study: Study, folder: Path) -> tuple[Done, list[str]]:
    """What is done already, and in words what is not; nothing is begun."""
    done: Done = {}
    left = []
    for member in members(study, folder):
        for number, settings in _wanted(study, member):
            asked = {"seed": study.problem_seed, **settings.model_dump(mode="json", exclude_none=True)}
            ends = [path for path in sorted(member.run.glob("evaluate-*/stage.json")) if _asked(path) == asked]
            if ends:
                done.setdefault((member.arm, number), []).append(ends[-1].parent)
            else:
                how = f" ({settings.profile})" if settings.profile else ""
                left.append(f"{member.arm}, seed {member.seed}: {settings.benchmark}{how}")
    return done, left


def _asked(stage: Path) -> Any:
    return runs.read_json(stage)["settings"]


def numbers(study: Study, folder: Path, done: Done) -> dict[str, Any]:
    """What the arms say together; `done` are the folders of numbers by (arm, evaluation), one a seed."""
    every = {member.arm: member for member in reversed(members(study, folder))}
    paths = {arm: found for (arm, number), found in done.items() if number == 0}
    asked = [one for found in paths.values() for one in runs.read_lines(found[0] / PROBLEMS, Problem.from_json)]
    answers, steps = {one.id: one.answer for one in asked}, {one.id: one.steps for one in asked}
    scores: dict[str, ModelScores] = {}
    looks: dict[str, dict[str, Interval | int]] = {}
    for arm in sorted(paths, key=lambda name: name != REFERENCE):  # first the one that the others are compared with
        seeds = [read_attempts(path).values() for path in paths[arm]]
        scores[arm] = compared.scores([draw for seed in seeds for draw in compared.draws(seed)])
        if REFERENCE in scores:
            looks[arm] = second_look(chain.from_iterable(seeds), answers, scores[REFERENCE].free()[0])
    scored = {arm: scores[arm] for arm in paths}
    result: dict[str, Any] = {f"accuracy_{arm}": one.accuracy() for arm, one in scored.items()}
    if REFERENCE in scored:
        against = {
            arm: {
                **_against(scored[REFERENCE], other),
                **_by_design(every[REFERENCE], every[arm], study),
            }
            for arm, other in scored.items()
            if arm != REFERENCE and any(other.free()[1].values())
        }
        result |= {name: against[arm]["thinking_ratio_on_curves"] for arm, name in RATIOS.items() if arm in against}
        result[f"{REFERENCE}_against"] = against
        result["second_look"] = {arm: looks[arm] for arm in paths if looks[arm]["checked"]}
    result["core_minutes"] = {arm: _all_minutes(every[arm].run) for arm in scored}
    result["seeds"] = {arm: [_free(path)["accuracy"] for path in found] for arm, found in paths.items()}
    result["by_difficulty"] = {arm: compared.by_steps(one, steps) for arm, one in scored.items()}
    result["curves"] = {arm: compared.points(one) for arm, one in scored.items()}
    result["evaluations"] = [_told(study, key, found) for key, found in done.items()]
    return result


def write(study: Study, folder: Path, numbers: dict[str, Any], place: Path) -> Path:
    """The study in `place`: its numbers beside those of others in results.json, its page, its pictures, and what each
    of its runs (under `folder`) says about itself. Returns the file of numbers.
    """
    path = place / "results.json"
    others = runs.read_json(path) if path.exists() else {}
    runs.write_json(path, {**others, study.name: numbers})
    runs.write_text(place / "results.md", study_page.page(study.name, numbers))
    copied = {picture: place / picture.name for picture in (folder / study.name / "report").glob("*.png")}
    for run in {member.run for member in members(study, folder)}:
        said = (*run.glob("*-*/stage.json"), *run.glob("train-*/model/z1.json"))
        copied |= {path: place / "runs" / path.relative_to(folder) for path in said}
    for source, target in copied.items():
        with runs.atomic_file(target) as temporary:
            shutil.copyfile(source, temporary)
    return path


def _told(study: Study, key: tuple[str, int], paths: Sequence[Path]) -> dict[str, Any]:
    arm, number = key
    settings = study.evaluate[number]
    return {
        "arm": arm,
        "benchmark": settings.benchmark,
        "profile": settings.profile,
        "runs": [f"{path.parent.name} {path.name}" for path in paths],
        "free": _free(paths[0]),
        "after_a_forced_close": leakage(a for path in paths for a in read_attempts(path).values()),
    }


def _against(ours: ModelScores, theirs: ModelScores) -> dict[str, Any]:
    return {
        "difference": compared.difference(ours, theirs),
        "thinking_ratio": compared.ratio(ours.free()[1], theirs.free()[1]),
        "thinking_ratio_on_curves": compared.at_matched_accuracy(ours, theirs),
        "thinking_ratio_on_curves_within_1_point": compared.at_matched_accuracy(ours, theirs, 0.01),
    }


def _free(folder: Path) -> dict[str, Any]:
    point: dict[str, Any] = runs.read_json(folder / "curve.json")["points"][-1]
    return point


def _by_design(ours: Member, theirs: Member, study: Study) -> dict[str, Interval]:
    """`by_design`, but for a base, whose teacher writes at every level."""
    if recipes.required_table(theirs.recipe.curate, "curate").arm == "base":
        return {}
    return {"thinking_ratio_by_design": by_design(ours, theirs, study)}


def by_design(ours: Member, theirs: Member, study: Study) -> Interval:
    """The ratio of thought ids that the teacher itself writes for the two arms, on programs of the test."""
    from z1.model_files import load_model

    tokenizer = load_model(str(next(ours.run.glob("train-*/model"))), None).tokenizer
    asked = list(
        collect(
            DatasetRequest(
                PROGRAMS, "test", *recipes.required_table(ours.recipe.curate, "curate").steps, study.problem_seed
            )
        )
    )

    def lengths(recipe: Recipe) -> dict[str, float]:
        curate = recipes.required_table(recipe.curate, "curate")
        chosen = ((i, level(curate, i.problem.steps or 0, i.operations)) for i in asked)
        texts = {i.problem.id: i.thoughts[name] for i, name in chosen}
        return {p: float(len(tokenizer.encode(text, add_special_tokens=False))) for p, text in texts.items()}

    return compared.ratio(lengths(ours.recipe), lengths(theirs.recipe))


def _all_minutes(run: Path) -> float:
    """Core-minutes of a model's steps, those of all that it began with included."""
    left: Any = runs.read_json(next(iter(run.glob("train-*/model/z1.json"))))
    total = 0.0
    while left:
        total, left = total + float(left.get("core_minutes", 0.0)), left.get("base")
    return total
