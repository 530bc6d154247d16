"""What is to be done, from nothing to the report?

A recipe is one TOML file with a table a stage. Every key is checked and an unknown one is refused by name; a stage
reads its own table and no other.
"""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from z1.errors import UserError


class Settings(BaseModel):
    """A table of a recipe: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _ordered(steps: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= steps[0] <= steps[1]:
        raise ValueError("give the fewest, 1 or more, then the most")
    return steps


class CurateSettings(Settings):
    """`[curate]`: which problems, and how long may a trajectory think about each?"""

    problems: int = Field(gt=0)
    """Distinct programs wanted, spread evenly over the numbers of steps; a level with fewer distinct ones stays
    short.
    """
    steps: Annotated[tuple[int, int], AfterValidator(_ordered)] = (1, 12)
    """Fewest and most steps of a program, both included."""
    direct_up_to: int = Field(ge=0)
    """Programs of up to so many steps get the `direct` trajectory."""
    compact_up_to: int = Field(ge=0)
    """Then up to so many steps `compact`; longer ones get `full`."""


class ModelSettings(Settings):
    """`[model]`: the shape of a model from scratch (Qwen2)."""

    vocabulary: int = Field(gt=300)
    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    key_value_heads: int = Field(gt=0)
    feed_forward: int = Field(gt=0)
    context: int = Field(gt=0)
    """Most ids of prompt and reply together."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("let hidden be a multiple of 2 * heads")
        if self.heads % self.key_value_heads:
            raise ValueError("let heads be a multiple of key_value_heads")
        return self


class TrainSettings(Settings):
    """`[train]`: how does the model learn?"""

    profile: str = "z1-tiny"
    epochs: float = Field(gt=0)
    batch_tokens: int = Field(gt=0)
    """Most ids in a batch, padding included."""
    matrix_rate: float = Field(gt=0)
    """Peak learning rate of Muon, for the matrices inside the layers."""
    other_rate: float = Field(gt=0)
    """Peak learning rate of AdamW, for embeddings, norms and biases."""
    warmup_steps: int = Field(ge=0)
    decay_share: float = Field(gt=0, le=1)
    """The last share of all steps, over which the rates fall to zero in a straight line."""
    hint_share: float = Field(0.0, ge=0, lt=1)
    """Share of rows whose thought is cut at a random id and answered after the hint."""
    repeats: dict[str, int] = Field(default_factory=dict)
    """How often an epoch shows the rows of a level; once where nothing is said. A direct row teaches through few
    ids.
    """
    checkpoint_seconds: int = Field(60, gt=0)
    threads: int = Field(1, gt=0)


class EvaluateSettings(Settings):
    """`[evaluate]`: what did the thinking buy?"""

    benchmark: str = "world"
    problems: int = Field(gt=0)
    windows: tuple[Annotated[int, Field(ge=0)], ...]
    answer: int = Field(gt=0)
    """Allowance of the answer, in ids."""
    concurrency: int = Field(64, gt=0)


class ReportSettings(Settings):
    """`[report]`: what does a person get to see?"""

    title: str
    transcripts: int = Field(12, ge=0)


class Recipe(Settings):
    """The whole story in one file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    curate: CurateSettings
    model: ModelSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    report: ReportSettings


def load(path: Path) -> Recipe:
    """The recipe in `path`; every fault in it is one line that names the key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("recipe", path, "give the path of a .toml file, such as recipes/tiny.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}", f"no TOML ({error})", "correct that line") from None
    try:
        return Recipe.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _one_line(path, error) from None


def _one_line(path: Path, error: ValidationError) -> UserError:
    fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")  # a misspelt key is also missing
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), _known(fault["loc"][:-1]), 1)
        return UserError(
            f"recipe {path}", f"the unknown key {key}", f"did you mean {near[0]}?" if near else "leave it out"
        )
    if fault["type"] == "missing":
        return UserError(f"recipe {path}", f"no key {key}", "add it")
    message = fault["msg"].removeprefix("Value error, ")
    return UserError(f"recipe {path}, key {key}", repr(fault["input"]), message[0].lower() + message[1:])


def _known(table: tuple[int | str, ...]) -> list[str]:
    settings: Any = Recipe
    for part in table:
        settings = settings.model_fields[str(part)].annotation
    return list(settings.model_fields)
