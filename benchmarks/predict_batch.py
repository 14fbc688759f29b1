"""Rows a second on many texts: `limbeck.load(...).predict` beside `transformers.pipeline(batch_size=32)`.

    python benchmarks/predict_batch.py BUNDLE DATA [ROWS] [MAX_TOKENS] [TEACHER]

Same bundle, same rows in the same order, one process; the pipeline runs fp32 PyTorch, ours the chosen variant. Both
read at most MAX_TOKENS of a text, by default (also by '') what the model was trained with. With a TEACHER the pipeline
runs that: what one gains who puts a student in its place.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from common import show, texts_and_labels
from transformers import pipeline

import limbeck


def main(bundle: str, data: str, rows: str = "5000", max_tokens: str = "", teacher: str | None = None) -> None:
    """Predict the rows with both and print rows a second, agreement and accuracy."""
    texts, labels = texts_and_labels(Path(data), int(rows))
    predictor = limbeck.load(bundle, max_tokens=int(max_tokens) if max_tokens else None, objective="throughput")
    predictor.predict(texts[:32])
    start = time.perf_counter()
    ours = [result.label for result in predictor.predict(texts)]  # type: ignore[union-attr]
    our_seconds = time.perf_counter() - start

    peer = pipeline("text-classification", model=teacher or bundle, device="cpu")
    options = {"batch_size": 32, "truncation": True, "max_length": predictor.model.max_tokens}
    peer(texts[:32], **options)
    start = time.perf_counter()
    theirs = [answer["label"] for answer in peer(texts, **options)]
    their_seconds = time.perf_counter() - start

    count = len(texts)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True)) / count
    accuracy = {
        "limbeck": sum(a == b for a, b in zip(ours, labels, strict=True)) / count,
        "transformers.pipeline": sum(a == b for a, b in zip(theirs, labels, strict=True)) / count,
    }
    ratio = their_seconds / our_seconds
    show(
        f"{count} texts of at most {predictor.model.max_tokens} tokens, {predictor.variant.name} against the fp32 "
        "pipeline in batches of 32",
        ["program", "rows/s", "accuracy"],
        [
            [f"limbeck {predictor.variant.name}", count / our_seconds, accuracy["limbeck"]],
            ["transformers.pipeline", count / their_seconds, accuracy["transformers.pipeline"]],
            ["ratio", ratio, ""],
            ["same label", same, ""],
        ],
        rows_per_second={"limbeck": count / our_seconds, "transformers.pipeline": count / their_seconds},
        ratio=ratio,
        same_label=same,
        accuracy=accuracy,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
