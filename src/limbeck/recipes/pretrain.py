"""`limbeck pretrain`: plain text in, an encoder that knows such text out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from limbeck import __version__
from limbeck.console import notes, stage
from limbeck.data import Corpus, load_corpus
from limbeck.errors import UsageError
from limbeck.files import as_usual
from limbeck.nn.language_model import (
    SHAPES,
    Shape,
    Started,
    load_language_model,
    save_language_model,
)
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import base_sha256, resolve_base
from limbeck.recipes.arguments import check_numbers, fingerprint, installed_versions
from limbeck.recipes.pretraining.card import pretraining_card
from limbeck.recipes.pretraining.notes import head_lines, outcome_lines, text_lines
from limbeck.recipes.pretraining.pretrained import PretrainedEncoder, Record, already_pretrained, write_record
from limbeck.recipes.pretraining.setup import from_nothing, masking_of, packed_text, vocabulary_of
from limbeck.recipes.skipped import skipped_beside, skipped_rows
from limbeck.recipes.together import together
from limbeck.recipes.train import DEFAULT_BASE
from limbeck.recipes.training.choices import default_learning_rate, plan_of
from limbeck.recipes.training.notes import training_bar
from limbeck.recipes.training.trained import move_into_place, save_tokenizer
from limbeck.text import Packed, Tokenizer
from limbeck.training.plan import Plan
from limbeck.training.pretrain import SCORE, Pretrained, pretrain_model
from limbeck.training.processes import join

VOCABULARY_SIZE = 30_522  # of the BERT models
NARROW = 512


@together
def pretrain(
    data: str,
    *,
    out: str | Path,
    base: str | None = None,
    shape: Shape | None = None,
    vocabulary_size: int | None = None,
    cased: bool = False,
    text: str | None = None,
    skip_bad_rows: bool = False,
    whole_words: bool = False,
    next_sentence: bool = False,
    max_tokens: int = 128,
    epochs: int = 1,
    batch: int = 32,
    accumulate: int = 1,
    learning_rate: float | None = None,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    dropout: float = 0.1,
    max_grad_norm: float = 1.0,
    patience: int = 4,
    precision: Precision | None = None,
    budget_tokens: int = 8192,
    checkpoint_seconds: float = 120.0,
    seed: int = 0,
    overwrite: bool = False,
) -> PretrainedEncoder:
    """Go on pretraining an encoder on plain text of your domain, or pretrain one from nothing.

    Masked language modelling; the result is a base for `limbeck train`. A run that was stopped goes on where it was
    when it is started again with the same arguments.

    Example: `limbeck pretrain texts/ --out encoder --base ./my-encoder`

    Parameters
    ----------
    data
        A .txt file or a folder of them, paragraphs between blank lines; or a CSV, TSV, JSONL or Parquet file, a folder
        with train/validation/test files, or a hub dataset.
    out
        The folder to write; if it exists it must be the work of these very arguments.
    base
        The encoder to go on with: a hub id, a folder, or package:NAME/path; by default the one of `limbeck train`.
    shape
        Start from nothing with a BERT of this size: tiny (2 layers of 128), mini (4 of 256), small (4 of 512), medium
        (8 of 512), base (12 of 768) or large (24 of 1024), and a WordPiece vocabulary learnt from the text.
    vocabulary_size
        The most entries of that vocabulary; by default 30522.
    cased
        That vocabulary tells capital letters and accents from others.
    text
        The column of the text; by default found by its usual names.
    skip_bad_rows
        Leave bad rows out, count them and write them to OUT-skipped.jsonl.
    whole_words
        Mask all pieces of a word together.
    next_sentence
        Learn too whether one text follows another; for BERT encoders only.
    max_tokens
        The most tokens of a sequence; sequences hold as many whole sentences as fit.
    epochs
        Passes over the text, each with other masks.
    batch
        Sequences a batch.
    accumulate
        Batches an optimizer step.
    learning_rate
        The highest learning rate; it rises linearly, then falls linearly to 0. By default as for `limbeck train`; from
        nothing 5e-4, and 1e-4 for the shapes base and large.
    warmup
        The share of all steps in which the learning rate rises.
    weight_decay
        Decoupled weight decay; none on biases and norms.
    dropout
        Dropout of the hidden states in the encoder; attention weights are not dropped.
    max_grad_norm
        Gradients are clipped to this norm.
    patience
        Stop after this many evaluations without a better score on held-out text; the best weights are kept.
    precision
        fp32 or bf16; by default whichever is measured to be faster at the start. Name it where runs must be equal.
    budget_tokens
        The most tokens computed at once; larger batches are computed in pieces.
    checkpoint_seconds
        Save the state about so often; a stopped run goes on from the last save.
    seed
        The seed of everything random; the same seed and precision on the same machine give the same weights.
    overwrite
        Replace OUT if it is a pretrained encoder that was made otherwise.
    """
    check_numbers(**locals())
    out = Path(out)
    _check_start(base, shape, vocabulary_size, cased)
    if shape is None:
        base = base or DEFAULT_BASE
    arguments = {k: v for k, v in locals().items() if k not in ("out", "overwrite", "checkpoint_seconds")}
    processes = join()
    with skipped_rows(skipped_beside(out) if skip_bad_rows else None) as skipped:
        with stage("Reading the text"):
            corpus = processes.on_first(lambda: load_corpus(data, text, skipped=skipped))
            notes(corpus.notes)
        # The text counts, not where it lies, and what the base is.
        mark = fingerprint({**arguments, "data": None, "base_sha256": base and base_sha256(base)}, corpus.sha256)
        if (done := processes.on_first(lambda: already_pretrained(out, arguments, mark, overwrite))) is not None:
            return done

        processes.share_cpus()
        work = out.parent / f".{out.name}.pretraining"
        torch.manual_seed(seed)
        source, started = _started(base, shape, corpus, arguments, work / f"vocabulary-{mark[:16]}")
        notes(head_lines(started, next_sentence) if shape is None else ())
        model = started.model
        pad_id, _ = processes.on_first(lambda: save_tokenizer(source, model, max_tokens, work / "model"))
        masking = masking_of(source, whole_words)
        with stage("Tokenising"):
            file = work / "model" / "tokenizer.json"
            train, held_out = processes.on_first(
                lambda: packed_text(corpus, Tokenizer(file), max_tokens, next_sentence, seed)
            )
            notes(text_lines(train, held_out))

    rate = learning_rate or _learning_rate(model.config.hidden_size, shape)
    plan = plan_of(arguments, learning_rate=rate, checkpoint_seconds=checkpoint_seconds)
    with stage("Pretraining"), training_bar(plan, len(train), SCORE) as on_step:
        pretrained = pretrain_model(
            model,
            train,
            held_out,
            masking,
            plan,
            judged_before=shape is None,
            pad_id=pad_id,
            precision=precision,
            folder=work,
            fingerprint=mark,
            on_step=on_step,
        )
    notes(outcome_lines(pretrained))
    facts = _text_facts(corpus, train, held_out, max_tokens)
    record = _record({**arguments, "fingerprint": mark}, model, facts, pretrained, plan)
    return processes.on_first(lambda: _write(out, work, started, record))


def _record(
    arguments: dict[str, Any], model: TextModel, text: dict[str, Any], pretrained: Pretrained, plan: Plan
) -> Record:
    judged = {"before": pretrained.before, "after": pretrained.after}
    return Record(
        limbeck=__version__,
        arguments=arguments,
        versions=installed_versions(),
        model={
            "type": model.config.model_type,
            "shape": arguments["shape"],
            "parameters": model.parameter_count,
            "vocabulary_size": model.config.vocab_size,
        },
        text=text,
        training={"fit": asdict(pretrained.fit), "plan": asdict(plan)},
        scores={when: asdict(scores) for when, scores in judged.items() if scores is not None},
    )


def _write(out: Path, work: Path, started: Started, record: Record) -> PretrainedEncoder:
    """Make the encoder whole beside `out`, then move it into place."""
    folder = work / "model"
    save_language_model(started, folder)
    write_record(folder, record, pretraining_card(record, name=out.name))
    as_usual(folder)
    move_into_place(folder, out, work)
    return PretrainedEncoder(out, record)


def _check_start(base: str | None, shape: Shape | None, vocabulary_size: int | None, cased: bool) -> None:
    """Raise `UsageError` for flags that contradict one another."""
    if shape is not None and base is not None:
        raise UsageError("--base goes on with an encoder and --shape starts from nothing: drop one of them")
    if shape is None and (vocabulary_size is not None or cased):
        raise UsageError("--vocabulary-size and --cased are for a new vocabulary: name a --shape, or drop them")
    if shape is not None and shape not in SHAPES:
        raise UsageError(f"unknown shape {shape!r}: expected one of {', '.join(SHAPES)}")


def _started(
    base: str | None, shape: Shape | None, corpus: Corpus, arguments: dict[str, Any], vocabulary: Path
) -> tuple[str, Started]:
    """The model to go on with or to begin with, and where its tokenizer is: of a new one in the folder `vocabulary`."""
    processes, next_sentence, dropout = join(), arguments["next_sentence"], arguments["dropout"]
    if shape is not None:
        size, cased = arguments["vocabulary_size"] or VOCABULARY_SIZE, arguments["cased"]
        source = processes.on_first(lambda: vocabulary_of(corpus, size, cased, vocabulary))
        return source, from_nothing(shape, source, next_sentence, dropout)
    with processes.first_on_each_machine():
        source = resolve_base(base or DEFAULT_BASE)
        return source, load_language_model(source, next_sentence=next_sentence, dropout=dropout)


def _learning_rate(hidden_size: int, shape: Shape | None) -> float:
    if shape is None:
        return default_learning_rate(hidden_size)
    return 5e-4 if hidden_size <= NARROW else 1e-4


def _text_facts(corpus: Corpus, train: Packed, held_out: Packed, max_tokens: int) -> dict[str, Any]:
    return {
        "sha256": corpus.sha256,
        "notes": corpus.notes,
        "passages": len(corpus.train),
        "held_out_passages": len(corpus.held_out),
        "sequences": len(train),
        "tokens": train.tokens,
        "held_out_sequences": len(held_out),
        "held_out_tokens": held_out.tokens,
        "max_tokens": max_tokens,
    }
