from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limbeck
from limbeck.bundle import Bundle, read_bundle
from limbeck.errors import MissingExtra, UsageError
from limbeck.recipes.training.sweep import search_of
from limbeck.training.loop import fit
from limbeck.training.place import Progress

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("one_thread")
Train = Callable[..., Bundle]
GRID = ["learning-rate=5e-3,1e-9", "batch=16"]


@pytest.fixture
def train(reviews_csv: Path, tiny_base: Path, tmp_path: Path) -> Train:
    def train_reviews(name: str, *, data: Path = reviews_csv, **changes: Any) -> Bundle:
        arguments = {"base": str(tiny_base), "precision": "fp32", "epochs": 2, **changes}
        return limbeck.train(str(data), out=tmp_path / name, **arguments)

    return train_reviews


def trials_of(bundle: Bundle) -> list[dict[str, Any]]:
    """The record of a bundle's trials, without how long they took."""
    trials: list[dict[str, Any]] = read_bundle(bundle.folder).manifest.training["sweep"]["trials"]
    return [{name: value for name, value in trial.items() if name != "seconds"} for trial in trials]


def choices(bundle: Bundle) -> list[tuple[float, int, int]]:
    return [tuple(trial["choice"].values()) for trial in trials_of(bundle)]


def weights(bundle: Bundle) -> bytes:
    return (bundle.folder / "model.safetensors").read_bytes()


def test_a_grid_visits_all_and_keeps_the_model_of_the_best(train: Train, tmp_path: Path) -> None:
    swept = train("swept", sweep=[*GRID, "epochs=1,2"])
    assert choices(swept) == [(5e-3, 16, 1), (5e-3, 16, 2), (1e-9, 16, 1), (1e-9, 16, 2)]
    record = read_bundle(swept.folder).manifest.training["sweep"]
    scores = [trial["score"] for trial in record["trials"]]
    assert (record["method"], record["best"]) == ("grid", 1 + scores.index(max(scores)))
    rate, batch, epochs = choices(swept)[record["best"] - 1]
    assert rate == 5e-3
    alone = train("alone", learning_rate=rate, batch=batch, epochs=epochs)
    assert weights(swept) == weights(alone)
    assert swept.manifest.scores == alone.manifest.scores
    assert swept.manifest.training["fit"]["best"] == alone.manifest.training["fit"]["best"]
    assert swept.manifest.training["plan"] == alone.manifest.training["plan"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "swept"]  # nothing left beside them


def test_what_tpe_chooses_is_within_its_ranges_and_the_same_again(train: Train) -> None:
    found = [train(name, sweep=3, learning_rate=2e-3, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, again, other = map(choices, found)
    assert len(first) == 3
    assert len(set(first)) == 3
    for rate, batch, epochs in first:
        assert 5e-4 <= rate <= 8e-3
        assert batch in (16, 32, 64)
        assert 2 <= epochs <= 4
    assert first == again
    assert weights(found[0]) == weights(found[1])
    assert first != other


def interrupted_at(calls: dict[int, int], seen: list[int]) -> Callable[..., Any]:
    """`fit` that is interrupted in its n-th call after so many steps; `seen` gets the first step of each call."""

    def fit_until(*arguments: Any, on_step: Callable[[Progress], None], **others: Any) -> Any:
        call, steps = len(seen), 0
        seen.append(0)

        def on_each(now: Progress) -> None:
            nonlocal steps
            seen[call], steps = seen[call] or now.step, steps + 1
            on_step(now)
            if steps == calls.get(call):
                raise KeyboardInterrupt

        return fit(*arguments, on_step=on_each, **others)

    return fit_until


def test_a_stopped_sweep_goes_on_and_ends_as_an_unbroken_one(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["learning-rate=1e-3,3e-3", "batch=40"]
    unbroken = train("unbroken", sweep=sweep)
    seen: list[int] = []
    monkeypatch.setattr("limbeck.training.fine_tune.fit", interrupted_at({1: 3}, seen))
    with pytest.raises(KeyboardInterrupt):
        train("stopped", sweep=sweep, checkpoint_seconds=0)
    assert not (tmp_path / "stopped").exists()
    stopped = train("stopped", sweep=sweep, checkpoint_seconds=0)
    assert "1 of 2 trials are done already" in capsys.readouterr().err
    assert seen == [1, 1, 4, 0]  # the first trial, the second, that one from its fourth step, and the best: no step
    assert trials_of(stopped) == trials_of(unbroken)
    assert weights(stopped) == weights(unbroken)


def test_other_arguments_sweep_anew(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("limbeck.training.fine_tune.fit", interrupted_at({1: 3}, seen))
    with pytest.raises(KeyboardInterrupt):
        train("model", sweep=GRID, checkpoint_seconds=0)
    train("model", sweep=GRID, warmup=0.5)
    assert seen == [1, 1, 1, 1, 0]


def test_a_trial_below_the_median_ends_early(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    swept = train("model", epochs=5, sweep=["learning-rate=4e-3,5e-3,6e-3,1e-9", "batch=16"])
    assert [trial["state"] for trial in trials_of(swept)] == ["complete", "complete", "complete", "pruned"]
    *whole, cut = (max(map(int, trial["course"])) for trial in trials_of(swept))
    assert whole == [10, 10, 10]
    assert cut < 10
    said = capsys.readouterr().err
    assert "trial 4 of 4: learning rate 1e-09, batch 16, epochs 5" in said
    assert "trial 4 stopped early, below the median of those before" in said
    assert said.count("epoch 5.0: loss") == 3


def test_a_sweep_of_numbers_answers_in_their_unit(reviews_csv: Path, train: Train, tmp_path: Path) -> None:
    rows = reviews_csv.read_text("utf-8").replace(",positive", ",90").replace(",negative", ",30")
    (tmp_path / "marks.csv").write_text(rows.replace("text,label", "text,score"), "utf-8")
    arguments: dict[str, Any] = {"base": None, "precision": "fp32", "epochs": 2, "task": "regress"}
    arguments["base"] = read_bundle(train("base", epochs=1).folder).manifest.model.base
    swept = limbeck.train(
        str(tmp_path / "marks.csv"), out=tmp_path / "swept", sweep=["learning-rate=3e-3"], **arguments
    )
    alone = limbeck.train(str(tmp_path / "marks.csv"), out=tmp_path / "alone", learning_rate=3e-3, **arguments)
    assert weights(swept) == weights(alone)
    assert swept.manifest.scores["test"]["mae"] < 40


def test_the_command_builds_and_reports(
    command: Command, reviews_csv: Path, tiny_base: Path, tmp_path: Path, quick_speed: None
) -> None:
    out = tmp_path / "model"
    flags = ["--base", tiny_base, "--precision=fp32", "--epochs=2", "--threads=1", "--max-drop=100"]
    words = ["build", reviews_csv, "--out", out, *flags, "--sweep", GRID[0], "--sweep", GRID[1]]
    done = command(*words, "--track=tensorboard")
    assert done.code == 0, done.err
    assert "best of 2 trials: trial 1, learning rate 0.005, batch 16, epochs 2" in done.err
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"model-trial-1", "model-trial-2"}
    page = (out / "report.html").read_text("utf-8")
    assert '<section id="sweep">' in page
    assert "2 trials were tried" in page
    assert "nothing to do" in command(*words).err
    assert json.loads((out / "limbeck.json").read_text())["arguments"]["train"]["sweep"] == GRID


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (0, "--sweep 0: expected 1 trial or more"),
        ([], "--sweep without a value: expected a number of trials, or NAME=VALUE"),
        ([""], "--sweep '': expected a number of trials"),
        (["12", "batch=16"], "--sweep 12: expected a number of trials, or NAME=VALUE,VALUE"),
        (["dropout=0.1"], "--sweep dropout=0.1: expected .* of learning-rate, batch, epochs"),
        (["batch="], "--sweep batch=: expected a number of trials"),
        (["batch=16,"], "--sweep batch=: expected a whole number, 1 or more"),
        (["batch=16", "batch=32"], "--sweep batch=32: batch was given before; put all its values into one list"),
        (["epochs=2.5"], "--sweep epochs=2.5: expected a whole number, 1 or more"),
        (["learning-rate=1e-5,nan,2", "batch=0"], "=nan: expected more than 0, at most 1; .*=2: .*; --sweep batch=0: "),
    ],
)
def test_what_a_sweep_cannot_be(sweep: int | list[str], said: str, train: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        train("model", sweep=sweep)
    assert not any(tmp_path.iterdir())


def test_a_sweep_needs_one_process_and_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="a sweep runs in one process, and 2 were started"):
        search_of(3, processes=2)
    monkeypatch.setattr("limbeck.training.search.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'limbeck\[sweep\]'"):
        search_of(3, processes=1)
    assert search_of(None, processes=2) is None
