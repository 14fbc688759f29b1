"""What students keep of their teachers: each on its own data, over several seeds, beside itself without a teacher.

    python benchmarks/students.py OUT STUDENT SEEDS TEACHER DATA [TEACHER DATA …]

Each TEACHER is a bundle that was trained on the DATA behind it. Students are taught with the defaults and kept in OUT,
and one that is there is not taught again: a stopped run goes on. Scores are those of the fp32 models on the same
held-out rows; retention is the student's share of its teacher's score.
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
from limbeck.report.worth import ALONE, STUDENT, TEACHER, standings_of


def main(out: str, student: str, seeds: str, *teachers_and_data: str) -> None:
    """Teach all that are missing and print teacher, student, student alone, retention and the paired gain."""
    figures: dict[str, Any] = {}
    rows = []
    for teacher, source in zip(teachers_and_data[::2], teachers_and_data[1::2], strict=True):
        name = Path(source).name
        places = [Path(out) / f"{name}-{student}-{seed}" for seed in range(int(seeds))]
        found = [_scores(place, student, seed, teacher, source) for seed, place in enumerate(places)]
        taught, alone = ([scores[who] for scores in found] for who in (STUDENT, ALONE))
        best = found[0][TEACHER]
        gain = statistics.mean(a - b for a, b in zip(taught, alone, strict=True))
        kept = statistics.mean(taught) / best
        figures[name] = {"teacher": best, "student": taught, "alone": alone, "retention": kept}
        each = ", ".join(f"{score:.4f}" for score in taught)
        rows.append([name, best, each, spread(taught), statistics.mean(alone), gain, f"{kept:.1%}"])
    columns = ["data", "teacher", "student by seed", "deviation", "without a teacher", "gain", "retention"]
    show(f"students {student}", columns, rows, scores=figures)


def _scores(place: Path, student: str, seed: int, teacher: str, source: str) -> dict[str, float]:
    """What each model scores on the held-out rows."""
    if not (place / "limbeck.json").is_file():
        limbeck.distill(teacher, source, out=place, student=student, seed=seed)
    return {standing.name: standing.score for standing in standings_of(read_bundle(place).manifest)}


if __name__ == "__main__":
    main(*sys.argv[1:])
