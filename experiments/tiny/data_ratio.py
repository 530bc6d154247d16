"""The ratio of thinking tokens that the training data of two arms has by construction.

Writes the teacher's texts of both arms for programs of the test set and counts their tokens. It is the ratio before any
model has learned anything.
"""

from __future__ import annotations

from z1 import recipe as recipes
from z1.curate.training_rows import level
from z1.evaluate.scores import ratio
from z1.model_files import load_model
from z1.recipe import Recipe
from z1.records import Interval
from z1.study import Member, Study
from z1.synthetic import DatasetRequest, collect

PROGRAMS = 1200
"""Programs of the test set that the teacher writes thoughts for."""


def data_ratio(ours: Member, theirs: Member, study: Study, programs: int = PROGRAMS) -> Interval | None:
    """Tokens of the teacher's thoughts for `ours` over those for `theirs`; None for a base, which has all levels."""
    if recipes.required_table(theirs.recipe.curate, "curate").level == "mixed":
        return None
    tokenizer = load_model(str(next(ours.run.glob("train-*/model"))), None).tokenizer
    steps = recipes.required_table(ours.recipe.curate, "curate").steps
    problems = list(collect(DatasetRequest(programs, "test", *steps, study.problem_seed)))

    def lengths(recipe: Recipe) -> dict[str, float]:
        curate = recipes.required_table(recipe.curate, "curate")
        levels = ((one, level(curate, one.problem.steps or 0, one.operations, one.problem.kind)) for one in problems)
        texts = {one.problem.id: one.thoughts[name] for one, name in levels}
        return {p: float(len(tokenizer.encode(text, add_special_tokens=False))) for p, text in texts.items()}

    return ratio(lengths(ours.recipe), lengths(theirs.recipe))
