"""Hints: what a cut thought left open is closed, for fences and sentences of every form."""

from __future__ import annotations

from random import Random

import pytest

from z1.errors import UserError
from z1.families import AnswerKind, closing_texts, is_border, without_closing
from z1.families.hints import open_fence

OPEN = [
    ("```", ("", "```")),
    ("So:\n```python\ndef f(x):\n    return", ("", "```")),
    ("~~~\ncode\n```\n", ("", "~~~")),  # another character does not close it
    ("````md\n```python\nx\n```\n", ("", "````")),  # a shorter fence does not close it
    ("```a\n```b\n", ("", "```")),  # a closing fence has no language
    ("1. First\n   ```python\n   x = 1", ("   ", "```")),
    ("- ```python\n  x", ("  ", "```")),
    ("> ```\n> x", ("> ", "```")),
    ("```\nx\n```\ny\n```c++ title=a\nz", ("", "```")),
    ("```python\r\nx\r\n", ("", "```")),
    ("```\n``", ("", "```")),  # its end is not finished
]
CLOSED = [
    "",
    "plain",
    "```python\nx\n```",
    "```python\nx\n``````  \nDone",
    "```\nx\n   ```\n",
    "```python\r\nx\r\n```\r\n",
    "inline ```x``` and ``` in a line",
    "```x``` at the beginning of a line",
    "> ```\n> x\n\nafter the quotation",
    "``",
    "~~ struck ~~",
]


@pytest.mark.parametrize(("text", "fence"), OPEN)
def test_an_open_block_is_found_with_its_fence(text: str, fence: tuple[str, str]) -> None:
    assert open_fence(text) == fence


@pytest.mark.parametrize("text", CLOSED)
def test_no_block_is_open(text: str) -> None:
    assert open_fence(text) is None


@pytest.mark.parametrize("text", [text for text, _ in OPEN])
def test_every_closing_closes_the_block_and_is_not_needed_twice(text: str) -> None:
    closings = closing_texts(text, "...")
    assert closings
    assert open_fence(text + closings[0]) is None
    assert all(closing.strip(" >\n") in ("```", "````", "~~~") for closing in closings)


def test_any_cut_of_any_text_can_be_closed() -> None:
    """A property: whatever was written and wherever it was cut, the closing leaves no block open."""
    pieces = ["```", "~~~", "`", "\n", "\n\n", " ", "    ", "python", "x = 1", "- ", "> ", "2. ", "Yes.", "````"]
    for seed in range(2000):
        random = Random(seed)
        text = "".join(random.choices(pieces, k=random.randint(0, 20)))
        closings = closing_texts(text, "...")
        is_open = open_fence(text) is not None
        assert bool(closings) >= is_open
        if is_open:
            assert open_fence(text + closings[0]) is None
            assert open_fence(f"{text}{closings[0]}\n\nThe final code is:\n\n```python\nx\n```") is None


@pytest.mark.parametrize(
    ("text", "is_half"),
    [
        ("so 17 plus", True),
        ("so 17 plus ", True),
        ("The total is 42", True),
        ("first, second,", True),
        ("f(x)", True),
        ("Done.", False),
        ("Is it 4?", False),
        ("It is (see above.)", False),
        ("**Done.**", False),
        ("所以答案是四。", False),
        ("所以答案", True),
        ("The answer is:", False),
        ("a line\n", False),
        ("", False),
        ("   ", False),
        ("$$", False),
        ("---", False),
    ],
)
def test_a_half_sentence_is_ended(text: str, is_half: bool) -> None:
    assert closing_texts(text, "...") == (["..."] if is_half else [])
    assert closing_texts(text, "") == []


def test_a_closing_is_taken_off_the_forced_text_and_nothing_else_is() -> None:
    for thought, _ in OPEN:
        for closing in closing_texts(thought, "..."):
            assert without_closing(closing + "\n\nThe final code is:\n\n```") == "\n\nThe final code is:\n\n```"
            assert without_closing(closing.encode() + b"\n</think>") == b"\n</think>"
    assert without_closing("...\n\nThe final answer is:\n\n") == "\n\nThe final answer is:\n\n"
    for hint in ("The final code is:\n\n```", "\n\nso:", "```", ""):
        assert without_closing(hint) == hint


def test_an_unknown_kind_is_rejected_with_the_known_ones() -> None:
    assert AnswerKind.parse("code") is AnswerKind.CODE
    with pytest.raises(UserError, match="answer_kind: got poem; choose one of text, number, letter, code"):
        AnswerKind.parse("poem")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So it is four.", True),
        ("So it is four. ", True),
        ("**Done!**", True),
        ("a line\n", True),
        ("a line\n\n", True),
        ("half a line\nand then", False),
        ("所以答案是四。", True),
        ("The answer is:", False),
        ("so x = 3.", False),  # 3.5, or item 3 of a list
        ("wait...", False),
        ("", False),
        ("So:\n```python\nx = 1\n", False),
        ("So:\n```python\nx = 1\n```", True),
        ("So:\n```python\nx = 1\n```\n", True),
        ("So:\n```", False),
    ],
)
def test_a_thought_may_be_cut_at_a_border(text: str, expected: bool) -> None:
    assert is_border(text) is expected
