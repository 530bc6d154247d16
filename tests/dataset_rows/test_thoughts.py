"""Thought and answer are separated by the tags of every family; what is no tag stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.dataset_rows import LeftOut
from z1.dataset_rows.thoughts import MARKERS, TAGS, join, split


@pytest.mark.parametrize(("opening", "closing"), TAGS)
@given(thought=st.text("ab\n "), answer=st.text("cd\n "))
def test_every_pair_of_tags_separates_thought_and_answer(opening: str, closing: str, thought: str, answer: str) -> None:
    assert split(f"{opening}{thought}{closing}{answer}") == (thought.strip(), answer.strip())
    assert split(f"{thought}{closing}{answer}") == (thought.strip(), answer.strip())


@given(st.text("ab<>/think \n"))
def test_no_text_is_invented(response: str) -> None:
    try:
        thought, answer = split(response)
    except LeftOut:
        return
    assert thought in response and answer in response


def test_harmony_channels() -> None:
    text = "<|channel|>analysis<|message|>T<|end|><|start|>assistant<|channel|>final<|message|>R<|return|>"
    assert split(text) == ("T", "R")
    with pytest.raises(LeftOut, match="no final channel"):
        split("<|channel|>analysis<|message|>T<|end|>")
    with pytest.raises(LeftOut, match="tool calls"):
        split("<|channel|>commentary to=functions.f<|message|>{}<|call|>")


@pytest.mark.parametrize("text", ["plain", "Use `<think>` tags: <think>a</think>", "x </thinkable> y"])
def test_tags_inside_a_text_are_text(text: str) -> None:
    assert split(text) == ("", text)


def test_a_thought_that_is_not_closed_is_left_out() -> None:
    with pytest.raises(LeftOut, match="does not close"):
        split("<think>\nand so on")


def test_joined_without_tags_or_with() -> None:
    assert join("a", "b") == "a\n\nb"
    assert (join("", "b"), join("a", "")) == ("b", "a")
    assert split(join("a", "b", tags=True)) == ("a", "b")


@pytest.mark.parametrize(
    "text", ["<think>", "a <|im_end|>", "[INST] x", "<end_of_turn>", "### Response: x", "<|eot_id|>", "<｜User｜>"]
)
def test_markers_of_templates_are_found(text: str) -> None:
    assert MARKERS.search(text)


@pytest.mark.parametrize("text", ["if a < b and c > d:", "List[INT]", "## Response", "<html>", "a|b|c", "<b>end</b>"])
def test_ordinary_text_has_no_markers(text: str) -> None:
    assert not MARKERS.search(text)
