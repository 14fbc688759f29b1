from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limbeck.training.adversarial import PGD_STEPS, Adversary, adversarial_backward


class Bilinear(nn.Module):
    """A loss of embeddings that is easy to differentiate by hand: each row's sum over positions, squared, weighted."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embeddings = nn.Embedding(7, 3)
        self.out = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.seen: list[Tensor] = []

    def loss(self) -> Tensor:
        """The mean over two rows of two tokens, the second of them token 0 with weight 0, like padding."""
        found = self.embeddings(torch.tensor([[1, 0], [5, 0]]))
        self.seen.append(found.detach())
        return (found[:, 0] @ self.out).square().mean()


def moves(model: Bilinear) -> list[Tensor]:
    """How far the embeddings were moved at each run of the model after the plain one."""
    return [found - model.seen[0] for found in model.seen[1:]]


def test_fgm_moves_each_row_along_its_gradient_by_the_size() -> None:
    model = Bilinear()
    before = model.embeddings.weight.detach().clone()
    plain = adversarial_backward(model.embeddings, model.loss, Adversary("fgm", 0.25))
    (moved,) = moves(model)
    torch.testing.assert_close(moved.norm(dim=(1, 2)), torch.tensor([0.25, 0.25]))
    sides = (model.seen[0][:, 0] @ model.out.detach()).sign()[:, None]
    torch.testing.assert_close(moved[:, 0], 0.25 * sides * model.out.detach() / model.out.detach().norm())
    assert not moved[:, 1].any()  # nothing depends on padding
    assert plain.item() == pytest.approx(Bilinear().loss().item())
    assert torch.equal(model.embeddings.weight, before)


@pytest.mark.parametrize("attack", ["fgm", "pgd"])
def test_the_gradients_are_those_of_both_losses(attack: str) -> None:
    model, wanted = Bilinear(), Bilinear()
    adversarial_backward(model.embeddings, model.loss, Adversary(attack, 0.5))  # type: ignore[arg-type]
    last = moves(model)[-1]
    found = wanted.embeddings(torch.tensor([[1, 0], [5, 0]]))
    ((found[:, 0] @ wanted.out).square().mean() + ((found + last)[:, 0] @ wanted.out).square().mean()).backward()
    torch.testing.assert_close(model.out.grad, wanted.out.grad)
    torch.testing.assert_close(model.embeddings.weight.grad, wanted.embeddings.weight.grad)


def test_pgd_stays_in_the_ball_and_ends_at_its_edge() -> None:
    model = Bilinear()
    adversarial_backward(model.embeddings, model.loss, Adversary("pgd", 0.5))
    lengths = torch.stack([moved.norm(dim=(1, 2)) for moved in moves(model)])
    assert lengths.shape == (PGD_STEPS, 2)
    assert (lengths <= 0.5 + 1e-6).all()
    torch.testing.assert_close(lengths[0], torch.tensor([0.25, 0.25]))
    torch.testing.assert_close(lengths[-1], torch.tensor([0.5, 0.5]))


def test_nothing_stays_on_the_model_even_after_an_error() -> None:
    model = Bilinear()

    def breaks() -> Tensor:
        model.loss()
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        adversarial_backward(model.embeddings, breaks, Adversary("fgm", 0.5))
    model.seen.clear()
    model.loss()
    assert torch.equal(model.seen[0], Bilinear().embeddings(torch.tensor([[1, 0], [5, 0]])))
    assert not model.embeddings._forward_hooks
