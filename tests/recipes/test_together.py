"""Two real processes, started as users start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import limbeck
from limbeck.bundle import read_bundle
from limbeck.console import silenced
from limbeck.errors import UsageError
from limbeck.recipes import together as module
from limbeck.recipes.together import together
from limbeck.training.loop import fit
from limbeck.training.place import Progress
from limbeck.training.processes import Processes

# 160 rows in batches of 23 of which 22 remain for the last: no step is the same for both processes.
ARGUMENTS: dict[str, Any] = {"epochs": 2, "batch": 23, "learning_rate": 3e-3, "dropout": 0.0, "precision": "fp32"}
STOP = 9  # in the second epoch
# The command line, in whose second process a step fails.
FAILING = f"""
import os
from limbeck import cli
from limbeck.errors import DataError
from limbeck.training.step import Stepper

step = Stepper.step
def fails(stepper, *arguments):
    stepper.done = getattr(stepper, "done", 0) + 1
    if os.environ["RANK"] == "1" and stepper.done > {STOP}:
        raise DataError("the second has had enough")
    return step(stepper, *arguments)
Stepper.step = fails
cli.main()
"""


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def arguments(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)
    return {**ARGUMENTS, "base": str(tiny_base), "checkpoint_seconds": 0.0}


def two_processes(*words: object) -> subprocess.CompletedProcess[str]:
    """`torchrun` with one thread a process."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def flags(arguments: dict[str, Any]) -> list[str]:
    return [word for name, value in arguments.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def assert_the_same(got: Path, wanted: Path) -> None:
    """Losses, scores and weights; but for the bias of keys, which changes no answer and follows rounding alone.

    A weight moves by about the learning rate, 3e-3, at each step.
    """
    ours, theirs = read_bundle(got).manifest, read_bundle(wanted).manifest
    for one, other in zip(ours.training["fit"]["evaluations"], theirs.training["fit"]["evaluations"], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert ours.scores == theirs.scores
    weights = load_file(got / "model.safetensors")
    for name, tensor in load_file(wanted / "model.safetensors").items():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(weights[name], tensor, atol=1e-4, rtol=0, msg=name)


def test_one_process_or_two_and_changing_between_them(
    reviews_csv: Path, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limbeck.train(str(reviews_csv), out=tmp_path / "alone", **arguments)

    # Two processes, of which the second fails: it says why, and the first says nothing of it.
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    broken = two_processes(script, "train", reviews_csv, "--out", tmp_path / "broken", *flags(arguments))
    assert broken.returncode != 0
    assert broken.stderr.count("limbeck: the second has had enough") == 1
    assert "Connection closed" not in broken.stderr
    assert "interrupted" not in broken.stderr  # the launcher ends the first
    assert not (tmp_path / "broken").exists()
    # One goes on where they were, not from the start.
    steps = list[int]()
    watch(monkeypatch, lambda progress: steps.append(progress.step))
    limbeck.train(str(reviews_csv), out=tmp_path / "broken", **arguments)
    assert steps == list(range(STOP + 1, 15))
    assert_the_same(tmp_path / "broken", tmp_path / "alone")

    # One that is stopped; two go on.
    def stop(progress: Progress) -> None:
        if progress.step == STOP:
            raise Stopped

    watch(monkeypatch, stop)
    with pytest.raises(Stopped):
        limbeck.train(str(reviews_csv), out=tmp_path / "both", **arguments)
    words = ["train", reviews_csv, "--out", tmp_path / "both", *flags(arguments), "--json"]
    both = two_processes("-m", "limbeck", *words)
    assert both.returncode == 0, both.stderr
    assert json.loads(both.stdout)  # one document
    assert both.stderr.count(f"wrote {tmp_path / 'both'}") == 1
    assert both.stderr.count(f"goes on after step {STOP}, where it was stopped") == 1
    assert "epoch 1.0" in both.stderr  # told again from the checkpoint, as by one process
    assert_the_same(tmp_path / "both", tmp_path / "alone")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "both", "broken", "failing.py"]


def watch(monkeypatch: pytest.MonkeyPatch, on_each: Callable[[Progress], None]) -> None:
    """Let `on_each` see the steps of the trainings from here on."""

    def fit_watched(*positional: Any, **named: Any) -> Any:
        return fit(*positional, **{**named, "on_step": on_each})

    monkeypatch.setattr("limbeck.training.fine_tune.fit", fit_watched)


def test_who_fails_after_another_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waited = list[float]()
    monkeypatch.setattr(module.time, "sleep", waited.append)

    @together
    def recipe(*, out: Path) -> None:
        raise UsageError("a wrong flag")

    with pytest.raises(UsageError, match="a wrong flag"):
        recipe(out=tmp_path)
    assert waited == []
    monkeypatch.setattr(Processes, "failed_before", lambda self: True)
    with pytest.raises(SystemExit) as ended:
        recipe(out=tmp_path)
    assert ended.value.code == 2
    assert waited == [module.LAUNCHER_SECONDS]
    assert not silenced()


# Another process that writes: it says when it has begun, and ends when its input does.
WRITING = """
import sys
from limbeck.recipes.together import together

@together
def write(*, out):
    print("begun", flush=True)
    sys.stdin.read()

write(out=sys.argv[1])
"""


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    @together
    def outer(*, out: Path) -> str:
        return inner(out=out)  # as build trains on the way

    @together
    def inner(*, out: Path) -> str:
        return "written"

    command = [sys.executable, "-c", WRITING, str(tmp_path / "model")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(UsageError, match=r"another limbeck writes .*model at this moment: .* another folder"):
            outer(out=tmp_path / "elsewhere" / ".." / "model")
        with pytest.raises(UsageError, match=r"another limbeck writes .*model at this moment"):
            limbeck.compress(tmp_path / "model")
        assert outer(out=tmp_path / "another") == "written"
        other.kill()
    assert outer(out=tmp_path / "model") == "written"


def test_a_cache_that_cannot_be_written_to_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @together
    def write(*, out: Path) -> str:
        return "written"

    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert write(out=tmp_path / "model") == "written"
