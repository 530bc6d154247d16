"""The stages of a run, in order, and the files that each passes to the next:

    curate ──rows.jsonl──▶ train ──model/──▶ evaluate ──attempts.jsonl, curve.json──▶ report

Each stage is keyed by its own settings and inputs (see `runs.py`): a finished stage is skipped, an interrupted one
continues, and a changed setting runs that stage and the later ones again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from z1 import benchmarks, profiles, runs
from z1 import curate as curating
from z1 import evaluate as evaluating
from z1 import recipe as recipes
from z1.engines import Engine
from z1.errors import UserError
from z1.evaluate.runner import output_hashes
from z1.recipe import EvaluateSettings, Recipe
from z1.records import Problem

if TYPE_CHECKING:
    from z1.engines.remote import Upstream
    from z1.train.progress import Progress
    from z1.train.sft.prepare import PreparedTraining


RUNTIME_SETTINGS = {
    "micro_tokens",
    "gradient_checkpointing",
    "offload",
    "threads",
    "checkpoint_seconds",
    "held_out_steps",
}
"""Settings that change how fine-tuning is computed and not its result; training continues when they change."""

PREFLIGHT_SETTINGS = {"data", "steps", "max_dropped"}
"""Settings that the pre-flight checks; `data` is keyed by its content, not by its path."""


class ProgressReporter(Protocol):
    """Shows the progress of a stage; `cli/progress.py` draws bars, `NoProgress` shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` units has started."""
        ...

    def update(self, done: int, note: str = "") -> None:
        """`done` units are done."""
        ...

    def finish(self, note: str) -> None:
        """The stage has finished, now or in an earlier run."""
        ...


class NoProgress:
    """A `ProgressReporter` that shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Does nothing."""

    def update(self, done: int, note: str = "") -> None:
        """Does nothing."""

    def finish(self, note: str) -> None:
        """Does nothing."""


def check(recipe: Recipe) -> None:
    """Check the names of profiles and benchmarks before hours of training. Raises UserError."""
    for name in (recipe.profile, recipe.evaluate.profile):
        if name is not None:
            profiles.get_profile(name)
    benchmarks.get_benchmark(recipe.evaluate.benchmark)
    chain(recipe)


def chain(recipe: Recipe) -> list[Recipe]:
    """The recipes that train the recipe's bases, the innermost first, and the recipe itself. Raises UserError for
    recipes that are each other's base.
    """
    found, seen = [recipe], set()
    while (path := found[0].base_recipe) is not None:
        if path.resolve() in seen:
            do = "start one of them from [model] or from a model folder"
            raise UserError(f"base of recipe {found[0].name}", f"{path.name}, of which it is itself a base", do)
        seen.add(path.resolve())
        found.insert(0, recipes.load(path))
    return found


def curation_key(recipe: Recipe) -> dict[str, Any]:
    """The settings that the stage `curate` is keyed by."""
    settings = recipes.required_table(recipe.curate, "curate")
    return {"seed": recipe.seed, **settings.model_dump(mode="json", exclude_defaults=True)}


def training_key(recipe: Recipe) -> dict[str, Any]:
    """The settings that the stage `train` is keyed by, besides its rows and its base."""
    names = {"seed": recipe.seed, "name": recipe.name}
    if recipe.finetune:
        excluded = RUNTIME_SETTINGS | PREFLIGHT_SETTINGS
        own = recipe.finetune.model_dump(mode="json", exclude=excluded, exclude_defaults=True)
        return {**names, "base": recipe.base, **own}
    return {**names, **recipe.model_dump(mode="json", include={"model", "train"}, exclude_defaults=True)}


def evaluation_key(settings: EvaluateSettings, seed: int) -> dict[str, Any]:
    """The settings that the stage `evaluate` is keyed by, besides the model."""
    return {"seed": seed, **settings.model_dump(mode="json", exclude_none=True)}


def finished_stage(run: Path, name: str, settings: Mapping[str, Any]) -> Path | None:
    """The folder of a finished stage of `run` with these settings; whether its inputs are still the same is seen when
    the stage runs.
    """
    for path in sorted(run.glob(f"{name}-*/stage.json"), reverse=True):
        found = runs.read_json(path, "settings")["settings"]
        if {key: found[key] for key in found if key != "rows"} == settings:
            return path.parent
    return None


def curate(recipe: Recipe, run: Path, progress: ProgressReporter) -> Path:
    """Collect trajectories and select training rows; returns the file of rows."""
    settings = recipes.required_table(recipe.curate, "curate")
    stage = runs.stage(run, "curate", curation_key(recipe), {})
    progress.start("curate", settings.problems)
    with stage.claim() as has_work:
        if has_work:
            curating.collect(settings, recipe.seed, stage.folder, lambda count: progress.update(count, "problems"))
            stage.finish({"rows": curating.select(settings, stage.folder)})
    levels = ", ".join(f"{count:,} {level}" for level, count in stage.results(rows=dict)["rows"].items())
    progress.finish(f"{levels} rows in {stage.folder}")
    return stage.folder / curating.ROWS


def train(
    recipe: Recipe,
    run: Path,
    progress: ProgressReporter,
    on_preflight: Callable[[PreparedTraining], None] | None = None,
    dependents: Sequence[Recipe] = (),
) -> Path:
    """Train the recipe's model, after its bases, on the run's rows or as `[finetune]` says; returns the model folder.

    `on_preflight` is called before fine-tuning starts. `dependents` are trained from this model; the estimate of the
    training time includes theirs.
    """
    from z1.train.scratch import train as scratch

    if recipe.finetune:
        return _finetune(recipe, run, progress, on_preflight)
    chain(recipe)
    base = _base(recipe, run, progress, (recipe, *dependents))
    rows = curate(recipe, run, progress)
    inputs = {"rows": rows, **({"base": base} if base else {})}
    stage = runs.stage(run, "train", training_key(recipe), inputs)
    progress.start("train", 1)
    last: list[Progress] = []

    def estimated(left: float, total: float) -> None:
        minutes = f"{recipe.name} is expected to take {left / 60:.0f} core-minutes more"
        progress.finish(minutes + _dependents_estimate(recipe, dependents, total))

    def step(state: Progress) -> None:
        last[:] = [state]
        if state.step <= 10:
            progress.start("train", state.steps)
        progress.update(state.step, _training_note(state))

    with stage.claim() as has_work:
        if has_work:
            scratch.train(recipe, rows, stage.folder, step, base, estimated)
            stage.finish({"loss": last[0].loss, "steps": last[0].steps} if last else {})
    progress.finish(f"model in {stage.folder / scratch.MODEL}")
    return stage.folder / scratch.MODEL


def train_apart(
    recipe: Recipe,
    run: Path,
    progress: ProgressReporter,
    on_preflight: Callable[[PreparedTraining], None] | None = None,
) -> Path:
    """`train`, a fine-tuning in a process of its own (see `train.own_process`): for what follows it in this one.

    `on_preflight` is called there, and pickled.
    """
    is_done = finished_stage(run, "train", training_key(recipe)) is not None
    if recipe.finetune is None or is_done or process_rank()[1] > 1:
        return train(recipe, run, progress, on_preflight)
    from z1.train import own_process

    return cast(Path, own_process.call(train, recipe, run, progress=progress, on_preflight=on_preflight))


def _training_note(state: Progress) -> str:
    return f"loss {state.loss:.4f}, {state.tokens / max(state.seconds, 1e-9):,.0f} tokens/s"


def _dependents_estimate(recipe: Recipe, dependents: Sequence[Recipe], seconds: float) -> str:
    """The core-minutes to expect for the `dependents`, by their training tokens, if `recipe` takes `seconds`."""
    own, *others = (one.train.train_tokens if one.train else None for one in (recipe, *dependents))
    if not own or not others or None in others:
        return ""
    minutes = seconds / 60 / own * sum(tokens for tokens in others if tokens)
    return f"; {', '.join(one.name for one in dependents)} after it about {minutes:.0f}"


def prepare(recipe: Recipe, run: Path, progress: ProgressReporter, world_size: int = 1) -> PreparedTraining:
    """Encode the training data of a recipe with `[finetune]`, and plan its steps for `world_size` processes."""
    from z1.train.sft.prepare import prepare as preparing

    chosen = recipes.required_table(recipe.finetune, "finetune")
    chain(recipe)
    lock = run / ".prepare.lock"  # of several processes one prepares, and the others find the result
    with runs.file_lock(lock) if world_size > 1 else runs.exclusive(lock, f"run {run}"):
        curated = None if chosen.data else curate(recipe, run, progress)
        base = str(_base(recipe, run, progress))
        progress.start("encode", 1)
        prepared = preparing(recipe, run, curated, base, world_size)
    progress.finish(f"{len(prepared.preflight.rows):,} rows in {run}")
    return prepared


def _finetune(
    recipe: Recipe,
    run: Path,
    progress: ProgressReporter,
    on_preflight: Callable[[PreparedTraining], None] | None,
) -> Path:
    from z1.train.sft.trainer import MODEL, TrainingSet, finetune

    rank, world_size = process_rank()
    prepared = prepare(recipe, run, progress, world_size)
    preflight, base = prepared.preflight, Path(prepared.base)
    key = {**training_key(recipe), "rows": prepared.data_info}
    stage = runs.stage(run, "train", key, {"base": base} if base.exists() else {})
    last: list[Progress] = []

    def step(state: Progress) -> None:
        last[:] = [state]
        progress.update(state.step, _training_note(state))

    if not stage.is_done:
        if on_preflight:
            on_preflight(prepared)
        preflight.check()
    with stage.claim(is_main=rank == 0) as has_work:
        if has_work:
            progress.start("train", preflight.schedule.steps)
            training_set = TrainingSet(preflight.rows, preflight.held_out, prepared.base, prepared.data_info)
            finetune(recipe, training_set, stage.folder, step)
            if rank == 0:
                stage.finish({"loss": last[-1].loss if last else None, "steps": preflight.schedule.steps})
    progress.finish(f"model in {stage.folder / MODEL}")
    return stage.folder / MODEL


def process_rank() -> tuple[int, int]:
    """Rank of this process and the number of processes, as torchrun sets them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _base(recipe: Recipe, run: Path, progress: ProgressReporter, dependents: Sequence[Recipe] = ()) -> Path | None:
    """The model folder of the recipe's base, trained first if it is a recipe; None for training from scratch."""
    if recipe.base_recipe is None:
        return Path(recipe.base_model) if recipe.base_model else None
    base = recipes.load(recipe.base_recipe)
    return train(base, run.parent / base.name, progress, dependents=dependents)


def evaluate(recipe: Recipe, run: Path, progress: ProgressReporter, model: str | Path | None = None) -> Path:
    """Evaluate a model at every thinking budget: the run's own, a folder, or a hub id; returns the results folder.

    Raises UserError without a `model` if the recipe trains none.
    """
    if not (model or recipe.train or recipe.finetune):
        raise UserError("model", "none, and a recipe that trains none", "give --model, or add [train] or [finetune]")
    model = model or train(recipe, run, NoProgress())
    return evaluate_model(recipe.evaluate, recipe.seed, run, progress, model)


def evaluate_model(
    settings: EvaluateSettings,
    seed: int,
    run: Path,
    progress: ProgressReporter,
    model: str | Path,
    upstream: Upstream | None = None,
) -> Path:
    """Evaluate `model` in a stage of `run`; returns the evaluation folder.

    With an `upstream` a server computes the replies, and `model` names its tokenizer.
    """
    weights = model_inputs(Path(model))
    server = {"upstream_url": upstream.url, "served_model_name": upstream.model} if upstream else {}
    key = {**evaluation_key(settings, seed), **server, **({} if weights else {"model": str(model)})}
    stage = runs.stage(run, "evaluate", key, weights)
    progress.start("evaluate", settings.problems * (settings.sampling.samples if settings.sampling else 1))
    with stage.claim() as has_work:
        if has_work:
            benchmark = benchmarks.get_benchmark(settings.benchmark)
            problems = benchmark.load(settings.problems, seed, benchmarks.LoadOptions(**settings.source()))
            benchmark.require_sandbox()
            engine = _remote(settings, model, upstream) if upstream else _local(settings, model)
            sweep = evaluating.make_sweep(settings, seed, engine, stage.inputs.get("tokenizer.json", ""))
            missing = _run_sweep(sweep, problems, stage, settings.concurrency, progress)
            if missing:
                progress.finish(f"{missing} attempts missing (see `fault` in {stage.folder}); run again to retry them")
                return stage.folder
    progress.finish(f"numbers in {stage.folder}")
    return stage.folder


def _run_sweep(
    sweep: evaluating.Sweep,
    problems: Sequence[Problem],
    stage: runs.Stage,
    concurrency: int,
    progress: ProgressReporter,
) -> int:
    """Evaluate the problems and write the numbers; returns how many attempts are missing. Without any, the stage is
    done.
    """
    folder = stage.folder
    finished = evaluating.count_finished(sweep, problems, folder)
    counter = evaluating.AttemptCounter(progress.update, finished)

    async def run_it() -> None:
        async with sweep.engine:
            progress.update(finished, str(await evaluating.estimate_cost(sweep, problems)))
            await evaluating.evaluate(sweep, problems, folder, concurrency, counter.add)

    asyncio.run(run_it())
    names = {
        "run": f"{folder.parent.name} {folder.name}",
        "model": sweep.engine.name,
        "benchmark": sweep.benchmark.name,
    }
    numbers = evaluating.curve(problems, evaluating.read_attempts(folder).values(), names)
    runs.write_json(folder / "curve.json", numbers)
    missing = int(sum(point["missing"] for point in numbers["points"]))
    if not missing:
        stage.finish({"s1": numbers["s1"], "outputs": output_hashes(folder)})
    return missing


def _remote(settings: EvaluateSettings, model: str | Path, upstream: Upstream) -> Engine:
    from z1.engines.remote import load

    return load(replace(upstream, max_model_len=settings.max_model_len), str(model), settings.profile)


def _local(settings: EvaluateSettings, model: str | Path) -> Engine:
    from z1.engines.local.engine import LocalSettings, load

    local = LocalSettings(max_num_seqs=2 * settings.concurrency, dtype=settings.dtype or "auto")
    if settings.max_model_len is not None:
        local = replace(local, max_model_len=settings.max_model_len)
    return load(model, local, settings.profile)


def report(recipe: Recipe, run: Path, progress: ProgressReporter, evaluation: Path) -> Path:
    """Write the report of an `evaluation` folder; returns the page."""
    from z1 import report as reporting

    progress.start("report", 1)
    settings = recipe.report
    page = reporting.write([evaluation], run / "report", title=settings.title, transcripts=settings.transcripts)
    progress.finish(f"report in {page}")
    return page


def model_inputs(folder: Path) -> dict[str, Path]:
    """The files of a model that its output depends on, which is all but z1.json. Empty for a hub id."""
    if folder.is_file():
        return {folder.name: folder}
    suffixes = (".safetensors", ".json", ".jinja")
    return {path.name: path for path in sorted(folder.glob("*")) if path.suffix in suffixes and path.name != "z1.json"}
