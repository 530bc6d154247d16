"""transformers, z1's engine and vLLM load the exported model; the card follows the hub's format."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

import z1
from tests.train import small, small_sft
from z1.engines.local.engine import LocalSettings, load
from z1.prompts import prompt_token_ids
from z1.recipe import ModelSettings
from z1.runs import read_json
from z1.train.scratch import model as models
from z1.train.sft.export import model_card
from z1.train.sft.trainer import finetune

SPEAKER = ModelSettings(
    vocabulary=small.VOCABULARY, hidden=64, layers=1, heads=2, key_value_heads=1, feed_forward=64, context=256
)
"""Its heads have 32 values: vLLM's attention on CPUs has no kernel for fewer."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a short training in half precision."""
    folder = tmp_path_factory.mktemp("run")
    models.build(SPEAKER, len(small.tokenizer()), 0, (0, 2)).save_pretrained(folder / "base")
    small.tokenizer().save_pretrained(folder / "base")
    options = small_sft.recipe(epochs=1.0, precision="bf16")
    return finetune(options, small_sft.training_set(str(folder / "base")), folder, lambda _progress: None)


def test_transformers_loads_it_in_its_precision(made: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(made, dtype="auto")
    assert isinstance(model, Qwen2ForCausalLM)
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "sdpa"
    assert AutoTokenizer.from_pretrained(made).chat_template == small.tokenizer().chat_template
    assert torch.equal(
        model.model.embed_tokens.weight, load_file(made / "model.safetensors")["model.embed_tokens.weight"]
    )
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_z1s_engine_loads_it_with_its_profile(made: Path) -> None:
    assert load(made, LocalSettings(max_num_seqs=2)).profile == "z1-tiny"
    with z1.LLM(made) as llm:
        reply = llm.generate("print(1 + 1)", thinking_budget=4, max_answer_tokens=4)
    assert reply.ledger.thought <= 4


@pytest.mark.real
@pytest.mark.timeout(900)
def test_vllm_generates_what_transformers_generates(made: Path, tmp_path: Path) -> None:
    python = os.environ.get("PYTHON_WITH_VLLM")
    if not python:
        pytest.skip("set PYTHON_WITH_VLLM to an interpreter that has vLLM")
    prompt = prompt_token_ids(small.tokenizer(), small.PROFILE, small.rows()[0].question)
    model = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    expected = getattr(model, "generate")(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)  # noqa: B009
    script = (
        "from vllm import LLM, SamplingParams\n"
        f"llm = LLM(model={str(made)!r}, dtype='float32', max_model_len=256, enforce_eager=True)\n"
        f"asked = [{{'prompt_token_ids': {prompt}}}]\n"
        "print('ids', llm.generate(asked, SamplingParams(temperature=0.0, max_tokens=8))[0].outputs[0].token_ids)\n"
    )
    alone = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", script], env=os.environ | alone, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f"ids {expected[0, len(prompt) :].tolist()}" in done.stdout.replace("(", "[").replace(")", "]"), done.stderr


def test_the_manifest_has_the_provenance(made: Path) -> None:
    found = read_json(made / "z1.json")
    assert (found["name"], found["profile"], found["steps"]) == ("small", "z1-tiny", 3)
    assert found["data"] == {"rows": 28}
    assert found["recipe"]["finetune"]["learning_rate"] == 3e-3
    assert found["base"] == str(made.parent / "base")
    assert found["losses"].keys() == {"loss", "held_out_before", "held_out"}


def test_the_card_has_data_settings_and_scores_under_the_hubs_header(made: Path) -> None:
    found = read_json(made / "z1.json")
    text = (made / "README.md").read_text(encoding="utf-8")
    assert text == model_card(found)
    assert text.startswith("---\nlibrary_name: transformers\n")
    assert "base_model" not in text  # a folder is nothing that the hub knows
    assert "base_model: Qwen/Qwen2.5-Coder-7B-Instruct\n" in model_card(
        {**found, "base": "Qwen/Qwen2.5-Coder-7B-Instruct"}
    )
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Data", "## Settings", "## Scores"]
    assert "| rows | 28 |" in text
    assert f"| held out | {found['losses']['held_out']:.4g} |" in text


def test_the_files_are_readable_by_others(made: Path) -> None:
    made.joinpath("probe").touch()
    usual = made.joinpath("probe").stat().st_mode
    assert {path.name for path in made.iterdir() if path.stat().st_mode != usual} == set()
