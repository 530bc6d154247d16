"""Rows of the families: every kind of answer has a hint, and think tags are written as each template writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from z1.errors import UserError
from z1.families import PROFILES, AnswerKind, Profile
from z1.families.hints import BOXED, BOXED_LETTER, FENCE
from z1.profiles import get_profile, hint_for

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
TAGGED = [row for row in PROFILES.values() if row.think_end and not row.name.startswith("z1-tiny")]


@EVERY
@pytest.mark.parametrize("kind", AnswerKind)
def test_every_hint_ends_the_thought_and_begins_an_answer_of_its_kind(profile: Profile, kind: AnswerKind) -> None:
    hint = hint_for(profile, kind)
    assert profile.think_end in hint.text
    assert profile.think_end in hint.no_thinking
    if profile.hints:
        assert hint.answer_prefix == {"number": BOXED, "letter": BOXED_LETTER, "code": FENCE, "text": ""}[kind]
        assert (kind is AnswerKind.CODE) == ("code" in hint.text)
        assert kind is AnswerKind.TEXT or "answer is" not in hint.text


@pytest.mark.parametrize(
    ("name", "empty"),
    [  # what the family's own template writes before an answer without a thought
        ("qwen3", "<think>\n\n</think>\n\n"),
        ("smollm3", "<think>\n\n</think>\n"),
        ("glm", "\n<think></think>\n"),
        ("gemma4", "<|channel>thought\n<channel|>"),
        ("nemotron", "<think>\n\n</think>\n\n"),
        ("deepseek", "<think></think>"),
    ],
)
def test_no_thinking_is_written_as_the_template_writes_it(name: str, empty: str) -> None:
    row = get_profile(name)
    assert row.think_start + row.no_thinking_hint == empty


@pytest.mark.parametrize("profile", TAGGED, ids=lambda row: row.name)
def test_a_thought_is_opened_once_and_closed_once(profile: Profile) -> None:
    for kind in AnswerKind:
        hint = hint_for(profile, kind)
        assert profile.think_start
        assert hint.text.count(profile.think_end) == hint.no_thinking.count(profile.think_end) == 1
        assert profile.think_start.strip() not in hint.text
    assert profile.thinks_by_default


def test_r1_distill_follows_its_card() -> None:
    """deepseek-ai/DeepSeek-R1, usage recommendations: begin with "<think>\\n", and no system prompt."""
    row = get_profile("r1-distill")
    assert (row.think_start, row.think_end, row.merges_system) == ("<think>\n", "</think>", True)
    assert hint_for(row, AnswerKind.NUMBER).text == "\n</think>\n\n"


def test_harmony_goes_from_the_analysis_to_the_final_channel() -> None:
    row = get_profile("gpt-oss")
    assert row.think_start == "<|channel|>analysis<|message|>"
    assert row.hint == row.think_end == "<|end|><|start|>assistant<|channel|>final<|message|>"
    assert "<|end|>" not in row.stop_tokens  # it ends a message, not a reply


def test_the_published_hints_are_the_same_for_every_kind() -> None:
    """Of the paper and of s1: their results are for one hint, after a thought that was cut anywhere."""
    for name in ("z1", "s1"):
        row = get_profile(name)
        assert {hint_for(row, kind) for kind in AnswerKind} == {hint_for(row)}
        assert row.sentence_end == ""


def test_an_unknown_profile_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="choose one of z1-tiny, z1-tiny-tags, "):
        get_profile("z2")


def test_the_documentation_lists_every_profile() -> None:
    page = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text("utf-8")
    named = [name for name in PROFILES if not name.startswith("z1-tiny-")]
    assert [name for name in named if f"| `{name}`" not in page] == []
