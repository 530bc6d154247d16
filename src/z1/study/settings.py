"""The settings of a study, one TOML file: arms, the reference arm, evaluations and acceptance criteria."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from z1 import recipe as recipes
from z1.recipe import EvaluateSettings, Prompt, Recipe
from z1.report.study_page import StudyPage
from z1.settings import Settings, read

PAIRED = ("accuracy_difference", "thinking_ratio", "thinking_ratio_at_matched_accuracy")
"""Metrics that compare two arms."""


class StudyArm(Settings):
    """`[arms.NAME]`: a recipe, and the seeds that it is trained with."""

    recipe: str
    """A file in the study's folder, or the name of a recipe in the package (see `recipe.find`)."""
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    changes: tuple[str, ...] = ()
    """What differs from the recipe, such as "name=other" and "train.muon_lr=0.01" (as `--set`)."""
    model: str = ""
    """A model that is measured as it is, by the evaluations that name the arm; nothing is trained."""
    prompt: Prompt | None = None
    """Template of the user message, with {question}, in place of that of the evaluations."""


class StudyEvaluation(EvaluateSettings):
    """`[[evaluate]]`: one evaluation of the study's models."""

    arms: tuple[str, ...] | None = None
    """The arms that it applies to; all that are trained if not given."""
    all_seeds: bool = False
    """Whether it applies to every seed of its arms."""

    def settings(self) -> EvaluateSettings:
        """The settings of the evaluation itself."""
        return EvaluateSettings.model_validate(self.model_dump(exclude={"arms", "all_seeds"}))


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
    """The first seed of an arm is evaluated by all of these, further seeds by the first and those of all seeds."""
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
