"""The door: what does a person type?

    z1 think "..."                    one prompt, one reply, and what it cost
    z1 curate PLAN                    a dataset from any source and teacher; --describe looks at one
    z1 curate | train | evaluate | report RECIPE     one stage of a run, and those before it where they are not done
    z1 run RECIPE                     the whole story, from nothing to the report
    z1 evaluate COMPARISON            given models side by side; --compare RUN RUN two runs; --needed POINTS
    z1 serve MODEL                    OpenAI's API with a budget for every thought
    z1 study STUDY                    several recipes and seeds side by side
    z1 demo                           the shipped model: two thoughts, its curve beside a long thinker's
    z1 doctor                         what this machine can do

Faults of the input end with status 2, faults of z1 with 1, each with one line on standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from z1.errors import UserError, Z1Error, from_os_error

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

RecipePath = Annotated[
    Path, typer.Argument(help="A recipe file, or the name of one that ships, such as tiny.", show_default=False)
]
RunsPath = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]
ModelName = Annotated[str | None, typer.Option("--model", help="Model folder or hub id; z1-tiny if not given.")]
OnlyFetch = Annotated[
    bool, typer.Option("--fetch", help="Only bring the data and the weights, and print their hashes.")
]

RUNS = Path("runs")

EXTRAS = {
    **dict.fromkeys(["fastapi", "starlette", "uvicorn", "prometheus_client"], "serve"),
    **dict.fromkeys(["accelerate", "peft", "tensorboard"], "train"),
    **dict.fromkeys(["huggingface_hub", "math_verify"], "evaluate"),
    "datasketch": "curate",
    "gradio": "chat",
    "ray": "ray",
}
"""Which extra of z1 brings a library that is not always there."""

STOPPED = (130, 143)
"""With which typer ends where somebody interrupts, and a training that was sent SIGTERM."""


@app.callback()
def door() -> None:
    """Language models that think only as long as the problem needs."""


@app.command()
def think(
    prompt: Annotated[
        str, typer.Argument(help='The prompt, the path of a file that holds it, or "-" for standard input.')
    ],
    model: ModelName = None,
    window: Annotated[
        int | None, typer.Option(help="Most ids of thought; 0 answers at once.", show_default="free")
    ] = None,
    answer: Annotated[int | None, typer.Option(help="Most ids of answer.", show_default="512")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds until the thought is shifted to its answer.")] = None,
    profile: Annotated[str | None, typer.Option(help="Family of the model, where it cannot be told.")] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draws, where the temperature is above 0.")] = 0,
    top_p: Annotated[float, typer.Option(help="Leave the likeliest ids in that reach this share.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Leave so many of the likeliest ids in; 0 leaves all.")] = 0,
    stop: Annotated[
        list[str] | None, typer.Option(help="Text that ends the answer; may be given again.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """Think about one prompt, inside a window, and show thought, hint and answer apart."""
    from z1.cli import think as cli_think
    from z1.generation import GenerationOptions

    options = GenerationOptions(window, answer, deadline, temperature, seed, top_p, top_k, tuple(stop or ()))
    cli_think.think(cli_think.read(prompt), model, profile, options, as_json=as_json)


@app.command()
def curate(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe, or a plan of sources.", show_default=False)] = None,
    runs: RunsPath = RUNS,
    ask: Annotated[bool, typer.Option(help="Ask the teacher of a plan, or take the replies that are here.")] = True,
    describe: Annotated[
        Path | None, typer.Option(help="A dataset to describe instead: file or folder.", show_default=False)
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="To describe with; the dataset's own counts if not given.")] = "",
    fetch: OnlyFetch = False,
    ray: Annotated[bool, typer.Option("--ray", help="Measure a plan's candidates on a Ray cluster.")] = False,
    shard: Annotated[str, typer.Option(help="Measure one part of a plan's candidates alone, such as 1/4.")] = "",
    merge: Annotated[bool, typer.Option("--merge", help="Build a plan from what its shards measured.")] = False,
) -> None:
    """Gather verified problems and choose how long to think about each; by a recipe, or by a plan with its sources."""
    from z1.cli import curate as cli_curate

    if describe:
        cli_curate.describe(describe, tokenizer)
    elif recipe is None:
        raise UserError("recipe", "nothing", "give a recipe, a plan, or --describe DATASET")
    elif fetch:
        cli_curate.fetch(recipe)
    elif cli_curate.is_plan(recipe):
        cli_curate.curate(recipe, runs, cli_curate.PlanOptions(ask, ray, shard, merge))
    else:
        _stage("curate", recipe, runs)


@app.command()
def train(
    recipe: RecipePath,
    runs: RunsPath = RUNS,
    preflight: Annotated[bool, typer.Option("--preflight", help="Only say what fine-tuning would do.")] = False,
    processes: Annotated[
        int | None, typer.Option(help="For so many processes.", min=1, show_default="those there are")
    ] = None,
) -> None:
    """Train the recipe's model; goes on where it was stopped."""
    if preflight:
        from z1.cli import progress

        progress.preflight(recipe, runs, processes)
        return
    _stage("train", recipe, runs)


@app.command()
def evaluate(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe, or a comparison of given models.", show_default=False)
    ] = None,
    runs: RunsPath = RUNS,
    model: ModelName = None,
    fetch: OnlyFetch = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two runs of the same problems, ours first.", show_default=False)
    ] = None,
    needed: Annotated[
        float | None, typer.Option(help="How many problems show a difference of so many points?", show_default=False)
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="A run to read the table of efforts off.", show_default=False)
    ] = None,
    within: Annotated[float, typer.Option(help="Points that a calibrated window may lose.")] = 1.0,
    replay: Annotated[Path | None, typer.Option(help="Your own chat requests, JSONL.", show_default=False)] = None,
    windows: Annotated[str, typer.Option(help="Windows to replay under.")] = "64,128,256,512,1024,2048",
    answer: Annotated[int, typer.Option(help="Most ids of a replayed answer.")] = 512,
    price: Annotated[float | None, typer.Option(help="Of a million ids of output.", show_default=False)] = None,
) -> None:
    """Put models through every window and print the numbers; compare two runs; calibrate efforts; replay traffic."""
    from z1.cli import evaluate as cli_evaluate
    from z1.cli import measure, progress
    from z1.comparison import is_comparison

    if compare:
        cli_evaluate.against(*compare)
    elif needed is not None:
        cli_evaluate.needed(needed)
    elif calibrate:
        measure.efforts(calibrate, within)
    elif replay:
        asked = measure.ReplayOptions(model, measure.windows_in(windows), answer, price)
        measure.replay(replay, asked, runs)
    elif recipe is None:
        raise UserError("recipe", "nothing", "give a recipe, a comparison, --compare RUN RUN, or --needed POINTS")
    elif fetch:
        progress.fetch(recipe, model)
    elif is_comparison(recipe):
        cli_evaluate.compare_models(recipe, runs)
    else:
        _stage("evaluate", recipe, runs, model)


@app.command()
def report(recipe: RecipePath, runs: RunsPath = RUNS, model: ModelName = None) -> None:
    """Draw the numbers: one page that needs no network, and pictures."""
    _stage("report", recipe, runs, model)


@app.command()
def run(recipe: RecipePath, runs: RunsPath = RUNS) -> None:
    """Everything from nothing: curate, train, evaluate, report; finished stages are passed over."""
    _stage("run", recipe, runs)


@app.command()
def study(
    recipe: Annotated[Path, typer.Argument(help="A study, such as experiments/tiny/study.toml.", show_default=False)],
    runs: RunsPath = RUNS,
    done: Annotated[bool, typer.Option("--done", help="Train nothing; compare what is there.")] = False,
    into: Annotated[
        Path | None, typer.Option(help="Put page, pictures, numbers and manifests here as well.", show_default=False)
    ] = None,
) -> None:
    """Several recipes and seeds side by side; goes on where it was stopped."""
    from z1.cli import progress

    progress.study(recipe, runs, done=done, into=into)


@app.command()
def demo(runs: RunsPath = RUNS) -> None:
    """The shipped model thinks about an easy and a hard program, and is measured beside one taught to think long."""
    from z1.cli import progress

    progress.demo(runs)


@app.command()
def serve(
    model: Annotated[str | None, typer.Argument(help="Model folder or hub id; z1-tiny if not given.")] = None,
    engine: Annotated[
        str,
        typer.Option(help="Who computes: local, vllm, remote (--upstream), or scripted (MODEL is a file of replies)."),
    ] = "local",
    upstream: Annotated[str | None, typer.Option(help="Address up to /v1 of a server that has the model.")] = None,
    print_vllm_flags: Annotated[
        bool, typer.Option("--print-vllm-flags", help="Say how a stock vLLM server keeps windows, and end.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than loopback want an --api-key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8000,
    api_key: Annotated[str | None, typer.Option(envvar="Z1_API_KEY", help="What clients have to know.")] = None,
    budget: Annotated[
        int | None,
        typer.Option(help="Ids of thought where a request says nothing; -1 free.", show_default="the model's way"),
    ] = None,
    efforts: Annotated[Path | None, typer.Option(help="JSON file: an effort, and its ids of thought.")] = None,
    temperature: Annotated[float, typer.Option(help="Where a request says nothing.")] = 1.0,
    name: Annotated[list[str] | None, typer.Option(help="What clients call the model; may be given again.")] = None,
    profile: Annotated[str | None, typer.Option(help="Family of the model, where it cannot be told.")] = None,
    slots: Annotated[int, typer.Option(help="Contexts that the local engine holds at once.")] = 64,
    length: Annotated[int, typer.Option(help="Ids that a context may have.")] = 4096,
    replies: Annotated[
        int, typer.Option(help="Replies under way at once; beyond, clients are told to come back.")
    ] = 256,
    body: Annotated[int, typer.Option(help="Most bytes of a request.")] = 1 << 20,
    every: Annotated[int, typer.Option(help="Milliseconds that a stream gathers before it tells.")] = 50,
    shadow: Annotated[
        list[int] | None, typer.Option(help="Window to follow replies under, where room is free; may be given again.")
    ] = None,
    grace: Annotated[int, typer.Option(help="Seconds in which replies may finish after SIGTERM.")] = 30,
    log_prompts: Annotated[bool, typer.Option(help="Write prompts into the log.")] = False,
    chat: Annotated[bool, typer.Option(help="A chat page at / as well.")] = False,
) -> None:
    """Serve a model in OpenAI's API: budgets for thinking, deadlines, answer now."""
    from z1.cli import serve as cli_serve

    limits = {"replies": replies, "body": body, "every": every / 1000, "shadow": tuple(shadow or ())}
    manners = {"thinking": budget, "temperature": temperature, "names": tuple(name or ())}
    what = cli_serve.ServeModel(model, engine, profile, slots, length, upstream)
    if print_vllm_flags:
        return cli_serve.print_vllm_flags(what)
    how = cli_serve.ServeOptions(host, port, grace, api_key, log_prompts, chat)
    cli_serve.serve(what, how, limits, manners, efforts)


@app.command()
def doctor() -> None:
    """Say what this machine can do."""
    from z1.cli.doctor import facts

    for what, finding in facts():
        typer.echo(f"{what:<16} {finding}")


def _stage(name: str, recipe: Path, runs: Path, model: str | None = None) -> None:
    from z1.cli import progress

    progress.stage(name, recipe, runs, model)


def main() -> None:
    """Run the command line; every error becomes one line and a status."""
    try:
        app()
    except Z1Error as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        if (extra := EXTRAS.get((error.name or "").partition(".")[0])) is None:
            raise
        _refuse(UserError("library", f"no {error.name}", f"pip install 'z1[{extra}]'"))
    except OSError as error:
        _refuse(from_os_error(error))
    except SystemExit as ended:
        if ended.code in STOPPED:
            typer.echo("\nstopped; the same command goes on where this one was", err=True)
        raise


def _refuse(error: Z1Error) -> Any:
    typer.echo(f"z1: {error}", err=True)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
