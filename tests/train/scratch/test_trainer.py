"""Loss on responses only, independent of padding and neighbours; a killed run ends with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.train import small
from tests.train.scratch import killed_runs
from z1.errors import Fault, UserError
from z1.train.encode import EncodedRows
from z1.train.packing import RowNumbers, pad
from z1.train.progress import Progress
from z1.train.scratch.trainer import CHECKPOINT, EpochSchedule, Trainer, response_loss

LAW = settings(max_examples=60, deadline=None, derandomize=True)
UNEVEN = np.array([0, 5, 9, 20])


def trainer(epochs: float = 1.0, **changes: object) -> Trainer:
    return Trainer(small.model(), small.encoded(), small.train_settings(epochs, **changes), small.SEED)


def silent(_progress: Progress) -> None:
    """Nobody watches."""


def padded(rows: EncodedRows, numbers: RowNumbers) -> tuple[Tensor, Tensor]:
    token_ids, loss_mask = pad(rows, numbers)
    return torch.from_numpy(token_ids), torch.from_numpy(loss_mask)


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / CHECKPOINT, weights_only=True)["model"]
    return state


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# what is learned


def test_padding_is_on_the_right_and_has_no_loss() -> None:
    rows = small.encoded()
    ids, learned = padded(rows, UNEVEN)
    assert ids.shape == learned.shape == (4, rows.lengths[UNEVEN].max())
    for i, row in enumerate(UNEVEN):
        first, last = rows.starts[row], rows.starts[row + 1]
        assert ids[i, : last - first].tolist() == rows.token_ids[first:last].tolist()
        assert learned[i, : last - first].tolist() == rows.loss_mask[first:last].tolist()
        assert not learned[i, last - first :].any()


def test_the_loss_of_a_batch_is_the_mean_over_rows_weighted_by_learned_tokens() -> None:
    model, rows = small.model(), small.encoded()
    parts = [padded(rows, np.array([row])) for row in UNEVEN]
    counts = torch.tensor([learned.sum() for _, learned in parts], dtype=torch.float)
    with torch.no_grad():
        alone = torch.stack([response_loss(model, ids, learned) for ids, learned in parts])
        together = response_loss(model, *padded(rows, UNEVEN))
    assert len(set(rows.lengths[UNEVEN])) > 1
    assert torch.allclose(together, (alone * counts).sum() / counts.sum(), rtol=1e-5)


def test_the_content_of_padding_does_not_matter() -> None:
    model, rows = small.model(), small.encoded()
    ids, learned = padded(rows, UNEVEN)
    other = ids.clone()
    for i, size in enumerate(rows.lengths[UNEVEN]):
        other[i, size:] = 17
    assert not torch.equal(ids, other)
    with torch.no_grad():
        assert torch.equal(response_loss(model, ids, learned), response_loss(model, other, learned))


def test_rows_of_a_batch_are_independent() -> None:
    model, rows = small.model(), small.encoded()
    ids, learned = padded(rows, UNEVEN)
    learned[1:] = False
    other = ids.clone()
    other[1:] = (ids[1:] + 31) % len(small.tokenizer())
    with torch.no_grad():
        assert torch.equal(response_loss(model, ids, learned), response_loss(model, other, learned))


def by_hand(model: Any, ids: Tensor, learned: Tensor) -> Tensor:
    """Cross-entropy over full logits and a mask, the way it is written in a textbook."""
    odds = model(ids).logits.log_softmax(-1)
    lost = [-odds[i, t - 1, ids[i, t]] for i in range(len(ids)) for t in range(1, ids.size(1)) if learned[i, t]]
    return torch.stack(lost).mean()


def test_loss_and_gradients_are_those_of_a_masked_cross_entropy_on_full_logits() -> None:
    model = small.model(layers=2)
    ids, learned = padded(small.encoded(), UNEVEN)
    names, parameters = zip(*model.named_parameters(), strict=True)
    ours, theirs = response_loss(model, ids, learned), by_hand(model, ids, learned)
    assert torch.allclose(ours, theirs, rtol=1e-5)
    gradients = zip(names, torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True)
    for name, own, expected in gradients:
        assert torch.allclose(own, expected, rtol=1e-4, atol=1e-6), name


def test_only_learned_tokens_have_a_gradient() -> None:
    model = small.model()
    ids, learned = padded(small.encoded(), UNEVEN)
    hidden = model.model(ids).last_hidden_state
    hidden.retain_grad()
    logits = model.lm_head(hidden)
    logits.retain_grad()
    loss = torch.nn.functional.cross_entropy(logits[:, :-1][learned[:, 1:]], ids[:, 1:][learned[:, 1:]])
    loss.backward()
    assert torch.allclose(loss, response_loss(model, ids, learned), rtol=1e-5)
    assert logits.grad is not None
    has_gradient = logits.grad.abs().sum(-1) > 0
    assert torch.equal(has_gradient[:, :-1], learned[:, 1:])


# which steps there are


@pytest.mark.parametrize("epochs", [0.01, 0.5, 1.0, 1.5, 3.0])
def test_steps_are_whole_epochs_and_part_of_the_last(epochs: float) -> None:
    order = EpochSchedule(small.encoded(), small.train_settings(epochs), small.SEED)
    sizes = [len(order.epoch(number)) for number in range(4)]
    whole = int(epochs)
    assert order.steps == max(1, sum(sizes[:whole]) + int(sizes[whole] * (epochs - whole)))
    assert len(list(trainer(epochs)._remaining_batches())) == order.steps


def test_remaining_batches_are_those_of_the_whole_run() -> None:
    everything = [batch.tolist() for batch in trainer(2.5)._remaining_batches()]
    first = EpochSchedule(small.encoded(), small.train_settings(), small.SEED).epoch(0)
    assert everything[: len(first)] == [batch.tolist() for batch in first]
    for step in range(len(everything) + 1):
        later = trainer(2.5)
        later.step = step
        assert [batch.tolist() for batch in later._remaining_batches()] == everything[step:]


def test_muon_has_the_matrices_of_the_layers_and_adamw_all_else() -> None:
    made = trainer()
    names = {parameter: name for name, parameter in made.model.named_parameters()}
    muon, adam = ([names[p] for p in optimizer.param_groups[0]["params"]] for optimizer in made.optimizers)
    assert all(".layers." in name and name.endswith("_proj.weight") for name in muon)
    assert len(muon) == 7
    assert sorted(muon + adam) == sorted(names.values())


# how fast


@cache
def rates() -> Trainer:
    """A trainer whose length and settings are changed at will."""
    return trainer()


@given(st.integers(1, 400), st.integers(0, 60), st.floats(0.01, 1.0))
@LAW
def test_the_learning_rate_rises_stays_and_falls_between_zero_and_its_peak(
    steps: int, warmup_steps: int, decay_share: float
) -> None:
    made, shares = rates(), []
    made.settings = small.train_settings(warmup_steps=warmup_steps, decay_share=decay_share)
    made.steps = steps
    for made.step in range(steps):
        shares.append(made._lr_factor())
    top = shares.index(max(shares))
    assert all(0 < share <= 1 for share in shares)
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)


def test_both_optimizers_follow_warmup_constant_and_linear_decay(tmp_path: Path) -> None:
    made = trainer(4.0, warmup_steps=4, decay_share=0.5)
    seen: list[tuple[float, ...]] = []
    made.run(tmp_path, lambda _: seen.append(tuple(o.param_groups[0]["lr"] for o in made.optimizers)), every=1)
    shares = np.array(seen) / [0.02, 0.01]
    last = -(-made.steps // 2)
    assert len(seen) == made.steps > 16
    assert np.allclose(shares[:, 0], shares[:, 1])
    assert np.allclose(shares[:4, 0], [0.25, 0.5, 0.75, 1.0])
    assert np.allclose(shares[4 : made.steps - last, 0], 1.0)
    assert np.allclose(np.diff(shares[-last:, 0]), -2 / made.steps)
    assert np.allclose(shares[-1, 0], 2 / made.steps)


# learning


def test_loss_falls_and_progress_adds_up(tmp_path: Path) -> None:
    made, seen = trainer(6.0), list[Progress]()
    made.run(tmp_path, seen.append)
    assert seen[-1].loss < 0.5 * seen[0].loss
    assert [progress.step for progress in seen] == [*range(10, made.steps, 10), made.steps]
    assert {progress.steps for progress in seen} == {made.steps}
    assert seen[-1].tokens == 6 * small.encoded().lengths.sum()
    assert seen[-1].seconds > 0


def test_a_loss_that_is_not_finite_is_a_fault_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    made = trainer(checkpoint_seconds=0)
    with torch.no_grad():
        made.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(Fault, match=r"the loss is nan at step 0; lower train.muon_lr or train.adamw_lr$"):
        made.run(tmp_path, silent)
    assert not list(tmp_path.iterdir())


def test_rows_without_learned_tokens_are_a_fault(tmp_path: Path) -> None:
    rows = small.encoded()
    nothing = EncodedRows(rows.token_ids, np.zeros_like(rows.loss_mask), rows.starts)
    with pytest.raises(Fault):
        Trainer(small.model(), nothing, small.train_settings(), small.SEED).run(tmp_path, silent)


# killed and resumed


def test_a_run_is_a_function_of_its_seed(tmp_path: Path) -> None:
    for name in ("one", "other"):
        trainer().run(tmp_path / name, silent)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_a_finished_run_makes_no_further_step(tmp_path: Path) -> None:
    trainer().run(tmp_path, silent)
    first = weights(tmp_path)
    again, seen = trainer(), list[Progress]()
    again.run(tmp_path, seen.append)
    assert not seen
    assert again.step == again.steps
    assert same(first, weights(tmp_path))
    assert same(first, again.model.state_dict())


STATE = {"step": 1, "core_seconds": 1.0, "model": {}, "optimizers": []}


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", None, 3, [STATE], {**STATE, "step": "x"}, {**STATE, "model": 3}, STATE, {"step": 1}],
    ids=["empty", "two bytes", "cut", "a number", "a list", "step", "model", "no weights", "keys"],
)
def test_a_cut_or_mistyped_checkpoint_is_named_in_a_line(content: object, tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    if content is None:
        trainer().run(tmp_path, silent)
        path.write_bytes(path.read_bytes()[:-1000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(
        UserError, match=r"checkpoint .*checkpoint\.pt: got cut or of another kind .*; delete it"
    ) as caught:
        trainer().run(tmp_path, silent)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_run_killed_many_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed = killed_runs.trainer()
    undisturbed.run(tmp_path / "whole", silent)
    command = [sys.executable, "-m", "tests.train.scratch.killed_runs", str(tmp_path / "killed")]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=os.environ | paths, cwd=Path(__file__).parents[3], capture_output=True, check=True
    )
    ends = json.loads(done.stdout)
    assert ends[:5] == [-signal.SIGKILL] * 5
    assert set(ends[5:]) <= {0, -signal.SIGKILL}
    assert ends[-1] == 0
    whole, killed = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "killed"))
    assert whole["step"] == killed["step"] == undisturbed.steps
    assert same(whole["model"], killed["model"])
    for one, other in zip(whole["optimizers"], killed["optimizers"], strict=True):
        assert one["state"].keys() == other["state"].keys()
        for number in one["state"]:
            assert same(one["state"][number], other["state"][number])


def test_a_checkpoint_is_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(path: Path, data: Any) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("no space left")

    trainer(0.5).run(tmp_path / "before", silent)
    first = (tmp_path / "before" / CHECKPOINT).read_bytes()
    monkeypatch.setattr(Path, "write_bytes", torn)
    for name in ("before", "nothing"):
        with pytest.raises(OSError, match="no space"):
            trainer(1.0).run(tmp_path / name, silent)
    assert (tmp_path / "before" / CHECKPOINT).read_bytes() == first
    assert [path.name for path in (tmp_path / "before").iterdir()] == [CHECKPOINT]
    assert not list((tmp_path / "nothing").iterdir())


def test_the_time_estimate_changes_nothing(tmp_path: Path) -> None:
    made, plain = trainer(2.0), trainer(2.0)
    left, whole = made.estimate_seconds(tmp_path)
    assert 0 < left == whole
    made.run(tmp_path / "a", silent)
    plain.run(tmp_path / "b", silent)
    assert all(torch.equal(a, b) for a, b in zip(made.model.parameters(), plain.model.parameters(), strict=True))


def test_train_tokens_sets_the_number_of_steps() -> None:
    rows = small.encoded()
    every = int(rows.lengths.sum())
    for ids in (1, every // 2, every, 2 * every + 1):
        order = EpochSchedule(
            rows, small.train_settings().model_copy(update={"epochs": None, "train_tokens": ids}), small.SEED
        )
        batches = [batch for epoch in range(3) for batch in order.epoch(epoch)]
        seen = [int(rows.lengths[batch].sum()) for batch in batches]
        assert sum(seen[: order.steps - 1]) < ids <= sum(seen[: order.steps])


def test_checkpoints_follow_checkpoint_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = [0.0], list[int]()

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr("z1.train.scratch.trainer.time", SimpleNamespace(monotonic=tick, process_time=lambda: 0.0))
    monkeypatch.setattr(Trainer, "_save", lambda self, _path: saved.append(self.step))
    made = trainer(3.0, checkpoint_seconds=9)
    made.run(tmp_path, silent, every=10**6)
    assert saved == [*range(10, made.steps, 10), made.steps]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could answer")
def test_sigterm_saves_after_the_step_and_the_next_run_resumes(tmp_path: Path) -> None:
    def terminate(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        trainer().run(tmp_path / "ended", terminate, every=1)
    assert ended.value.code == 143
    assert torch.load(tmp_path / "ended" / CHECKPOINT, weights_only=True)["step"] == 3
    for name in ("ended", "whole"):
        trainer().run(tmp_path / name, silent)
    assert same(weights(tmp_path / "ended"), weights(tmp_path / "whole"))
