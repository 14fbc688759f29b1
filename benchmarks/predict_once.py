"""One text, whole process, from nothing to the answer: `limbeck predict` beside `transformers.pipeline`.

    python benchmarks/predict_once.py BUNDLE [RUNS]

Wall time and peak memory of the process, as the operating system accounts for it; the two take turns.
"""

from __future__ import annotations

import statistics
import sys

from common import show

from limbeck.measure.process import Process, run_process

TEXT = "The pictures are lovely and the story is a bore."
PIPELINE = (
    "import sys; from transformers import pipeline; print(pipeline('text-classification', sys.argv[1])(sys.argv[2]))"
)


def main(bundle: str, runs: str = "7") -> None:
    """Measure both programs in turn and print the medians."""
    commands = {
        "limbeck predict": [sys.executable, "-m", "limbeck", "predict", bundle, TEXT],
        "transformers.pipeline": [sys.executable, "-c", PIPELINE, bundle, TEXT],
    }
    found: dict[str, list[Process]] = {name: [] for name in commands}
    for turn in range(int(runs) + 1):
        for name, command in commands.items():
            result = run_process(command)
            if turn:  # the first reads the disk
                found[name].append(result)
    seconds = {name: statistics.median(run.seconds for run in results) for name, results in found.items()}
    peak = {name: statistics.median(run.peak_bytes / 1e6 for run in results) for name, results in found.items()}
    ratio = seconds["transformers.pipeline"] / seconds["limbeck predict"]
    rows: list[list[object]] = [[name, seconds[name], peak[name]] for name in commands]
    show(
        f"one text, whole process, median of {runs}",
        ["program", "seconds", "peak MB"],
        [*rows, ["ratio", ratio, peak["transformers.pipeline"] / peak["limbeck predict"]]],
        seconds=seconds,
        peak_mb=peak,
        ratio=ratio,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
