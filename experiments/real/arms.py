"""The arms: each a sweep of z1 with other settings, and vLLM's native budget through its server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.real.confidence import ConfidenceExit
from experiments.real.plan import Plan
from z1 import benchmarks, profiles
from z1.engines import AgreementExit, Engine, ExitRule, Sampling
from z1.evaluate import Sweep
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
    sampling = Sampling(temperature=plan.temperature, top_p=plan.top_p, logprobs=0 if arm == "confidence" else None)
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


def exit_rules(plan: Plan, arm: str, engine: Engine) -> Callable[[], tuple[ExitRule, ...]]:
    """A DEER-like exit (a probed answer of high probability), or an exit after equal probed answers."""

    def answer(token_ids: Sequence[int]) -> str:
        return canonical_answer(profiles.decode(engine.tokenizer, token_ids))

    if arm == "confidence":
        return lambda: (ConfidenceExit(plan.probe_interval, plan.min_confidence, plan.probe_tokens),)
    return lambda: (AgreementExit(plan.probe_interval, plan.min_agreeing, plan.probe_tokens, answer),)


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
