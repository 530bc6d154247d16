"""The GPU lines of the benchmarks, with small shapes in bfloat16 on a CPU, and with the 7B shape on `meta`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import gpu
from bench.memory import Peak
from bench.thinking import accelerator as decoding
from bench.thinking import plugin
from bench.thinking.models import SHAPES
from bench.training import accelerator as training

H200 = 139.8 * 2**30


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_peak_counts_what_is_allocated_until_it_is_freed(device: str) -> None:
    before = torch.ones(1000, device=device)
    with Peak(device) as used:
        kept = torch.ones(1000, device=device)
        kept.add_(before).view(10, 100)
        freed = torch.ones(3000, device=device)
        del freed
    assert (used.held, used.peak) == (4000, 16_000)


def test_on_cuda_the_peak_is_that_of_torchs_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter([100, 130])
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: next(held))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 250)
    with Peak("cuda:0") as used:
        pass
    assert (used.held, used.peak) == (30, 150)


@pytest.mark.slow
def test_the_memory_of_decoding_7b_is_said_without_its_weights() -> None:
    said = decoding.memory(SHAPES["qwen2.5-coder-7b"], "meta", 64, 512)
    weights, kv_cache = 2 * 7.62e9, 65 * 528 * 28 * 2 * 4 * 128 * 2
    assert said["serve"] == pytest.approx(weights + kv_cache, rel=0.02)
    assert said["load"] == pytest.approx(2 * weights - 2 * 152064 * 3584 + kv_cache, rel=0.02)


def test_all_layers_of_7b_are_trained_where_they_fit() -> None:
    plan = training.PLANS["cuda"]
    assert plan.fitting(0, training.FITS * H200).shape.layers == 28
    assert 10 < plan.fitting(0, training.FITS * 80 * 2**30).shape.layers < 20
    assert plan.fitting(14, 0).shape.layers == 14


@pytest.mark.slow
def test_decoding_and_its_memory() -> None:
    found = decoding.decode("cpu")
    assert found["memory"].keys() == {"load", "serve"}
    over_said = {name: one["measured_over_said"] for name, one in found["memory"].items()}
    assert over_said["load"] == pytest.approx(1, abs=0.05)
    if not torch.cpu._is_amx_tile_supported():  # oneDNN's bf16 products with AMX take memory that no accelerator needs
        assert over_said["serve"] == pytest.approx(1, abs=0.05)
    for batch in ("b1", "b4"):
        assert found[batch]["tokens_per_second"] > 0
        assert 0 < found[batch]["memory_share"][1] < 1


@pytest.mark.slow
def test_training_and_its_memory() -> None:
    found = training.train("cpu", 1)
    assert found["layers"] == 1
    assert 0 < found["mfu_6n"] < 1
    assert found["memory"]["train"]["measured_over_said"] == pytest.approx(1, abs=0.15)


def test_vllm_is_reported_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_spec", lambda _name: None)
    assert "not installed" in gpu.vllm("cpu", "")["skipped"]


def test_the_plug_in_forces_every_row_of_the_stand_in_and_none_before_its_budget() -> None:
    for budget, forced in ((None, False), (1024, False), (plugin.REPLY, True)):
        processor, batch = plugin.runner("cpu", budget)
        slots, vocabulary, _ = plugin.SIZES["cpu"]
        logits = processor.apply(torch.zeros(slots, vocabulary), batch)
        assert bool((logits.argmax(-1) == plugin.HINT[0]).all()) is forced
        assert bool(logits.isinf().any()) is forced
    found = plugin.step_costs("cpu")
    assert found.keys() == {"slots", *plugin.BUDGETS}
    assert all(found[name]["microseconds"] > 0 for name in plugin.BUDGETS)


def test_a_part_is_stopped_at_its_time_limit() -> None:
    given = argparse.Namespace(device="cpu", vllm_python="")
    assert gpu.run("machine", given, 0.1) == {"error": "stopped after 0 seconds"}


def test_what_was_measured_is_written_after_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[str]] = []

    def run(part: str, _given: object, _seconds: float) -> dict[str, Any]:
        written.append(list(json.loads(path.read_text())["parts"]) if path.exists() else [])
        return {"error": "stopped"} if part == "train" else {}

    path = tmp_path / "out" / "gpu.json"
    monkeypatch.setattr(gpu, "run", run)
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu", "--out", str(path.parent)])
    gpu.main()
    names = list(gpu.PARTS)
    assert written == [names[:count] for count in range(len(names))]
    assert json.loads(path.read_text())["parts"]["train"] == {"error": "stopped"}


def test_the_parts_end_within_ten_minutes() -> None:
    assert gpu.PARTS.keys() == gpu.RUN.keys()
    assert sum(gpu.PARTS.values()) < 600


def test_figures_are_compared_with_their_goals() -> None:
    memory = {"memory": {"train": {"measured_over_said": 1.2}}}
    parts: dict[str, Any] = {
        "machine": {"copy_gigabytes_per_second": 4000.0, "read_gigabytes_per_second": 3900.0},
        "decode": {"b1": {"gigabytes": 15.0, "step_ms": [4.9, 5.0, 5.1], "tokens_per_second": 190.0}},
        "train": {"mfu_6n": 0.51, **memory},
        "vllm": {
            "b1": {"tokens_per_second": 160.0},
            "b64": {"tokens_per_second": 1000.0, "tokens_per_second_with_plugin": 995.0},
        },
    }
    found = gpu.goals("cuda", parts)
    assert {name: one["met"] for name, one in found.items()} == {
        "decode_b1_share_of_bandwidth": True,
        "decode_b1_over_vllm": False,
        "vllm_with_plugin_over_without_b64": True,
        "training_mfu_6n": True,
        "memory_train_train": False,
    }
    assert found["decode_b1_share_of_bandwidth"]["got"] == 0.75
    assert list(gpu.goals("cpu", parts)) == ["memory_train_train"]
    assert gpu.goals("cuda", {"decode": {"error": "stopped"}}) == {}
