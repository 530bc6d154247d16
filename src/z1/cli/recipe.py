"""`z1 recipe`: checks a TOML file without running it, and prints the JSON Schema of each kind of file for editors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import AsJson, Overrides, print_json, print_line
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.settings import Settings


class Kind(StrEnum):
    """The kinds of TOML files."""

    RECIPE = "recipe"
    COMPARISON = "comparison"
    STUDY = "study"
    PLAN = "plan"


CheckedFile = Annotated[
    Path,
    typer.Argument(help="Recipe, comparison, study or plan; or the name of a recipe in the package.", metavar="FILE"),
]
KindName = Annotated[Kind, typer.Argument(help="The kind of file.", show_default=True)]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def recipe() -> None:
    """Check a recipe, comparison, study or plan, or print the JSON Schema of its kind for editors."""


@app.command()
def check(path: CheckedFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a file as far as that takes no data and no model; nothing is run."""
    from z1 import recipe as recipes
    from z1 import settings

    found = recipes.find(path)
    kind = kind_of(settings.kind_of(found) or "recipe")
    name = check_file(found, kind, overrides or ())
    if as_json:
        print_json({"file": str(found), "kind": kind.value, "name": name})
    else:
        print_line(f"{found}: {kind.value} {name}, no faults")


@app.command()
def schema(kind: KindName = Kind.RECIPE) -> None:
    """Print the JSON Schema of a kind of file. An editor finds it by a first line such as `#:schema recipe.json`."""
    from z1.recipe_schema import json_schema

    print_line(json.dumps(json_schema(settings_of(kind)), indent=1, ensure_ascii=False))


def kind_of(name: str) -> Kind:
    """The kind that `settings.COMMANDS` calls `name`."""
    return Kind.PLAN if name == "curation plan" else Kind(name)


def settings_of(kind: Kind) -> type[Settings]:
    """The settings that a file of `kind` is read as."""
    from z1.comparison import Comparison
    from z1.curate.plan import CuratePlan
    from z1.recipe import Recipe
    from z1.study import Study

    kinds: dict[Kind, type[Settings]] = {
        Kind.RECIPE: Recipe,
        Kind.COMPARISON: Comparison,
        Kind.STUDY: Study,
        Kind.PLAN: CuratePlan,
    }
    return kinds[kind]


def check_file(path: Path, kind: Kind, overrides: Sequence[str]) -> str:
    """The name in a file that is correct. Raises UserError with the first fault."""
    from z1 import benchmarks, comparison, pipeline, study
    from z1.cli.stages import load_recipe
    from z1.curate import known_datasets
    from z1.curate import plan as plans

    match kind:
        case Kind.RECIPE:
            return load_recipe(path, overrides).name
        case Kind.COMPARISON:
            compared = comparison.load(path, overrides)
            comparison.check(compared)
            return compared.name
        case Kind.STUDY:
            studied = study.load(path, overrides)
            for arm in studied.arms:
                pipeline.check(studied.recipe_of(arm))
            return studied.name
        case Kind.PLAN:
            plan = plans.read(path, overrides)
            for source in plan.source:
                if source.hub and source.hub not in known_datasets.CATALOGUE:
                    known = ", ".join(known_datasets.CATALOGUE)
                    raise UserError("source.hub", source.hub, f"choose one of {known}")
            for name in plan.decontaminate.against if plan.decontaminate else ():
                benchmarks.get_benchmark(name)
            return plan.name
