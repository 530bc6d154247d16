"""What does a plan for a dataset say?

A plan is a TOML file with a table a step; a recipe's `[curate]` table is for the built-in world, a plan for any other
source. Does not do any of it. Departs from the paper where that is silent: the prompt of its teacher is known only from
its predecessor (https://github.com/Z1-Coder/Z1-Coder, data/qwq_gen.py), and its rule against repetition from nowhere.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from z1 import recipe
from z1.errors import UserError
from z1.recipe import Level, Settings, Steps

DERIVE = (
    "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable responses "
    "to user instructions.\n@@ Instruction\n{question}\n\n@@ Response\n"
)
"""The predecessor's prompt, word for word."""


Column = Literal[
    "id",
    "question",
    "response",
    "reference",
    "difficulty",
    "level",
    "end",
    "passed",
    "tokens",
    "tests",
    "entry",
    "setup",
]
"""What a column may be to us."""


class SourceSettings(Settings):
    """`[[source]]`: a local table, a dataset of the catalogue, or a built-in world; and which column is what."""

    path: str = ""
    files: str = ""
    """Pattern of its files within the folder, where not all of them are meant."""
    hub: str = ""
    """Name of a row of the catalogue (`catalogue.py`), which then says what is not said here."""
    synthetic: Literal["", "programs", "word-problems"] = ""
    """Programs or stories of the built-in world instead, with the interpreter as teacher."""
    problems: int = Field(default=1000, gt=0)
    """Of a world: how many distinct ones."""
    steps: Steps = (1, 12)
    """Of a world: fewest and most steps."""
    seed: int = 0
    """Of a world: draws them."""
    levels: tuple[Level, ...] = ("direct", "full")
    """Of a world: the levels at which its teacher writes each problem; none leaves the problems to another teacher."""
    name: str = ""
    """Stands before the ids of its rows."""
    columns: dict[Column, str] = {"id": "id", "question": "question"}  # noqa: RUF012 (pydantic copies it)
    """Ours = theirs; a dot leads into an object, a list gives several trajectories."""
    join: Literal["id", "text"] = "id"
    """What makes two rows the same problem: the id, or the text of the question."""
    level: str = ""
    """Level of its trajectories, where no column says it."""
    derive: dict[str, int] = Field(default_factory=dict)
    """Or told by words outside code: level -> most words; beyond the last, "full"."""
    origin: str = ""
    licence: str = ""
    revision: str = ""

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if bool(self.path or self.hub) == bool(self.synthetic):
            raise ValueError("give a source a path, the name of a dataset of the hub, or a world")
        return self

    def paths(self) -> list[Path]:
        """Its table: a file or folder, or the files that `files` names. Raises UserError where there are none."""
        found = sorted(Path(self.path).glob(self.files)) if self.files else [Path(self.path)]
        if not found or not found[0].exists():
            raise UserError(f"files of {self.path}", f"no {self.files}", "fetch it again, or correct source.files")
        return found

    @model_validator(mode="after")
    def _has_a_question(self) -> Self:
        if "question" not in self.columns:
            raise ValueError("map the column of the question")
        return self


class TeacherSettings(Settings):
    """`[teacher]`: an OpenAI-compatible endpoint that is asked every problem at every level."""

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; servers of one's own need none."""
    levels: dict[str, str] = Field(default_factory=lambda: {"derive": DERIVE}, min_length=1)
    """Prompt of each level, with {question} in it, from direct to long."""
    raise_levels: bool = False
    """Ask a level only where all replies of the levels before are here and none of them passes the plan's checks, so
    that a problem is thought about as long as it needs. Without, every problem is asked at every level.
    """
    samples: int = Field(default=1, gt=0)
    """Replies for each problem and level."""
    max_tokens: int = Field(default=8192, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    concurrency: int = Field(default=16, gt=0)
    """Most requests in flight, and so most that a kill can lose."""
    tries: int = Field(default=8, gt=0)
    """How often one reply is asked for, faults included, before this run goes on without it."""
    wait_s: float = Field(default=1.0, ge=0)
    """Seconds to wait after a first fault; twice as long after each further one, up to a minute."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Seconds until a request counts as hanging."""
    prices: tuple[float, float] = (0.0, 0.0)
    """Price of a million tokens of prompt and of reply, in any currency."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if any("{question}" not in prompt for prompt in self.levels.values()):
            raise ValueError("let each prompt of teacher.levels hold {question}")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("raise teacher.temperature above 0: greedy samples are all the same")
        return self


class TokenSettings(Settings):
    """`[tokens]`: how is length counted?"""

    tokenizer: str = ""
    """A tokenizer.json, a folder with one, or a name on the hub; "" takes the counts of the sources."""
    column: str = "token_num_qwen"
    """Name of the dataset's column of counts."""


class CheckSettings(Settings):
    """`[check]`: what must hold of a trajectory? Each is defined in `checks.py`."""

    ended: bool = True
    longest: int = Field(default=8192, gt=0)
    """Tokens from which a trajectory whose end is not known counts as cut."""
    repetition: float = Field(default=0.2, ge=0, le=1)
    """Most repetition; 1 allows any. Of 690 real R1 trajectories the most repetitive has 0.116, a loop nears 1."""
    language: float = Field(default=0.05, ge=0, le=1)
    """Most letters of a script that its question does not use; 1 allows any. Of the same trajectories the most has
    0.012.
    """
    code: bool = False
    answer: bool = False
    """Where a reference answer is known, its box must hold it."""
    passed: bool = False
    """Its code must have passed its tests, as the source says."""
    tests: bool = False
    """Its program must pass its problem's tests, which are run here."""


class DuplicateSettings(Settings):
    """`[duplicates]`: what has been seen before? Equal rows always go; these settings are for rows that are alike."""

    near: float | None = Field(default=None, gt=0, le=1)
    """Least estimated similarity, 0 to 1, from which a row goes; left out: only equal rows go."""
    shingle: int = Field(default=5, gt=0)
    """Words of a run; two texts are as similar as the share of runs that they have in common."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Values of a signature: more give a closer estimate and take more time and memory."""
    of: Literal["row", "question"] = "row"
    """What is compared: question and response, or questions alone; a problem's trajectories then go or stay together.
    """


class DecontaminateSettings(Settings):
    """`[decontaminate]`: which rows ask what a benchmark asks? `overlap.py` defines it."""

    against: tuple[str, ...] = ()
    """Names of benchmarks; all that `evaluate` knows, where none are given."""
    data: dict[str, str] = Field(default_factory=dict)
    """A local file or folder of a benchmark's own format, by name; the hub is asked for the others."""
    release: str = ""
    """Of benchmarks that have several."""
    words: int = Field(default=8, ge=4)
    """Words of a run."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Least share of an item's words that a row repeats."""
    least: int = Field(default=13, ge=1)
    """Fewest words of an item that a row repeats, or all where it has fewer."""
    common: int = Field(default=3, ge=2)
    """Items of one benchmark in which a run stands to be boilerplate."""
    of: Literal["question", "row"] = "question"
    """What is looked at: the question, or question and response."""


class PairSettings(Settings):
    """`[pair]`: which of a problem's verified trajectories stay?"""

    keep: Literal["all", "shortest", "longest", "both", "mix"] = "all"
    long_share: float = Field(default=0.5, ge=0, le=1)
    """With "mix": the share of problems that keep their longest, the others their shortest."""


class SelectSettings(Settings):
    """`[select]`: which rows fit a budget of tokens?"""

    budget: int | None = Field(default=None, gt=0)
    """Tokens in all, never passed; the paper's ablation has 73,996,112."""
    order: Literal["random", "longest", "shortest"] = "random"
    stratified: bool = False
    """Every difficulty gets its share of the budget, as far as it has rows."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Share of each difficulty, relative to the others; 1 where nothing is said."""

    @model_validator(mode="after")
    def _shares_of_strata(self) -> Self:
        if self.shares and not self.stratified:
            raise ValueError("set select.stratified, or leave select.shares out")
        return self


class CuratePlan(Settings):
    """The way from problems to a dataset in one file."""

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
    """Whether the TOML file at `path` is a plan, by its table `source`; a broken file is not, and load says why."""
    try:
        return "source" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read(path: Path) -> CuratePlan:
    """The plan in `path`; every fault in it is one line that names the key. Paths in it are relative to it."""
    plan = recipe.read(path, CuratePlan)
    sources = [one.model_copy(update={"path": str(path.parent / one.path)}) if one.path else one for one in plan.source]
    if missing := [one.path for one in sources if one.path and not Path(one.path).exists()]:
        raise UserError("source.path", missing[0], "give the path of a table, relative to the plan")
    return plan.model_copy(update={"source": tuple(sources), "decontaminate": _placed(plan.decontaminate, path.parent)})


def _placed(settings: DecontaminateSettings | None, folder: Path) -> DecontaminateSettings | None:
    if settings is None:
        return None
    return settings.model_copy(update={"data": {name: str(folder / data) for name, data in settings.data.items()}})
