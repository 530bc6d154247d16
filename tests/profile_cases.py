"""A small tokenizer, rows of the built-in task and token ids of replies, for the tests of profiles and prompts."""

from __future__ import annotations

from functools import cache

import pytest
from transformers import PreTrainedTokenizerFast

from z1.profiles import PROFILES, Profile
from z1.prompts import response_segments
from z1.records import TrainingRow, TrajectorySet
from z1.synthetic import DatasetRequest, collect
from z1.synthetic.trajectories import LEVELS, format_answer
from z1.train.scratch.tokenizer import build

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
TINY = PROFILES["z1-tiny"]
LISTS = [format_answer("[1, 2]"), format_answer("[3]"), format_answer("[]")]


@cache
def items() -> tuple[TrajectorySet, ...]:
    """Programs of one to twelve steps, whose answers are numbers, words and lists."""
    return tuple(collect(DatasetRequest(48, "train", 1, 12, 23)))


def rows() -> list[TrainingRow]:
    """Every program at every level."""
    return [
        TrainingRow(
            item.problem.id, item.problem.question, item.thoughts[level], item.answer, level, item.problem.steps
        )
        for item in items()
        for level in LEVELS
    ]


@cache
def built() -> PreTrainedTokenizerFast:
    return build([*(f"{row.question}\n{row.thought}{row.answer}" for row in rows()), *LISTS], 512)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return found


def reply_ids(tokenizer: PreTrainedTokenizerFast, profile: Profile, thought: str, answer: str) -> list[int]:
    """What follows a prompt of our template."""
    return [
        token
        for text in response_segments(profile, prompt_end(profile), thought, answer)
        for token in ids(tokenizer, text)
    ]


def prompt_end(profile: Profile) -> str:
    return f"<|im_start|>assistant\n{profile.think_start}"
