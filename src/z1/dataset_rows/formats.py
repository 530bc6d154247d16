"""Formats of public datasets: a name, the columns by which a table is recognised, and the mapping of its fields.

The first format whose columns a table has is taken, so those with more columns come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from z1.errors import UserError


class Format(NamedTuple):
    """The columns by which a format is recognised, and its mapping of fields to columns (`columns.py`)."""

    needs: str
    columns: Mapping[str, str]


FORMATS: dict[str, Format] = {
    # huggingface.co/datasets/open-r1/OpenR1-Math-220k
    "openr1": Format(
        "problem generations",
        {
            "question": "problem",
            "response": "generations",
            "id": "uuid?",
            "reference": "answer?",
            "passed": "correctness_math_verify?",
            "end": "finish_reasons?",
        },
    ),
    # huggingface.co/datasets/simplescaling/s1K-1.1
    "s1k-1.1": Format(
        "question deepseek_thinking_trajectory deepseek_attempt",
        {"question": "question", "thought": "deepseek_thinking_trajectory", "response": "deepseek_attempt"},
    ),
    # huggingface.co/datasets/simplescaling/s1K
    "s1k": Format(
        "question thinking_trajectories attempt",
        {"question": "question", "thought": "thinking_trajectories", "response": "attempt"},
    ),
    # huggingface.co/datasets/open-thoughts/OpenThoughts-114k, metadata
    "openthoughts": Format(
        "problem deepseek_reasoning deepseek_solution",
        {"question": "problem", "thought": "deepseek_reasoning", "response": "deepseek_solution"},
    ),
    # huggingface.co/datasets/KodCode/KodCode-V1-SFT-R1
    "kodcode-r1": Format(
        "question test_code conversations",
        {
            "question": "question",
            "response": "conversations[assistant]",
            "tests": "test_code",
            "id": "conversation_id?",
            "difficulty": "gpt_difficulty?",
            "entry": "test_entry_point?",
        },
    ),
    # huggingface.co/datasets/KodCode/KodCode-V1; its solutions are code alone, so it is a set of problems
    "kodcode": Format(
        "question solution test",
        {
            "question": "question",
            "tests": "test",
            "id": "question_id?",
            "difficulty": "gpt_difficulty?",
            "entry": "test_info.0.function_name?",
        },
    ),
    # huggingface.co/datasets/newfacade/LeetCodeDataset
    "leetcode": Format(
        "task_id query response test",
        {
            "id": "task_id",
            "question": "query",
            "response": "response",
            "tests": "test",
            "difficulty": "difficulty?",
            "entry": "entry_point?",
            "setup": "prompt?",
        },
    ),
    # huggingface.co/datasets/GAIR/LIMO
    "limo": Format(
        "question solution answer",
        {"question": "question", "response": "solution", "reference": "answer"},
    ),
    # huggingface.co/datasets/nvidia/Llama-Nemotron-Post-Training-Dataset
    "nemotron": Format(
        "input output reasoning",
        {"question": "input[prompt]", "response": "output"},
    ),
    # OpenAI's chat format; also huggingface.co/datasets/nvidia/Nemotron-Post-Training-Dataset-v1
    "messages": Format(
        "messages",
        {
            "question": "messages[prompt]",
            "thought": "messages[thought]",
            "response": "messages[assistant]",
            "id": "id?",
        },
    ),
    # huggingface.co/datasets/open-thoughts/OpenThoughts-114k
    "sharegpt-system": Format(
        "system conversations",
        {
            "question": "system? + conversations[prompt]",
            "thought": "conversations[thought]",
            "response": "conversations[assistant]",
            "id": "id?",
        },
    ),
    # ShareGPT: github.com/lm-sys/FastChat
    "sharegpt": Format(
        "conversations",
        {
            "question": "conversations[prompt]",
            "thought": "conversations[thought]",
            "response": "conversations[assistant]",
            "id": "id?",
        },
    ),
    # github.com/tatsu-lab/stanford_alpaca
    "alpaca": Format(
        "instruction output",
        {"question": "instruction + input?", "response": "output", "id": "id?"},
    ),
    # TRL: huggingface.co/docs/trl/dataset_formats
    "prompt-completion": Format(
        "prompt completion",
        {"question": "prompt", "response": "completion", "id": "id?"},
    ),
    # z1's own, and huggingface.co/datasets/efficientscaling/Z1-Code-Reasoning-107K
    "response": Format(
        "question response",
        {
            "question": "question",
            "response": "response",
            "thought": "thought?",
            "id": "id?",
            "reference": "reference?",
            "difficulty": "difficulty?",
            "level": "level?",
            "end": "end?",
            "tokens": "token_num_qwen?",
        },
    ),
    # the rows that z1 train curates
    "thought-answer": Format(
        "question thought answer",
        {"question": "question", "thought": "thought", "response": "answer", "id": "id?", "level": "level?"},
    ),
    # huggingface.co/datasets/AI-MO/NuminaMath-CoT
    "problem-solution": Format(
        "problem solution",
        {"question": "problem", "response": "solution", "id": "id?", "reference": "answer?"},
    ),
    # questions without responses
    "problems": Format(
        "question",
        {
            "question": "question",
            "id": "id?",
            "reference": "answer?",
            "difficulty": "difficulty?",
            "tests": "tests?",
            "entry": "entry?",
            "setup": "setup?",
        },
    ),
}
"""In the order in which they are tried."""


def find_format(row: Mapping[str, Any], name: str = "") -> tuple[str, Mapping[str, str]]:
    """The name and the mapping of the format of a table, from its first row. Raises UserError if none fits."""
    if name and name not in FORMATS:
        raise UserError("format", name, f"choose one of {', '.join(FORMATS)}, or map the columns")
    for known, shape in FORMATS.items():
        if known == name or (not name and row.keys() >= set(shape.needs.split())):
            return known, shape.columns
    got = f"columns {', '.join(map(str, row))}"
    raise UserError("format of the dataset", got, "map its columns, or name a format")
