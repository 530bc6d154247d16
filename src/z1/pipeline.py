"""Which stages make a run, in which order, and what does each hand to the next?

    curate ──rows.jsonl──▶ train ──model/──▶ evaluate ──attempts.jsonl, curve.json──▶ report

Each stage is keyed by its own settings and inputs (see `runs.py`): a finished one is passed over, one that was stopped
goes on, and a changed setting redoes that stage and those after it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from z1 import benchmarks, profiles, runs
from z1 import curate as curating
from z1 import evaluate as evaluating
from z1 import recipe as recipes
from z1.engines import Engine, Sampling
from z1.recipe import EvaluateSettings, Recipe
from z1.records import Attempt

if TYPE_CHECKING:
    from z1.engines.remote import Upstream
    from z1.train.sft.prepare import Prepared


HOW = {"micro_tokens", "gradient_checkpointing", "offload", "threads", "checkpoint_seconds", "held_out_steps"}
"""Settings of how a fine-tuning is computed: training goes on under changed ones."""

CHECKED = {"data", "steps", "max_dropped"}
"""Settings of what is checked before; what `data` holds counts, and not where it lies."""


class Watcher(Protocol):
    """Whoever shows a person how far a stage is; `cli_stages.py` draws bars, tests use `Silent`."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` units begins."""
        ...

    def at(self, done: int, note: str = "") -> None:
        """So many units are done."""
        ...

    def end(self, note: str) -> None:
        """The stage has ended, or had ended before."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def at(self, done: int, note: str = "") -> None:
        """Nothing."""

    def end(self, note: str) -> None:
        """Nothing."""


def check(recipe: Recipe) -> None:
    """Refuse now what would otherwise be refused after hours of training: names that stand in no table."""
    for name in (recipe.profile, recipe.evaluate.profile):
        if name is not None:
            profiles.profile(name)
    benchmarks.get_benchmark(recipe.evaluate.benchmark)


def curate(recipe: Recipe, run: Path, watch: Watcher) -> Path:
    """Collect and select; returns the rows to train on."""
    chosen = recipes.required_table(recipe.curate, "curate")
    settings = {"seed": recipe.seed, **chosen.model_dump(mode="json", exclude_defaults=True)}
    stage = runs.stage(run, "curate", settings, {})
    watch.begin("curate", chosen.problems)
    if not stage.is_done:
        curating.collect(chosen, recipe.seed, stage.folder, lambda count: watch.at(count, "problems"))
        stage.finish({"rows": curating.select(chosen, stage.folder)})
    levels = ", ".join(f"{count:,} {level}" for level, count in stage.results()["rows"].items())
    watch.end(f"{levels} rows in {stage.folder}")
    return stage.folder / curating.ROWS


def train(
    recipe: Recipe,
    run: Path,
    watch: Watcher,
    show: Callable[[Prepared], None] = lambda _prepared: None,
    later: Sequence[Recipe] = (),
) -> Path:
    """Train on the run's rows, or as `[finetune]` says, after all that it begins with; returns the model folder.

    Before a fine-tuning begins `show` is given what it is about to do. `later` are trained from this one, so that what
    they are expected to take is said too.
    """
    from z1 import train as training

    if recipe.finetune:
        return _finetune(recipe, run, watch, show)
    base = _base(recipe, run, watch, (recipe, *later))
    rows = curate(recipe, run, watch)
    own = recipe.model_dump(mode="json", include={"model", "train"}, exclude_defaults=True)
    settings = {"seed": recipe.seed, "name": recipe.name, **own}
    inputs = {"rows": rows, **({"base": base} if base else {})}
    stage = runs.stage(run, "train", settings, inputs)
    watch.begin("train", 1)
    if not stage.is_done:
        last: list[training.Progress] = []

        def plan(left: float, whole: float) -> None:
            watch.end(
                f"{recipe.name} is expected to take {left / 60:.0f} core-minutes more{_after(recipe, later, whole)}"
            )

        def report(progress: training.Progress) -> None:
            last[:] = [progress]
            if progress.step <= 10:
                watch.begin("train", progress.steps)
            rate = progress.tokens / max(progress.seconds, 1e-9)
            watch.at(progress.step, f"loss {progress.loss:.4f}, {rate:,.0f} tokens/s")

        training.train(recipe, rows, stage.folder, report, base, plan)
        stage.finish({"loss": last[0].loss, "steps": last[0].steps} if last else {})
    watch.end(f"model in {stage.folder / training.MODEL}")
    return stage.folder / training.MODEL


def _after(recipe: Recipe, later: Sequence[Recipe], seconds: float) -> str:
    """What models that begin with the one of `recipe`, which takes `seconds`, are expected to take by their ids."""
    own, *others = (one.train.train_tokens if one.train else None for one in (recipe, *later))
    if not own or not others or None in others:
        return ""
    minutes = seconds / 60 / own * sum(ids for ids in others if ids)
    return f"; {', '.join(one.name for one in later)} after it about {minutes:.0f}"


def prepare(recipe: Recipe, run: Path, watch: Watcher, world: int = 1) -> Prepared:
    """Encode what a recipe with `[finetune]` learns from, and count what `world` processes would do with it."""
    from z1.train.sft.prepare import prepare as preparing

    chosen = recipes.required_table(recipe.finetune, "finetune")
    with runs.file_lock(run / ".prepare.lock"):  # what one process has made the others find
        curated = None if chosen.data else curate(recipe, run, watch)
        base = str(_base(recipe, run, watch))
        watch.begin("encode", 1)
        prepared = preparing(recipe, run, curated, base, world)
    watch.end(f"{len(prepared.preflight.rows):,} rows in {run}")
    return prepared


def _finetune(recipe: Recipe, run: Path, watch: Watcher, show: Callable[[Prepared], None]) -> Path:
    from z1.train.scratch.trainer import Progress
    from z1.train.sft.trainer import MODEL, TrainingSet, finetune

    rank, world = place()
    prepared = prepare(recipe, run, watch, world)
    preflight, base = prepared.preflight, Path(prepared.base)
    own = preflight.settings.model_dump(mode="json", exclude=HOW | CHECKED, exclude_defaults=True)
    settings = {"seed": recipe.seed, "name": recipe.name, "base": recipe.base, "rows": prepared.data_info, **own}
    stage = runs.stage(run, "train", settings, {"base": base} if base.exists() else {})
    if not stage.is_done:
        show(prepared)
        preflight.check()
        watch.begin("train", preflight.schedule.steps)
        last: list[Progress] = []

        def report(progress: Progress) -> None:
            last[:] = [progress]
            rate = progress.tokens / max(progress.seconds, 1e-9)
            watch.at(progress.step, f"loss {progress.loss:.4f}, {rate:,.0f} tokens/s")

        corpus = TrainingSet(preflight.rows, preflight.held_out, prepared.base, prepared.data_info)
        finetune(recipe, corpus, stage.folder, report)
        if rank == 0:
            stage.finish({"loss": last[-1].loss if last else None, "steps": preflight.schedule.steps})
    watch.end(f"model in {stage.folder / MODEL}")
    return stage.folder / MODEL


def place() -> tuple[int, int]:
    """Which of how many processes this one is, as torchrun tells each of those that train together."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _base(recipe: Recipe, run: Path, watch: Watcher, later: Sequence[Recipe] = ()) -> Path | None:
    """The model folder that the recipe begins with, made first if it is a recipe's; `later` begin with it."""
    if recipe.base_recipe is None:
        return Path(recipe.base) if recipe.base else None
    base = recipes.load(recipe.base_recipe)
    return train(base, run.parent / base.name, watch, later=later)


def evaluate(recipe: Recipe, run: Path, watch: Watcher, model: str | Path | None = None) -> Path:
    """Put a model through every window: the run's own, or a folder or hub id; returns the folder of numbers."""
    return measure(recipe.evaluate, recipe.seed, run, watch, model or train(recipe, run, Silent()))


def measure(
    chosen: EvaluateSettings, seed: int, run: Path, watch: Watcher, model: str | Path, upstream: Upstream | None = None
) -> Path:
    """Put `model` through what is `chosen`, in a stage of `run`; returns the folder of numbers.

    An `upstream` computes it elsewhere; `model` then names its tokenizer.
    """
    weights = weights_of(Path(model))
    asked = chosen.model_dump(mode="json", exclude_none=True)
    elsewhere = {"address": upstream.address, "served": upstream.model} if upstream else {}
    settings = {"seed": seed, **asked, **elsewhere, **({} if weights else {"model": str(model)})}
    stage = runs.stage(run, "evaluate", settings, weights)
    draws = chosen.sampling
    watch.begin("evaluate", chosen.problems * (draws.samples if draws else 1))
    if not stage.is_done:
        problems = benchmarks.get_benchmark(chosen.benchmark).load(
            chosen.problems, seed, benchmarks.LoadOptions(**chosen.source())
        )
        engine = _remote(chosen, model, upstream) if upstream else _local(chosen, model)
        setting = _sweep(chosen, seed, engine, stage.inputs.get("tokenizer.json", ""))
        tally = _Tally(watch)

        async def run_it() -> None:
            async with setting.engine:
                watch.at(0, str(await evaluating.foresee(setting, problems)))
                await evaluating.evaluate(setting, problems, stage.folder, chosen.concurrency, tally.done)

        asyncio.run(run_it())
        names = {"run": f"{run.name} {stage.folder.name}", "model": setting.engine.name}
        names["benchmark"] = setting.benchmark.name
        numbers = evaluating.curve(problems, evaluating.read_attempts(stage.folder).values(), names)
        runs.write_json(stage.folder / "curve.json", numbers)
        if missing := sum(point["missing"] for point in numbers["points"]):
            watch.end(f"{missing} attempts missing, see their faults in {stage.folder}; run again to try them again")
            return stage.folder
        stage.finish({"s1": numbers["s1"]})
    watch.end(f"numbers in {stage.folder}")
    return stage.folder


def _remote(chosen: EvaluateSettings, model: str | Path, upstream: Upstream) -> Engine:
    from z1.engines.remote import load

    return load(replace(upstream, max_model_len=chosen.max_model_len), str(model), chosen.profile)


def _local(chosen: EvaluateSettings, model: str | Path) -> Engine:
    from z1.engines.local.engine import LocalSettings, load

    settings = LocalSettings(max_num_seqs=2 * chosen.concurrency)
    if chosen.max_model_len is not None:
        settings = replace(settings, max_model_len=chosen.max_model_len)
    return load(model, settings, chosen.profile)


def _sweep(chosen: EvaluateSettings, seed: int, engine: Engine, tokenizer_hash: str) -> evaluating.Sweep:
    bench = benchmarks.get_benchmark(chosen.benchmark).with_prompt(chosen.prompt, chosen.system)
    draws = chosen.sampling.model_dump() if chosen.sampling else {"samples": 1}
    samples = draws.pop("samples")
    return evaluating.Sweep(
        engine,
        bench,
        chosen.thinking_budgets,
        chosen.max_answer_tokens,
        tokenizer_hash,
        samples,
        Sampling(seed=seed, **draws),
        chosen.separate_runs is not None,
    )


def report(recipe: Recipe, run: Path, watch: Watcher, numbers: Path) -> Path:
    """Draw the numbers in the folder that `evaluate` gave; returns the page."""
    from z1 import report as reporting

    watch.begin("report", 1)
    shown = recipe.report
    page = reporting.write([numbers], run / "report", title=shown.title, transcripts=shown.transcripts)
    watch.end(f"report in {page}")
    return page


def weights_of(folder: Path) -> dict[str, Path]:
    """What a model folder computes with: all but what it says about itself. Empty for a hub id."""
    kept = (".safetensors", ".json", ".jinja")
    return {path.name: path for path in sorted(folder.glob("*")) if path.suffix in kept and path.name != "z1.json"}


class _Tally:
    """Counts what a person wants to see while an evaluation runs."""

    def __init__(self, watch: Watcher) -> None:
        self._watch, self._began = watch, time.monotonic()
        self._problems = self._shifted = self._missing = self._attempts = self._ids = 0

    def done(self, attempts: list[Attempt]) -> None:
        """The attempts of one more problem are done; none where they had been done before."""
        self._problems += 1
        self._attempts += len(attempts)
        self._shifted += sum(attempt.ledger["hint"] != 0 for attempt in attempts)
        self._missing += sum(attempt.verdict == "missing" for attempt in attempts)
        self._ids += sum(len(attempt.token_ids) for attempt in attempts)
        rate = self._ids / max(time.monotonic() - self._began, 1e-9)
        note = f"{self._shifted} of {self._attempts} attempts shifted, {self._missing} missing, {rate:,.0f} ids/s"
        self._watch.at(self._problems, note)
