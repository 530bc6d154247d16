"""The update of `torch.optim.Muon`, for batches of matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from z1.train.scratch.muon import Muon, orthogonal

SHAPES = [(32, 32), (64, 32), (32, 64), (16, 128), (3, 3), (1, 8), (8, 1)]


def matrices(count: int, rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(seed))


def parameters(count: int, rows: int, columns: int) -> list[nn.Parameter]:
    return [nn.Parameter(matrix.clone()) for matrix in matrices(count, rows, columns)]


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_singular_values_become_close_to_one_and_vectors_stay(rows: int, columns: int) -> None:
    """A direction of less than 0.2 % of the matrix (Frobenius norm) is too faint for five steps and may stay short."""
    batch = matrices(8, rows, columns)
    made = orthogonal(batch)
    left, before, right = torch.linalg.svd(batch, full_matrices=False)
    turned = left.mT @ made @ right.mT
    after = turned.diagonal(dim1=-2, dim2=-1)
    seen = before / batch.norm(dim=(-2, -1))[:, None] > 0.002
    assert made.shape == batch.shape
    assert seen.float().mean() > 0.9
    assert after[seen].min() > 0.5
    assert after.max() < 1.5
    assert torch.allclose(turned, torch.diag_embed(after), atol=1e-3)


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not orthogonal(torch.zeros(2, 4, 4)).any()


def test_the_update_does_not_depend_on_the_gradient_norm() -> None:
    batch = matrices(2, 8, 16)
    assert torch.allclose(orthogonal(batch), orthogonal(batch * 1000), atol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (48, 16), (16, 48)])
def test_equals_the_muon_of_torch_step_for_step(rows: int, columns: int) -> None:
    """torch.optim.Muon keeps the same momentum and scales alike ("original"); it only multiplies in bfloat16.

    It has a weight decay by default, which ours has not, and its orthogonal matrices are right to about 1 %.
    """
    start = matrices(1, rows, columns, seed=9)[0]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    own = Muon([ours], 0.02, momentum=0.9)
    reference = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.0)
    for step in range(6):
        gradient = matrices(1, rows, columns, seed=step)[0]
        before = ours.detach().clone(), theirs.detach().clone()
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step()
        reference.step()
        torch.testing.assert_close(own.state[ours]["momentum"], reference.state[theirs]["momentum_buffer"])
        moved, expected = ours - before[0], theirs - before[1]
        assert (moved - expected).norm() < 0.03 * expected.norm()
    assert (ours - theirs).norm() < 0.03 * (theirs - start).norm()


def test_a_parameter_without_gradient_is_unchanged() -> None:
    moved, kept = parameters(2, 6, 6)
    before = kept.detach().clone()
    optimizer = Muon([moved, kept], 0.1)
    moved.grad = matrices(1, 6, 6, seed=2)[0]
    optimizer.step()
    assert torch.equal(kept, before)
    assert kept not in optimizer.state
    assert not torch.equal(moved, parameters(1, 6, 6)[0])


def test_no_gradient_at_all_is_no_step() -> None:
    together = parameters(2, 6, 6)
    Muon(together, 0.1).step()
    assert all(torch.equal(one, other) for one, other in zip(together, parameters(2, 6, 6), strict=True))


def test_batched_matrices_are_updated_as_single_ones() -> None:
    together = [*parameters(3, 8, 12), *parameters(2, 12, 8), *parameters(1, 8, 8)]
    alone = [nn.Parameter(matrix.detach().clone()) for matrix in together]
    batched, singly = Muon(together, 0.05), [Muon([matrix], 0.05) for matrix in alone]
    for step in range(3):
        for number, (one, other) in enumerate(zip(together, alone, strict=True)):
            one.grad = matrices(1, one.size(0), one.size(1), 10 * step + number)[0]
            other.grad = one.grad.clone()
        batched.step()
        for optimizer in singly:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_tall_matrix_takes_larger_steps_by_the_root_of_its_shape() -> None:
    tall, wide = nn.Parameter(torch.zeros(32, 8)), nn.Parameter(torch.zeros(8, 32))
    tall.grad = matrices(1, 32, 8)[0]
    wide.grad = tall.grad.mT.clone()
    Muon([tall, wide], 0.1).step()
    assert torch.allclose(tall, 2 * wide.mT, atol=1e-5)
