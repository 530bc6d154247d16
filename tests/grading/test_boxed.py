"""The content of the last complete box, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.grading import extract_boxed

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
TEXTS = st.lists(st.sampled_from(["\\boxed{", "{", "}", "\\{", "\\}", "boxed{", "7", " "]), max_size=14).map("".join)
BALANCED = st.recursive(
    st.text("ab7 [],", max_size=4), lambda inner: st.lists(inner, max_size=3).map(lambda p: "{" + "".join(p) + "}")
)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{7}", "7"),
        (r"The final answer is \boxed{[1, 2]}.", "[1, 2]"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),  # nested braces
        (r"\boxed{{{7}}}", "{{7}}"),
        (r"\boxed{1} and \boxed{2}", "2"),  # the last one counts
        (r"\boxed{1} then \boxed{2", "1"),  # one that was cut does not
        (r"\boxed{1} then \boxed{\frac{2}{3}", "1"),
        (r"\boxed{\boxed{7}}", "7"),  # the last that begins
        (r"\boxed{\boxed{7}", "7"),
        (r"\boxed{}", ""),
        (r"\boxed{ 7 }", " 7 "),
        ("\\boxed{1\n2}", "1\n2"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),  # escaped and balanced
        (r"\boxed{\{1}", r"\{1"),  # an escaped brace is a character, as in TeX
        (r"\boxed{(0, 1] \cup \left\{ 2 \right.}", r"(0, 1] \cup \left\{ 2 \right."),
        (r"\boxed{1 \\}", r"1 \\"),  # a line break before the brace
        (r"}} \boxed{7}", "7"),  # what was closed before does not matter
        (r"{ \boxed{7}", "7"),
        (r"\boxed{7", None),
        (r"\boxed", None),
        (r"\boxed 7", "7"),
        (r"$\boxed 7$", "7"),
        (r"so \boxed 7 .", "7"),
        (r"so \boxed7.", "7"),
        (r"\boxed -3.5", "-3.5"),
        (r"\boxed\frac12", r"\frac12"),
        (r"\boxed\text{C}.", r"\text{C}"),
        (r"use \boxed to answer", None),
        (r"use \boxed, please", None),
        (r"\fbox{7}", "7"),
        ("\\boxed\n{7}", "7"),
        (r"\boxed{7}, as asked in \boxed{}", "7"),  # an empty box is quoted from the instruction
        (r"\framebox{7}", None),
        (r"boxed{7}", None),
        (r"\boxed {7}", "7"),
        ("", None),
    ],
)
def test_the_content_of_the_last_complete_box(text: str, content: str | None) -> None:
    assert extract_boxed(text) == content


def brute_force(text: str) -> str | None:
    """From each opening, the last first: the text up to the brace that closes it; an empty box only without another."""
    opening = "\\boxed{"
    plain = text.replace("\\{", "..").replace("\\}", "..")
    empty = None
    for start in range(len(text), -1, -1):
        if plain.startswith(opening, start):
            content = plain[start + len(opening) :]
            for end in range(len(content)):
                if content[: end + 1].count("}") > content[: end + 1].count("{"):
                    found = text[start + len(opening) :][:end]
                    if found.strip():
                        return found
                    empty = found if empty is None else empty
                    break
    return empty


@given(text=TEXTS)
@PROPERTY
def test_it_agrees_with_a_brute_force_search(text: str) -> None:
    assert extract_boxed(text) == brute_force(text)


@given(content=BALANCED, before=TEXTS)
@PROPERTY
def test_the_last_boxed_content_is_extracted(content: str, before: str) -> None:
    if content.strip():
        assert extract_boxed(f"{before}\\boxed{{{content}}}.") == content


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 20_000, "{" * 200_000, "\\boxed{" + "}{" * 100_000, "\\" * 200_000], ids=lambda t: t[:9]
)
def test_repeated_braces_take_linear_time(text: str) -> None:
    began = time.process_time()
    extract_boxed(text)
    assert time.process_time() - began < 2
