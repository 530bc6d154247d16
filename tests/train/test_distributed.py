"""Alone a process shards nothing it need not, and what learns is kept in float32. For two see test_finetune.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributed.tensor import DTensor

from tests.train import small
from z1.train.distributed import gather_weights, process_group, shard
from z1.train.sft.load_base import load_base  # noqa: F401  (registers the attention)
from z1.train.sft.loss import LossModel


def test_without_torchrun_one_is_the_whole_team() -> None:
    with process_group(single=False) as team:
        assert (team.rank, team.world_size, team.is_main) == (0, 1, True)
        assert team.all_reduce(1.5, True) == [1.5, 1.0]
        assert not torch.distributed.is_initialized()


def test_the_first_of_a_team_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with process_group(single=False) as team:
        assert not team.is_main


@pytest.mark.parametrize("half", [True, False])
def test_half_precision_computes_in_it_and_keeps_what_learns_in_float32(half: bool) -> None:
    made: Any = small.model()
    learner = LossModel(made.to(torch.bfloat16) if half else made)
    with process_group(single=half) as team:
        shard(learner, team, bf16=half, offload=False)
        assert {isinstance(parameter, DTensor) for parameter in learner.parameters()} == {half}
        assert {parameter.dtype for parameter in learner.parameters()} == {torch.float32}
        seen = list[torch.dtype]()
        made.model.layers[0].register_forward_hook(lambda _layer, _given, states: seen.append(states.dtype))
        ids = torch.arange(6)[None]
        made.base_model(ids) if not half else learner(_lesson(ids))
        assert seen == [torch.bfloat16 if half else torch.float32]
        assert {tensor.dtype for tensor in gather_weights(made).values()} == {torch.float32}
    assert not torch.distributed.is_initialized()


def _lesson(ids: torch.Tensor) -> Any:
    from z1.train.sft.loss import TrainingBatch

    return TrainingBatch(ids, torch.ones_like(ids, dtype=torch.bool))
