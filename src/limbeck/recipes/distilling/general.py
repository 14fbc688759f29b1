"""The first of two stages: a student without a head learns from plain text what the pretrained encoder is inside."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import torch

from limbeck import __version__
from limbeck.bundle import Bundle
from limbeck.console import notes, say, stage
from limbeck.data import Corpus
from limbeck.distillation.basis import hidden_basis
from limbeck.distillation.fit_states import SCORE, fit_states, no_loss
from limbeck.distillation.layer_maps import parse_layer_map
from limbeck.distillation.lesson import Lesson, check_sizes
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.students import Start, Student, new_student, usual_start
from limbeck.distillation.wanted import INSIDE, Weights, parse_objective
from limbeck.errors import UsageError
from limbeck.files import as_usual
from limbeck.nn.model import TextModel, new_model, save_model
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import base_sha256, resolve_base
from limbeck.recipes.arguments import fingerprint, installed_versions
from limbeck.recipes.distilling.student import unlike_base
from limbeck.recipes.pretraining.notes import text_lines
from limbeck.recipes.pretraining.pretrained import Record, already_pretrained, write_record
from limbeck.recipes.pretraining.setup import packed_text
from limbeck.recipes.training.notes import training_bar
from limbeck.recipes.training.trained import move_into_place, save_tokenizer
from limbeck.report.card import markdown
from limbeck.tasks import Embed
from limbeck.text import Packed, Tokenizer
from limbeck.training.place import Fit
from limbeck.training.plan import Plan
from limbeck.training.processes import join

MAX_TOKENS = 128  # as Jiao et al. 2020
GENERAL_OBJECTIVE = "embeddings=1,hidden=1,attention=1"
GENERAL_RATE = 1e-4  # that of narrow encoders: before the task there is no other to go by
_NO_HEAD = Embed("pairs", normalized=False)  # what reads a text and gives a vector has none


def check_general(general: str | None, start: str | None, student: str | None, objective: str, epochs: int) -> Weights:
    """What is learnt in a general stage, nothing without one.

    Raises `UsageError` for flags of it that contradict one another, or that nothing heeds.
    """
    if general is None:
        unheeded = [f"--general-objective {objective}"] * (objective != GENERAL_OBJECTIVE)
        unheeded += [f"--general-epochs {epochs}"] * (epochs != 1)
        if unheeded:
            raise UsageError(f"{', '.join(unheeded)}: is for plain text; name some with --general")
        return {}
    weights = parse_general(objective)
    if student is None:
        raise UsageError("--general: expected the student's shape by --student, as tinybert-4")
    if start is not None and start not in get_args(Start):
        raise UsageError(f"--start {start}: is pretrained already; --general makes one: drop either")
    return weights


def parse_general(objective: str) -> Weights:
    """The weights of objectives that need no answers. Raises `UsageError` for others."""
    weights = parse_objective(objective, "--general-objective")
    if wrong := [name for name in weights if name not in INSIDE]:
        raise UsageError(
            f"--general-objective {objective}: plain text has no labels to learn {', '.join(wrong)} from; "
            f"expected some of {', '.join(INSIDE)}"
        )
    return weights


def general_student(
    bundle: Bundle,
    corpus: Corpus,
    *,
    out: Path,
    student: str,
    start: str | None,
    objective: str,
    layer_map: str,
    plan: Plan,
    dropout: float,
    precision: Precision | None,
    overwrite: bool,
) -> str:
    """An encoder of the student's shape at `out`, taught by the one that the bundle was made of; goes on after a stop.

    The student of a task starts from the encoder, whatever the task.

    Raises `UsageError` for objectives that need answers, for another thing at `out`, and for a bundle whose encoder has
    other sizes than that which it was made of.
    """
    weights = parse_general(objective)
    base = bundle.manifest.model.base
    planned = asdict(plan)
    del planned["checkpoint_seconds"]
    arguments = {  # by the names of the flags
        "base": base,
        "student": student,
        "start": start,
        "general_objective": objective,
        "layer_map": layer_map,
        "dropout": dropout,
        "precision": precision,
        "general_epochs": planned.pop("epochs"),
        **planned,
    }
    processes = join()
    mark = fingerprint({**arguments, "base_sha256": base_sha256(base)}, corpus.sha256)
    if (done := processes.on_first(lambda: already_pretrained(out, arguments, mark, overwrite))) is not None:
        return str(done.folder)

    work = out.parent / f".{out.name}.training"
    torch.manual_seed(plan.seed)
    with processes.first_on_each_machine():
        master = new_model(resolve_base(base), _NO_HEAD, pooling="mean", dropout=0.0)
    if unlike := unlike_base(bundle, master):
        raise UsageError(f"--general: learns from {base}, of which the teacher was made, and {unlike}")
    shape = parse_shape(student, shape_of(master.config))
    check_sizes(shape_of(master.config), shape, _NO_HEAD, weights)
    train, held_out, pad_id = _packed(corpus, bundle, master, work / "model", plan.seed)
    made = _begin(master, shape, start, dropout, train, pad_id)
    with training_bar(plan, len(train), SCORE) as on_step:
        fitted = fit_states(
            made.model,
            train.rows,
            held_out.rows,
            _lesson(master, made, weights, layer_map),
            plan,
            examples=len(train),
            pad_id=pad_id,
            precision=precision,
            folder=work,
            fingerprint=mark,
            on_step=on_step,
        )
    say(f"  loss on held-out text {-fitted.best.score:.4f}")
    record = _record({**arguments, "fingerprint": mark}, made.model, corpus, train, held_out, fitted, plan)
    processes.on_first(lambda: _write(out, work, made.model, record, base))
    return str(out)


def _packed(corpus: Corpus, bundle: Bundle, master: TextModel, folder: Path, seed: int) -> tuple[Packed, Packed, int]:
    """The text to learn from and that to judge by, in the tokens of the bundle, whose tokenizer is saved in `folder`;
    and the id that pads them.
    """
    processes = join()
    pad_id, limit = processes.on_first(lambda: save_tokenizer(str(bundle.folder), master, None, folder))
    with stage("Tokenising"):
        tokenizer, tokens = folder / "tokenizer.json", min(MAX_TOKENS, limit)
        train, held_out = processes.on_first(
            lambda: packed_text(corpus, Tokenizer(tokenizer), tokens, next_sentence=False, seed=seed)
        )
        notes(text_lines(train, held_out))
    return train, held_out, pad_id


def _begin(master: TextModel, shape: Shape, start: str | None, dropout: float, train: Packed, pad_id: int) -> Student:
    return new_student(
        master,
        _NO_HEAD,
        shape,
        cast(Start, start) if start else usual_start(master, shape),
        dropout=dropout,
        basis=lambda: join().on_first(lambda: hidden_basis(master, train.rows, shape.hidden_size, pad_id=pad_id)),
    )


def _lesson(master: TextModel, made: Student, weights: Weights, layer_map: str) -> Lesson:
    layers = master.config.num_hidden_layers
    return Lesson(
        master,
        made.model,
        _NO_HEAD,
        weights,
        hard=no_loss,
        temperature=1.0,
        layer_map=parse_layer_map(layer_map, student_layers=made.shape.layers, teacher_layers=layers),
        answers=(),
        device=join().device,
        basis=made.basis,
    )


def _record(
    arguments: dict[str, Any],
    model: TextModel,
    corpus: Corpus,
    train: Packed,
    held_out: Packed,
    fitted: Fit,
    plan: Plan,
) -> Record:
    return Record(
        limbeck=__version__,
        arguments=arguments,
        versions=installed_versions(),
        model={
            "type": model.config.model_type,
            "parameters": model.parameter_count,
            "vocabulary_size": model.config.vocab_size,
        },
        text={
            "sha256": corpus.sha256,
            "sequences": len(train),
            "tokens": train.tokens,
            "held_out_sequences": len(held_out),
        },
        training={"fit": asdict(fitted), "plan": asdict(plan)},
        scores={"after": {"loss": -fitted.best.score}},
    )


def _write(out: Path, work: Path, model: TextModel, record: Record, base: str) -> None:
    folder = work / "model"
    save_model(model, folder)
    card = (
        f"# {markdown(out.name)}\n\nAn encoder without a head ({record.model['parameters']:,} parameters), "
        f"distilled by limbeck {record.limbeck} from {markdown(base)} on {record.text['sequences']:,} sequences of "
        f"plain text: {record.arguments['general_objective']}. It is a start for fine-tuning or for "
        "`limbeck distill`.\n"
    )
    write_record(folder, record, card)
    as_usual(folder)
    move_into_place(folder, out, work)
