"""What is to be done, from nothing to the report?

A recipe is one TOML file with a table a stage. Every key is checked and an unknown one is refused by name; a stage
reads its own table and no other.
"""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from z1.errors import UserError

SHIPPED = Path(__file__).parent / "recipes"
"""Folder of the recipes that ship with z1."""


class Settings(BaseModel):
    """A table of a recipe: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def required_table(table: S | None, name: str) -> S:
    """A table that a stage cannot do without. Raises UserError where the recipe has none."""
    if table is None:
        raise UserError(f"the recipe's [{name}]", "none", "add it, or leave this stage out")
    return table


def _ordered(steps: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= steps[0] <= steps[1]:
        raise ValueError("give the fewest, 1 or more, then the most")
    return steps


Steps = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""Fewest and most, both included."""

Level = Literal["direct", "compact", "named", "terse", "full", "long"]
Kind = Literal["expression", "words", "letters", "straight", "branch", "count", "items", "until", "text"]
Arm = Literal["z1", "long", "full", "terse", "named", "compact", "direct", "base"]

Date = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")]
"""YYYY-MM-DD, or nothing."""


class CurateSettings(Settings):
    """`[curate]`: which problems, and how long may a trajectory think about each?"""

    problems: int = Field(gt=0)
    """Distinct programs wanted, spread evenly over the numbers of steps; a level with fewer distinct ones stays
    short.
    """
    steps: Steps = (1, 12)
    """Fewest and most steps of a program, both included."""
    word_problems: int = Field(default=0, ge=0)
    """Distinct word problems wanted besides, spread in the same way."""
    kinds: tuple[Kind, ...] = ()
    """Programs for practice instead of the usual ones: their kinds, one of which is drawn for each."""
    arm: Arm = "z1"
    """Which trajectory is trained on: "z1" lets length follow difficulty, the names of levels are one level for all,
    "base" teaches every level and how to ask for it.
    """
    direct_up_to: int = Field(default=0, ge=0)
    """z1: programs of up to so many steps get the `direct` trajectory. base: longer ones never get it."""
    direct_operations: int = Field(default=1, ge=0)
    """z1: but only where no more values than that have to be worked out."""
    compact_up_to: int = Field(default=0, ge=0)
    """z1: then up to so many steps `brief`; longer ones get `full`."""
    brief: Literal["compact", "named", "terse"] = "compact"
    """z1: the level between."""
    shares: dict[Level, float] = Field(default_factory=dict)
    """base: how often each level is drawn, relative to the others."""
    each: int = Field(default=1, gt=0)
    """base: rows of different levels that a problem gives."""
    unlabelled_share: float = Field(default=0.0, ge=0, le=1)
    """base: share of rows whose question does not say which level is wanted."""
    order: Literal["all", "random", "longest", "shortest"] = "all"
    """Which rows are kept where `characters` leaves room for some of them only."""
    characters: int = Field(default=0, ge=0)
    """Most characters of thoughts and answers kept in all; 0 keeps every row."""


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
    epochs: float | None = Field(default=None, gt=0)
    """How often the rows are gone through; or say `train_tokens`."""
    train_tokens: int | None = Field(default=None, gt=0)
    """Ids to train on, prompts included: whole batches until so many were seen, however often the rows are gone
    through.
    """
    batch_tokens: int = Field(gt=0)
    """Most ids in a batch, padding included."""
    muon_lr: float = Field(gt=0)
    """Peak learning rate of Muon, for the matrices inside the layers."""
    adamw_lr: float = Field(gt=0)
    """Peak learning rate of AdamW, for embeddings, norms and biases."""
    warmup_steps: int = Field(ge=0)
    decay_share: float = Field(gt=0, le=1)
    """The last share of all steps, over which the rates fall to zero in a straight line."""
    hint_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of rows whose thought is cut at a random id and answered after the hint."""
    repeats: dict[str, int] = Field(default_factory=dict)
    """How often an epoch shows the rows of a level; once where nothing is said. A direct row teaches through few
    ids.
    """
    checkpoint_seconds: int = Field(default=60, gt=0)
    threads: int = Field(default=1, gt=0)


class FinetuneSettings(Settings):
    """`[finetune]`: how does a model that exists learn from rows? One loop for a CPU, a GPU, or many."""

    profile: str = "z1"
    data: str = ""
    """A dataset: folder, .parquet, .jsonl or .jsonl.gz file, or hub id; the rows of `[curate]` where none is given."""
    question: str = "question"
    """The dataset's column of what is asked."""
    response: str = "response"
    """Its column of thought and answer; of the answer alone where `thought` names another."""
    thought: str = ""
    max_length: int = Field(gt=1)
    """Most ids of a row, prompt and end included."""
    truncation: Literal["drop", "truncate", "refuse"] = "drop"
    """What becomes of longer rows; a truncated one is never taught how to end."""
    max_dropped: float = Field(default=0.05, ge=0, le=1)
    """Refuse to train where a larger share of the rows is dropped or truncated."""
    held_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the questions whose rows are not trained on; their loss is taken on the way."""
    hint_share: float = Field(default=0.0, ge=0, lt=1)
    """As in `[train]`."""
    epochs: float = Field(gt=0)
    """How often the rows are gone through; each time in whole batches, what is left over staying out."""
    steps: int | None = Field(default=None, gt=0)
    """The steps that come of it, where the recipe says so: refused where rows and batches give another number."""
    batch_samples: int | None = Field(default=None, gt=0)
    """Rows of a global batch, whatever the processes and packs; or say `batch_tokens`."""
    batch_tokens: int | None = Field(default=None, gt=0)
    """Most ids of a global batch, prompts included."""
    micro_tokens: int = Field(gt=0)
    """Most ids that a process computes at once, padding included; memory depends on it, the result does not."""
    packing: bool = True
    """Rows end to end, without attention across them; else padded beside rows of like length."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = Field(default=0, ge=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Largest norm of a step's gradient."""
    precision: Literal["bf16", "float32"] = "bf16"
    gradient_checkpointing: bool = True
    lora_rank: int = Field(default=0, ge=0)
    """0 trains every weight."""
    lora_alpha: int = Field(default=16, gt=0)
    offload: bool = False
    """Weights and optimizer in the host's memory, for a GPU that is too small."""
    checkpoint_seconds: int = Field(default=600, gt=0)
    held_out_steps: int = Field(default=100, gt=0)
    """Steps between two looks at the held-out loss."""
    threads: int = Field(default=1, gt=0)
    """Of a process that computes on a CPU."""

    @model_validator(mode="after")
    def _counts_once(self) -> Self:
        if (self.batch_samples is None) == (self.batch_tokens is None):
            raise ValueError("batch_samples and batch_tokens; give one of them")
        if self.micro_tokens < self.max_length:
            raise ValueError(f"micro_tokens below max_length; give {self.max_length} or more, so that every row fits")
        return self


class SamplingSettings(Settings):
    """`[evaluate.draws]`: several replies to a problem, drawn at random; one greedy reply where this table is not."""

    samples: int = Field(gt=0)
    """Replies to a problem; pass@k is told for k = 1, 2, 4 ... up to so many."""
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)


class EvaluateSettings(Settings):
    """`[evaluate]`: what did the thinking buy?"""

    benchmark: str = "programs"
    problems: int = Field(gt=0)
    thinking_budgets: tuple[Annotated[int, Field(ge=0)], ...]
    max_answer_tokens: int = Field(gt=0)
    """Allowance of the answer, in ids."""
    concurrency: int = Field(default=64, gt=0)
    profile: str | None = None
    """How the model is spoken to and closed, where that is not its own way."""
    data: str = ""
    """A local file or folder of the benchmark's own format; the hub is asked where none is given."""
    release: str = ""
    since: Date = ""
    until: Date = ""
    """First and last date of a problem, where the benchmark's have one."""
    prompt: Annotated[str, Field(pattern=r"\{question\}")] | None = None
    """What the user says, with {question} in it; the benchmark's own where none is given."""
    system: str | None = None
    """What is said before; the benchmark's own where none is given."""
    sampling: SamplingSettings | None = None
    separate_runs: Literal[True] | None = None
    """Each window thinks for itself, at the price of a thought a window; for engines that cannot fork."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Most ids of prompt and reply together, as far as the model holds so many; the engine's own number without."""

    def source(self) -> dict[str, str]:
        """What a benchmark's loader is told."""
        return {key: getattr(self, key) for key in ("data", "release", "since", "until")}


class ReportSettings(Settings):
    """`[report]`: what does a person get to see?"""

    title: str
    transcripts: int = Field(default=12, ge=0)


class Recipe(Settings):
    """The whole story in one file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    base: str | None = None
    """What fine-tuning begins with: another recipe (a name that ends with .toml, see `find`), a model folder or a hub
    id; from scratch without.
    """
    curate: CurateSettings | None = None
    """Needed to train on the synthetic task."""
    model: ModelSettings | None = None
    """Needed without a base, refused with one."""
    train: TrainSettings | None = None
    """For models small enough for a CPU; or say `[finetune]`, or neither to evaluate alone."""
    finetune: FinetuneSettings | None = None
    evaluate: EvaluateSettings
    report: ReportSettings
    _folder: Path = PrivateAttr(default=Path())

    @property
    def base_recipe(self) -> Path | None:
        """The file of the recipe that trains the base; None where the base is a model, or where there is none."""
        return find(self.base, self._folder) if self.base and self.base.endswith(".toml") else None

    @property
    def profile(self) -> str | None:
        """How the trained model is spoken to; None where none is trained."""
        chosen = self.finetune or self.train
        return chosen.profile if chosen else None

    @model_validator(mode="after")
    def _trains_one_way(self) -> Self:
        if self.train and self.finetune:
            raise ValueError("[train] and [finetune]; leave one of them out")
        if not self.profile and (self.curate or self.model or self.base):
            raise ValueError("no key train; add it, or [finetune]")
        if self.curate is None and (self.train or (self.finetune and not self.finetune.data)):
            raise ValueError("no key curate; add it, or say where the rows are with finetune.data")
        return self

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if self.finetune and self.base is None:
            raise ValueError("no key base; say with which model fine-tuning begins")
        if self.train and self.base is None and self.model is None:
            raise ValueError("no key model; add it, or say with which base to begin")
        if self.base is not None and self.model is not None:
            raise ValueError("base and [model]; leave one of them out")
        return self


def find(name: str | Path, folder: Path = Path()) -> Path:
    """The recipe file `name`: a path relative to `folder`, else the name of a recipe that ships with z1, such as
    `tiny` or `tiny.toml`. A file that is not there is returned as it is.
    """
    path, shipped = folder / name, SHIPPED / f"{str(name).removesuffix('.toml')}.toml"
    return shipped if not path.is_file() and Path(name).name == str(name) and shipped.is_file() else path


def load(name: str | Path) -> Recipe:
    """The recipe `name` (see `find`); every fault in it is one line that names the key."""
    path = find(name)
    recipe = read(path, Recipe)
    recipe._folder = path.parent
    return recipe


def read(path: Path, kind: type[S]) -> S:
    """The settings of this `kind` in the TOML file `path`; every fault is one line, as with `load`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "recipe", path, "give the path of a .toml file, or the name of a recipe that ships: tiny"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}", f"no TOML ({error})", "correct that line") from None
    try:
        return kind.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _one_line(path, kind, error) from None


def _one_line(path: Path, kind: type[Settings], error: ValidationError) -> UserError:
    fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")  # a misspelt key is also missing
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), _known(kind, fault["loc"][:-1]), 1)
        return UserError(
            f"recipe {path}", f"the unknown key {key}", f"did you mean {near[0]}?" if near else "leave it out"
        )
    if fault["type"] == "missing":
        return UserError(f"recipe {path}", f"no key {key}", "add it")
    message = fault["msg"].removeprefix("Value error, ")
    if "; " in message:
        got, do = message.split("; ")
        return UserError(f"recipe {path}" + f", table {key}" * bool(key), got, do)
    return UserError(f"recipe {path}, key {key}", repr(fault["input"]), message[0].lower() + message[1:])


def _known(settings: Any, table: tuple[int | str, ...]) -> list[str]:
    """The keys of a table within `settings`; of a table in a list or under a name of its own, those of its kind."""
    for part in table:
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            settings = settings.model_fields[str(part)].annotation
        else:
            settings = next(iter(kind for kind in get_args(settings) if kind is not str), None)
        settings = (
            next((kind for kind in get_args(settings) if kind is not NoneType), None)
            if _optional(settings)
            else settings
        )
    return list(settings.model_fields) if isinstance(settings, type) and issubclass(settings, BaseModel) else []


def _optional(kind: Any) -> bool:
    return NoneType in get_args(kind)
