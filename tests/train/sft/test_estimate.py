"""The estimates of memory and FLOPs agree with the models themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.train import small
from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.sft import estimate
from z1.train.sft.estimate import ModelShape

SHAPE = ModelShape(1000, 100, 1000, 10, 20, 2, tied=False)


def chosen(**changes: Any) -> FinetuneSettings:
    sizes = {"max_length": 64, "micro_tokens": 64, "batch_samples": 1, "epochs": 1.0, "learning_rate": 1.0}
    return FinetuneSettings(**{**sizes, **changes})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    small.model(layers=2).config.save_pretrained(folder)
    return folder


def test_a_shape_is_read_without_weights(base: Path) -> None:
    model = small.model(layers=2)
    found = estimate.shape(str(base), chosen())
    assert found.parameters == found.trainable == sum(parameter.numel() for parameter in model.parameters())
    assert found.embedding == model.model.embed_tokens.weight.numel()
    assert (found.hidden, found.feed_forward, found.layers, found.tied) == (32, 64, 2, True)


def test_only_the_additions_of_lora_are_trainable(base: Path) -> None:
    found = estimate.shape(str(base), chosen(lora_rank=4))
    each = 2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64)  # q, o; k, v with one head of two; the feed-forward
    assert found.trainable == 2 * 4 * each


def test_a_missing_base_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^base .*; give a folder or hub id of a causal language model$") as caught:
        estimate.shape(str(tmp_path), chosen())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [7, 48])
def test_flops_of_a_row_equal_those_that_torch_counts(length: int) -> None:
    model = small.model(layers=2)
    shape = ModelShape(
        sum(p.numel() for p in model.parameters()), model.model.embed_tokens.weight.numel(), 0, 32, 64, 2, tied=True
    )
    model.set_attn_implementation("eager")  # whose products the counter knows
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(length)[None])
    counted = counter.get_total_flops()
    ours = estimate.flops(shape, chosen(gradient_checkpointing=False), np.array([length]), length) / 3
    half_of_attention = 2 * shape.layers * shape.hidden * length**2
    assert ours + half_of_attention == pytest.approx(counted, rel=0.02)
    again = estimate.flops(shape, chosen(), np.array([length]), length)
    assert again == pytest.approx(4 * ours)


def test_weights_that_lora_freezes_have_no_gradient_to_compute() -> None:
    model = small.model(layers=2).requires_grad_(False)
    model.set_attn_implementation("eager")
    shape = ModelShape(
        sum(p.numel() for p in model.parameters()), model.model.embed_tokens.weight.numel(), 0, 32, 64, 2, tied=True
    )
    states = torch.randn(1, 7, 32, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        model(inputs_embeds=states).logits.sum().backward()
    settings = chosen(gradient_checkpointing=False, lora_rank=1)
    half_of_attention = 3 * 2 * shape.layers * shape.hidden * 7**2
    found = estimate.flops(shape, settings, np.array([7]), 7) + half_of_attention
    assert found == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_flops_add_up_over_rows_and_only_learned_tokens_need_logits() -> None:
    sizes = np.array([5, 9, 30])
    together = estimate.flops(SHAPE, chosen(), sizes, 20)
    apart = [estimate.flops(SHAPE, chosen(), sizes[[n]], learned) for n, learned in enumerate((2, 8, 10))]
    assert together == pytest.approx(sum(apart))
    assert estimate.flops(SHAPE, chosen(), sizes, 21) - together == pytest.approx(4 * 2 * 100)


def test_trainable_state_is_sharded_and_activations_are_not() -> None:
    alone, eight = (estimate.memory(SHAPE, chosen(), world_size) for world_size in (1, 8))
    assert alone["weights, gradients, moments"] == 16 * 1000 == 8 * eight["weights, gradients, moments"]
    assert {k: v for k, v in alone.items() if "moments" not in k} == {
        k: v for k, v in eight.items() if "moments" not in k
    }
    assert alone["bf16 copies"] == 2 * (200 + 2 * 400)
    assert "bf16 copies" not in estimate.memory(SHAPE, chosen(precision="float32"), 1)
    whole = estimate.memory(SHAPE, chosen(gradient_checkpointing=False), 1)
    assert whole["bf16 copies"] == (2 * (200 + 2 * 400) if torch.cuda.is_available() else 2 * 1000)


def test_memory_falls_with_lora_offload_and_checkpointing() -> None:
    lora = estimate.memory(ModelShape(1000, 100, 50, 10, 20, 2, tied=False), chosen(lora_rank=1), 1)
    assert (lora["weights, gradients, moments"], lora["frozen weights"]) == (16 * 50, 2 * 1000)
    away = estimate.memory(SHAPE, chosen(offload=True), 2)
    assert (away["weights, gradients, moments"], away["host"]) == (0, 8000)
    kept, again = (estimate.memory(SHAPE, chosen(gradient_checkpointing=on), 1)["activations"] for on in (False, True))
    assert kept > again > 0


def test_hours_are_divided_by_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimate.hours(7.2e15, 2, {"one": 1e12}) == {"one": 1.0}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert estimate.device_rates(chosen()) == {"NVIDIA H100 80GB HBM3": 0.4 * 989e12}


def test_a_cpu_is_measured_and_accelerators_are_listed_only_for_bfloat16() -> None:
    assert list(estimate.device_rates(chosen())) == ["this CPU", "A100", "H100"]
    found = estimate.device_rates(chosen(precision="float32"))
    assert list(found) == ["this CPU"]
    assert 1e8 < found["this CPU"] < 1e14
