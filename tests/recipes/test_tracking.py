from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from limbeck.bundle import read_bundle
from limbeck.nn.precision import PrecisionChoice
from limbeck.recipes.tracking import tracked
from limbeck.training.optimizer import linear_schedule
from limbeck.training.place import Evaluation, Progress

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("one_thread")
Train = Callable[..., Any]


@pytest.fixture
def words(reviews_csv: Path, fast: dict[str, Any], tmp_path: Path) -> list[object]:
    flags = {"base": fast["base"], "precision": "fp32", "learning-rate": 3e-3, "epochs": 2, "batch": 20}
    return ["train", reviews_csv, "--out", tmp_path / "model", *(f"--{k}={v}" for k, v in flags.items())]


def test_tensorboard_gets_losses_rates_and_scores(command: Command, words: list[object], tmp_path: Path) -> None:
    done = command(*words, "--track", "tensorboard")
    assert done.code == 0, done.err
    events = EventAccumulator(str(tmp_path / "runs" / "model")).Reload()
    found = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found.keys() == {"train/loss", "train/learning_rate", "dev/accuracy"}
    manifest = read_bundle(tmp_path / "model").manifest
    scores = [(e["step"], e["score"]) for e in manifest.training["fit"]["evaluations"]]
    assert [step for step, _ in scores] == [8, 16]
    assert [e for step, e in found["dev/accuracy"]] == pytest.approx([score for _, score in scores])
    assert [step for step, _ in found["train/loss"]] == [8, 10, 16]  # each tenth, and the evaluated ones
    assert all(0 < loss < 2 for _, loss in found["train/loss"])
    rates = [3e-3 * linear_schedule(step - 1, steps=16, warmup_steps=2) for step in (8, 10, 16)]
    assert [rate for _, rate in found["train/learning_rate"]] == pytest.approx(rates)
    assert "learning_rate: 0.003" in next((tmp_path / "runs" / "model").glob("*/hparams.yml")).read_text()
    # Who watches changes nothing: the same arguments without a tracker are those of the bundle that is there.
    again = command(*words)
    assert "was trained with these arguments on these rows already" in again.err


def test_a_tracker_that_is_not_installed_is_named_first(
    command: Command, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.tracking.find_spec", lambda name: None)
    done = command(*words, "--track", "wandb")
    assert done.code == 2
    assert "this needs wandb, which is not installed: pip install 'limbeck[wandb]'" in done.err
    assert not any(tmp_path.iterdir())


def test_after_a_resume_a_tracker_hears_of_no_earlier_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, dict[str, float]]] = []

    class Listening:
        trackers = ()

        def __init__(self, **_: Any) -> None: ...

        def init_trackers(self, *_: Any, **__: Any) -> None: ...

        def log(self, values: dict[str, float], step: int) -> None:
            told.append((step, values))

    monkeypatch.setattr("limbeck.recipes.tracking.Accelerator", Listening)
    early, now = (Evaluation(step=step, epoch=1.0, loss=0.5, score=score) for step, score in ((5, 0.7), (20, 0.8)))
    precision = PrecisionChoice("fp32")
    progress = Progress(20, 40, 0.4, 1e-3, precision, 1.0, 32.0, (early,))
    with tracked("tensorboard", tmp_path / "model", {}, "accuracy", lambda progress: None) as on_step:
        on_step(progress)
        on_step(replace(progress, evaluations=(early, now)))
    assert [values.get("dev/accuracy") for _, values in told] == [None, 0.8]
