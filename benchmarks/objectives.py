"""What each objective of a distillation gives: the same student and rows, over several seeds, beside the labels alone.

    python benchmarks/objectives.py OUT STUDENT EPOCHS SEEDS TEACHER DATA [TEACHER DATA …]

Each TEACHER is a classifier that was trained on the DATA behind it. Students are kept in OUT, and one that is there is
not taught again: a stopped run goes on. The scores are those of the fp32 students on the test rows; beside them stands
how near a student is to its teacher there, which tells objectives apart that these rows cannot: the share of equal
answers, and the Kullback-Leibler divergence of its probabilities from the teacher's, means over the seeds.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ablation import spread
from common import show
from numpy.typing import NDArray
from scipy.special import log_softmax

import limbeck
from limbeck.bundle import REFERENCE, read_bundle
from limbeck.recipes.held_out import training_splits

LABELS = "hard=1"
OBJECTIVES = (
    *(LABELS, "soft=1", "logits=1", "default", "hinton", "distilbert", "tinybert", "minilm", "minilmv2"),
    *("soft=0.5,hard=0.5", "soft=1,patient=1", "soft=1,samples=1"),
)


def main(out: str, student: str, epochs: str, seeds: str, *teachers_and_data: str) -> None:
    """Teach all that are missing and print mean, spread, retention and the paired gain over labels alone."""
    figures: dict[str, Any] = {}
    rows = []
    for teacher, source in zip(teachers_and_data[::2], teachers_and_data[1::2], strict=True):
        best = _score_of(Path(teacher))
        places = {
            name: [_student(Path(out), student, int(epochs), seed, teacher, source, name) for seed in range(int(seeds))]
            for name in OBJECTIVES
        }
        scores = {name: [_score_of(place) for place in found] for name, found in places.items()}
        figures[Path(source).name] = {"teacher": best, **scores}
        for objective, found in scores.items():
            gains = [a - b for a, b in zip(found, scores[LABELS], strict=True)]
            mean, each = statistics.mean(found), ", ".join(f"{score:.4f}" for score in found)
            kept = f"{100 * mean / best:.1f} %"
            near = np.mean([nearness(place, teacher) for place in places[objective]], axis=0)
            gain = statistics.mean(gains)
            rows.append([Path(source).name, objective, each, mean, spread(found), kept, gain, *map(float, near)])
    columns = ["data", "objective", "test score by seed", "mean", "deviation", "of the teacher's", "over labels alone"]
    columns += ["as the teacher", "divergence"]
    show(f"objectives for {student}, {epochs} epochs", columns, rows, scores=figures)


def nearness(student: Path, teacher: str) -> tuple[float, float]:
    """On the student's test rows the share of answers that are the teacher's, and the divergence of probabilities."""
    test = training_splits(read_bundle(student))[2]
    texts = test.texts if test.pairs is None else list(zip(test.texts, test.pairs, strict=True))
    ours, theirs = (log_softmax(_logits(bundle, texts), axis=1) for bundle in (student, Path(teacher)))
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    return float(same.mean()), float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())


def _logits(bundle: Path, texts: list[Any]) -> NDArray[np.float64]:
    predictor = limbeck.load(bundle, variant=REFERENCE)
    return predictor.logits(predictor.prepare(texts).tokens).astype(np.float64)


def _student(out: Path, student: str, epochs: int, seed: int, teacher: str, source: str, objective: str) -> Path:
    place = out / f"{Path(source).name}-{student}-{objective}-{seed}"
    if not (place / "limbeck.json").is_file():
        limbeck.distill(
            teacher,
            source,
            out=place,
            student=student,
            objective=objective,
            epochs=epochs,
            seed=seed,
            compare=False,
        )
    return place


def _score_of(bundle: Path) -> float:
    manifest = read_bundle(bundle).manifest
    return manifest.scores["test"][manifest.task.metric]


if __name__ == "__main__":
    main(*sys.argv[1:])
