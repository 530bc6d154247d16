"""All workloads of a full run of `bench/think.py`.

Every workload with every arm on `bench-2m`, requests that arrive one after another, and `bench-100m`: its
share of the roofline, a profile, and the same arms on mixed lengths. This process and vLLM's alternate on one
core.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from bench.record import environment
from bench.thinking.models import SHAPES, Shape, make_model, make_tokenizer
from bench.thinking.ours import Ours
from bench.thinking.reference import Reference
from bench.thinking.resident import Resident
from bench.thinking.roofline import Machine, Profile, Watch, step
from bench.thinking.turns import Arm, Measure, Round, cheaper, exact, over, rates, rounds, spread
from bench.thinking.workloads import Request, Requests, Sizes, mixed, natural, uniform

SLOTS, LENGTH = 64, 512

AGAINST = {
    "two_pass": "window",
    "two_pass_same_engine": "window",
    "generate": "window",
    "vllm_two_pass": "window",
    "vllm_eager": "free",
    "vllm_compiled": "free",
}
"""The arm of ours that each peer is compared with: replies with windows, or as many tokens without."""


@dataclass(frozen=True, slots=True)
class Case:
    """One workload, and the arms that do not run on it."""

    name: str
    requests: list[Request]
    without: frozenset[str] = frozenset()


def cases() -> list[Case]:
    """All workloads of the small model."""
    sizes = Sizes(prompt=8, hint=8, answer=8)
    alone = frozenset({"free", "generate", "vllm_eager", "vllm_compiled"})
    return [
        Case("uniform_b1", uniform(1, 112, sizes)),
        Case("uniform_b16", uniform(16, 112, sizes)),
        Case("uniform_b64", uniform(64, 64, sizes)),
        Case("mixed_b16", mixed(16, 8, sizes)),
        Case("mixed_b64", mixed(64, 8, sizes)),
        Case("uniform_512_on_64", uniform(512, 16, sizes)),
        Case("mixed_512_on_64", mixed(512, 16, sizes)),
        Case("natural_512_on_64", natural(512, 4, sizes), alone),
    ]


class Contest:
    """All arms on one model."""

    def __init__(
        self, name: str, runner: asyncio.Runner, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.shape = SHAPES[name]
        self.ours = Ours(make_model(self.shape, device, LENGTH, dtype), SLOTS, LENGTH, runner)
        self.model = make_model(self.shape, device, LENGTH, dtype)
        self.reference = Reference(self.model, make_tokenizer(min(self.shape.vocabulary, 16384)), SLOTS)
        self.vllm: dict[str, Resident] = {}

    def add_vllm(self, python: str, core: int, stack: ExitStack) -> None:
        """Start vLLM, eager and compiled, on a copy of the weights."""
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        make_model(self.shape, "cpu", LENGTH).save_pretrained(folder)
        for mode in ("eager", "compiled"):
            self.vllm[mode] = Resident(python, folder, mode, core)
            stack.callback(self.vllm[mode].close)

    def arms(self, requests: Requests) -> dict[str, Arm]:
        """All arms on these requests, by name."""
        found: dict[str, Arm] = {
            "window": lambda: self.ours.window(requests),
            "free": lambda: self.ours.free(requests),
            "two_pass_same_engine": lambda: self.ours.two_passes(requests),
            "two_pass": lambda: self.reference.two_passes(requests),
            "generate": lambda: self.reference.thoughts(requests),
        }
        for mode, resident in self.vllm.items():
            found[f"vllm_{mode}"] = _turn(resident, "free", requests)
        if "compiled" in self.vllm:
            found["vllm_two_pass"] = _turn(self.vllm["compiled"], "two_passes", requests)
        return found

    def measure(self, case: Case, short_seconds: float = 60.0) -> dict[str, Any]:
        """Run all arms on one workload for at least three rounds.

        Without a queue the first round is dropped, and no round starts that would exceed `short_seconds`.
        """
        arms = {name: arm for name, arm in self.arms(case.requests).items() if name not in case.without}
        count, max_seconds = 5, 120.0
        if len(case.requests) <= SLOTS:
            rounds(arms, 1, 0.0)
            count, max_seconds = 9, short_seconds
        self.reference.joined = 0
        found = rounds(arms, count, max_seconds, min_rounds=3)
        return summary(case, found) | {"ids_joined_as_text": self.reference.joined // len(found)}


def _turn(resident: Resident, way: str, requests: Requests) -> Arm:
    return lambda: resident.run(way, requests)


def summary(case: Case, found: Sequence[Round]) -> dict[str, Any]:
    """The ratios of one workload with their quartiles."""
    ratios = {f"over_{peer}": over(found, one, peer) for peer, one in AGAINST.items() if peer in found[0]}
    result = {
        "requests": len(case.requests),
        "rounds": len(found),
        "ids_sampled": sum(request.sampled for request in case.requests),
        "ids_joined": sum(len(r.prompt) + r.thinking + len(r.hint) for r in case.requests if r.answer),
        "ratios": ratios,
        "ids_per_second": rates(found),
    }
    if "free" in found[0]:
        result |= {"window_over_free": cheaper(found, "window", "free"), **exact(found)}
    return result


def late(contest: Contest, gap: float, count: int = 4) -> dict[str, Any]:
    """Latency of requests that arrive `gap` seconds apart, in z1 and in the reference."""
    requests = mixed(256, 8, Sizes(prompt=8, hint=8, answer=8))
    arms: dict[str, Arm] = {
        "window": lambda: contest.ours.late(requests, gap),
        "two_pass": lambda: contest.reference.late(requests, gap),
    }
    found = rounds(arms, count, 90.0, min_rounds=3)
    return {
        "requests": len(requests),
        "rounds": len(found),
        "seconds_between_requests": round(gap, 5),
        "latency_of_two_pass_over_ours": spread([t["two_pass"].latency / t["window"].latency for t in found]),
        "latency_seconds": {name: round(median(t[name].latency for t in found), 3) for name in arms},
    }


def share(ours: Ours, shape: Shape, machine: Machine, batch: int, *, count: int = 5, steps: int = 12) -> dict[str, Any]:
    """The share of the roofline that decoding reaches with `batch` contexts, and a profile."""
    sizes = Sizes(prompt=16, hint=1, answer=1)
    requests = uniform(batch, 1, sizes)
    minimum = step(shape, batch, sizes.prompt + 1 + steps / 2, width=machine.width)
    ours.steps(requests, 2)
    floors, taken, matrix, memory = [], [], [], []
    for _ in range(count):
        matrix.append(machine.matrix_rate())
        memory.append(machine.memory_rate())
        floors.append(max(minimum.flops / matrix[-1], minimum.moved / memory[-1]))
        watch = Watch(machine.clock)
        ours.steps(requests, steps, watch)
        taken.append(watch.seconds / steps)
    found: dict[str, Any] = {
        "share": spread([floor / one for floor, one in zip(floors, taken, strict=True)]),
        "memory_share": spread([minimum.moved / rate / one for rate, one in zip(memory, taken, strict=True)]),
        "ids_per_second": spread([batch / one for one in taken]),
        "step_ms": spread([1e3 * one for one in taken]),
        "floor_ms": spread([1e3 * one for one in floors]),
        "gflop": round(minimum.flops / 1e9, 3),
        "gigabytes": round(minimum.moved / 1e9, 3),
        "matrix_gflop_per_second": spread([rate / 1e9 for rate in matrix]),
        "memory_gigabytes_per_second": spread([rate / 1e9 for rate in memory]),
    }
    if machine.on_cpu:
        profile = Profile()
        ours.steps(requests, steps, profile)
        found["profile"] = profile.shares
    return found


def headline(small: Mapping[str, Any], big: Mapping[str, Any]) -> dict[str, Any]:
    """The ratios quoted in the docs: medians by wall time, and by CPU time under names that end in `_cpu_time`."""
    quoted = {
        "over_two_pass_mixed_b64": ("mixed_512_on_64", "two_pass"),
        "over_two_pass_same_engine": ("mixed_512_on_64", "two_pass_same_engine"),
        "over_generate_mixed_b64": ("mixed_512_on_64", "generate"),
    }
    for batch in (1, 16, 64):
        quoted[f"over_vllm_cpu_b{batch}"] = (f"uniform_b{batch}", "vllm_compiled")
        quoted[f"over_vllm_cpu_eager_b{batch}"] = (f"uniform_b{batch}", "vllm_eager")
    result: dict[str, Any] = {"window_over_free": small["uniform_b64"]["window_over_free"]}
    for name, (case, peer) in quoted.items():
        found = small[case]["ratios"].get(f"over_{peer}")
        result[name] = found and found["wall"][1]
        result[f"{name}_cpu_time"] = found and found["cpu"][1]
    for batch in (1, 16, 64):
        result[f"roofline_share_100m_b{batch}"] = big[f"b{batch}"]["share"][1]
    return result | {"roofline_share_100m": result["roofline_share_100m_b64"]}


def full(runner: asyncio.Runner, python: str | None) -> dict[str, Any]:
    """Measure everything; `python` is the interpreter with vLLM, if there is one."""
    with ExitStack() as stack:
        contest = Contest("bench-2m", runner)
        if python:
            core = max(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {core})
            contest.add_vllm(python, core, stack)
        small: dict[str, Any] = {}
        for case in cases():
            small[case.name] = contest.measure(case)
            show(case.name, small[case.name])
        queue = mixed(256, 8, Sizes(prompt=8, hint=8, answer=8))
        alone: Measure = contest.ours.window(queue)
        small["late"] = late(contest, 1.2 * alone.seconds / len(queue))
        show("late", small["late"])
        vllm = contest.vllm["eager"].version if python else None
    big_contest = Contest("bench-100m", runner)
    machine = Machine(torch.device("cpu"), torch.float32)
    big = {f"b{batch}": share(big_contest.ours, big_contest.shape, machine, batch) for batch in (1, 16, 64)}
    sizes = Sizes(prompt=8, hint=8, answer=4, vocabulary=big_contest.shape.vocabulary)
    big["mixed_b64"] = big_contest.measure(Case("mixed_b64", mixed(64, 2, sizes)))
    for name, found in big.items():
        show(f"100m {name}", found)
    return {**environment(vllm=vllm), "headline": headline(small, big), "bench-2m": small, "bench-100m": big}


def show(name: str, found: Mapping[str, Any]) -> None:
    """Print the figures of one workload."""
    print(name)
    for key, value in {**found, **found.get("ratios", {})}.items():
        if key not in ("ratios", "requests", "rounds", "ids_sampled", "ids_joined"):
            print(f"  {key:34} {value}", flush=True)
