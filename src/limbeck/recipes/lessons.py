"""What `limbeck distill` teaches: the layer map and the lesson."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.distillation.layer_maps import LayerMap, parse_layer_map
from limbeck.distillation.lesson import Lesson
from limbeck.distillation.shapes import Shape
from limbeck.distillation.students import Student
from limbeck.distillation.wanted import OF_ANSWERS, OF_LAYERS, Weights
from limbeck.errors import UsageError
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel, fold_scale
from limbeck.recipes.kept import kept_answers, kept_states
from limbeck.recipes.teachers import Teacher
from limbeck.recipes.trimmed import Both
from limbeck.tasks import AnyTask
from limbeck.training.prepare import standardise
from limbeck.training.processes import join


def layer_map_of(text: str | None, weights: Weights, shape: Shape, master: TextModel) -> LayerMap:
    """The layer map, empty where no objective goes layer for layer. Raises `UsageError` for one that says nothing."""
    if not any(name in weights for name in OF_LAYERS):
        if text is not None:
            raise UsageError(f"--layer-map {text}: has no meaning without one of {', '.join(OF_LAYERS)} in --objective")
        return ()
    there = master.config.num_hidden_layers
    return parse_layer_map(text or "uniform", student_layers=shape.layers, teacher_layers=there)


def lesson_of(
    teachers: Sequence[Teacher],
    master: TextModel,
    made: Student,
    task: AnyTask,
    both: Both,
    weights: Weights,
    temperature: float,
    layer_map: LayerMap,
) -> Lesson:
    """What the student is trained on; the first of the `teachers` is `master`.

    Numbers are learnt as standard scores, which the teacher takes on, and the student's head where it is the teacher's.
    """
    mean, scale = 0.0, 1.0
    if task.name == "regress":
        mean, scale = standardise(both.theirs.learnt.train.labelled_targets.astype("float32"))
        if made.started_from:
            fold_scale(made.model, mean=-mean / scale, scale=1 / scale)
    answers = []
    if any(name in weights for name in OF_ANSWERS):
        answers = kept_answers(teachers, master.config.hidden_size, task, both.theirs, mean=mean, scale=scale)
    return Lesson(
        master,
        made.model,
        task,
        weights,
        hard=row_loss(task),
        temperature=temperature,
        layer_map=layer_map,
        answers=answers,
        device=join().device,
        states=kept_states(teachers[0], master, both.theirs, weights, layer_map),
        labelled=both.theirs.learnt.train.labelled,
        basis=made.basis,
        teacher_ids=both.teacher_ids,
    )
