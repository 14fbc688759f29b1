"""Peak memory of `limbeck predict` over a file much larger than memory should hold.

    python benchmarks/memory.py BUNDLE [GIGABYTES]

Writes a CSV of long texts (about 10 kB each) under the temporary folder, predicts the first 16 tokens of each, and
removes it.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from common import show

from limbeck.measure.process import run_process

WORDS = ("the", "film", "story", "actor", "was", "is", "not", "very", "quite", "good", "bad", "dull", "long", "and")
WORDS_A_TEXT = 2_000


def write_csv(path: Path, size_bytes: int) -> int:
    """Rows of random words until the file has that size; returns how many."""
    random.seed(0)
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        while file.tell() < size_bytes:
            file.write(f"{rows},{' '.join(random.choices(WORDS, k=WORDS_A_TEXT))}\n")
            rows += 1
    return rows


def main(bundle: str, gigabytes: str = "2") -> None:
    """Write, predict, and print time and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        source, answers = Path(folder) / "long.csv", Path(folder) / "answers.csv"
        rows = write_csv(source, int(float(gigabytes) * 1e9))
        command = [sys.executable, "-m", "limbeck", "predict", bundle, "--input", str(source)]
        run = run_process([*command, "--output", str(answers), "--max-tokens", "16"])
        with answers.open(encoding="utf-8") as file:
            written = sum(1 for _ in file) - 1
        size = source.stat().st_size
    peak_mb = run.peak_bytes / 1e6
    show(
        "a large CSV predicted",
        ["GB", "rows", "answers", "minutes", "peak MB"],
        [[size / 1e9, rows, written, run.seconds / 60, peak_mb]],
        answers=written,
        seconds=run.seconds,
        peak_mb=peak_mb,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
