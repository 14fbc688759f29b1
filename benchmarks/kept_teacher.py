"""An epoch of a student with what its teacher says kept on disk, beside one in which the teacher reads along.

    python benchmarks/kept_teacher.py BUNDLE DATA [ROWS] [STUDENT]

For each objective the same batches of the first ROWS rows, in turns, and how long it takes to keep what is kept. No
lesson reads answers along: for them it is the epoch with what is kept and the time to keep it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import show, texts_and_labels

import limbeck
from limbeck.distillation.kept_states import KeptStates, StatesEngine, compared_states, state_widths
from limbeck.distillation.layer_maps import uniform
from limbeck.distillation.lesson import Lesson
from limbeck.distillation.shapes import parse_shape, shape_of
from limbeck.distillation.students import new_student
from limbeck.distillation.wanted import Weights
from limbeck.engines.torch_engine import TorchEngine
from limbeck.measure import usable_cpus
from limbeck.nn.losses import row_loss
from limbeck.nn.model import load_model
from limbeck.predictor import tokenize
from limbeck.text.batches import training_batches
from limbeck.training.kept import VALUE_BYTES, Kept, keep
from limbeck.training.optimizer import make_optimizer
from limbeck.training.step import Objective, Stepper

CPU = torch.device("cpu")
BATCH = 32
OBJECTIVES: dict[str, Weights] = {
    "soft": {"soft": 1.0},
    "hidden": {"hidden": 1.0},
    "inside, as tinybert": {"embeddings": 1.0, "hidden": 1.0, "attention": 1.0},
    "relations, as minilmv2": {"relations": 1.0},
}
Found = tuple[float, float, float, int]
"""Seconds of an epoch with what is kept and without, seconds to keep it, and its bytes."""


def main(bundle: str, data: str, rows: str = "3200", student: str = "L3") -> None:
    """Time one epoch of each objective both ways, and print rows a second."""
    torch.set_num_threads(usable_cpus())
    texts, labels = texts_and_labels(Path(data), int(rows))
    both_ways = _prepared(Path(bundle), texts, labels, student)
    found = {name: both_ways(weights) for name, weights in OBJECTIVES.items()}
    count = len(texts)
    show(
        f"an epoch of {student} over {count} rows",
        ["objective", "rows/s, kept", "rows/s, computed", "times", "s to keep once", "MB"],
        [[name, count / a, count / b, b / a, keeping, size / 1e6] for name, (a, b, keeping, size) in found.items()],
        seconds=found,
    )


def _prepared(bundle: Path, texts: list[str], labels: list[str], student: str) -> Callable[[Weights], Found]:
    predictor = limbeck.load(bundle)
    task, pad_id = predictor.task, predictor.model.pad_id
    tokens = tokenize(predictor.tokenizer, task, texts, None, max_tokens=predictor.model.max_tokens)
    targets = torch.from_numpy(task.encode(labels))
    teacher = load_model(bundle, task, pooling=predictor.model.pooling)
    layers, shape = teacher.config.num_hidden_layers, parse_shape(student, shape_of(teacher.config))
    pairs = uniform(shape.layers, layers)
    batches = training_batches([len(row) for row in tokens], batch_rows=BATCH, seed=0, epoch=0)

    def epoch(weights: Weights, answers: list[Kept], states: KeptStates | None) -> float:
        made = new_student(teacher, task, shape, "layers", dropout=0.1)
        lesson = Lesson(
            *(teacher, made.model, task, weights),
            hard=row_loss(task),
            temperature=2.0,
            layer_map=pairs,
            answers=answers,
            device=CPU,
            states=states,
        )
        objective = Objective(row_loss(task), lesson=lesson)
        stepper = Stepper(made.model, tokens, targets, objective, budget_tokens=8192, pad_id=pad_id, device=CPU)
        optimizer = make_optimizer(made.model, learning_rate=1e-4, weight_decay=0.01)
        begun = time.perf_counter()
        for batch in batches:
            stepper.step(optimizer, batch, "fp32", 1.0)
        return time.perf_counter() - begun

    def both_ways(weights: Weights) -> Found:
        names = compared_states(weights, pairs, layers)
        widths = state_widths(teacher, names) or [task.outputs]
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            kept = keep(
                Path(folder) / "kept.npy",
                lambda: StatesEngine(teacher, names) if names else TorchEngine(teacher),
                tokens,
                sum(widths),
                of_tokens=bool(names),
                pad_id=pad_id,
                on_batch=lambda count: None,
            )
            keeping = time.perf_counter() - begun
            size = kept.values.size * VALUE_BYTES
            if not names:
                seconds = epoch(weights, [kept], None)
                return seconds, seconds + keeping, keeping, size
            states = KeptStates(kept, names, widths, layers)
            turns = [(epoch(weights, [], states), epoch(weights, [], None)) for _ in range(2)]
        with_kept, computed = map(min, zip(*turns, strict=True))
        return with_kept, computed, keeping, size

    return both_ways


if __name__ == "__main__":
    main(*sys.argv[1:])
