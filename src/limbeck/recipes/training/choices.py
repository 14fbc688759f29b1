"""What `limbeck train` chooses: the task and its head, where it begins, how long and how fast it learns."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from limbeck.bundle import Head, Pooling
from limbeck.data import Splits
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, set_bias
from limbeck.nn.sentence import stated_pooling
from limbeck.tasks import AnyTask, Embed, make_task
from limbeck.tasks.embed import learnt_from
from limbeck.training.plan import Plan
from limbeck.training.prepare import TokenizedSplit

MIN_EPOCHS, MAX_EPOCHS = 3, 10
MIN_STEPS, MIN_VISITS = 1_500, 1_000  # a small set is read more often (Mosbach et al. 2021), and one of many labels
BERT_BASE_WIDTH = 768
_HEADS: dict[str, Head] = {"tag": "tokens", "answer": "spans"}
_MEANINGLESS = {
    "answer": ("pooling", "balance_labels"),
    "regress": ("label_smoothing", "balance_labels"),
    "tag": ("pooling", "balance_labels"),
    "embed": ("label_smoothing", "balance_labels", "r_drop", "unfreeze_gradually"),
}


def default_epochs(rows: int, batch: int, outputs: int) -> int:
    """3 passes over the data, or as many more (up to 10) as make 1,500 steps and read 1,000 rows for each output."""
    wanted = max(MIN_STEPS * batch, MIN_VISITS * outputs)
    return int(np.clip(-(-wanted // max(rows, 1)), MIN_EPOCHS, MAX_EPOCHS))


def default_learning_rate(hidden_size: int, *, last_layers: bool = False) -> float:
    """The highest rate of the BERT paper, and twice that for narrow encoders (Turc et al. 2019 search 3e-5 to 3e-4).

    Twice as high again where only the last layers learn: on the dev rows of SST-2 and TREC three of six did better so.
    """
    rate = 5e-5 if hidden_size >= BERT_BASE_WIDTH else 1e-4
    return 2 * rate if last_layers else rate


def plan_of(arguments: dict[str, Any], **chosen: Any) -> Plan:
    """The plan that a recipe's arguments name, with what was `chosen` where they leave it open."""
    named = {field.name: arguments[field.name] for field in fields(Plan) if field.name in arguments}
    return Plan(**named | chosen)


def task_of(splits: Splits, normalize: bool) -> AnyTask:
    """The task of these rows, not yet calibrated."""
    if splits.task == "embed":
        return Embed(learnt_from(splits.train.labels), normalize)
    return make_task(splits.task, splits.labels)


def head_of(task: AnyTask, pooling: Pooling | None, base: str, arguments: dict[str, Any]) -> Head:
    """What the task's head reads. Raises `UsageError` for arguments that mean nothing to the task."""
    wrong = [f"--{name.replace('_', '-')}" for name in _MEANINGLESS.get(task.name, ()) if arguments[name]]
    if task.name == "embed" and pooling == "pooler":
        wrong.append("--pooling pooler")
    if task.name != "embed" and not arguments["normalize"]:
        wrong.append("--no-normalize")
    if wrong:
        raise UsageError(f"{', '.join(wrong)}: has no meaning for the task {task.name}, leave it out")
    if task.name in _HEADS:
        return _HEADS[task.name]
    return pooling or ("pooler" if task.name != "embed" else stated_pooling(base) or "mean")


def start_at_frequencies(model: TextModel, task: AnyTask, train: TokenizedSplit) -> None:
    """Let a fresh head for `multilabel` begin with each label's log-odds in the training rows (Lin et al. 2017).

    From even odds it takes thousands of steps to learn that most labels are rare.
    """
    if task.name != "multilabel":
        return
    targets = train.labelled_targets.astype(np.float32)
    share = (targets.sum(axis=0) + 1) / (len(targets) + 2)
    set_bias(model, np.log(share / (1 - share)))
