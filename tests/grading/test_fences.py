"""Fenced blocks, with their language and the text before them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from z1.grading.fences import Block, find_blocks, find_gaps, parse

PIECES = st.lists(
    st.sampled_from(["```", "````", "~~~", "python", "\n", " ", "> ", "- ", "x = 1", '"""', "."]), max_size=24
)


def test_a_block_has_its_language_and_the_text_before_it() -> None:
    text = "One:\n```py\nx\n```\ntwo:\n  ~~~Bash\n  y\n    z\n  ~~~\n> ```\n> w"
    assert list(find_blocks(text)) == [
        Block("x\n", "py", "One:\n"),
        Block("y\n  z\n", "bash", "\ntwo:\n  "),
        Block("w", "", "\n> ", is_open=True),
    ]


def test_gaps_are_the_texts_between_fences() -> None:
    assert [gap.code for gap in find_gaps("```a\n1\n```\n2\n```c\n3\n```")] == ["", "1\n", "2\n", "3\n"]


def test_a_shared_margin_is_removed() -> None:
    assert [block.code for block in find_blocks("```\n    if x:\n\n        y\n```")] == ["if x:\n\n    y\n"]


def test_what_is_no_python_has_no_tree() -> None:
    assert parse("x = 1") and parse("s = '\\d'") and parse("(" * 10_000) is None and parse("x\0") is None


@given(PIECES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_blocks_are_pieces_of_any_text_and_only_those_without_an_end_are_open(pieces: list[str]) -> None:
    text = "".join(pieces)
    blocks = list(find_blocks(text))
    assert all(line.strip() in text for block in blocks for line in block.code.splitlines())
    closed = [block for block in blocks if not block.is_open]
    assert len(closed) * 2 <= text.count("```") + text.count("~~~")
