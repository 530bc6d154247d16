"""All readers of replies: no text makes one raise, and each is linear in the length of a text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.grading.code_extraction import bare_program, extract_code, has_open_block
from z1.grading.equivalence import canonical_answer
from z1.grading.math_answers import extract_answer
from z1.grading.math_notation import as_intervals, read_value
from z1.grading.multiple_choice import extract_choice, read_gold_letter

READERS: dict[str, Callable[[str], object]] = {
    "code": lambda text: extract_code(text, ended=True),
    "named code": lambda text: extract_code(text, "f", ended=True),
    "open block": has_open_block,
    "bare program": bare_program,
    "answer": extract_answer,
    "value": lambda text: as_intervals(read_value(text[:2000]).text),
    "choice": lambda text: extract_choice(text, 10),
    "gold letter": read_gold_letter,
    "canonical": canonical_answer,
}
PIECES = st.sampled_from(
    [
        *(
            "```",
            "````",
            "~~~",
            "python",
            "\n",
            " ",
            "> ",
            "- ",
            "x = 1",
            "def f(x):",
            "    return x",
            '"""',
            "print(input())",
        ),
        *(
            "\\boxed{",
            "}",
            "{",
            "\\text{",
            "\\",
            "$",
            "**",
            "A",
            "B",
            " or ",
            "(",
            ")",
            ".",
            "The answer is ",
            "Answer:",
            "not ",
        ),
        *(
            "42",
            "½",
            "√",
            "²",
            "<",
            "≤",
            "x",
            "cm",
            "%",
            "\\frac",
            "_5",
            "</think>",
            "<answer>",
            "</answer>",
            "\ud800",
            "\0",
            "é",
        ),
    ]
)


@pytest.mark.parametrize("name", READERS)
def test_no_text_makes_a_reader_raise(name: str) -> None:
    @given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60))
    @settings(max_examples=150, deadline=None, derandomize=True)
    def check(text: str) -> None:
        READERS[name](text)

    check()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["A ", "> ", "```", "```python\n", "\\boxed{", "The answer is ", "$", "{", "\\text{", "(", "**", "1,"]
)
@pytest.mark.parametrize("name", READERS)
def test_repetition_takes_linear_time(name: str, piece: str) -> None:
    began = time.process_time()
    READERS[name](piece * 15_000)
    assert time.process_time() - began < 3
