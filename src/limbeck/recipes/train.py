"""`limbeck train`: labelled text in, a fine-tuned bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from limbeck.bundle import Bundle, Model, Pooling
from limbeck.console import notes, stage
from limbeck.data import Columns, Splits, load_splits
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import base_sha256
from limbeck.recipes.arguments import check_numbers, fingerprint
from limbeck.recipes.skipped import skipped_beside, skipped_rows
from limbeck.recipes.together import together
from limbeck.recipes.tracking import Tracker, check_tracker, tracked
from limbeck.recipes.training.begun import Begun, begin
from limbeck.recipes.training.choices import default_epochs, default_learning_rate, plan_of, task_of
from limbeck.recipes.training.notes import outcome_lines, training_bar
from limbeck.recipes.training.sweep import Chosen, Setting, run_sweep, search_of
from limbeck.recipes.training.trained import already_trained, manifest_of, source_of, write_trained
from limbeck.tasks import AnyTask
from limbeck.training.adversarial import Adversary, Attack
from limbeck.training.fine_tune import fine_tune
from limbeck.training.plan import Plan
from limbeck.training.processes import join

WITHOUT_EFFECT = ("out", "overwrite", "checkpoint_seconds", "track")  # arguments that change no weight
DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"


TaskName = Literal["classify", "multilabel", "regress", "tag", "embed", "answer"]


class TrainArguments(TypedDict, total=False):
    """The arguments of `train` beside DATA and --out, for recipes that train on the way."""

    base: str
    task: TaskName | None
    text: str | None
    pair: str | None
    label: str | None
    pair_separator: str | None
    label_separator: str | None
    skip_bad_rows: bool
    pooling: Pooling | None
    normalize: bool
    max_tokens: int | None
    epochs: int | None
    batch: int
    accumulate: int
    learning_rate: float | None
    warmup: float
    weight_decay: float
    dropout: float
    max_grad_norm: float
    patience: int
    balance_labels: bool
    label_smoothing: float
    r_drop: float
    adversarial: Attack | None
    adversarial_size: float
    layer_decay: float
    ema: float
    freeze_embeddings: bool
    train_last: int | None
    unfreeze_gradually: bool
    gradient_checkpointing: bool
    precision: Precision | None
    budget_tokens: int
    checkpoint_seconds: float
    track: Tracker | None
    sweep: int | list[str] | None
    seed: int
    overwrite: bool


@together
def train(
    data: str,
    *,
    out: str | Path,
    base: str = DEFAULT_BASE,
    task: TaskName | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    pair_separator: str | None = None,
    label_separator: str | None = None,
    skip_bad_rows: bool = False,
    pooling: Pooling | None = None,
    normalize: bool = True,
    max_tokens: int | None = None,
    epochs: int | None = None,
    batch: int = 32,
    accumulate: int = 1,
    learning_rate: float | None = None,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    dropout: float = 0.1,
    max_grad_norm: float = 1.0,
    patience: int = 4,
    balance_labels: bool = False,
    label_smoothing: float = 0.0,
    r_drop: float = 0.0,
    adversarial: Attack | None = None,
    adversarial_size: float = 0.3,
    layer_decay: float = 1.0,
    ema: float = 0.0,
    freeze_embeddings: bool = False,
    train_last: int | None = None,
    unfreeze_gradually: bool = False,
    gradient_checkpointing: bool = False,
    precision: Precision | None = None,
    budget_tokens: int = 8192,
    checkpoint_seconds: float = 120.0,
    track: Tracker | None = None,
    sweep: int | list[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Bundle:
    """Fine-tune an encoder on labelled text and write a bundle.

    A run that was stopped goes on where it was when it is started again with the same arguments.

    Example: `limbeck train reviews.csv --out model --text review --label stars`

    Parameters
    ----------
    data
        A CSV, TSV, JSON, JSONL, Parquet or CoNLL file, a folder with train/validation/test files or texts, or a hub
        dataset.
    out
        The folder to write; if it exists it must be the work of these very arguments.
    base
        The encoder to start from: a hub id, a folder, a TensorFlow checkpoint of BERT, or package:NAME/path.
    task
        What to learn; by default seen from the labels. Vectors (embed) are learnt when asked for: from pairs of texts
        with a score, from pairs that belong together, or from these with a column `negative`.
    text
        The column of the text; by default found by its usual names.
    pair
        The column of the second text of a pair.
    label
        The column of the label; several columns of 0 and 1 (`a,b,c`) are one task of many labels. For embed '' says
        that there is none.
    pair_separator
        What splits the text column into a pair, such as '|||'.
    label_separator
        What splits the label column into many labels, such as '|'.
    skip_bad_rows
        Leave bad rows out, count them and write them to OUT-skipped.jsonl.
    pooling
        What the head reads: the encoder's own pooler, its first token (cls), or the mean of all tokens. By default the
        pooler; for embed what the base states, else the mean.
    normalize
        For embed: make each vector's length 1.
    max_tokens
        The most tokens the model reads of a text; by default 99.5 % of the texts fit.
    epochs
        Passes over the training rows; by default 3, and up to 10 where rows are few, in all or for each label.
    batch
        Rows a batch.
    accumulate
        Batches an optimizer step.
    learning_rate
        The highest learning rate; it rises linearly, then falls linearly to 0. By default 5e-5, and 1e-4 for encoders
        narrower than BERT-Base; twice that with TRAIN_LAST.
    warmup
        The share of all steps in which the learning rate rises.
    weight_decay
        Decoupled weight decay; none on biases and norms.
    dropout
        Dropout of the hidden states in the encoder and the head; attention weights are not dropped.
    max_grad_norm
        Gradients are clipped to this norm.
    patience
        Stop after this many evaluations without a better dev score; the best weights are kept.
    balance_labels
        Let rare labels count as much as frequent ones.
    label_smoothing
        The share of each label that is spread over all labels while training; not for numbers.
    r_drop
        Read each row twice under different dropout and ask for equal answers, with this weight; 1 is a good start.
        Takes about twice as long.
    adversarial
        Learn each row under the worst small move of its word embeddings too: one step (fgm) or several (pgd). Takes
        two passes for one, or four.
    adversarial_size
        How far the embeddings of a row are moved in all, as their L2 norm.
    layer_decay
        The learning rate of each layer as a share of that of the layer above it, such as 0.9.
    ema
        Judge and keep a moving average of the weights, with this share of the old average at each step, such as 0.999.
    freeze_embeddings
        Keep the embeddings as they are.
    train_last
        Train only the last N layers and the head.
    unfreeze_gradually
        Train the head alone first; in the course of the first epoch the layers join it one by one, the last one first.
    gradient_checkpointing
        Keep less of each layer for the backward pass and compute it again there: less memory, more time.
    precision
        fp32 or bf16; by default whichever is measured to be faster at the start. Name it where runs must be equal.
    budget_tokens
        The most tokens computed at once; larger batches are computed in pieces.
    checkpoint_seconds
        Save the state about so often; a stopped run goes on from the last save.
    track
        Also send losses, learning rate and dev scores to this program; TensorBoard's files are written to runs/ beside
        OUT.
    sweep
        Train several times and keep the best by its dev score: so many trials, for which a search (TPE) chooses
        learning rate, batch and epochs around those given; or all combinations of values (a grid), named as in
        `--sweep learning-rate=1e-5,3e-5 --sweep batch=16,32`.
    seed
        The seed of everything random; the same seed and precision on the same machine give the same weights.
    overwrite
        Replace OUT if it exists and was made otherwise.
    """
    check_numbers(**locals())
    check_tracker(track)
    out = Path(out)
    arguments = {k: v for k, v in locals().items() if k not in WITHOUT_EFFECT}
    columns = Columns(text, pair, label, pair_separator, label_separator)
    processes = join()
    search = search_of(sweep, processes.count)
    with skipped_rows(skipped_beside(out) if skip_bad_rows else None) as skipped:
        with stage("Reading the data"):
            splits = processes.on_first(lambda: load_splits(data, columns, task=task, skipped=skipped))
            notes(splits.notes)
        # The rows count, not where they lie, and what the base is.
        mark = fingerprint({**arguments, "data": None, "base_sha256": base_sha256(base)}, splits.sha256)
        done = processes.on_first(lambda: already_trained(out, arguments, mark, overwrite, by="train"))
        if done is not None:
            return done

        processes.share_cpus()
        new_task = task_of(splits, normalize)
        torch.manual_seed(seed)
        work = out.parent / f".{out.name}.{'sweep' if search else 'training'}"
        begun = begin(new_task, splits, work, arguments)
        model, prepared, pad_id = begun.model, begun.prepared, begun.pad_id
    plan = _plan(arguments, begun, new_task, splits, checkpoint_seconds)
    chosen = Chosen(plan, work, mark)
    if search is not None:
        setting = Setting(model, new_task, prepared, plan, pad_id, precision, work, mark, out, track, arguments)
        with stage("Sweeping"):
            chosen = run_sweep(search, setting)
        track = None  # each trial was tracked
    with (
        stage("Judging the best trial" if chosen.sweep else "Training"),
        training_bar(chosen.plan, prepared.train.examples, new_task.metric) as bar,
        tracked(track if processes.first else None, out, arguments, new_task.metric, bar) as on_step,
    ):
        tuned = fine_tune(
            model,
            new_task,
            prepared,
            chosen.plan,
            pad_id=pad_id,
            precision=precision,
            folder=chosen.folder,
            fingerprint=chosen.fingerprint,
            on_step=on_step,
        )
    notes(outcome_lines(tuned, prepared))

    described = _described(base, begun, new_task, splits)
    made_from = source_of(data, columns, splits, skip_bad_rows)
    made_with = {**arguments, "fingerprint": mark}
    manifest = manifest_of(described, made_from, tuned, chosen.plan, prepared, made_with, chosen.sweep)
    return processes.on_first(lambda: write_trained(out, work, model, manifest))


def _plan(arguments: dict[str, Any], begun: Begun, task: AnyTask, splits: Splits, checkpoint_seconds: float) -> Plan:
    """What was asked for, and for the rest what rows and encoder call for."""
    attack = arguments["adversarial"]
    rows_a_step = arguments["batch"] * arguments["accumulate"]
    last_layers = arguments["train_last"] is not None
    usual_rate = default_learning_rate(begun.model.config.hidden_size, last_layers=last_layers)
    return plan_of(
        arguments,
        epochs=arguments["epochs"] or default_epochs(len(splits.train), rows_a_step, task.outputs),
        learning_rate=arguments["learning_rate"] or usual_rate,
        adversary=Adversary(attack, arguments["adversarial_size"]) if attack else None,
        checkpoint_seconds=checkpoint_seconds,
    )


def _described(base: str, begun: Begun, task: AnyTask, splits: Splits) -> Model:
    """The model, for the manifest."""
    return Model(
        base=base if Path(begun.folder).exists() else begun.folder,
        pooling=begun.head,
        max_tokens=begun.prepared.max_tokens,
        longest_input=begun.limit,
        pad_id=begun.pad_id,
        pair=splits.train.pairs is not None and task.name != "embed",
        parameters=begun.model.parameter_count,
    )


# The same flags, the same words: `build` shows them too.
TrainArguments.__doc__ = train.__doc__
