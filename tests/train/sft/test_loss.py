"""Only learned ids teach, in whatever pieces, and a model that cannot be packed is refused before it learns."""

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


def learner(layers: int = 1) -> LossModel:
    model: Any = small.model(layers=layers)
    model.set_attn_implementation(ROWS)
    return LossModel(model)


def test_the_loss_is_the_sum_over_learned_ids_of_a_textbooks_cross_entropy() -> None:
    made, rows = learner(), small.encoded()
    expected = 0.0
    for number in (3, 0, 7):
        first, last = int(rows.starts[number]), int(rows.starts[number + 1])
        ids = torch.from_numpy(rows.token_ids[first:last].astype("int64"))
        odds = made.model(ids[None]).logits[0].detach().log_softmax(-1)
        expected -= sum(float(odds[t - 1, ids[t]]) for t in range(1, len(ids)) if rows.loss_mask[first + t])
    with torch.no_grad():
        assert float(made(small_sft.packed_batch(rows, [3, 0, 7]))) == pytest.approx(expected, rel=1e-5)


def test_in_pieces_it_is_the_same_loss_and_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lesson = learner(), small_sft.packed_batch(small.encoded(), [3, 0, 7])

    def run() -> tuple[Tensor, list[Tensor]]:
        value = made(lesson)
        return value.detach(), list(torch.autograd.grad(value, list(made.parameters())))

    whole, gradients = run()
    monkeypatch.setattr(loss, "LOGITS", 3 * made.model.config.vocab_size)
    pieces, in_pieces = run()
    assert torch.allclose(whole, pieces, rtol=1e-5)
    assert all(
        torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(gradients, in_pieces, strict=True)
    )


def test_logits_are_made_for_learned_ids_alone_and_in_pieces_of_the_given_size(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lesson, seen = learner(), small_sft.packed_batch(small.encoded(), [3, 0, 7]), list[int]()
    made.model.lm_head.register_forward_hook(lambda _head, _given, logits: seen.append(len(logits)))
    with torch.no_grad():
        made(lesson)
        monkeypatch.setattr(loss, "LOGITS", 10 * made.model.config.vocab_size)
        made(lesson)
    taught = int(lesson.loss_mask.sum())
    assert seen[0] == taught == sum(seen[1:])
    assert max(seen[1:]) == 10


def test_nothing_learned_is_a_loss_of_zero_with_gradients_of_zero() -> None:
    made, lesson = learner(), small_sft.packed_batch(small.encoded(), [])
    value = made(lesson)
    value.backward()
    assert value.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in made.parameters())


def test_a_model_that_can_be_packed_passes() -> None:
    made = learner().train()
    check_model(made, "small", packing=True)
    check_model(made, "small", packing=False)
    assert made.model.training


def test_a_model_whose_rows_hear_each_other_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf_to_bounds(*given: Any, **told: Any) -> Any:
        return attention.attend(*given, **{**told, "cu_seq_lens_q": None})

    monkeypatch.setitem(AttentionInterface._global_mapping, ROWS, deaf_to_bounds)
    with pytest.raises(UserError, match=r"^model x/y: got attention across packed rows; set finetune.packing"):
        check_model(learner(), "x/y", packing=True)
    check_model(learner(), "x/y", packing=False)


def test_a_model_whose_logits_are_not_its_output_matrix_alone_is_refused() -> None:
    """Granite divides its logits by a number of its own."""
    model = AutoModelForCausalLM.from_config(GraniteConfig(**small_sft.SHAPE, logits_scaling=8.0))
    nn.init.normal_(model.get_output_embeddings().weight)
    with pytest.raises(UserError, match="logits that are not the product with its output matrix"):
        check_model(LossModel(model), "x/y", packing=False)


def test_loss_is_taken_in_float32_from_a_model_in_half_precision() -> None:
    model = AutoModelForCausalLM.from_config(
        Qwen2Config(**small_sft.SHAPE), dtype=torch.bfloat16, attn_implementation=ROWS
    )
    lesson = small_sft.packed_batch(small_sft.random_rows(), [1])
    value = LossModel(model)(lesson)
    logits = model(lesson.token_ids).logits[0, :-1].float()[lesson.loss_mask[0, 1:]]
    assert value.dtype == torch.float32
    expected = F.cross_entropy(logits, lesson.token_ids[0, 1:][lesson.loss_mask[0, 1:]], reduction="sum")
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)  # logits of fewer rows may have other last bits
