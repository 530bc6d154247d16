"""From a prompt to a question of the synthetic task, and problems of its test split.

A model trained on the synthetic task alone answers any other prompt with nonsense, and a program that its generator
cannot draw with a wrong value. So a prompt is normalised and checked against the generator's grammar, and refused
unless it fits. Only programs of the grammar are run, and those end.
"""

from __future__ import annotations

import re

from z1.errors import UserError
from z1.synthetic import grammar, word_problems
from z1.synthetic.dataset import PROGRAMS, TEST_SHARE, WORD_PROBLEMS
from z1.synthetic.program_hash import hash_program, split_of
from z1.synthetic.trajectories import QUESTION, format_question, parse_source

LONGEST_PROMPT = 2_000
"""Characters of a prompt; the longest program of the grammar, with its question, has fewer."""

FENCE = re.compile(r"\s*```(?:python|py)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)


def to_question(text: str, model: str, *, with_unsure: bool = False) -> str:
    """The question in the trained format for the program in `text`: bare, in a code fence, or with the question.

    Raises UserError, which names `model`, if `text` is no program or one that the generator cannot draw, and unless
    `with_unsure` for a form that the shipped model often gets wrong.
    """
    source = _normalised(text)
    if source is None:
        do = f"ask what a small program prints, such as {grammar.EXAMPLE}, or use another model"
        raise UserError(f"{model} supports small Python programs only", repr(text[:40]), do)
    grammar.check(source, model, with_unsure=with_unsure)
    return format_question(source)


def _normalised(text: str) -> str | None:
    """The program in `text`, normalised; None if it is none."""
    fenced = FENCE.fullmatch(text)
    try:
        return (
            grammar.normalise(parse_source(fenced[1] if fenced else text).strip())
            if len(text) <= LONGEST_PROMPT
            else None
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two mean nested too deeply
        return None


def _drawn(text: str) -> str | None:
    source = _normalised(text)
    return source if source is not None and grammar.is_drawn(source) else None


def recognise(text: str) -> str | None:
    """The question in the trained format if `text` is a program of the task; else None."""
    try:
        return to_question(text, "")
    except UserError:
        return None


def find_held_out(text: str) -> tuple[str, str] | None:
    """The task ("programs" or "word-problems") and program hash of the problem in `text`, if it belongs to the test
    split; else None.
    """
    if text.strip().startswith(word_problems.QUESTION):
        sentences = re.sub(r"(?m)^\d+\| ", "", text.strip().removeprefix(word_problems.QUESTION).strip("\n"))
        task, name = WORD_PROBLEMS, word_problems.hash_sentences(sentences)
    elif text.strip().startswith(QUESTION) and (source := _drawn(text)):
        task, name = PROGRAMS, hash_program(source)
    else:
        return None
    return (task, name) if split_of(name, TEST_SHARE) == "test" else None
