"""The plan of the real experiment: models, benchmarks, arms, and what they cost before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from z1.errors import UserError

ARMS = ("ladder", "confidence", "convergence", "native")
"""Full thinking and z1's windows from one thought; exits by confidence and by agreement; vLLM's own budget."""


class Table(BaseModel):
    """A table of the plan: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Table):
    """A model, and the profile of its family where it cannot be detected."""

    path: str
    profile: str | None = None


class Bench(Table):
    """A benchmark, its problems, and the mean thought that is expected of a reasoning model (an assumption)."""

    benchmark: str
    problems: int = Field(gt=0)
    data: str = ""
    release: str = ""
    since: str = ""
    until: str = ""
    expected_thinking_tokens: int = Field(gt=0)


class Plan(Table):
    """The whole plan."""

    name: str
    engine: str = "vllm"
    samples: int = Field(ge=1)
    temperature: float = Field(ge=0)
    top_p: float = 1.0
    thinking_budgets: tuple[int, ...]
    max_answer_tokens: int = Field(gt=0)
    max_model_len: int = Field(gt=0)
    """The cap: a thought that reaches it is censored."""
    max_num_seqs: int = 64
    probe_interval: int = Field(gt=0)
    probe_tokens: int = Field(gt=0)
    min_confidence: float = 0.95
    min_agreeing: int = 3
    native_url: str = ""
    """A vLLM server with a reasoning parser, for the native budget; empty: the arm is not run, and the page says so."""
    native_field: str = "thinking_token_budget"
    tokens_per_second: float = Field(gt=0)
    """The throughput that is assumed, over all sequences."""
    dollars_per_hour: float = Field(gt=0)
    models: dict[str, Model]
    benchmarks: dict[str, Bench]


@dataclass(frozen=True, slots=True)
class Cell:
    """One model on one benchmark in one arm."""

    model: str
    bench: str
    arm: str


def load(path: Path) -> Plan:
    """The plan in a TOML file. Raises UserError for an invalid one."""
    try:
        return Plan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"plan {path}", str(error).replace("\n", " ")[:200], "correct the file") from None


def cells(plan: Plan) -> Iterator[Cell]:
    """All cells, one benchmark after the other, so that a stopped run has whole benchmarks."""
    for bench in plan.benchmarks:
        for model in plan.models:
            for arm in ARMS:
                yield Cell(model, bench, arm)


def expected_tokens(plan: Plan, cell: Cell) -> int:
    """The sampled tokens that a cell is expected to take.

    ladder: a thought, and an answer per budget and without one. confidence, convergence: at most a thought, an answer,
    and a probe every `probe_interval` tokens. native: a thought of its own and an answer per budget.
    """
    bench = plan.benchmarks[cell.bench]
    thought = min(bench.expected_thinking_tokens, plan.max_model_len - plan.max_answer_tokens)
    answer = plan.max_answer_tokens // 2
    if cell.arm == "ladder":
        each = thought + answer * (len(plan.thinking_budgets) + 1)
    elif cell.arm == "native":
        each = sum(min(budget, thought) + answer for budget in plan.thinking_budgets)
    else:
        each = thought + answer + thought // plan.probe_interval * plan.probe_tokens
    return bench.problems * plan.samples * each


def estimate(plan: Plan, done: frozenset[Cell] = frozenset(), tokens_per_second: float | None = None) -> list[str]:
    """Tokens, hours and cost by arm, with the arithmetic; cells that are `done` cost nothing more."""
    speed = tokens_per_second or plan.tokens_per_second
    lines, total = [], 0
    for arm in ARMS:
        todo = [cell for cell in cells(plan) if cell.arm == arm and cell not in done and why_not(plan, cell) == ""]
        tokens = sum(expected_tokens(plan, cell) for cell in todo)
        total += tokens
        lines.append(f"{arm}: {len(todo)} cells, {tokens / 1e6:,.1f}M tokens, {tokens / speed / 3600:,.1f} h")
    hours = total / speed / 3600
    lines.append(
        f"all: {total / 1e6:,.1f}M tokens / {speed:,.0f} tokens/s = {hours:,.1f} h; "
        f"{hours:,.1f} h x {plan.dollars_per_hour:.2f} $/h = {hours * plan.dollars_per_hour:,.0f} $"
    )
    return lines


def why_not(plan: Plan, cell: Cell) -> str:
    """Why a cell is not run; "" if it is."""
    return "no native_url in the plan" if cell.arm == "native" and not plan.native_url else ""
