"""A single process shards nothing without need; trainable weights are in float32. For two see sft/test_trainer.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributed.tensor import DTensor

from tests.train import small
from z1.train.distributed import gather_weights, process_group, shard
from z1.train.sft.load_base import load_base  # noqa: F401  (registers the attention)
from z1.train.sft.loss import LossModel


def test_without_torchrun_there_is_one_process() -> None:
    with process_group(single=False) as context:
        assert (context.rank, context.world_size, context.is_main) == (0, 1, True)
        assert context.all_reduce(1.5, True) == [1.5, 1.0]
        assert not torch.distributed.is_initialized()


def test_only_rank_zero_is_main(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with process_group(single=False) as context:
        assert not context.is_main


@pytest.mark.parametrize(("half", "recomputes"), [(True, True), (True, False), (False, True), (False, False)])
def test_bf16_computes_in_bfloat16_and_stores_trainable_weights_in_float32(half: bool, recomputes: bool) -> None:
    made: Any = small.model()
    loss_model = LossModel(made.to(torch.bfloat16) if half else made)
    with process_group(single=half) as context:
        compute = shard(loss_model, context, bf16=half, offload=False, recomputes=recomputes)
        assert {isinstance(parameter, DTensor) for parameter in loss_model.parameters()} == {half and recomputes}
        assert {parameter.dtype for parameter in loss_model.parameters()} == {torch.float32}
        seen = list[torch.dtype]()
        made.model.layers[0].register_forward_hook(lambda _layer, _given, states: seen.append(states.dtype))
        ids = torch.arange(6)[None]
        made.base_model(ids) if not half else compute(_batch(ids))
        assert seen == [torch.bfloat16 if half else torch.float32]
        assert {tensor.dtype for tensor in gather_weights(made).values()} == {torch.float32}
    assert not torch.distributed.is_initialized()


def test_casts_and_fsdp_train_to_the_same_bits() -> None:
    trained = []
    for recomputes in (True, False):
        made: Any = small.model()
        with process_group(single=True) as context:
            compute = shard(LossModel(made), context, bf16=True, offload=False, recomputes=recomputes)
            optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
            for start in range(3):
                optimizer.zero_grad()
                for first in (start, start + 9):  # two packs of a step
                    compute(_batch(torch.arange(first, first + 7)[None])).backward()
                optimizer.step()
            trained.append(gather_weights(made))
    assert trained[0].keys() == trained[1].keys()
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def _batch(ids: torch.Tensor) -> Any:
    from z1.train.sft.loss import TrainingBatch

    return TrainingBatch(ids, torch.ones_like(ids, dtype=torch.bool))
