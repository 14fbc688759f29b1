"""`limbeck distill`: a trained bundle teaches a smaller model, which becomes a bundle like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from limbeck.bundle import Bundle
from limbeck.console import notes, stage
from limbeck.data import Columns, Corpus
from limbeck.distillation.layer_maps import USUAL
from limbeck.distillation.lesson import check_sizes
from limbeck.distillation.shapes import shape_of
from limbeck.distillation.wanted import parse_objective
from limbeck.nn.model import load_model
from limbeck.nn.precision import Precision
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.distilling.begun import begin
from limbeck.recipes.distilling.course import Course, Rows, rows_of
from limbeck.recipes.distilling.general import GENERAL_OBJECTIVE, GENERAL_RATE, check_general, general_student
from limbeck.recipes.distilling.layers_first import in_two
from limbeck.recipes.distilling.lessons import teach
from limbeck.recipes.distilling.pruned import check_alone, named_student
from limbeck.recipes.distilling.record import taught_by
from limbeck.recipes.distilling.student import (
    Asked,
    asked_student,
    check_start_name,
    check_student,
    is_base,
    layer_map_of,
)
from limbeck.recipes.distilling.taught import student_task
from limbeck.recipes.distilling.teachers import check_out, open_teachers
from limbeck.recipes.distilling.trimmed import read_by_both
from limbeck.recipes.distilling.worth import contest
from limbeck.recipes.skipped import skipped_beside, skipped_rows
from limbeck.recipes.together import together
from limbeck.recipes.tracking import Tracker, check_tracker
from limbeck.recipes.training.choices import default_epochs, default_learning_rate, plan_of
from limbeck.recipes.training.notes import data_lines
from limbeck.recipes.training.trained import already_trained, manifest_of, source_of, write_trained
from limbeck.training.plan import Plan
from limbeck.training.processes import join

# Arguments that change no weight; what --target-speedup asks for is in the student's name.
WITHOUT_EFFECT = ("out", "overwrite", "checkpoint_seconds", "track", "target_speedup")


@together
def distill(
    teacher: str | Path,
    data: str,
    *,
    out: str | Path,
    with_teacher: Sequence[str] = (),
    teacher_variant: str | None = None,
    student: str | None = None,
    target_speedup: float | None = None,
    start: str | None = None,
    trim_vocabulary: bool = False,
    objective: str = "default",
    temperature: float = 2.0,
    layer_map: str | None = None,
    layers_first: int = 0,
    general: str | None = None,
    general_objective: str = GENERAL_OBJECTIVE,
    general_epochs: int = 1,
    unlabelled: Sequence[str] = (),
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    pair_separator: str | None = None,
    label_separator: str | None = None,
    skip_bad_rows: bool = False,
    epochs: int | None = None,
    batch: int = 32,
    accumulate: int = 1,
    learning_rate: float | None = None,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    dropout: float = 0.1,
    max_grad_norm: float = 1.0,
    patience: int = 4,
    freeze_embeddings: bool = False,
    precision: Precision | None = None,
    budget_tokens: int = 8192,
    checkpoint_seconds: float = 120.0,
    track: Tracker | None = None,
    compare: bool = True,
    seed: int = 0,
    overwrite: bool = False,
) -> Bundle:
    """Teach a smaller model what a trained bundle answers, and write it as a bundle.

    A run that was stopped goes on where it was when it is started again with the same arguments.

    Example: `limbeck distill model reviews.csv --student L3 --out small`

    Parameters
    ----------
    teacher
        The folder that `limbeck train` or `limbeck build` wrote.
    data
        Labelled rows, best those that the teacher was trained on; read as by `limbeck train`.
    out
        The folder to write; if it exists it must be the work of these very arguments.
    with_teacher
        Another teacher of the same task, labels and tokenizer; may be given several times. Soft targets are the mean of
        all their probabilities; hidden states are learnt from TEACHER alone.
    teacher_variant
        Learn the answers of this compiled variant of TEACHER, such as onnx-int8, instead of its weights'.
    student
        The student's shape: L3 (so many of the teacher's layers), tinybert-4, tinybert-6, or layers x width as 3x384,
        with heads and feed-forward as 3x384x12x1536. Or pruned-2x: the teacher without its least important heads and
        feed-forward units, until 2 times as fast. Needed unless START is a base.
    target_speedup
        Instead of STUDENT: remove heads and units until the teacher is so many times as fast; 2 is pruned-2x.
    start
        What the student begins as: layers (some of the teacher's, evenly spread; for a student as wide, with as wide a
        feed-forward), svd (the same narrowed), random, or a base (a hub id, a folder, or package:NAME/path), which is
        taken whole, without STUDENT; one of another vocabulary reads by its own and learns answers alone. By default
        layers or svd, whichever fits.
    trim_vocabulary
        Cut the student's vocabulary to what the training rows use, special tokens and single characters; other words
        are then read in smaller pieces.
    objective
        What is learnt: default (the teacher's answers and hidden states), hinton, distilbert, tinybert, minilm or
        minilmv2; or objectives with weights, as soft=0.5,hidden=1.
    temperature
        The temperature of soft targets.
    layer_map
        Which layers learn from which: middle (those that the student begins as), uniform, last, skip, or pairs of the
        student's and the teacher's, from 0, as 0:0,1:4. By default middle.
    layers_first
        Learn the objectives of what is inside the teacher alone for so many epochs first, those of answers after.
    general
        Plain text, as `limbeck pretrain` reads it: before the task the student learns from the encoder that the teacher
        was made of, and is written to OUT-general.
    general_objective
        What is learnt from plain text: objectives of what is inside, with weights.
    general_epochs
        Passes over the plain text.
    unlabelled
        Rows without labels to learn from too, in a file or a folder of texts as for `limbeck predict --input`; may be
        given several times. The teacher answers them; the objective hard leaves them out.
    text
        The column of the text; by default the teacher's columns, where no column is named.
    pair
        The column of the second text of a pair.
    label
        The column of the label, as for `limbeck train`.
    pair_separator
        What splits the text column into a pair, such as '|||'.
    label_separator
        What splits the label column into many labels, such as '|'.
    skip_bad_rows
        Leave bad rows out, count them and write them to OUT-skipped.jsonl.
    epochs
        Passes over the training rows; by default 3, and up to 10 where rows are few, in all or for each label.
    batch
        Rows a batch.
    accumulate
        Batches an optimizer step.
    learning_rate
        The highest learning rate; it rises linearly, then falls linearly to 0. By default 5e-5, and 1e-4 for encoders
        narrower than BERT-Base.
    warmup
        The share of all steps in which the learning rate rises.
    weight_decay
        Decoupled weight decay; none on biases and norms.
    dropout
        Dropout of the student's hidden states and head; attention weights are not dropped.
    max_grad_norm
        Gradients are clipped to this norm.
    patience
        Stop after this many evaluations without a better dev score; the best weights are kept.
    freeze_embeddings
        Keep the student's embeddings as they are.
    precision
        fp32 or bf16; by default whichever is measured to be faster at the start. Name it where runs must be equal.
    budget_tokens
        The most tokens computed at once; larger batches are computed in pieces.
    checkpoint_seconds
        Save the state about so often; a stopped run goes on from the last save.
    track
        Also send losses, learning rate and dev scores to this program; TensorBoard's files are written to runs/ beside
        OUT.
    compare
        Also train the same student without a teacher, and of a classifier one that knows only words, to see what the
        teacher gave.
    seed
        The seed of everything random; the same seed and precision on the same machine give the same weights.
    overwrite
        Replace OUT if it exists and was made otherwise.
    """
    check_numbers(**locals())
    check_tracker(track)
    out, teacher = Path(out), str(teacher)
    unlabelled, with_teacher = list(map(str, unlabelled)), list(map(str, with_teacher))
    check_out(out, (teacher, *with_teacher))
    check_start_name(start)
    student = named_student(student, target_speedup)
    arguments = {k: v for k, v in locals().items() if k not in WITHOUT_EFFECT}
    weights = parse_objective(objective, inside=teacher_variant is None and not is_base(start))
    in_two(weights, layers_first)  # refuses objectives that cannot be split
    of_text = check_general(general, start, student, general_objective, general_epochs)
    check_alone(student, start, general)
    said = Columns(text, pair, label, pair_separator, label_separator)
    processes = join()
    teachers = processes.on_first(lambda: open_teachers(teacher, with_teacher, teacher_variant, weights))
    bundle = teachers[0].bundle
    check_student(student, start, bundle, weights, layer_map, of_text)
    with skipped_rows(skipped_beside(out) if skip_bad_rows else None) as skipped:
        with stage("Reading the data"):
            rows = processes.on_first(lambda: rows_of(bundle, data, said, unlabelled, general, weights, skipped))
            notes(rows.notes)
        mark = rows.mark(arguments, teachers)
        done = processes.on_first(lambda: already_trained(out, arguments, mark, overwrite, by="distill"))
        if done is not None:
            return done

        processes.share_cpus()
        task = student_task(bundle, rows.splits)
        torch.manual_seed(seed)
        master = load_model(bundle.folder, task, pooling=bundle.manifest.model.pooling)
        plan = plan_of(
            arguments,
            epochs=epochs or default_epochs(rows.to_learn, batch * accumulate, task.outputs),
            learning_rate=learning_rate or GENERAL_RATE,
            checkpoint_seconds=checkpoint_seconds,
        )
        beginning = start
        if rows.plain is not None:
            beginning = _general(bundle, rows.plain, plan, arguments, out, overwrite)
            torch.manual_seed(seed)
        asked = asked_student(beginning, student, bundle, master, task, weights, dropout)
        check_sizes(shape_of(master.config), asked.shape, task, weights)
    course = Course(
        teachers=(replace(teachers[0], model=master), *teachers[1:]),
        master=master,
        task=task,
        student=student,
        start=start,
        weights=weights,
        layers_first=layers_first,
        layer_map=layer_map_of(layer_map, weights, asked.shape, master.config, general=of_text),
        temperature=temperature,
        plan=replace(plan, learning_rate=learning_rate or default_learning_rate(asked.shape.hidden_size)),
        dropout=dropout,
        freeze_embeddings=freeze_embeddings,
        precision=precision,
        track=track,
        out=out,
        fingerprint=rows.mark({**arguments, "compare": None}, teachers),
        mark=mark,
        arguments=arguments,
    )
    return _carry_out(course, asked, rows)


def _general(bundle: Bundle, corpus: Corpus, plan: Plan, arguments: dict[str, Any], out: Path, overwrite: bool) -> str:
    """The folder of the student that learns from plain text first; `arguments` are those of `distill`."""
    with stage("The general student"):
        return general_student(
            bundle,
            corpus,
            out=out.with_name(f"{out.name}-general"),
            student=str(arguments["student"]),
            start=arguments["start"],
            objective=arguments["general_objective"],
            layer_map=arguments["layer_map"] or USUAL,
            plan=replace(plan, epochs=arguments["general_epochs"]),
            dropout=arguments["dropout"],
            precision=arguments["precision"],
            overwrite=overwrite,
        )


def _carry_out(course: Course, asked: Asked, rows: Rows) -> Bundle:
    """Teach the student that was asked for, judge it beside the others, and write its bundle."""
    processes, arguments, task = join(), course.arguments, course.task
    with stage("Tokenising"):
        both = processes.on_first(lambda: read_by_both(course, asked, rows, trim=arguments["trim_vocabulary"]))
        notes(data_lines(task, both.ours.learnt))
        notes(both.lines())
    begun = begin(course, asked, both)
    tuned = teach(course, begun.made, both)
    batch = arguments["batch"] * arguments["accumulate"]
    alone = arguments["epochs"] or default_epochs(len(rows.splits.train), batch, task.outputs)
    found = contest(course, begun, both, tuned, alone_epochs=alone if arguments["compare"] else None)
    taught = taught_by(course, begun, both, tuned, found, unlabelled_rows=len(rows.unlabelled.texts)).record()
    teacher = course.bundle.manifest.model
    model = msgspec.structs.replace(
        teacher,
        base=begun.made.start if asked.made and arguments["general"] is None else teacher.base,
        max_tokens=both.ours.prepared.max_tokens,
        longest_input=both.limit,
        pad_id=both.ours.pad_id,
        parameters=begun.parameters,
    )
    made_from = source_of(arguments["data"], rows.columns, rows.splits, arguments["skip_bad_rows"])
    made_with = {**arguments, "fingerprint": course.mark}
    manifest = manifest_of(model, made_from, tuned, course.plan, both.ours.prepared, made_with, distillation=taught)
    return processes.on_first(lambda: write_trained(course.out, course.work, begun.made.model, manifest))
