"""Conversations as a benchmark whose replies are not graded here.

Recorded requests (`replay.py`) have no reference answers; a harness grades replies with its own scorers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from z1.benchmarks import Benchmark, LoadOptions
from z1.families import AnswerKind
from z1.grading import Grade, Verdict
from z1.records import Problem


def conversation_benchmark(origin: str, kind: AnswerKind = AnswerKind.TEXT) -> Benchmark:
    """A benchmark for problems of `conversation_problem`."""
    return Benchmark(origin, _none, _ungraded, "your own", origin, answer_kind=kind, is_conversation=True)


def conversation_problem(name: str, messages: Sequence[Mapping[str, str]], origin: str) -> Problem:
    """One conversation as a problem."""
    return Problem(name, json.dumps([dict(turn) for turn in messages]), "", origin)


def _none(count: int, seed: int, options: LoadOptions) -> list[Problem]:
    return []


def _ungraded(text: str, problem: Problem, cut: bool) -> Grade:
    return Grade(Verdict.UNGRADED)
