"""Curation plan: the settings that turn problems into a dataset, as one TOML file with a table per step.

A recipe's `[curate]` table is for the synthetic task, a plan for any other source. Two defaults fill gaps in the paper:
the teacher's prompt is that of its predecessor (https://github.com/Z1-Coder/Z1-Coder, data/qwq_gen.py), and the
repetition filter is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from z1 import dataset_io, settings
from z1.dataset_rows import SplitFiles, TableSettings, check_mapping, split_files
from z1.errors import UserError
from z1.recipe import Level, Steps
from z1.settings import Settings

DERIVATION_PROMPT = (
    "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable responses "
    "to user instructions.\n@@ Instruction\n{question}\n\n@@ Response\n"
)
"""The predecessor's prompt, verbatim."""


class SourceSettings(Settings):
    """`[[source]]`: a local table, a known dataset or a synthetic task, and the mapping of its columns."""

    path: str = ""
    files: str = ""
    """Glob pattern of the files in the folder, if not all of them are to be read."""
    hub: str = ""
    """Name of a known dataset (`known_datasets.py`), which provides the keys that are not set here."""
    synthetic: Literal["", "programs", "word-problems"] = ""
    """A synthetic task instead of a table, with the Python interpreter as teacher."""
    problems: int = Field(default=1000, gt=0)
    """Synthetic: the number of distinct problems."""
    steps: Steps = (1, 12)
    """Synthetic: fewest and most steps."""
    seed: int = 0
    """Synthetic: the seed of the draws."""
    levels: tuple[Level, ...] = ("direct", "full")
    """Synthetic: the levels of the trajectories; with none the problems go to the plan's teacher."""
    name: str = ""
    """Prefix of the ids of its rows."""
    split: str = ""
    """Name of the split to read, by file names or a column `split`; "" reads all that is not held out."""
    format: str = ""
    """Name of the format of its rows (`z1.dataset_rows.formats`); "" finds it by the columns."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Field = column, instead of a format. A dot descends into an object or list, `messages[user]` is a part of a
    conversation, ` + ` joins texts, `?` allows rows without the column; a list gives several trajectories.
    """
    on_error: Literal["refuse", "drop"] = "refuse"
    """Whether a row with a value of another type ends the run, or is dropped with the reason."""
    think_tags: bool = False
    """Whether thoughts are written between `<think>` tags."""
    join: Literal["id", "text"] = "id"
    """Rows are of the same problem if they share the id, or the text of the question."""
    level: str = ""
    """Level of its trajectories, if no column holds it."""
    derive: dict[str, int] = Field(default_factory=dict)
    """Or derived from the words outside code: level -> most words; "full" beyond the last."""
    origin: str = ""
    licence: str = ""
    revision: str = ""

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if bool(self.path or self.hub) == bool(self.synthetic):
            raise ValueError("give a source either a table (path or hub) or synthetic")
        return self

    def table_files(self) -> SplitFiles:
        """The files of the table that are read, and those that are held out. Raises UserError if none are read."""
        if self.synthetic:
            return SplitFiles([], [])
        if not self.files:
            return split_files(Path(self.path), self.split)
        found = sorted(Path(self.path).glob(self.files))
        if not found:
            raise UserError(f"files of {self.path}", f"no {self.files}", "download it again, or correct source.files")
        return SplitFiles([file for path in found for file in dataset_io.files(path)], [])

    def table_settings(self) -> TableSettings:
        """How its rows are read."""
        return TableSettings(self.columns, self.format, self.split, self.on_error)

    @model_validator(mode="after")
    def _has_a_question(self) -> Self:
        if self.columns and "question" not in self.columns:
            raise ValueError("map a column to question in source.columns")
        check_mapping(self.columns)
        return self


class TeacherSettings(Settings):
    """`[teacher]`: an OpenAI-compatible endpoint that receives every problem at every level."""

    url: str
    model: str
    api_key_env: str = ""
    """Name of the environment variable with the API key of this server; without a name no key is sent."""
    levels: dict[str, str] = Field(default_factory=lambda: {"derive": DERIVATION_PROMPT}, min_length=1)
    """Prompt of each level, from direct to long; each contains {question}."""
    raise_levels: bool = False
    """Request a level only if all replies of the earlier levels have arrived and none of them passes the filters, so
    that reasoning length follows difficulty. Otherwise every problem is requested at every level.
    """
    samples: int = Field(default=1, gt=0)
    """Replies for each problem and level."""
    max_tokens: int = Field(default=8192, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    concurrency: int = Field(default=16, gt=0)
    """Maximum requests in flight; at most so many are lost in a kill."""
    max_attempts: int = Field(default=8, gt=0)
    """Attempts for one reply; after as many failures this run continues without it."""
    retry_wait_s: float = Field(default=1.0, ge=0)
    """Seconds to wait after the first fault; doubled after each further one, up to a minute."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Seconds after which a request times out."""
    retry_refusals: bool = False
    """Whether a request that was refused is sent again in the next run. A refusal is a reply: it is dropped."""
    prices: tuple[float, float] = (0.0, 0.0)
    """Price per million prompt and completion tokens, in any currency."""

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
            raise ValueError("teacher.url with no host, or with a password; give http://HOST:PORT/v1, and api_key_env")
        if any("{question}" not in prompt for prompt in self.levels.values()):
            raise ValueError("put {question} into each prompt of teacher.levels")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("set teacher.temperature above 0: greedy samples are all the same")
        return self


class TokenSettings(Settings):
    """`[tokens]`: the tokenizer that counts tokens."""

    tokenizer: str = ""
    """A tokenizer.json, its folder, or a name on the Hugging Face Hub; "" uses the counts of the sources."""
    column: str = "token_num_qwen"
    """Name of the dataset's column of token counts."""


class CheckSettings(Settings):
    """`[check]`: the quality filters, defined in `filters.py`."""

    ended: bool = True
    max_tokens: int = Field(default=8192, gt=0)
    """Tokens from which a trajectory without a finish reason counts as truncated."""
    repetition: float = Field(default=0.2, ge=0, le=1)
    """Highest repetition; 1 allows any. The highest of 690 real R1 trajectories is 0.116; a loop approaches 1."""
    language: float = Field(default=0.05, ge=0, le=1)
    """Highest share of letters in a script that the question does not use; 1 allows any. The highest of the same
    trajectories is 0.012.
    """
    code: bool = False
    answer: bool = False
    """The box must hold the reference answer, if there is one."""
    passed: bool = False
    """The source must report that the tests passed."""
    tests: bool = False
    """The program must pass its problem's tests, which are run here."""


class DuplicateSettings(Settings):
    """`[duplicates]`: near-duplicate removal. Exact duplicates are always dropped."""

    min_similarity: float | None = Field(default=None, gt=0, le=1)
    """Estimated Jaccard similarity, 0 to 1, from which a row is dropped; unset: only exact duplicates are."""
    shingle_size: int = Field(default=5, gt=0)
    """Words of a shingle (n-gram); the similarity of two texts is the share of shingles in common."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Values of a MinHash signature: more give a closer estimate and take more time and memory."""
    compare: Literal["row", "question"] = "row"
    """Compare question and response, or questions alone; a problem's trajectories are then dropped or kept together."""


class DecontaminateSettings(Settings):
    """`[decontaminate]`: n-gram overlap with benchmarks, defined in `ngram_overlap.py`."""

    against: tuple[str, ...] = ()
    """Names of benchmarks; empty: all that `z1 evaluate` knows."""
    data: dict[str, str] = Field(default_factory=dict)
    """A local file or folder in a benchmark's own format, by name; the others are read from the Hub."""
    release: str = ""
    """Release of benchmarks that have several."""
    ngram_size: int = Field(default=8, ge=4)
    """Words of an n-gram."""
    min_share: float = Field(default=0.1, gt=0, le=1)
    """Smallest share of an item's words that a contaminated row repeats."""
    min_words: int = Field(default=13, ge=1)
    """Fewest words of an item that a contaminated row repeats, or all words of a shorter item."""
    boilerplate_items: int = Field(default=3, ge=2)
    """An n-gram in so many items of one benchmark is boilerplate."""
    compare: Literal["question", "row"] = "question"
    """Compare the question, or question and response."""


class PairSettings(Settings):
    """`[pair]`: which verified trajectories of a problem are kept."""

    keep: Literal["all", "shortest", "longest", "both", "mix"] = "all"
    long_share: float = Field(default=0.5, ge=0, le=1)
    """With "mix": the share of problems that keep their longest; the others keep their shortest."""


class SelectSettings(Settings):
    """`[select]`: selection of rows under a token budget."""

    budget: int | None = Field(default=None, gt=0)
    """Maximum tokens of the dataset; the paper's ablation has 73,996,112."""
    order: Literal["random", "longest", "shortest"] = "random"
    stratified: bool = False
    """Divide the budget among the difficulties; one without enough rows gets less."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Share of each difficulty, relative to the others; 1 by default."""

    @model_validator(mode="after")
    def _shares_of_strata(self) -> Self:
        if self.shares and not self.stratified:
            raise ValueError("set select.stratified, or leave select.shares out")
        return self


class CuratePlan(Settings):
    """A plan: sources, an optional teacher, filters and selection."""

    kind: ClassVar[str] = "curation plan"

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    seed: int = 0
    source: tuple[SourceSettings, ...] = Field(min_length=1)
    teacher: TeacherSettings | None = None
    tokens: TokenSettings = TokenSettings()
    check: CheckSettings = CheckSettings()
    decontaminate: DecontaminateSettings | None = None
    duplicates: DuplicateSettings = DuplicateSettings()
    pair: PairSettings = PairSettings()
    select: SelectSettings = SelectSettings()


def is_plan(path: Path) -> bool:
    """Whether the TOML file at `path` is a plan, by its table `source`; False for an invalid file."""
    return settings.kind_of(path) == CuratePlan.kind


def read(path: Path, overrides: Sequence[str] = ()) -> CuratePlan:
    """The plan in `path` with `overrides`; paths are relative to it. Raises UserError with the key for any fault."""
    plan = settings.read(path, CuratePlan, overrides)
    sources = [
        source.model_copy(update={"path": str(path.parent / source.path)}) if source.path else source
        for source in plan.source
    ]
    if missing := [source.path for source in sources if source.path and not Path(source.path).exists()]:
        raise UserError("source.path", missing[0], "give the path of a table, relative to the plan")
    return plan.model_copy(
        update={"source": tuple(sources), "decontaminate": _relative_to(plan.decontaminate, path.parent)}
    )


def _relative_to(settings: DecontaminateSettings | None, folder: Path) -> DecontaminateSettings | None:
    if settings is None:
        return None
    return settings.model_copy(update={"data": {name: str(folder / data) for name, data in settings.data.items()}})
