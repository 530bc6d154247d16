"""Recipes: the settings of every stage in one TOML file.

A recipe has one table per stage, and a stage reads only its own table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from z1.errors import UserError
from z1.settings import PACKAGED, S, Settings, read


def required_table(table: S | None, name: str) -> S:
    """The table of a stage. Raises UserError if the recipe has none."""
    if table is None:
        raise UserError(f"the recipe's [{name}]", "none", "add it, or skip this stage")
    return table


def _ordered(steps: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= steps[0] <= steps[1]:
        raise ValueError("give a minimum of at least 1, then the maximum")
    return steps


Steps = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""Minimum and maximum, inclusive."""

Level = Literal["direct", "compact", "named", "terse", "full", "long"]
Kind = Literal["expression", "words", "letters", "straight", "branch", "count", "items", "until", "text"]

Date = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")]
"""YYYY-MM-DD, or empty."""

Prompt = Annotated[str, Field(pattern=r"\{question\}")]
"""Template of a user message, with {question}."""


class CurateSettings(Settings):
    """`[curate]`: the problems of the synthetic tasks, and the level of each trajectory."""

    problems: int = Field(gt=0)
    """Number of distinct programs, spread evenly over the numbers of steps; fewer where fewer distinct ones exist."""
    steps: Steps = (1, 12)
    """Minimum and maximum steps of a program, inclusive."""
    word_problems: int = Field(default=0, ge=0)
    """Number of distinct word problems in addition, spread in the same way."""
    small_programs: int = Field(default=0, ge=0)
    """Number of programs of at most two operations in addition, spread evenly over their forms, with repetition."""
    kinds: tuple[Kind, ...] = ()
    """Kinds of practice programs instead of the usual ones; one kind is sampled per program."""
    level: Level | Literal["by_difficulty", "mixed"] = "by_difficulty"
    """Level of the trajectories: one for all, by difficulty, or "mixed": every level, stated in the question."""
    direct_up_to: int = Field(default=0, ge=0)
    """Programs of at most this many steps get the `direct` trajectory; in a mix longer ones never get it."""
    direct_operations: int = Field(default=1, ge=0)
    """by_difficulty: maximum computed values for the `direct` trajectory."""
    direct_kinds: tuple[Kind, ...] = ()
    """by_difficulty: the kinds that may get the `direct` trajectory; all if not given."""
    compact_up_to: int = Field(default=0, ge=0)
    """by_difficulty: programs of at most this many steps get the level `brief`; longer ones get `full`."""
    brief: Literal["compact", "named", "terse"] = "compact"
    """by_difficulty: the level between `direct` and `full`."""
    shares: dict[Level, float] = Field(default_factory=dict)
    """mixed: relative frequency of each level."""
    each: int = Field(default=1, gt=0)
    """mixed: rows of different levels per problem."""
    unlabelled_share: float = Field(default=0.0, ge=0, le=1)
    """mixed: share of rows whose question does not state the level."""
    order: Literal["all", "random", "longest", "shortest"] = "all"
    """The order in which rows are kept up to the limit `characters`."""
    characters: int = Field(default=0, ge=0)
    """Maximum characters of all thoughts and answers; 0 keeps every row."""


class ModelSettings(Settings):
    """`[model]`: the shape of a model from scratch (Qwen2)."""

    vocabulary: int = Field(gt=300)
    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    key_value_heads: int = Field(gt=0)
    feed_forward: int = Field(gt=0)
    context: int = Field(gt=0)
    """Maximum tokens of prompt and reply."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("let hidden be a multiple of 2 * heads")
        if self.heads % self.key_value_heads:
            raise ValueError("let heads be a multiple of key_value_heads")
        return self


class TrainSettings(Settings):
    """`[train]`: training of a small model, on a CPU."""

    profile: str = "z1-tiny"
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the rows; or set `train_tokens`."""
    train_tokens: int | None = Field(default=None, gt=0)
    """Tokens to train on, prompts included: whole batches until at least this many, over as many epochs as needed."""
    batch_tokens: int = Field(gt=0)
    """Maximum tokens of a batch, padding included."""
    muon_lr: float = Field(gt=0)
    """Peak learning rate of Muon, for the matrices inside the layers."""
    adamw_lr: float = Field(gt=0)
    """Peak learning rate of AdamW, for embeddings, norms and biases."""
    warmup_steps: int = Field(ge=0)
    decay_share: float = Field(gt=0, le=1)
    """Share of the steps, at the end, in which the learning rates decay linearly to zero."""
    hint_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of rows whose thought is truncated at a random token and followed by hint and answer."""
    repeats: dict[str, int] = Field(default_factory=dict)
    """Repetitions of the rows of a level per epoch (default 1), because a direct row has few learned tokens."""
    checkpoint_seconds: int = Field(default=60, gt=0)
    threads: int = Field(default=1, gt=0)


class FinetuneSettings(Settings):
    """`[finetune]`: fine-tuning of an existing model, on a CPU, a GPU, or many."""

    profile: str = "z1"
    data: str = ""
    """A dataset: folder, .parquet, .jsonl or .jsonl.gz file, or hub id; empty: the rows of `[curate]`."""
    format: str = ""
    """The format of its rows (`z1.dataset_rows.formats`); empty: found by the columns."""
    split: str = ""
    """The split to train on; empty: all that is not held out as test, validation, dev or eval."""
    question: str = ""
    """Instead of a format: the column of questions, as in a plan's `columns`."""
    response: str = ""
    """The column of thought and answer, or of the answer if `thought` names a column."""
    thought: str = ""
    on_error: Literal["refuse", "drop"] = "refuse"
    """Whether a row with a value of another type ends the run, or is dropped and listed in notes.jsonl."""
    max_template_text: float = Field(default=0.01, ge=0, le=1)
    """Training is refused if a larger share of the rows would learn think tags or fragments of a chat template."""
    max_length: int = Field(gt=1)
    """Maximum tokens of a row, prompt and end included."""
    truncation: Literal["drop", "truncate", "refuse"] = "drop"
    """Treatment of longer rows; a truncated row does not teach the model to end."""
    max_dropped: float = Field(default=0.05, ge=0, le=1)
    """Training is refused if a larger share of the rows is dropped or truncated."""
    held_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the questions whose rows are held out for a held-out loss."""
    hint_share: float = Field(default=0.0, ge=0, lt=1)
    """As in `[train]`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the rows, each in whole batches; the remaining rows of a pass are left out. Or set `train_tokens`."""
    train_tokens: int | None = Field(default=None, gt=0)
    """As in `[train]`."""
    steps: int | None = Field(default=None, gt=0)
    """Expected number of steps: training is refused if rows and batches give another number."""
    batch_samples: int | None = Field(default=None, gt=0)
    """Rows of a global batch, independent of processes and packs; or set `batch_tokens`."""
    batch_tokens: int | None = Field(default=None, gt=0)
    """Maximum tokens of a global batch, prompts included."""
    micro_tokens: int = Field(gt=0)
    """Maximum tokens of a micro-batch, padding included; affects memory, not the result."""
    packing: bool = True
    """Rows end to end, without attention across them; false: padded in batches of similar length."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = Field(default=0, ge=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Maximum gradient norm of a step; larger gradients are clipped."""
    precision: Literal["bf16", "float32"] = "bf16"
    gradient_checkpointing: bool = True
    lora_rank: int = Field(default=0, ge=0)
    """0 trains all weights."""
    lora_alpha: int = Field(default=16, gt=0)
    lora_precision: Literal["bf16", "float32"] | None = None
    """In which the adapter is stored; the default is `precision`."""
    offload: bool = False
    """Weights and optimizer state in the host's memory, for a GPU that is too small."""
    checkpoint_seconds: int = Field(default=600, gt=0)
    held_out_steps: int = Field(default=100, gt=0)
    """Steps between two evaluations of the held-out loss."""
    threads: int = Field(default=1, gt=0)
    """Threads of a process on a CPU."""

    @model_validator(mode="after")
    def _maps_both_columns(self) -> Self:
        if bool(self.question) != bool(self.response) or (self.thought and not self.question):
            raise ValueError("question and response; give both columns, or neither to have the format found")
        return self

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if (self.batch_samples is None) == (self.batch_tokens is None):
            raise ValueError("batch_samples and batch_tokens; set exactly one of them")
        if (self.epochs is None) == (self.train_tokens is None):
            raise ValueError("epochs and train_tokens; set exactly one of them")
        if self.micro_tokens < self.max_length:
            raise ValueError(f"micro_tokens below max_length; give {self.max_length} or more, so that every row fits")
        return self


class SamplingSettings(Settings):
    """`[evaluate.sampling]`: several sampled replies per problem; without this table one greedy reply."""

    samples: int = Field(gt=0)
    """Replies per problem; pass@k is reported for k = 1, 2, 4 ... up to this number."""
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)


class EvaluateSettings(Settings):
    """`[evaluate]`: one benchmark at several thinking budgets."""

    benchmark: str = "programs"
    problems: int = Field(gt=0)
    thinking_budgets: tuple[Annotated[int, Field(ge=0)], ...]
    max_answer_tokens: int = Field(gt=0)
    """Maximum tokens of the answer."""
    concurrency: int = Field(default=64, gt=0)
    profile: str | None = None
    """Profile of the model; the default is its own."""
    data: str = ""
    """A local file or folder in the benchmark's own format; empty: the hub."""
    release: str = ""
    since: Date = ""
    until: Date = ""
    """First and last date of a problem, for benchmarks with dates."""
    prompt: Prompt | None = None
    """Template of the user message, with {question}; the default is the benchmark's."""
    system: str | None = None
    """System message; the default is the benchmark's."""
    sampling: SamplingSettings | None = None
    separate_runs: Literal[True] | None = None
    """One generation per budget instead of one thought for all, for engines that cannot fork."""
    repetition: Literal[True] | None = None
    """End a thought or an answer that repeats itself."""
    soft_tokens: int | None = Field(default=None, gt=0)
    """Tokens before a budget within which the end of the thought becomes likelier; with `separate_runs`."""
    grace_tokens: int | None = Field(default=None, gt=0)
    """Tokens before a budget within which the hint is forced at the end of a sentence; with `separate_runs`."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Maximum tokens of prompt and reply, up to the model's own limit; the default is the engine's."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Type of weights and cache on a CPU; the default is float32 where that fits."""

    @model_validator(mode="after")
    def _shares_thoughts(self) -> Self:
        if (self.soft_tokens or self.grace_tokens) and not self.separate_runs:
            raise ValueError("soft_tokens or grace_tokens in a shared thought; set separate_runs = true")
        return self

    def source(self) -> dict[str, str]:
        """The options of the benchmark's loader."""
        return {key: getattr(self, key) for key in ("data", "release", "since", "until")}


class ReportSettings(Settings):
    """`[report]`: the report page."""

    title: str
    transcripts: int = Field(default=12, ge=0)


class Recipe(Settings):
    """The settings of all stages of one run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    base: str | None = None
    """The start of training, if not from scratch: a recipe (a .toml file, see `find`), a model folder or a hub id."""
    curate: CurateSettings | None = None
    """Required for training on the synthetic tasks."""
    model: ModelSettings | None = None
    """Required without a base, an error with one."""
    train: TrainSettings | None = None
    """For models small enough for a CPU; or set `[finetune]`, or neither to evaluate only."""
    finetune: FinetuneSettings | None = None
    evaluate: EvaluateSettings
    report: ReportSettings
    _folder: Path = PrivateAttr(default=Path())

    @property
    def base_recipe(self) -> Path | None:
        """The file of the recipe that trains the base; None if the base is a model or there is none."""
        return find(self.base, self._folder) if self.base and self.base.endswith(".toml") else None

    @property
    def base_model(self) -> str | None:
        """The base as a model: a folder relative to the recipe's, if it exists, else as written (such as a hub id)."""
        if self.base is None or self.base_recipe is not None:
            return None
        return str(self._folder / self.base) if (self._folder / self.base).exists() else self.base

    @property
    def profile(self) -> str | None:
        """The profile of the trained model; None if no model is trained."""
        chosen = self.finetune or self.train
        return chosen.profile if chosen else None

    @model_validator(mode="after")
    def _has_one_training(self) -> Self:
        if self.train and self.finetune:
            raise ValueError("[train] and [finetune]; leave one of them out")
        if not self.profile and (self.curate or self.model or self.base):
            raise ValueError("no key train; add it, or [finetune]")
        if self.curate is None and (self.train or (self.finetune and not self.finetune.data)):
            raise ValueError("no key curate; add it, or set finetune.data to a dataset")
        return self

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if self.finetune and self.base is None:
            raise ValueError("no key base; set it to the model that fine-tuning starts from")
        if self.train and self.base is None and self.model is None:
            raise ValueError("no key model; add it, or set base")
        if self.base is not None and self.model is not None:
            raise ValueError("base and [model]; leave one of them out")
        return self


def find(name: str | Path, folder: Path = Path()) -> Path:
    """The file of a recipe: a path relative to `folder`, else the packaged recipe of this name (`tiny`, `tiny.toml`).

    A path that does not exist is returned unchanged.
    """
    path, packaged = folder / name, PACKAGED / f"{str(name).removesuffix('.toml')}.toml"
    return packaged if not path.is_file() and Path(name).name == str(name) and packaged.is_file() else path


def load(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe `name` (see `find`) with `overrides` (see `settings.read`). Raises UserError that names the key."""
    path = find(name)
    recipe = read(path, Recipe, overrides)
    recipe._folder = path.parent
    return recipe
