"""Rows a second of a training step: ours beside `transformers.Trainer` with its defaults, in turn.

    python benchmarks/training_speed.py DATA [ROWS]

Same model, same rows, batches of 32, one process. The two take turns, so that a slow spell of the machine hits both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import BASE, show, texts_and_labels
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from limbeck.nn.losses import row_loss
from limbeck.nn.model import new_model
from limbeck.nn.resolve import resolve_base
from limbeck.tasks import make_task
from limbeck.text import Tokenizer
from limbeck.training.loop import fit
from limbeck.training.plan import Plan
from limbeck.training.step import Objective

BATCH, TURNS = 32, 3


def ours(texts: list[str], labels: list[str], folder: Path) -> float:
    """Rows a second of one epoch."""
    task = make_task("classify", sorted(set(labels)))
    base = resolve_base(BASE)
    rows = Tokenizer(Path(base) / "tokenizer.json").encode(texts, max_tokens=128)
    fitted = fit(
        new_model(base, task),
        rows,
        torch.from_numpy(task.encode(labels)),
        objective=Objective(row_loss(task)),
        evaluate=lambda model, precision: 0.0,
        plan=Plan(epochs=1, batch=BATCH, learning_rate=5e-5),
        pad_id=0,
        folder=folder,
        fingerprint=str(time.time()),
    )
    return fitted.rows_per_second


def trainer(texts: list[str], labels: list[str], folder: Path) -> float:
    """Rows a second of one epoch of `transformers.Trainer` with its own collator, optimizer and precision."""
    base = resolve_base(BASE)
    tokenizer = AutoTokenizer.from_pretrained(base)
    names = sorted(set(labels))
    encoded = tokenizer(texts, truncation=True, max_length=128)
    dataset: list[dict[str, Any]] = [
        {name: encoded[name][i] for name in encoded} | {"labels": names.index(labels[i])} for i in range(len(texts))
    ]
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(names))
    result = Trainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer).train()
    return float(result.metrics["train_samples_per_second"])


def main(path: str, rows: str = "3200") -> None:
    texts, labels = texts_and_labels(Path(path), int(rows))
    speeds: dict[str, list[float]] = {"limbeck": [], "transformers.Trainer": []}
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as folder:
            speeds["limbeck"].append(ours(texts, labels, Path(folder)))
            speeds["transformers.Trainer"].append(trainer(texts, labels, Path(folder)))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    ratio = medians["limbeck"] / medians["transformers.Trainer"]
    lines = [[name, *map(float, found), medians[name]] for name, found in speeds.items()]
    show(
        f"training rows/s, {len(texts)} rows, batches of {BATCH}",
        ["program", *(f"turn {i + 1}" for i in range(TURNS)), "median"],
        [*lines, ["ratio", "", "", "", ratio]],
        rows_per_second=speeds,
        ratio=ratio,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
