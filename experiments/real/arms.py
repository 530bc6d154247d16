"""The arms: each a sweep of z1 with other settings, and vLLM's native budget through its server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.real.plan import Plan
from z1 import benchmarks, profiles
from z1.engines import AnswerExit, Engine, ExitRule, Sampling, probe_sampling
from z1.evaluate import Sweep
from z1.exit_policy import ExitMinimums
from z1.grading.equivalence import canonical_answer
from z1.records import Problem
from z1.runs import Log, read_log


def make_engine(plan: Plan, model: str, profile: str | None) -> Engine:
    """The engine of a model; entering it loads the model."""
    if plan.engine == "vllm":
        from z1.engines.vllm_engine import VllmSettings
        from z1.engines.vllm_engine import load as load_vllm

        return load_vllm(model, VllmSettings(plan.max_model_len), profile)
    from z1 import models
    from z1.engines.local.engine import LocalSettings, load

    shipped = Path(models.__file__).parent / model
    settings = LocalSettings(2 * plan.max_num_seqs, plan.max_model_len)
    return load(shipped if shipped.is_dir() else model, settings, profile)


def make_sweep(plan: Plan, arm: str, engine: Engine, benchmark: benchmarks.Benchmark) -> Sweep:
    """The sweep of an arm that z1 runs itself."""
    sampling = Sampling(temperature=plan.temperature, top_p=plan.top_p)
    if arm == "ladder":
        return Sweep(
            engine, benchmark, plan.thinking_budgets, plan.max_answer_tokens, samples=plan.samples, sampling=sampling
        )
    return Sweep(
        engine,
        benchmark,
        (),
        plan.max_answer_tokens,
        samples=plan.samples,
        sampling=sampling,
        separate_runs=True,
        exit_rules=exit_rules(plan, arm, engine),
    )


def exit_rules(plan: Plan, arm: str, engine: Engine) -> Callable[[Sampling], tuple[ExitRule, ...]]:
    """An exit at a probed answer of high probability, or after equal probed answers."""
    is_confidence = arm == "confidence"
    minimums = ExitMinimums(probability=plan.min_confidence) if is_confidence else ExitMinimums(plan.min_agreeing)
    decode = partial(profiles.decode, engine.tokenizer)

    def rules(sampling: Sampling) -> tuple[ExitRule, ...]:
        forks = probe_sampling(sampling, engine)
        return (AnswerExit(plan.probe_interval, minimums, plan.probe_tokens, decode, canonical_answer, forks),)

    return rules


def native(plan: Plan, model: str, benchmark: benchmarks.Benchmark, problems: Sequence[Problem], log: Path) -> Path:
    """Ask the server at `native_url` at every budget, with its own budget field; resumable, one line per reply."""
    from openai import OpenAI

    client = OpenAI(base_url=plan.native_url, api_key="none")
    known = {(row["id"], row["budget"], row["sample"]) for row in read_log(log, dict)}
    with Log(log) as out:
        for problem in problems:
            for budget in plan.thinking_budgets:
                for sample in range(plan.samples):
                    if (problem.id, budget, sample) not in known:
                        out.add([_native_row(client, plan, (model, budget, sample), problem, benchmark)])
    return log


def _native_row(
    client: Any, plan: Plan, asked: tuple[str, int, int], problem: Problem, benchmark: benchmarks.Benchmark
) -> dict[str, Any]:
    model, budget, sample = asked
    done = client.chat.completions.create(
        model=model,
        messages=benchmark.messages(problem),
        temperature=plan.temperature,
        top_p=plan.top_p,
        seed=sample,
        max_completion_tokens=plan.max_answer_tokens + budget,
        extra_body={plan.native_field: budget},
    )
    (choice,) = done.choices
    details, message = done.usage.completion_tokens_details, choice.message
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return {
        "id": problem.id,
        "budget": budget,
        "sample": sample,
        "thinking": thinking or "",
        "response": message.content or "",
        "reasoning_tokens": getattr(details, "reasoning_tokens", None),
        "completion_tokens": done.usage.completion_tokens,
        "truncated": choice.finish_reason == "length",
    }
