"""A conversation is a problem whose replies are not graded."""

from __future__ import annotations

from z1.evaluate.conversations import conversation_benchmark, conversation_problem
from z1.families import AnswerKind
from z1.grading import Verdict


def test_a_conversation_is_asked_as_it_is_and_not_graded() -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "{question} é"}]
    benchmark, problem = conversation_benchmark("log", AnswerKind.NUMBER), conversation_problem("7", turns, "log")
    assert benchmark.messages(problem) == turns and problem.id == "7"
    assert benchmark.grade("\\boxed{4}", problem, False).verdict == Verdict.UNGRADED
    assert benchmark.answer_kind == AnswerKind.NUMBER
