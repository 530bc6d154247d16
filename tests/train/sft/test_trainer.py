"""A fine-tuning is a function of its recipe, for any packing, number of processes and interruptions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from torch import Tensor
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from tests.train import small_sft
from z1.errors import Fault, UserError
from z1.model_files import find_model, load_tokenizer
from z1.recipe import FinetuneSettings
from z1.runs import read_json
from z1.train.progress import Progress
from z1.train.sft import trainer as finetuning
from z1.train.sft.trainer import finetune, lr_factor

pytestmark = pytest.mark.timeout(900)  # fifteen processes, on a machine that does other things too

Reports = list[Progress]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_sft.save_base(tmp_path_factory.mktemp("base"))


def run(base: str, folder: Path, **changes: object) -> Reports:
    reports = Reports()
    finetune(small_sft.recipe(**changes), small_sft.training_set(base), folder, reports.append)
    return reports


def losses(reports: Reports) -> list[float]:
    return [progress.loss for progress in reports]


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_loss_falls_and_every_step_is_reported(base: str, tmp_path: Path) -> None:
    reports = run(base, tmp_path)
    assert [progress.step for progress in reports] == [*range(1, 13)]
    assert {progress.steps for progress in reports} == {12}
    assert reports[-1].tokens > reports[0].tokens > 0
    assert losses(reports)[-1] < losses(reports)[0] - 0.3
    drawn = lines(tmp_path)
    assert [line["loss"] for line in drawn if "loss" in line] == losses(reports)
    held_out = {line["step"]: line["held_out"] for line in drawn if "held_out" in line}
    assert [*held_out] == [0, 5, 10, 12]
    assert held_out[12] < held_out[0]
    found = read_json(tmp_path / "model" / "z1.json")
    assert found["losses"] == {"loss": losses(reports)[-1], "held_out_before": held_out[0], "held_out": held_out[12]}


@pytest.mark.parametrize(
    "changes",
    [{"micro_tokens": 1024}, {"packing": False}, {"gradient_checkpointing": False}],
    ids=["other packs", "pad", "no checkpoints within"],
)
def test_micro_batches_and_packing_do_not_change_the_result(base: str, tmp_path: Path, changes: dict[str, Any]) -> None:
    one, other = run(base, tmp_path / "one", epochs=1.0), run(base, tmp_path / "other", epochs=1.0, **changes)
    assert losses(one) == pytest.approx(losses(other), rel=1e-5)
    both = [weights(tmp_path / name) for name in ("one", "other")]
    assert all(torch.allclose(both[0][name], both[1][name], rtol=1e-3, atol=1e-4) for name in both[0])


def test_bf16_stays_close_and_saves_bf16(base: str, tmp_path: Path) -> None:
    whole, half = run(base, tmp_path / "whole", epochs=1.0), run(base, tmp_path / "half", epochs=1.0, precision="bf16")
    assert losses(half) == pytest.approx(losses(whole), rel=0.01)
    assert losses(half) != losses(whole)
    assert {tensor.dtype for tensor in weights(tmp_path / "half").values()} == {torch.bfloat16}


def test_lora_trains_the_linear_layers_and_is_merged(base: str, tmp_path: Path) -> None:
    reports = run(base, tmp_path, lora_rank=4, learning_rate=0.02)
    before, after = load_file(Path(base) / "model.safetensors"), weights(tmp_path)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if name.endswith("_proj.weight")}
    assert losses(reports)[-1] < losses(reports)[0] - 0.05
    (kept,) = tmp_path.glob("checkpoint-*/part-*")
    assert all("lora" in name for name in load_file(kept))


@pytest.mark.parametrize("stored", [None, "bf16"])
def test_the_adapter_beside_the_model_is_peft_s_and_gives_the_same_weights(
    base: str, tmp_path: Path, stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("Z1_CACHE", str(tmp_path / "cache"))
    run(base, tmp_path, lora_rank=4, learning_rate=0.02, epochs=1.0, lora_precision=stored)
    adapter = tmp_path / "adapter"
    additions = load_file(adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in additions.values()} == {torch.bfloat16 if stored else torch.float32}
    assert read_json(adapter / "adapter_config.json")["base_model_name_or_path"] == base
    assert read_json(adapter / "z1.json") == read_json(tmp_path / "model" / "z1.json")
    theirs = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32).merge_and_unload().state_dict()
    for found in (weights(tmp_path), load_file(find_model(str(adapter)) / "model.safetensors")):
        assert all(torch.allclose(found[name], theirs[name], rtol=0, atol=1e-6) for name in found)
    assert load_tokenizer(str(adapter)).chat_template == load_tokenizer(str(tmp_path / "model")).chat_template


def test_a_gradient_that_is_not_finite_is_a_fault_and_changes_no_weight(base: str, tmp_path: Path) -> None:
    model = load_file(Path(base) / "model.safetensors")
    with pytest.raises(Fault, match=r"^the gradient norm is (nan|inf) at step \d+; lower finetune.learning_rate$"):
        run(base, tmp_path, learning_rate=1e30, warmup_steps=0)
    assert not list(tmp_path.glob("checkpoint-*"))
    assert model.keys()


def test_a_missing_base_is_one_line(tmp_path: Path) -> None:
    corpus = small_sft.training_set(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"got no folder or file .*nothing; give a model folder"):
        finetune(small_sft.recipe(), corpus, tmp_path, print)


def test_a_recipe_without_the_table_is_refused(base: str, tmp_path: Path) -> None:
    recipe = small_sft.recipe().model_copy(update={"finetune": None})
    with pytest.raises(UserError, match=r"^the recipe's \[finetune\]: got none; add it"):
        finetune(recipe, small_sft.training_set(base), tmp_path, print)


# the rate


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [("cosine", get_cosine_schedule_with_warmup), ("linear", get_linear_schedule_with_warmup)],
)
def test_after_warmup_the_learning_rate_is_that_of_transformers(schedule: str, theirs: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, expected = theirs(optimizer, 10, 50), []
    for _ in range(50):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    ours = [lr_factor(step, 50, small_sft.settings(schedule=schedule, warmup_steps=10)) for step in range(50)]
    assert ours[10:] == pytest.approx(expected[10:])
    assert ours[:10] == pytest.approx([0.1 * step for step in range(1, 11)])


def test_a_constant_schedule_is_constant() -> None:
    settings: FinetuneSettings = small_sft.settings(schedule="constant", warmup_steps=0)
    assert {lr_factor(step, 9, settings) for step in range(9)} == {1.0}


# interrupted


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[int]], Path]:
    """The exit statuses of `killed_runs.py`, and its folder."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    folder = tmp_path_factory.mktemp("interrupted")
    command = [sys.executable, "-m", "tests.train.sft.killed_runs", str(folder)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends: dict[str, list[int]] = json.loads(done.stdout)
    return ends, folder


def kept(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The only checkpoint in a folder: weights, optimizer, and facts without its clock."""
    (checkpoint,) = folder.glob("checkpoint-*")
    facts = read_json(checkpoint / "state.json")["facts"]
    facts.pop("core_seconds")
    tensors: dict[str, Tensor] = {}
    for part in sorted(checkpoint.glob("part-*")):
        for name, tensor in load_file(part).items():
            tensors[name] = torch.cat([tensors[name], tensor]) if name in tensors and tensor.ndim else tensor
    return tensors, facts


@pytest.mark.slow
@pytest.mark.parametrize("name", ["killed", "ended", "full"])
def test_interrupted_runs_end_with_the_same_bits(name: str, interrupted: tuple[dict[str, list[int]], Path]) -> None:
    (whole, facts), (tensors, other_facts) = kept(interrupted[1] / "whole"), kept(interrupted[1] / name)
    assert facts == other_facts
    steps = [line["step"] for line in lines(interrupted[1] / name) if "loss" in line]
    assert steps.count(1) == (2 if name == "killed" else 1)  # restarted only without a checkpoint
    assert whole.keys() == tensors.keys()
    assert all(torch.equal(whole[key], tensors[key]) for key in whole)
    assert all(
        torch.equal(one, weights(interrupted[1] / name)[key]) for key, one in weights(interrupted[1] / "whole").items()
    )


@pytest.mark.slow
def test_interrupted_runs_end_with_the_expected_status(interrupted: tuple[dict[str, list[int]], Path]) -> None:
    """Killed while saving nothing, after a step, within one and while saving again; SIGTERM; a disk without room."""
    ends, folder = interrupted
    assert ends["whole"] == [0]
    assert ends["killed"] == [-9, -9, -9, -9, 0]
    assert ends["ended"] == [143, 0]
    assert ends["full"] == [2, 0]
    found = (folder / "full" / "message").read_text(encoding="utf-8")
    assert found.startswith("writing ") and found.endswith("finished work is kept") and "\n" not in found


@pytest.mark.slow
def test_two_processes_train_shards_to_the_losses_of_one(interrupted: tuple[dict[str, list[int]], Path]) -> None:
    ends, folder = interrupted
    assert ends["two"] == [0, 0]
    one = [line["loss"] for line in lines(folder / "whole") if "loss" in line]
    (kinds, reports), (others, silent) = (read_json(folder / "two" / f"losses-{rank}.json") for rank in (0, 1))
    parts, of = kinds[0].split(" of ")
    assert kinds == others and int(parts) == int(of) > 0
    assert silent == []
    assert reports == pytest.approx(one, rel=1e-5)
    for tensors in (kept, weights):
        whole, two = (tensors(folder / name) for name in ("whole", "two"))
        whole, two = (each[0] if isinstance(each, tuple) else each for each in (whole, two))
        assert whole.keys() == two.keys()
        assert all(torch.allclose(whole[key], two[key], rtol=1e-3, atol=5e-4) for key in whole)


@pytest.mark.slow
def test_one_process_resumes_what_two_began(interrupted: tuple[dict[str, list[int]], Path]) -> None:
    ends, folder = interrupted
    assert ends["two, then one"] == [143, 143, 0]
    one = [line["loss"] for line in lines(folder / "whole") if "loss" in line]
    assert [line["loss"] for line in lines(folder / "fewer") if "loss" in line] == pytest.approx(one, rel=1e-5)


def test_random_numbers_are_a_function_of_seed_step_and_process() -> None:
    drawn = set()
    for place in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        finetuning._seed_step(*place)
        drawn.add(torch.rand(()).item())
    finetuning._seed_step(0, 0, 0)
    assert len(drawn) == 4
    assert torch.rand(()).item() in drawn
