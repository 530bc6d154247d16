"""Where a thought ends in a text."""

from __future__ import annotations

import pytest

from z1.families import PROFILES
from z1.grading.thoughts import split_thought


@pytest.mark.parametrize("name", [row.name for row in PROFILES.values() if row.think_end])
def test_the_answer_begins_behind_the_last_closing_tag_of_any_family(name: str) -> None:
    tag = PROFILES[name].think_end.strip()
    assert split_thought(f"a{tag}b{tag}\nc") == (f"a{tag}b{tag}", "\nc")


def test_without_a_tag_there_is_no_thought() -> None:
    assert split_thought("a <think> b") == ("", "a <think> b")
