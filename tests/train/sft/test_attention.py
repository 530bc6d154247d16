"""Rows of a pack have the losses and gradients of single rows, in every family of decoders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.train import small_sft
from z1.train.sft.attention import ROWS, attend
from z1.train.sft.loss import LossModel, TrainingBatch

FAMILIES: dict[str, Any] = {
    "qwen2": Qwen2Config(**small_sft.SHAPE),
    "qwen3": Qwen3Config(**small_sft.SHAPE),
    "llama": LlamaConfig(**small_sft.SHAPE),
    "mistral, a window of 4": MistralConfig(**small_sft.SHAPE, sliding_window=4),
    "gemma": GemmaConfig(**small_sft.SHAPE),
    "gemma 2, capped, a window of 4": Gemma2Config(
        **small_sft.SHAPE, sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma 3, a window of 4": Gemma3TextConfig(**small_sft.SHAPE, sliding_window=4),
}


def made(config: Any, attention: str) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    for parameter in model.parameters():  # first weights are so small that attention is nearly even
        parameter.data.mul_(4.0 if parameter.ndim > 1 else 1.0)
    return model.eval()


def losses_and_gradients(model: Any, batches: list[TrainingBatch]) -> tuple[Tensor, dict[str, Tensor]]:
    loss_model = LossModel(model)
    losses = torch.stack([loss_model(batch) for batch in batches])
    losses.sum().backward()
    return losses.detach(), {name: parameter.grad for name, parameter in model.named_parameters()}


def alone(rows: list[int]) -> list[TrainingBatch]:
    """Each row by itself, without the bounds of a pack."""
    batches = [small_sft.packed_batch(small_sft.random_rows(), [row]) for row in rows]
    return [TrainingBatch(batch.token_ids, batch.loss_mask) for batch in batches]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_and_unpacked_losses_and_gradients_are_equal(family: str) -> None:
    """Against the model's own eager attention, a row at a time."""
    rows = [2, 0, 3, 1]
    theirs, their_gradients = losses_and_gradients(made(FAMILIES[family], "eager"), alone(rows))
    ours, our_gradients = losses_and_gradients(
        made(FAMILIES[family], ROWS), [small_sft.packed_batch(small_sft.random_rows(), rows)]
    )
    assert close(ours.sum(), theirs.sum())
    for name, gradient in their_gradients.items():
        assert close(our_gradients[name], gradient), name


@pytest.mark.parametrize("family", FAMILIES)
def test_without_packs_it_is_the_models_own_attention(family: str) -> None:
    batches = alone([0, 1, 2, 3])
    theirs, _ = losses_and_gradients(made(FAMILIES[family], "eager"), batches)
    ours, _ = losses_and_gradients(made(FAMILIES[family], ROWS), batches)
    assert close(ours, theirs)


def test_the_comparison_would_detect_a_leak() -> None:
    """Reports that all is one row, the same model has another loss."""
    model, batch = made(FAMILIES["qwen2"], ROWS), small_sft.packed_batch(small_sft.random_rows(), [2, 0, 3, 1])
    leaky = TrainingBatch(
        batch.token_ids, batch.loss_mask, batch.positions, torch.tensor([0, batch.token_ids.numel()]), 31
    )
    whole, cut = (losses_and_gradients(model, [each])[0] for each in (leaky, batch))
    assert not torch.allclose(whole, cut, rtol=1e-3)


def test_a_row_has_the_same_bits_beside_any_neighbours() -> None:
    queries, keys, values = (torch.randn(1, heads, 12, 8) for heads in (4, 2, 2))
    bounds = torch.tensor([0, 5, 12])
    before, _ = attend(torch.nn.Module(), queries, keys, values, None, scaling=0.3, cu_seq_lens_q=bounds)
    for tensor in (queries, keys, values):
        tensor[:, :, :5] += 1.0
    after, _ = attend(torch.nn.Module(), queries, keys, values, None, scaling=0.3, cu_seq_lens_q=bounds)
    assert torch.equal(before[:, 5:], after[:, 5:])
    assert not torch.equal(before[:, :5], after[:, :5])


def test_a_sliding_window_includes_the_token_itself() -> None:
    queries, keys, values = (torch.randn(1, 1, 9, 8) for _ in range(3))
    seen, _ = attend(torch.nn.Module(), queries, keys, values, None, scaling=1.0, sliding_window=3)
    last = (queries[0, 0, 8] @ keys[0, 0, 6:].T).softmax(-1) @ values[0, 0, 6:]
    assert torch.allclose(seen[0, 8, 0], last, atol=1e-6)
