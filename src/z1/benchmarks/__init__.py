"""The table of benchmarks: loader, prompt, grader, source and licence of each.

    builtin.py        programs and word problems of the built-in synthetic task
    aime.py           AIME 2024 to 2026: competition mathematics with integer answers
    math500.py        MATH-500: competition mathematics
    gsm8k.py          GSM8K: grade-school word problems
    gpqa.py           GPQA Diamond: graduate-level multiple choice
    livecodebench.py  LiveCodeBench: dated contest problems
    bigcodebench.py   BigCodeBench-Hard: code that uses libraries
    humaneval.py      HumanEval: functions from their documentation
    mbpp.py           MBPP: functions from one sentence
    questions.py      a file of your own
    mmlu_pro.py       MMLU-Pro: questions of 14 subjects with up to ten options
    lm_eval_tasks.py  lm-eval:TASK, the tasks of an installed lm-evaluation-harness
    inspect_tasks.py  inspect:TASK, those of an installed inspect_ai
    gold_letters.py   the right letters of multiple-choice sets
    hub.py            files from the Hugging Face hub or a local path
    rows.py           their rows, each checked when it is loaded
    python_tests.py   whether the test code of a row has a test

To add a benchmark, write a loader and a grader and add a row to `BENCHMARKS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from z1.benchmarks import aime, builtin, gpqa, gsm8k, inspect_tasks, lm_eval_tasks, mbpp, mmlu_pro, questions
from z1.benchmarks import bigcodebench as b
from z1.benchmarks import humaneval as h
from z1.benchmarks import livecodebench as lcb
from z1.benchmarks import math500 as m
from z1.benchmarks.hub import HubFiles, LoadOptions, find_files
from z1.errors import UserError
from z1.families import AnswerKind
from z1.grading import Grade, exact_match
from z1.model_files import find_model
from z1.records import Problem
from z1.sandbox import Sandbox, pool

Loader = Callable[[int, int, LoadOptions], list[Problem]]
"""Maps (count, seed, options) to problems."""

Grader = Callable[[str, Problem, bool], Grade]
"""Maps (text of the reply from its answer on, problem, whether the reply was cut off) to a grade."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark: loader, grader, licence, source and prompt.

    `source` is None for a file that the user names. `prompt` is the user message, with {question} in it; `system` is
    the system message, "" for none. `sandbox` is the sandbox that the grader uses, None for none. `answer_kind` chooses
    the hint; every short answer that is graded in a box is a number.
    """

    name: str
    load: Loader
    grade: Grader
    licence: str
    source: HubFiles | str | None
    prompt: str = "{question}"
    system: str = ""
    sandbox: Callable[[], Sandbox] | None = None
    answer_kind: AnswerKind = AnswerKind.TEXT
    is_conversation: bool = False
    """Whether a problem's question is a conversation as JSON, which has the place of prompt and system message."""

    def require_sandbox(self) -> None:
        """Start the grader's sandbox. Raises UserError if this machine provides no isolation."""
        if self.sandbox:
            pool.require(self.sandbox())

    def with_prompt(self, prompt: str | None, system: str | None) -> Benchmark:
        """A copy with another user or system message; None keeps the benchmark's own."""
        return replace(
            self,
            prompt=self.prompt if prompt is None else prompt,
            system=self.system if system is None else system,
        )

    def messages(self, problem: Problem) -> list[dict[str, str]]:
        """The chat messages for `problem`."""
        if self.is_conversation:
            return list(json.loads(problem.question))
        user = {"role": "user", "content": self.prompt.replace("{question}", problem.question)}
        return [{"role": "system", "content": self.system}, user] if self.system else [user]


def _grade_builtin(text: str, problem: Problem, cut: bool) -> Grade:
    return Grade(exact_match(text, problem.answer, cut=cut))


NUMBER, LETTER, CODE = AnswerKind.NUMBER, AnswerKind.LETTER, AnswerKind.CODE


def _maths(name: str, load: Loader, source: HubFiles, licence: str = "MIT") -> Benchmark:
    return Benchmark(name, load, m.grade, licence, source, m.PROMPT, m.SYSTEM, pool.for_math, NUMBER)


def _livecodebench(name: str, release: str) -> Benchmark:
    """LiveCodeBench with `release` where the options name none."""

    def load(count: int, seed: int, options: LoadOptions) -> list[Problem]:
        return lcb.load(count, seed, replace(options, release=options.release or release))

    files = HubFiles(lcb.ID, lcb.REVISION, lcb.RELEASES[release])
    return Benchmark(name, load, lcb.grade, "CC", files, lcb.PROMPT, lcb.SYSTEM, pool.for_programs, CODE)


def _bigcodebench(name: str, load: Loader) -> Benchmark:
    return Benchmark(name, load, b.grade, "Apache-2.0", b.HARD, b.PROMPT, b.SYSTEM, pool.for_libraries, CODE)


def _functions(name: str, load: Loader, licence: str, source: HubFiles) -> Benchmark:
    return Benchmark(name, load, h.grade, licence, source, h.PROMPT, "", pool.for_unit_tests, CODE)


BENCHMARKS: dict[str, Benchmark] = {
    row.name: row
    for row in (
        Benchmark(
            "programs",
            builtin.load,
            _grade_builtin,
            "MIT",
            "programs of z1.synthetic, test split",
            answer_kind=NUMBER,
        ),
        Benchmark(
            "programs-longer",
            builtin.load_longer,
            _grade_builtin,
            "MIT",
            "programs of z1.synthetic, longer than any in training",
            answer_kind=NUMBER,
        ),
        Benchmark(
            "word-problems",
            builtin.load_word_problems,
            _grade_builtin,
            "MIT",
            "word problems of z1.synthetic, test split",
            answer_kind=NUMBER,
        ),
        _maths("math500", m.load, m.MATH500),
        _maths("gsm8k", gsm8k.load, gsm8k.GSM8K),
        *(_maths(f"aime{year}", aime.loader(year), files, "MAA") for year, files in aime.YEARS.items()),
        Benchmark(
            "gpqa-diamond",
            gpqa.load,
            gpqa.grade,
            "CC BY 4.0; gated",
            gpqa.GPQA,
            gpqa.PROMPT,
            m.SYSTEM,
            answer_kind=LETTER,
        ),
        Benchmark(
            "mmlu-pro",
            mmlu_pro.load,
            mmlu_pro.grade,
            "MIT",
            mmlu_pro.MMLU_PRO,
            system=m.SYSTEM,
            answer_kind=LETTER,
        ),
        _livecodebench("livecodebench", lcb.RELEASE),
        _livecodebench("livecodebench-v6", "release_v6"),
        _bigcodebench("bigcodebench-hard", b.load_instruct),
        _bigcodebench("bigcodebench-hard-complete", b.load_complete),
        _functions("humaneval", h.load, "MIT", h.HUMANEVAL),
        _functions("mbpp", mbpp.load, "CC BY 4.0", mbpp.MBPP),
        Benchmark(
            questions.NAME,
            questions.load,
            questions.grade,
            "that of your file",
            None,
            system=m.SYSTEM,
            sandbox=pool.for_math,
            answer_kind=NUMBER,
        ),
    )
}


HARNESSES: dict[str, Any] = {"lm-eval": lm_eval_tasks, "inspect": inspect_tasks}
"""Harnesses whose tasks are benchmarks; each is imported when one of its tasks is loaded."""


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`, or a task of an installed harness, lm-eval:TASK or inspect:TASK.

    Raises UserError for an unknown name.
    """
    harness, _, task = name.partition(":")
    if task and harness in HARNESSES:
        module = HARNESSES[harness]
        load, grade = partial(module.load, task), partial(module.grade, task)
        return Benchmark(name, load, grade, "the task's own", f"task {task} of {harness}", is_conversation=True)
    if name not in BENCHMARKS:
        raise UserError("benchmark", name, f"choose one of {', '.join(BENCHMARKS)}, lm-eval:TASK or inspect:TASK")
    return BENCHMARKS[name]


def download(name: str, data: str = "", model: str = "") -> list[Path]:
    """Download the files of benchmark `name` and, if given, a `model` of the hub; returns their local paths."""
    source = get_benchmark(name).source
    found = find_files(source, data) if isinstance(source, HubFiles) else []
    return [*found, *([model_folder(model)] if model else [])]


def model_folder(model: str) -> Path:
    """The local folder of `model`: of a hub id, downloaded; of a GGUF file, converted."""
    return find_model(model)


__all__ = ["BENCHMARKS", "Benchmark", "LoadOptions", "download", "get_benchmark", "model_folder"]
