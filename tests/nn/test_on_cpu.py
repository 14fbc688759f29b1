from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from families import FAMILIES, make_base
from limbeck.nn.model import TextModel, load_model, new_model, save_model
from limbeck.nn.on_cpu import Dropout, quicken
from limbeck.nn.precision import Precision, autocast
from limbeck.tasks import Classify

TASK = Classify(("bad", "good"))
OWN_ATTENTION = {"deberta-v2", "mpnet"}  # families that transformers gives no fused attention


@pytest.fixture(params=list(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["a good film", "a bad film"] * 20, tmp_path / "base")
    torch.manual_seed(0)
    return new_model(str(base), TASK, dropout=0.0)


def inputs(model: TextModel) -> dict[str, Tensor]:
    ids = torch.randint(5, model.config.vocab_size, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(24) < torch.tensor([[24], [17], [9], [2]])).long()
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {name: given[name] for name in model.input_names}


def gradients(model: TextModel, precision: Precision) -> Tensor:
    model.zero_grad()
    with autocast(precision, torch.device("cpu")):
        loss = model.train()(**inputs(model))[:, 0].sum()
    loss.backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


class Attentions(TorchFunctionMode):
    """Keeps the type of what fused attention is asked to compute with."""

    def __init__(self) -> None:
        super().__init__()
        self.types = set[torch.dtype]()

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is torch.nn.functional.scaled_dot_product_attention:
            self.types.add(args[0].dtype)
        return function(*args, **(kwargs or {}))


def attentions(model: TextModel) -> set[torch.dtype]:
    with Attentions() as seen, autocast("bf16", torch.device("cpu")):
        model(**inputs(model))
    return seen.types


def test_every_family_learns_the_same(model: TextModel) -> None:
    plain = deepcopy(model)
    quicken(model)
    assert torch.equal(gradients(model, "fp32"), gradients(plain, "fp32"))
    exact = gradients(plain, "fp32")
    errors = [(gradients(one, "bf16") - exact).norm() / exact.norm() for one in (model, plain)]
    assert errors[0] < 1.5 * errors[1] < 0.1


def test_attention_has_fp32_gradients_and_answers_in_bf16(model: TextModel, request: pytest.FixtureRequest) -> None:
    fused = request.node.callspec.params["model"] not in OWN_ATTENTION
    quicken(model)
    assert attentions(model.train()) == ({torch.float32} if fused else set())
    with torch.inference_mode():
        assert attentions(model.eval()) == ({torch.bfloat16} if fused else set())


def test_a_saved_model_does_not_ask_for_it(tiny_base: Path, tmp_path: Path) -> None:
    model = new_model(str(tiny_base), TASK)
    names = list(model.state_dict())
    quicken(model)
    assert list(model.state_dict()) == names
    save_model(model, tmp_path)
    assert "sdpa" not in (tmp_path / "config.json").read_text()
    assert load_model(tmp_path, TASK, pooling="pooler").config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_mean_and_drops_its_share(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    states = torch.ones(301, 1001, dtype=dtype, requires_grad=True)
    dropped = Dropout(rate)(states)
    share = float((dropped == 0).float().mean())
    assert share == pytest.approx(rate, abs=0.004)  # four standard deviations of 301,301 draws
    assert dropped.unique().tolist() == pytest.approx(
        [0.0, 1 / (1 - rate)], rel=1e-5 if dtype == torch.float32 else 4e-3
    )
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert torch.equal(states.grad, dropped)


def test_dropout_is_drawn_evenly_in_every_place_of_a_draw() -> None:
    torch.manual_seed(0)
    kept = Dropout(0.25)(torch.ones(40_000, 4)) > 0
    assert kept.float().mean(dim=0).tolist() == pytest.approx([0.75] * 4, abs=0.009)
    together = torch.corrcoef(kept.T.float()) - torch.eye(4)
    assert together.abs().max() < 0.02


def test_dropout_follows_the_seed_and_rests_in_evaluation() -> None:
    states, dropout = torch.randn(7, 13), Dropout(0.3)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(states))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert dropout.eval()(states) is states
    assert Dropout(0.0)(states) is states


def test_a_module_keeps_its_rate_and_its_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.4))).eval()
    quicken(model)
    assert [(type(m), m.p, m.training) for m in model.modules() if isinstance(m, nn.Dropout)] == [
        (Dropout, 0.2, False),
        (Dropout, 0.4, False),
    ]
