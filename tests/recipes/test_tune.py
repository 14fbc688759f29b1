from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import limbeck
from limbeck.bundle import read_bundle
from limbeck.cli import run
from limbeck.engines import Settings
from limbeck.engines.base import Arrays
from limbeck.errors import UsageError
from limbeck.measure import this_machine
from limbeck.recipes import tune as module
from limbeck.recipes.predict import predict
from limbeck.recipes.tune import tune
from limbeck.tuning import Tuned, keep_tuned, settings_for

pytest_plugins = ("bundles",)

ALONE, MANY = Settings(threads=1, spinning=False), Settings(threads=2, streams=2, budget_tokens=1024, round_to=16)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_A_TURN", 0.0)
    monkeypatch.setattr(module, "SECONDS_A_RACE", 0.0)


def rated(monkeypatch: pytest.MonkeyPatch, rate: Callable[[Settings], float]) -> None:
    """Have each settings take the time that `rate` says."""

    def race(ways: list[Callable[[], int]], seconds: float) -> list[float]:
        return [way() and rate(way.args[0]) for way in ways]  # type: ignore[attr-defined]

    monkeypatch.setattr(module, "race", race)


@pytest.mark.usefixtures("quick")
def test_what_was_tuned_is_what_predict_uses(classify_bundle: Path) -> None:
    found = tune(classify_bundle, threads=2)
    assert found.variant == read_bundle(classify_bundle).manifest.chosen
    assert {t.settings.threads for t in found.singles.trials} == {1, 2}
    assert [race.varied for race in found.batches] == ["streams", "budget_tokens", "round_to", "batch_cost"]
    assert {t.settings.streams for t in found.batches[0].trials} == {1, 2}
    assert min(t.rows_per_second for race in (found.singles, *found.batches) for t in race.trials) > 0
    assert limbeck.load(classify_bundle).settings == found.latency
    assert limbeck.load(classify_bundle, objective="throughput").settings == found.throughput
    assert Path(found.file).is_file()


@pytest.mark.usefixtures("quick")
def test_engines_of_single_texts_are_let_go_of_before_those_of_many_are_loaded(
    classify_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaded:
        def run(self, inputs: Arrays) -> NDArray[np.float32]:
            return np.zeros((len(inputs["input_ids"]), 2), np.float32)

    alive: weakref.WeakSet[Loaded] = weakref.WeakSet()
    counts: list[int] = []

    def load(*_: object) -> Loaded:
        engine = Loaded()
        alive.add(engine)
        counts.append(len(alive))
        return engine

    monkeypatch.setattr(module, "load_engine", load)
    tune(classify_bundle, threads=4)
    assert counts == [1, 2, 3, 4, 5, 1, 2, 3]


def test_the_fastest_of_each_step_is_kept(classify_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rate(s: Settings) -> float:
        return 100 + 10 * (s.threads == 2) + 50 * (not s.spinning) + 7 * s.streams + (s.budget_tokens == 2048) * 20

    rated(monkeypatch, rate)
    monkeypatch.setattr(module, "SECONDS_A_TURN", 0.0)
    found = tune(classify_bundle, threads=2)
    assert found.latency == Settings(threads=2, spinning=False)
    assert found.singles.gain == pytest.approx(167 / 117)
    assert found.throughput == Settings(threads=2, streams=2, budget_tokens=2048)


def test_what_is_hardly_faster_is_left_alone(classify_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rated(monkeypatch, lambda s: 100.0 if s == Settings(threads=4) else 102.0)
    monkeypatch.setattr(module, "SECONDS_A_TURN", 0.0)
    found = tune(classify_bundle, threads=4)
    assert found.latency == found.throughput == Settings(threads=4)
    assert {race.gain for race in (found.singles, *found.batches)} == {1.0}


@pytest.mark.usefixtures("quick")
def test_one_cpu_is_one_thread(classify_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cpus", lambda: 1)
    found = tune(classify_bundle)
    tried = [t.settings for race in (found.singles, *found.batches) for t in race.trials]
    assert {(s.threads, s.streams) for s in tried} == {(1, 1)}


def test_answers_do_not_hang_on_it(classify_bundle: Path) -> None:
    texts = [f"a film of {n} good and {n % 7} bad days" + " and nights" * (n % 5) for n in range(60)]
    before = limbeck.load(classify_bundle, variant="onnx-fp32", objective="throughput").predict(texts)
    bundle = read_bundle(classify_bundle)
    keep_tuned(bundle, bundle.variant("onnx-fp32"), Tuned(latency=ALONE, throughput=MANY))
    tuned = limbeck.load(classify_bundle, variant="onnx-fp32", objective="throughput")
    assert tuned.settings == MANY
    assert [r.score for r in tuned.predict(texts)] == pytest.approx([r.score for r in before], abs=1e-5)  # type: ignore[union-attr]


def test_it_is_for_this_variant_on_this_machine(classify_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(classify_bundle)
    first, other = bundle.variant("onnx-fp32"), bundle.variant("onnx-int8")
    keep_tuned(bundle, first, Tuned(latency=ALONE, throughput=MANY))
    assert settings_for(bundle, first, "latency", None) == ALONE
    assert settings_for(bundle, other, "latency", None) == Settings()
    assert settings_for(bundle.reading(16), first, "latency", None) == Settings()
    here = this_machine()
    monkeypatch.setattr("limbeck.tuning.this_machine", lambda: dataclasses.replace(here, cpus=64.0))
    assert settings_for(bundle, first, "latency", None) == Settings()


def test_threads_that_are_said_count(classify_bundle: Path) -> None:
    bundle = read_bundle(classify_bundle)
    variant = bundle.variant("onnx-fp32")
    keep_tuned(bundle, variant, Tuned(latency=ALONE, throughput=MANY))
    one = settings_for(bundle, variant, "throughput", 1)
    assert one == Settings(threads=1, streams=1, budget_tokens=1024, round_to=16)
    with pytest.raises(UsageError, match="unknown objective 'speed': expected latency or throughput"):
        limbeck.load(classify_bundle, objective="speed")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", '{"latency": {"threads": 1, "wings": 2}, "throughput": {}}'])
def test_what_cannot_be_read_is_as_never_tuned(classify_bundle: Path, text: str, tmp_path: Path) -> None:
    bundle = read_bundle(classify_bundle)
    variant = bundle.variant("onnx-fp32")
    keep_tuned(bundle, variant, Tuned(latency=ALONE, throughput=MANY)).write_text(text)
    assert settings_for(bundle, variant, "latency", None) == Settings()
    assert not predict(classify_bundle, "a film", output=tmp_path / "out.csv").tuned


@pytest.mark.usefixtures("quick")
def test_the_command(classify_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", str(classify_bundle), "--threads", "2", "--variant", "onnx-fp32"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("before") == printed.out.count("kept") == 5
    assert "onnx-fp32 on " in printed.out
    assert "as fast as by default, many" in printed.out
    assert "predict uses this from now on: " in printed.out
    assert "Timing onnx-fp32 on batches" in printed.err
    assert run(["predict", str(classify_bundle), *["a film"] * 21, "--variant", "onnx-fp32"]) == 0
    assert "onnx-fp32, tuned" in capsys.readouterr().err
    assert run(["tune", str(classify_bundle), "--threads", "0"]) == 2
    assert "--threads" in capsys.readouterr().err
