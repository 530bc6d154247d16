"""Loss on learned tokens only, in pieces of any size; models that cannot be packed are rejected."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AutoModelForCausalLM, GraniteConfig, Qwen2Config

from tests.train import small, small_sft
from z1.errors import UserError
from z1.train.sft import attention, loss
from z1.train.sft.attention import ROWS
from z1.train.sft.loss import LossModel, check_model


def loss_model(layers: int = 1) -> LossModel:
    model: Any = small.model(layers=layers)
    model.set_attn_implementation(ROWS)
    return LossModel(model)


def test_the_loss_is_the_summed_cross_entropy_of_learned_tokens() -> None:
    made, rows = loss_model(), small.encoded()
    expected = 0.0
    for number in (3, 0, 7):
        first, last = int(rows.starts[number]), int(rows.starts[number + 1])
        ids = torch.from_numpy(rows.token_ids[first:last].astype("int64"))
        odds = made.model(ids[None]).logits[0].detach().log_softmax(-1)
        expected -= sum(float(odds[t - 1, ids[t]]) for t in range(1, len(ids)) if rows.loss_mask[first + t])
    with torch.no_grad():
        assert float(made(small_sft.packed_batch(rows, [3, 0, 7]))) == pytest.approx(expected, rel=1e-5)


def test_pieces_give_the_same_loss_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    made, batch = loss_model(), small_sft.packed_batch(small.encoded(), [3, 0, 7])

    def run() -> tuple[Tensor, list[Tensor]]:
        value = made(batch)
        return value.detach(), list(torch.autograd.grad(value, list(made.parameters())))

    whole, gradients = run()
    monkeypatch.setattr(loss, "LOGITS", 3 * made.model.config.vocab_size)
    pieces, in_pieces = run()
    assert torch.allclose(whole, pieces, rtol=1e-5)
    assert all(
        torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(gradients, in_pieces, strict=True)
    )


def test_logits_are_computed_for_learned_tokens_only_in_pieces_of_the_given_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, batch, seen = loss_model(), small_sft.packed_batch(small.encoded(), [3, 0, 7]), list[int]()
    made.model.lm_head.register_forward_hook(lambda _head, _given, logits: seen.append(len(logits)))
    with torch.no_grad():
        made(batch)
        monkeypatch.setattr(loss, "LOGITS", 10 * made.model.config.vocab_size)
        made(batch)
    learned_count = int(batch.loss_mask.sum())
    assert seen[0] == learned_count == sum(seen[1:])
    assert max(seen[1:]) == 10


def test_a_batch_without_learned_tokens_has_zero_loss_and_gradients() -> None:
    made, batch = loss_model(), small_sft.packed_batch(small.encoded(), [])
    value = made(batch)
    value.backward()
    assert value.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in made.parameters())


def test_a_model_that_can_be_packed_passes() -> None:
    made = loss_model().train()
    check_model(made, "small", packing=True)
    check_model(made, "small", packing=False)
    assert made.model.training


def test_a_model_that_attends_across_packed_rows_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore_bounds(*given: Any, **options: Any) -> Any:
        return attention.attend(*given, **{**options, "cu_seq_lens_q": None})

    monkeypatch.setitem(AttentionInterface._global_mapping, ROWS, ignore_bounds)
    with pytest.raises(UserError, match=r"^model x/y: got attention across packed rows; set finetune.packing"):
        check_model(loss_model(), "x/y", packing=True)
    check_model(loss_model(), "x/y", packing=False)


def test_a_model_that_transforms_its_logits_is_refused() -> None:
    """Granite divides its logits by a number of its own."""
    model = AutoModelForCausalLM.from_config(GraniteConfig(**small_sft.SHAPE, logits_scaling=8.0))
    nn.init.normal_(model.get_output_embeddings().weight)
    with pytest.raises(UserError, match="logits that are not the product with its output matrix"):
        check_model(LossModel(model), "x/y", packing=False)


def test_the_loss_is_computed_in_float32_for_a_bf16_model() -> None:
    model = AutoModelForCausalLM.from_config(
        Qwen2Config(**small_sft.SHAPE), dtype=torch.bfloat16, attn_implementation=ROWS
    )
    batch = small_sft.packed_batch(small_sft.random_rows(), [1])
    value = LossModel(model)(batch)
    logits = model(batch.token_ids).logits[0, :-1].float()[batch.loss_mask[0, 1:]]
    assert value.dtype == torch.float32
    expected = F.cross_entropy(logits, batch.token_ids[0, 1:][batch.loss_mask[0, 1:]], reduction="sum")
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)  # logits of fewer rows may have other last bits
