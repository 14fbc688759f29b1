"""Whether a text gets the answer it gets alone in any company: thousands of random batches of real texts.

    python benchmarks/stability.py BUNDLE DATA [BATCHES] [ROWS] [VARIANT ...]

Each batch has 1 to 32 texts in random order and up to 16 tokens of padding after the longest. Prints, for every
variant, how many batches were the same bit for bit, the largest difference of a logit, and how many texts ever changed
their answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from common import show, texts_and_labels

import limbeck
from limbeck.bundle import read_bundle
from limbeck.engines.load import is_installed
from limbeck.text import pad

MOST_ROWS, MOST_PADDING = 32, 16


def moved(bundle: str, variant: str, texts: list[str], batches: int) -> tuple[int, float, int]:
    """Batches that were equal bit for bit, the largest difference of a logit, and texts that changed their answer."""
    predictor = limbeck.load(bundle, variant=variant)
    tokens = predictor.prepare(texts).tokens
    run, model = predictor._engine.run, predictor.model
    alone = np.concatenate([run(pad([t], pad_id=model.pad_id, length=len(t))) for t in tokens])
    random = np.random.default_rng(0)
    same, largest, changed = 0, 0.0, set[int]()
    for _ in range(batches):
        chosen = random.choice(len(tokens), random.integers(1, MOST_ROWS + 1), replace=False)
        rows = [tokens[i] for i in chosen]
        length = min(model.longest_input, max(map(len, rows)) + int(random.integers(MOST_PADDING + 1)))
        found = run(pad(rows, pad_id=model.pad_id, length=length))
        same += np.array_equal(found, alone[chosen])
        largest = max(largest, float(np.abs(found - alone[chosen]).max()))
        changed |= {int(i) for i in chosen[found.argmax(1) != alone[chosen].argmax(1)]}
    return same, largest, len(changed)


def main(bundle: str, data: str, batches: str = "10000", rows: str = "1000", *variants: str) -> None:
    """Measure these variants, or every one that can run here."""
    texts, _ = texts_and_labels(Path(data), int(rows))
    names = variants or [v.name for v in read_bundle(bundle).manifest.variants if is_installed(v.engine)]
    found = {name: moved(bundle, name, texts, int(batches)) for name in names}
    show(
        f"{batches} random batches of {len(texts)} texts, beside each text alone",
        ["variant", "batches equal bit for bit", "largest difference of a logit", "texts with another answer"],
        [[name, *figures] for name, figures in found.items()],
        stability={name: dict(zip(("same", "largest", "changed"), row, strict=True)) for name, row in found.items()},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
