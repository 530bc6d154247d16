"""What people type to the model in the package is answered right, or refused in one line that helps."""

from __future__ import annotations

import contextlib
import io

import pytest

from tests.typed_prompts import PROGRAMS, REFUSED
from z1 import LLM
from z1.errors import UserError
from z1.generation import builtin_question
from z1.grading import extract_boxed
from z1.synthetic.trajectories import parse_source


def test_at_least_two_hundred_things_are_typed() -> None:
    assert len({*PROGRAMS, *REFUSED}) == len(PROGRAMS) + len(REFUSED) >= 200


@pytest.mark.parametrize("text", PROGRAMS, ids=ascii)
def test_a_program_of_the_grammar_becomes_a_question(text: str) -> None:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(parse_source(builtin_question(text)), {})
    assert shown.getvalue() == PROGRAMS[text] + "\n"


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_anything_else_is_refused_in_one_line_that_says_what_would_do(text: str) -> None:
    with pytest.raises(UserError) as caught:
        builtin_question(text)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 260
    assert message.startswith("z1-tiny ")
    assert "print(3 + 4)" in message


@pytest.mark.slow
def test_every_program_that_is_typed_is_answered_right() -> None:
    with LLM() as llm:
        replies = llm.generate(list(PROGRAMS))
    answers = [extract_boxed(reply.answer) for reply in replies]
    wrong = [(text, answer) for text, answer in zip(PROGRAMS, answers, strict=True) if answer != PROGRAMS[text]]
    assert wrong == []
