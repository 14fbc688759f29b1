"""What each method of training gives: every one alone, beside plain training, on the same rows, over several seeds.

    python benchmarks/ablation.py OUT EPOCHS SEEDS DATA [DATA …]

Trainings are kept in OUT, and one that is there is not run again: a stopped ablation goes on. The scores are those of
the fp32 model on the test rows.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from common import BASE, show

import limbeck
from limbeck.bundle import read_bundle
from limbeck.files import folder_when_written

METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer decay 0.9": {"layer_decay": 0.9},
    "FGM": {"adversarial": "fgm"},
    "R-Drop": {"r_drop": 1.0},
    "EDA": {},
    "PGD": {"adversarial": "pgd"},
}
EDA: dict[str, Any] = {"method": ("synonyms", "insert", "swap", "delete"), "copies": 1}


def main(out: str, epochs: str, seeds: str, *data: str) -> None:
    """Train all that is missing and print mean, spread and the paired gain over plain training."""
    figures: dict[str, Any] = {}
    rows = []
    for source in data:
        name = Path(source).name
        scores = {method: _scores(Path(out), source, method, int(epochs), int(seeds)) for method in METHODS}
        figures[name] = scores
        for method, found in scores.items():
            gains = [a - b for a, b in zip(found, scores["plain"], strict=True)]
            each = ", ".join(f"{score:.4f}" for score in found)
            rows.append([name, method, each, statistics.mean(found), spread(found), statistics.mean(gains)])
    columns = ["data", "method", "test score by seed", "mean", "standard deviation", "gain over plain"]
    show(f"methods of training, {epochs} epochs", columns, rows, scores=figures)


def spread(scores: list[float]) -> float:
    """Their standard deviation."""
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def _scores(out: Path, source: str, method: str, epochs: int, seeds: int) -> list[float]:
    return [_score(out, source, method, epochs, seed) for seed in range(seeds)]


def _score(out: Path, source: str, method: str, epochs: int, seed: int) -> float:
    place = out / f"{Path(source).name}-{method.replace(' ', '-')}-{seed}"
    if not (place / "limbeck.json").is_file():
        rows = source
        passes = epochs
        if method == "EDA":  # as many steps for twice the rows: more rows, not more training
            rows, passes = str(_augmented(out, source, seed)), max(1, epochs // 2)
        limbeck.train(rows, out=place, base=BASE, epochs=passes, seed=seed, precision="bf16", **METHODS[method])
    manifest = read_bundle(place).manifest
    return manifest.scores["test"][manifest.task.metric]


def _augmented(out: Path, source: str, seed: int) -> Path:
    """The rows of `source` and one made of each, by one method drawn of the four."""
    place = out / f"{Path(source).name}-augmented-{seed}"
    if place.exists():
        return place
    choose = random.Random(seed)
    with folder_when_written(place) as folder:
        limbeck.augment(source, out=folder / "all", base=BASE, seed=seed, **EDA)
        shutil.copytree(folder / "all", folder, dirs_exist_ok=True)
        shutil.rmtree(folder / "all")
        train = folder / "train.jsonl"
        lines = [(json.loads(line), line) for line in train.read_text().splitlines()]
        kept = []
        for _, group in groupby(lines, key=lambda pair: pair[0]["from_row"]):
            first, *made = (line for _, line in group)
            kept += [first, *choose.sample(made, min(1, len(made)))]
        train.write_text("\n".join(kept) + "\n")
    return place


if __name__ == "__main__":
    main(*sys.argv[1:])
