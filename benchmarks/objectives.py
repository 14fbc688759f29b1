"""What each objective of a distillation gives: the same student and rows, over several seeds, beside the labels alone.

    python benchmarks/objectives.py OUT STUDENT EPOCHS SEEDS TEACHER DATA [TEACHER DATA …]

Each TEACHER is a bundle that was trained on the DATA behind it. Students are kept in OUT, and one that is there is not
taught again: a stopped run goes on. The scores are those of the fp32 students on the test rows.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from ablation import spread
from common import show

import limbeck
from limbeck.bundle import read_bundle

LABELS = "hard=1"
OBJECTIVES = (
    *(LABELS, "soft=1", "logits=1", "default", "hinton", "distilbert", "tinybert", "minilm", "minilmv2"),
    *("soft=1,hidden=1", "soft=1,patient=1", "soft=1,samples=1"),
)


def main(out: str, student: str, epochs: str, seeds: str, *teachers_and_data: str) -> None:
    """Teach all that are missing and print mean, spread, retention and the paired gain over labels alone."""
    figures: dict[str, Any] = {}
    rows = []
    for teacher, source in zip(teachers_and_data[::2], teachers_and_data[1::2], strict=True):
        best = _score_of(Path(teacher))
        scores = {
            name: [_score(Path(out), student, int(epochs), seed, teacher, source, name) for seed in range(int(seeds))]
            for name in OBJECTIVES
        }
        figures[Path(source).name] = {"teacher": best, **scores}
        for objective, found in scores.items():
            gains = [a - b for a, b in zip(found, scores[LABELS], strict=True)]
            mean, each = statistics.mean(found), ", ".join(f"{score:.4f}" for score in found)
            kept = f"{100 * mean / best:.1f} %"
            rows.append([Path(source).name, objective, each, mean, spread(found), kept, statistics.mean(gains)])
    columns = ["data", "objective", "test score by seed", "mean", "deviation", "of the teacher's", "over labels alone"]
    show(f"objectives for {student}, {epochs} epochs", columns, rows, scores=figures)


def _score(out: Path, student: str, epochs: int, seed: int, teacher: str, source: str, objective: str) -> float:
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
    return _score_of(place)


def _score_of(bundle: Path) -> float:
    manifest = read_bundle(bundle).manifest
    return manifest.scores["test"][manifest.task.metric]


if __name__ == "__main__":
    main(*sys.argv[1:])
