"""A training before its first step: the base with its head, and the rows in tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.bundle import Head
from limbeck.console import notes, say, stage
from limbeck.data import Splits
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, checkpoint_gradients, new_model
from limbeck.nn.resolve import resolve_base
from limbeck.recipes.training.choices import head_of, start_at_frequencies
from limbeck.recipes.training.kept import keep_frozen
from limbeck.recipes.training.notes import data_lines
from limbeck.recipes.training.trained import save_tokenizer
from limbeck.tasks import AnyTask
from limbeck.text import Tokenizer
from limbeck.training.optimizer import freeze
from limbeck.training.prepare import Prepared, prepare
from limbeck.training.processes import join


@dataclass(frozen=True, slots=True)
class Begun:
    """What is trained, and on what; `folder` is that of the base, or its hub id, and `limit` the most it reads."""

    model: TextModel
    prepared: Prepared
    folder: str
    head: Head
    pad_id: int
    limit: int


def begin(task: AnyTask, splits: Splits, work: Path, arguments: dict[str, Any]) -> Begun:
    """Load the base, write its tokenizer into `work` and tokenise the rows; `arguments` are those of `train`."""
    processes, max_tokens, train_last = join(), arguments["max_tokens"], arguments["train_last"]
    with processes.first_on_each_machine():
        folder = resolve_base(arguments["base"], note=lambda line: say(f"  {line}"))
        head = head_of(task, arguments["pooling"], folder, arguments)
        model = new_model(folder, task, pooling=head, dropout=arguments["dropout"])
    if not freeze(model, embeddings=arguments["freeze_embeddings"], train_last=train_last):
        raise UsageError(f"--train-last {train_last}: leaves nothing to learn, as this task has no head: expected 1")
    if arguments["gradient_checkpointing"]:
        checkpoint_gradients(model)
    pad_id, limit = processes.on_first(lambda: save_tokenizer(folder, model, max_tokens, work / "bundle"))
    with stage("Tokenising"):
        file = work / "bundle" / "tokenizer.json"
        prepared = processes.on_first(
            lambda: prepare(splits, Tokenizer(file), task, max_tokens=max_tokens, limit=limit)
        )
        notes(data_lines(task, prepared))
    if not arguments["balance_labels"]:  # which makes all odds even
        start_at_frequencies(model, task, prepared.train)
    # An adversary moves the embeddings, which kept states do not feel.
    if train_last is not None and not arguments["adversarial"]:
        with stage("The frozen layers"):
            prepared = replace(prepared, train=keep_frozen(model, prepared.train, pad_id))
    return Begun(model, prepared, folder, head, pad_id, limit)
