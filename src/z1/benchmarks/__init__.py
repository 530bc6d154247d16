"""What is the model asked, and who says whether it is right?

A table with a row a benchmark. To add one, write a loader and a grader and add its row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from z1.benchmarks import bigcodebench as b
from z1.benchmarks import builtin, gpqa
from z1.benchmarks import humaneval as h
from z1.benchmarks import livecodebench as lcb
from z1.benchmarks import math500 as m
from z1.benchmarks.hub import HubFiles, LoadOptions, download_model, paths
from z1.errors import UserError
from z1.grading import Grade, exact_match
from z1.records import Problem

Loader = Callable[[int, int, LoadOptions], list[Problem]]
"""From (how many, seed, options) to problems."""

Grader = Callable[[str, Problem, bool], Grade]
"""From (text of the reply from its answer on, problem, whether it was cut) to a grade."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row: where problems come from, how they are asked and graded, under which licence, and the source.

    `prompt` is what the user says, with {question} in it; `system` is said before, where there is one.
    """

    name: str
    load: Loader
    grade: Grader
    licence: str
    source: HubFiles | str
    prompt: str = "{question}"
    system: str = ""

    def with_prompt(self, prompt: str | None, system: str | None) -> Benchmark:
        """The same, asked in other words; None leaves its own."""
        return replace(
            self,
            prompt=self.prompt if prompt is None else prompt,
            system=self.system if system is None else system,
        )

    def messages(self, problem: Problem) -> list[dict[str, str]]:
        """The conversation that asks `problem`."""
        said = [{"role": "user", "content": self.prompt.replace("{question}", problem.question)}]
        return [{"role": "system", "content": self.system}, *said] if self.system else said


def _grade_builtin(text: str, problem: Problem, cut: bool) -> Grade:
    return Grade(exact_match(text, problem.answer, cut=cut))


BENCHMARKS: dict[str, Benchmark] = {
    row.name: row
    for row in (
        Benchmark(
            "programs", builtin.load, _grade_builtin, "MIT", "programs of z1.synthetic that no training has seen"
        ),
        Benchmark(
            "programs-longer",
            builtin.load_longer,
            _grade_builtin,
            "MIT",
            "programs longer than any that was trained on",
        ),
        Benchmark(
            "word-problems",
            builtin.load_word_problems,
            _grade_builtin,
            "MIT",
            "word problems of z1.synthetic that no training has seen",
        ),
        Benchmark("math500", m.load_math500, m.grade, "MIT", m.MATH500, m.PROMPT, m.SYSTEM),
        Benchmark("gsm8k", m.load_gsm8k, m.grade, "MIT", m.GSM8K, m.PROMPT, m.SYSTEM),
        Benchmark("gpqa-diamond", gpqa.load, gpqa.grade, "CC BY 4.0; gated", gpqa.GPQA, gpqa.PROMPT, m.SYSTEM),
        Benchmark("livecodebench", lcb.load, lcb.grade, "CC", lcb.LCB, lcb.PROMPT, lcb.SYSTEM),
        Benchmark("bigcodebench-hard", b.load_instruct, b.grade, "Apache-2.0", b.HARD, b.PROMPT, b.SYSTEM),
        Benchmark("bigcodebench-hard-complete", b.load_complete, b.grade, "Apache-2.0", b.HARD, b.PROMPT, b.SYSTEM),
        Benchmark("humaneval", h.load_humaneval, h.grade, "MIT", h.HUMANEVAL, h.PROMPT),
        Benchmark("mbpp", h.load_mbpp, h.grade, "CC BY 4.0", h.MBPP, h.PROMPT),
    )
}


def get_benchmark(name: str) -> Benchmark:
    """The row called `name`."""
    if name not in BENCHMARKS:
        raise UserError("benchmark", name, f"choose one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def download(name: str, data: str = "", model: str = "") -> list[Path]:
    """The files of benchmark `name`, and the folder of `model` of the hub, brought here where they are not yet."""
    source = get_benchmark(name).source
    found = paths(source, data) if isinstance(source, HubFiles) else []
    return [*found, *([model_folder(model)] if model else [])]


def model_folder(model: str) -> Path:
    """The folder of `model`, brought here from the hub where it is none."""
    return Path(model) if Path(model).exists() else download_model(model)


__all__ = ["BENCHMARKS", "Benchmark", "LoadOptions", "download", "get_benchmark", "model_folder"]
