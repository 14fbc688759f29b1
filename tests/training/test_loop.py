from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from limbeck.engines import compute_logits
from limbeck.engines.torch_engine import TorchEngine
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision, measure_precision
from limbeck.tasks import Classify
from limbeck.tasks.calibration import cross_entropy
from limbeck.text import Tokens
from limbeck.training import loop
from limbeck.training.checkpoint import save_checkpoint
from limbeck.training.loop import fit
from limbeck.training.place import Fit, Progress
from limbeck.training.plan import Plan
from limbeck.training.step import Objective

from .conftest import Corpus

MakeModel = Callable[..., TextModel]
TASK = Classify(("negative", "positive"))
PLAN = Plan(epochs=3, batch=8, learning_rate=3e-3, patience=99, checkpoint_seconds=0.0)
LONG_TEXTS_APART = 40  # tokens of a batch: one or two rows of the corpus at a time


class Stopped(Exception):
    """Somebody pulled the plug."""


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_equal(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    different = [name for name in got if not torch.equal(got[name], wanted[name])]
    assert not different


def assert_near(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name in wanted:
        assert torch.allclose(got[name], wanted[name], atol=2e-6, rtol=1e-4), name


def dev_score(corpus: Corpus) -> Callable[[TextModel, Precision], float]:
    """A smooth score: minus the loss on the corpus."""

    def score(model: TextModel, precision: Precision) -> float:
        run = TorchEngine(model, precision).run
        logits = compute_logits(run, corpus.rows, pad_id=0, max_tokens=32)
        return -cross_entropy(logits, corpus.targets.numpy())

    return score


def train(
    model: TextModel,
    corpus: Corpus,
    folder: Path,
    plan: Plan = PLAN,
    *,
    evaluate: Callable[[TextModel, Precision], float] | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
    fingerprint: str = "a run",
    precision: Precision | None = "fp32",
) -> Fit:
    return fit(
        model,
        corpus.rows,
        corpus.targets,
        objective=Objective(row_loss(TASK)),
        evaluate=evaluate or dev_score(corpus),
        plan=plan,
        pad_id=0,
        folder=folder,
        fingerprint=fingerprint,
        precision=precision,
        on_step=on_step,
    )


@dataclass
class StopAt:
    """Raises after a step."""

    step: int
    seen: list[int] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress.step)
        if progress.step == self.step:
            raise Stopped


# --- it learns, and tells how


def test_a_learnable_corpus_is_learnt(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    model, seen = make_model(dropout=0.1), list[Progress]()
    untrained = dev_score(corpus)(model, "fp32")
    done = train(model, corpus, tmp_path, replace(PLAN, epochs=4), on_step=seen.append)
    assert done.best.score > -0.2 > -0.5 > untrained
    assert done.steps == 100
    assert not done.stopped_early
    assert [p.step for p in seen] == list(range(1, 101))
    assert {p.steps for p in seen} == {100}
    assert [(e.step, e.epoch) for e in done.evaluations] == [(25, 1), (50, 2), (75, 3), (100, 4)]
    assert done.evaluations[0].loss > done.evaluations[-1].loss
    assert seen[-1].evaluations == done.evaluations
    assert seen[24].evaluations == done.evaluations[:1]
    assert seen[0].loss > 0
    assert dev_score(corpus)(model.eval(), "fp32") == done.best.score


def test_nothing_but_safetensors_is_written(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    train(make_model(), corpus.first(16), tmp_path / "state", replace(PLAN, epochs=1))
    files = sorted(p.name for p in (tmp_path / "state").iterdir())
    assert files == ["best.safetensors", "checkpoint.safetensors"]
    for name in files:
        with safe_open(tmp_path / "state" / name, framework="pt") as file:
            assert len(file.keys()) > 10


def test_a_long_epoch_is_evaluated_within_and_at_its_end(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "evaluation_interval", lambda per_epoch: 3)
    done = train(make_model(), corpus.first(40), tmp_path, replace(PLAN, epochs=2))
    assert [(e.step, e.epoch) for e in done.evaluations] == [(3, 0.6), (5, 1.0), (8, 1.6), (10, 2.0)]


# --- the same step, however it is computed


class Bag(nn.Module):
    """The least model with the interface that the loop needs: the sum of the embeddings of what is not masked."""

    input_names = ("input_ids", "attention_mask")

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Parameter(torch.randn(162, 8, generator=generator) / 8)
        self.out = nn.Parameter(torch.randn(8, 2, generator=generator))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        return (self.embedding[input_ids] * attention_mask[..., None]).sum(dim=1) @ self.out


def test_a_token_budget_changes_no_gradient(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Plain descent, since Adam would blow up the rounding in gradients that are zero but for rounding.
    def descent(model: TextModel, learning_rate: float, **_: object) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": list(model.parameters()), "lr_factor": 1.0}], lr=learning_rate)

    monkeypatch.setattr(loop, "make_optimizer", descent)
    found = []
    for budget in (8192, LONG_TEXTS_APART):
        model = make_model()
        plan = replace(PLAN, epochs=1, learning_rate=0.1, budget_tokens=budget)
        done = train(model, corpus.first(32), tmp_path / str(budget), plan)
        found.append((weights(model), done.evaluations[0].loss))
    start = weights(make_model())
    assert not torch.equal(found[0][0]["inner.classifier.weight"], start["inner.classifier.weight"])
    assert_near(found[1][0], found[0][0])
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-5)


def test_a_token_budget_holds(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    shapes: list[torch.Size] = []
    model = make_model()
    model.register_forward_pre_hook(lambda _, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True)
    plan = replace(PLAN, epochs=1, budget_tokens=LONG_TEXTS_APART)
    train(model, corpus.first(32), tmp_path, plan, evaluate=lambda model, precision: 0.0)
    assert len(shapes) > 4
    assert all(shape.numel() <= LONG_TEXTS_APART for shape in shapes)
    assert sum(shape[0] for shape in shapes) == 32


def equal_lengths(rows: int, seed: int = 0) -> Corpus:
    random = np.random.default_rng(seed)
    ids = random.integers(5, 160, (rows, 12)).astype(np.int32)
    tokens = [Tokens(i, row, np.zeros(12, np.int8)) for i, row in enumerate(ids)]
    return Corpus(tokens, torch.from_numpy(random.integers(0, 2, rows)))


def test_two_batches_of_eight_make_the_step_of_one_of_sixteen(tmp_path: Path) -> None:
    corpus, found = equal_lengths(16), []
    for name, plan in (
        ("whole", replace(PLAN, epochs=5, batch=16)),
        ("halves", replace(PLAN, epochs=5, batch=8, accumulate=2)),
    ):
        model: Any = Bag()
        done = train(model, corpus, tmp_path / name, plan)
        assert done.steps == 5
        found.append(weights(model))
    assert not torch.equal(found[0]["out"], weights(Bag())["out"])
    assert_near(found[1], found[0])


def test_a_short_last_step_is_the_mean_over_its_own_rows(tmp_path: Path) -> None:
    corpus = equal_lengths(3)
    losses: list[float] = []
    model: Any = Bag()
    rows = [-dev_score(Corpus([corpus.rows[i]], corpus.targets[i : i + 1]))(model, "fp32") for i in range(3)]
    plan = replace(PLAN, epochs=1, batch=2, learning_rate=1e-9)  # the weights stay, so that losses can be compared
    train(model, corpus, tmp_path, plan, on_step=lambda progress: losses.append(progress.loss))
    whichever_is_alone = [sorted([rows[i], (sum(rows) - rows[i]) / 2]) for i in range(3)]
    assert any(sorted(losses) == pytest.approx(pair, rel=1e-4) for pair in whichever_is_alone)


def test_the_same_plan_gives_the_same_weights_and_another_seed_others(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path
) -> None:
    found = []
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        model = make_model(dropout=0.1)
        torch.manual_seed(len(name))  # whatever was drawn before does not matter
        train(model, corpus.first(24), tmp_path / name, replace(PLAN, epochs=1, seed=seed))
        found.append(weights(model))
    assert_equal(found[1], found[0])
    assert not torch.equal(found[2]["inner.classifier.weight"], found[0]["inner.classifier.weight"])


def test_measuring_the_precision_leaves_no_trace_in_the_run(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()
    monkeypatch.setattr(loop, "MEASURED_STEPS", 0)
    monkeypatch.setattr(
        loop, "measure_precision", lambda step: measure_precision(step, repeats=1, clock=lambda: float(next(ticks)))
    )
    measured, told = make_model(dropout=0.1), make_model(dropout=0.1)
    plan = replace(PLAN, epochs=1)
    done = train(measured, corpus.first(24), tmp_path / "measured", plan, precision=None)
    train(told, corpus.first(24), tmp_path / "told", plan, precision="fp32")
    assert done.precision.precision == "fp32"
    assert done.precision.bf16_ms == 1000
    assert_equal(weights(measured), weights(told))


def test_a_short_training_is_not_measured(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    done = train(make_model(), corpus.first(16), tmp_path, replace(PLAN, epochs=1), precision=None)
    assert (done.precision.precision, done.precision.fp32_ms) == ("fp32", 0.0)


def test_bf16_trains_weights_that_stay_fp32(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    model = make_model()
    done = train(model, corpus.first(16), tmp_path, replace(PLAN, epochs=1), precision="bf16")
    assert done.precision.precision == "bf16"
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(torch.isfinite(p).all() for p in model.parameters())


# --- a run that was stopped goes on


@dataclass(frozen=True)
class Unbroken:
    """A run of 15 steps, 5 an epoch, with dropout."""

    corpus: Corpus
    weights: dict[str, Tensor]
    fit: Fit


@pytest.fixture(scope="session")
def unbroken(make_model: MakeModel, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    model, few = make_model(dropout=0.1), corpus.first(40)
    done = train(model, few, tmp_path_factory.mktemp("unbroken"))
    return Unbroken(few, weights(model), done)


def same(done: Fit, wanted: Fit) -> None:
    assert done.evaluations == wanted.evaluations
    assert done.best == wanted.best
    assert (done.steps, done.stopped_early) == (wanted.steps, wanted.stopped_early)


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 14, 15])
def test_a_run_that_was_stopped_ends_with_the_weights_of_an_unbroken_one(
    make_model: MakeModel, unbroken: Unbroken, tmp_path: Path, step: int
) -> None:
    with pytest.raises(Stopped):
        train(make_model(dropout=0.1), unbroken.corpus, tmp_path, on_step=StopAt(step))
    torch.manual_seed(1234)
    model, later = make_model(seed=9, dropout=0.1), StopAt(-1)  # all of the model comes from the checkpoint
    done = train(model, unbroken.corpus, tmp_path, on_step=later)
    assert later.seen == list(range(step + 1, 16))
    assert_equal(weights(model), unbroken.weights)
    same(done, unbroken.fit)


def test_a_run_may_be_stopped_again_and_again(make_model: MakeModel, unbroken: Unbroken, tmp_path: Path) -> None:
    for step in (2, 3, 7, 8, 13):
        with pytest.raises(Stopped):
            train(make_model(dropout=0.1), unbroken.corpus, tmp_path, on_step=StopAt(step))
    model = make_model(seed=9, dropout=0.1)
    same(train(model, unbroken.corpus, tmp_path), unbroken.fit)
    assert_equal(weights(model), unbroken.weights)


def test_steps_after_the_last_checkpoint_are_done_again(
    make_model: MakeModel, unbroken: Unbroken, tmp_path: Path
) -> None:
    plan = replace(PLAN, checkpoint_seconds=1e9)  # only at the end of an epoch, then
    with pytest.raises(Stopped):
        train(make_model(dropout=0.1), unbroken.corpus, tmp_path, plan, on_step=StopAt(8))
    model, later = make_model(seed=9, dropout=0.1), StopAt(-1)
    done = train(model, unbroken.corpus, tmp_path, plan, on_step=later)
    assert later.seen == list(range(6, 16))
    assert_equal(weights(model), unbroken.weights)
    same(done, unbroken.fit)


@pytest.mark.parametrize("evaluation", [1, 2, 3])
def test_an_evaluation_that_was_cut_off_is_done_again(
    make_model: MakeModel, unbroken: Unbroken, tmp_path: Path, evaluation: int
) -> None:
    calls, score = count(1), dev_score(unbroken.corpus)

    def breaks(model: TextModel, precision: Precision) -> float:
        if next(calls) == evaluation:
            raise Stopped
        return score(model, precision)

    with pytest.raises(Stopped):
        train(make_model(dropout=0.1), unbroken.corpus, tmp_path, evaluate=breaks)
    model = make_model(seed=9, dropout=0.1)
    same(train(model, unbroken.corpus, tmp_path), unbroken.fit)
    assert_equal(weights(model), unbroken.weights)


def test_a_checkpoint_that_could_not_be_written_leaves_the_one_before(
    make_model: MakeModel, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves, save = count(1), save_checkpoint

    def breaks(*arguments: Any) -> None:
        if next(saves) == 5:  # after the best weights of the first epoch were written
            raise OSError("no space left on device")
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", breaks)
        with pytest.raises(OSError, match="no space left"):
            train(make_model(dropout=0.1), unbroken.corpus, tmp_path)
    model = make_model(seed=9, dropout=0.1)
    same(train(model, unbroken.corpus, tmp_path), unbroken.fit)
    assert_equal(weights(model), unbroken.weights)


def test_a_run_that_is_done_is_not_done_again(make_model: MakeModel, unbroken: Unbroken, tmp_path: Path) -> None:
    train(make_model(dropout=0.1), unbroken.corpus, tmp_path)
    model, later = make_model(seed=9, dropout=0.1), StopAt(-1)
    done = train(model, unbroken.corpus, tmp_path, on_step=later)
    assert later.seen == []
    same(done, unbroken.fit)
    assert_equal(weights(model), unbroken.weights)


def test_another_fingerprint_starts_anew(make_model: MakeModel, unbroken: Unbroken, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(make_model(seed=3, dropout=0.1), unbroken.corpus, tmp_path, on_step=StopAt(7), fingerprint="another run")
    model, later = make_model(dropout=0.1), StopAt(-1)
    done = train(model, unbroken.corpus, tmp_path, on_step=later)
    assert later.seen == list(range(1, 16))
    same(done, unbroken.fit)
    assert_equal(weights(model), unbroken.weights)


# --- early stopping


@dataclass
class Scripted:
    """Gives the scores of a script and keeps the weights that each was given for."""

    script: list[float]
    kept: list[dict[str, Tensor]] = field(default_factory=list)

    def __call__(self, model: TextModel, precision: Precision) -> float:
        self.kept.append(weights(model))
        return self.script[len(self.kept) - 1]


@pytest.mark.parametrize(
    ("script", "best", "evaluations"),
    [
        ([0.1, 0.5, 0.4, 0.3, 0.9], 1, 4),  # two without a new best: stopped before the 0.9
        ([0.1, 0.5, 0.5, 0.5, 0.9], 3, 4),  # as good is no better, but the last of equals is kept
        ([0.5, 0.4, 0.6, 0.5, 0.7], 4, 5),  # never two in a row
        ([-3.0, -4.0, -5.0, 0.0, 0.0], 0, 3),
    ],
)
def test_early_stopping_keeps_the_best_weights(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path, script: list[float], best: int, evaluations: int
) -> None:
    model, scores = make_model(), Scripted(script)
    plan = replace(PLAN, epochs=5, patience=2)
    done = train(model, corpus.first(16), tmp_path, plan, evaluate=scores)
    assert len(scores.kept) == evaluations
    assert [e.score for e in done.evaluations] == script[:evaluations]
    assert done.best == done.evaluations[best]
    assert done.steps == 2 * evaluations
    assert done.stopped_early == (evaluations < 5)
    assert_equal(weights(model), scores.kept[best])
    assert not torch.equal(scores.kept[0]["inner.classifier.weight"], scores.kept[-1]["inner.classifier.weight"])


def test_a_run_that_stopped_early_stays_stopped(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=5, patience=1)
    first = train(make_model(), corpus.first(16), tmp_path, plan, evaluate=Scripted([0.5, 0.4]))
    model, unasked = make_model(seed=9), Scripted([])
    again = train(model, corpus.first(16), tmp_path, plan, evaluate=unasked)
    assert unasked.kept == []
    same(again, first)
    assert first.stopped_early


# --- the moving average


CRAFT = replace(PLAN, ema=0.7, layer_decay=0.5)


def test_a_moving_average_is_judged_kept_and_resumed(make_model: MakeModel, corpus: Corpus, tmp_path: Path) -> None:
    judged = Scripted([1.0, 2.0, 3.0])
    model = make_model(dropout=0.1)
    train(model, corpus.first(40), tmp_path / "unbroken", CRAFT, evaluate=judged)
    assert_equal(weights(model), judged.kept[-1])
    plain = make_model(dropout=0.1)
    train(plain, corpus.first(40), tmp_path / "plain", replace(CRAFT, ema=0.0))
    assert not torch.equal(plain.inner.classifier.weight, model.inner.classifier.weight)
    assert torch.allclose(plain.inner.classifier.weight, model.inner.classifier.weight, atol=0.05)
    rising, folder = Scripted([1.0, 2.0, 3.0]), tmp_path / "broken"
    with pytest.raises(Stopped):
        train(make_model(dropout=0.1), corpus.first(40), folder, CRAFT, evaluate=rising, on_step=StopAt(8))
    resumed = make_model(seed=9, dropout=0.1)
    train(resumed, corpus.first(40), folder, CRAFT, evaluate=rising)
    assert_equal(weights(resumed), weights(model))


# --- gradual unfreezing


def moved(model: TextModel, start: dict[str, Tensor]) -> str:
    """Which parts differ from `start`: h(ead), 1 and 0 (the layers), e(mbeddings)."""
    different = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, start[name])]
    keys = {"h": "classifier", "1": "layer.1.", "0": "layer.0.", "e": "embeddings"}
    return "".join(letter for letter, key in keys.items() if any(key in name for name in different))


def test_layers_move_one_after_the_other_and_a_stopped_run_knows_whose_turn_it_is(
    make_model: MakeModel, corpus: Corpus, tmp_path: Path
) -> None:
    plan, few = replace(CRAFT, unfreeze_gradually=True, epochs=2), corpus.first(48)
    model = make_model(dropout=0.1)
    start, seen = weights(model), list[str]()
    train(model, few, tmp_path / "unbroken", plan, on_step=lambda _: seen.append(moved(model, start)))
    assert seen[:6] == ["h", "h", "h1", "h1", "h10", "h10"]
    assert set(seen[6:]) == {"h10e"}
    for step in (1, 3, 5):
        folder = tmp_path / str(step)
        with pytest.raises(Stopped):
            train(make_model(dropout=0.1), few, folder, plan, on_step=StopAt(step))
        resumed = make_model(seed=9, dropout=0.1)
        train(resumed, few, folder, plan)
        assert_equal(weights(resumed), weights(model))
