"""A pytest plugin: bundles of every kind, each built once a run, and the command line as a function.

A test module names it in `pytest_plugins`.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import limbeck
from conftest import BAD, GOOD, NEUTRAL, QUESTION, review
from limbeck.bundle import Bundle
from limbeck.cli import run
from limbeck.engines import Engine
from limbeck.measure import Speed

SPEED = Speed(rows_per_second=1000.0, single_ms=1.0, single_p95_ms=2.0, rows=20)
# int8 on 20 held-out rows: one that turns is 5 points already.
ANY_DROP = 100.0


def dead_heat(engines: Sequence[Engine], *_: object, **__: object) -> list[float]:
    """All are equally fast, so that the first, fp32, is chosen."""
    return [1.0] * len(engines)


@pytest.fixture
def quick_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs state a made-up speed instead of measuring for seconds."""
    monkeypatch.setattr("limbeck.proving.measure_speed", lambda *_: SPEED)
    monkeypatch.setattr("limbeck.recipes.compressing.judge.race_engines", dead_heat)


@pytest.fixture(scope="session")
def multilabel_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 reviews with none, one or both of the labels `bad` and `good`, separated by a bar."""
    choose = random.Random(8)
    rows = []
    for number in range(160):
        kinds = (number % 2 * ["good"]) + (number // 2 % 2 * ["bad"])
        words = {"good": GOOD, "bad": BAD}
        text = " ".join([review(choose, words[kind]) for kind in kinds] or [review(choose, ("film",))])
        rows.append((text, "|".join(kinds)))
    return _write(tmp_path_factory, "multilabel", ("text", "labels"), rows)


@pytest.fixture(scope="session")
def regress_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 reviews with a mark around 5.5, higher for good words."""
    choose = random.Random(9)
    rows = [(review(choose, (BAD, GOOD)[n % 2]), f"{(2.5, 7.5)[n % 2] + choose.random():.3f}") for n in range(160)]
    return _write(tmp_path_factory, "regress", ("text", "score"), rows)


@pytest.fixture(scope="session")
def pair_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 pairs of reviews, labelled `same` where both are good or both bad."""
    choose = random.Random(10)
    rows = []
    for number in range(160):
        first, second = number % 2, number // 2 % 2
        texts = [review(choose, (GOOD, BAD)[kind])[:80] for kind in (first, second)]
        rows.append((*texts, "same" if first == second else "different"))
    return _write(tmp_path_factory, "pairs", ("sentence1", "sentence2", "label"), rows)


@pytest.fixture(scope="session")
def tag_jsonl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 reviews as words, of which the good and the bad ones are entities."""
    choose = random.Random(11)
    path = tmp_path_factory.mktemp("tag") / "tag.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(160):
            words = review(choose, (GOOD, BAD)[number % 2]).split()
            tags = ["B-GOOD" if word in GOOD else "B-BAD" if word in BAD else "O" for word in words]
            file.write(json.dumps({"tokens": words, "ner_tags": tags}) + "\n")
    return path


@pytest.fixture(scope="session")
def squad_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQuAD 2.0 file: the question asks for the good word of a context; half of them have a bad one instead."""
    choose = random.Random(5)
    paragraphs = []
    for number in range(160):
        words = choose.choices(NEUTRAL, k=12)
        place = choose.randrange(12)
        words[place] = choose.choice((GOOD, BAD)[number % 2])
        start = len(" ".join(words[:place])) + (place > 0)
        answers = [{"text": words[place], "answer_start": start}] if number % 2 == 0 else []
        qa = {"id": str(number), "question": QUESTION, "answers": answers, "is_impossible": not answers}
        paragraphs.append({"context": " ".join(words), "qas": [qa]})
    path = tmp_path_factory.mktemp("squad") / "squad.json"
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8")
    return path


def _write(factory: pytest.TempPathFactory, name: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    path = factory.mktemp(name) / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


FAST: dict[str, Any] = {"precision": "fp32", "learning_rate": 3e-3, "threads": 1, "max_drop": ANY_DROP}
# Started in place of `limbeck` with no PyTorch to be found, and no speed measured.
WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in ("torch", "transformers", "accelerate", "safetensors", "onnx")
        return None if absent else super().find_spec(name, path, target)

sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
from limbeck import proving
from limbeck.cli import main
from limbeck.measure import Speed
proving.measure_speed = lambda *_: Speed(rows_per_second=1.0, single_ms=1.0, single_p95_ms=1.0, rows=1)
main()
"""


@pytest.fixture(scope="session")
def fast(tiny_base: Path) -> dict[str, Any]:
    """Arguments of a build that takes a second or two."""
    return {**FAST, "base": str(tiny_base)}


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on one thread, as the session's bundles were: other tests may run beside."""
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)


@pytest.fixture
def pytorch_threads() -> Iterator[Callable[[], int]]:
    """On how many threads PyTorch computes where it is called; afterwards on one again."""
    yield torch.get_num_threads
    torch.set_num_threads(1)


Distill = Callable[..., Bundle]


@pytest.fixture
def distill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Distill:
    """`limbeck.distill` to a folder of the test's own, quickly, with an empty cache; the student alone is judged."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(teacher: Path, data: Path, out: str = "student", **arguments: Any) -> Bundle:
        settings = {"epochs": 2, "learning_rate": 3e-3, "precision": "fp32", "batch": 16, "compare": False}
        return limbeck.distill(teacher, str(data), out=tmp_path / out, **{**settings, **arguments})

    return run


Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build_bundle(fast: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds a bundle of one epoch in a folder of its own, with no speed measured."""

    def build(data: Path, **arguments: Any) -> Path:
        out = tmp_path_factory.mktemp("built") / "model"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("limbeck.proving.measure_speed", lambda *_: SPEED)
            patch.setattr("limbeck.recipes.compressing.judge.race_engines", dead_heat)
            patch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)
            limbeck.build(str(data), out=out, **{**fast, "epochs": 1, **arguments})
        return out

    return build


@pytest.fixture(scope="session")
def classify_bundle(build_bundle: Build, reviews_csv: Path) -> Path:
    """A bundle that tells `negative` from `positive`; never to be changed."""
    return build_bundle(reviews_csv, epochs=4)


@pytest.fixture(scope="session")
def multilabel_bundle(build_bundle: Build, multilabel_csv: Path) -> Path:
    """A bundle that gives any of `bad` and `good`; never to be changed."""
    return build_bundle(multilabel_csv, label="labels", label_separator="|")


@pytest.fixture(scope="session")
def regress_bundle(build_bundle: Build, regress_csv: Path) -> Path:
    """A bundle that gives a number; never to be changed."""
    return build_bundle(regress_csv)


@pytest.fixture(scope="session")
def pair_bundle(build_bundle: Build, pair_csv: Path) -> Path:
    """A bundle that reads two texts; never to be changed."""
    return build_bundle(pair_csv)


@pytest.fixture
def own_bundle(classify_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `classify_bundle` that a test may change."""
    return Path(shutil.copytree(classify_bundle, tmp_path / "own"))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line: takes its words, returns the exit code and what came out."""

    def run_command(*words: object) -> Ran:
        capsys.readouterr()
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run_command


@pytest.fixture
def command_without_torch() -> Command:
    """The command line in a process of its own, in which PyTorch is not installed."""

    def run_command(*words: object) -> Ran:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "PYTHONWARNINGS": "error"}
        line = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run_command
