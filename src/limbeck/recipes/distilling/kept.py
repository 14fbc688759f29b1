"""What is kept of teachers in the user's cache: what they answer to the training rows, and what is inside them."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime
import torch

from limbeck.distillation.kept_states import KeptStates, StatesEngine, compared_states, state_widths
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.nn.model import TextModel
from limbeck.recipes.distilling.taught import Read
from limbeck.recipes.distilling.teachers import Teacher, name_of
from limbeck.recipes.training.kept import fits, kept_rows
from limbeck.tasks import AnyTask, Embed
from limbeck.training.kept import Kept, kept_file


def kept_answers(
    teachers: Sequence[Teacher], width: int, task: AnyTask, read: Read, *, mean: float, scale: float
) -> list[Kept]:
    """Each teacher's answers to the training rows, computed once on each machine; says how large they are before.

    Of an embedder answers are as wide as its hidden states, `width`.
    """
    found, rows = [], read.learnt.train.rows
    for teacher in teachers:
        by = onnxruntime.__version__ if teacher.variant is not None else torch.__version__
        outputs, of_tokens = width if isinstance(task, Embed) else task.outputs, task.name in ("tag", "answer")
        path = kept_file("answers", (teacher.sha256(), by, repr((mean, scale, of_tokens))), rows)
        what = f"answers of {name_of(teacher)} to the training rows"
        found.append(
            kept_rows(what, path, teacher.engine, rows, read.pad_id, outputs, of_tokens, mean=mean, scale=scale)
        )
    return found


def kept_states(
    teacher: Teacher, master: TextModel, read: Read, weights: Weights, pairs: LayerMap
) -> KeptStates | None:
    """The states inside the teacher that the objectives compare, as `kept_answers`; None where they compare none.

    None also where they would take more than half of what is free on the disk: then each step computes them.
    """
    layers = master.config.num_hidden_layers
    names = compared_states(weights, pairs, layers)
    if not names:
        return None
    widths = state_widths(master, names)
    rows = read.learnt.train.rows
    path = kept_file("states", (teacher.sha256(), torch.__version__, repr(names)), rows)
    what = f"states inside {name_of(teacher)} on the training rows"
    if not fits(what, path, rows, sum(widths)):
        return None
    kept = kept_rows(what, path, lambda: StatesEngine(master, names), rows, read.pad_id, sum(widths), of_tokens=True)
    return KeptStates(kept, names, widths, layers)
