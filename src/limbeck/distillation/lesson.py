"""The loss of a student: what it is asked, weighed and added up, one number a row."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.distillation import objectives as o
from limbeck.distillation.basis import Basis
from limbeck.distillation.kept_states import KeptStates
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.shapes import Shape, shape_of
from limbeck.distillation.states import States, captured
from limbeck.distillation.wanted import INSIDE, OF_ANSWERS, OF_LAYERS, Weights
from limbeck.errors import UsageError
from limbeck.nn.losses import RowLoss, mean_over_words
from limbeck.nn.model import TextModel
from limbeck.nn.pruned import attention_width, kept_heads
from limbeck.nn.sentence import mean_pool
from limbeck.tasks import AnyTask, Embed
from limbeck.training.kept import Kept

MOST_RELATION_HEADS = 48  # Wang et al. 2021 for encoders as wide as BERT-Base
_EQUAL_WIDTHS = ("directions", "patient")
_PROJECTED = ("embeddings", "hidden", "contrastive")
_EQUAL_HEADS = ("attention", "distributions", "values")


@dataclass(frozen=True, slots=True)
class Read:
    """A piece of a batch as both models have read it; states only where an objective asks for them.

    `mask` `[texts, length]` is the attention mask; `answers` are the logits of each teacher, `[teachers, texts, ...]`.
    """

    mask: Tensor
    targets: Tensor
    logits: Tensor
    answers: Tensor | None
    student: States
    teacher: States


class Lesson:
    """A loss that sees the teacher: see `training.step.Lesson`.

    `answers` are those of each teacher to the training rows, empty where no objective is of them; `states` those inside
    the first one, computed in each step where they are not kept. `labelled` `[rows]` says which of the rows have a
    label, None that all have one: only those count for `hard`. The projections that hidden states of another width need
    are put into the student, as `model.projections`, to be trained with it; where it began as its teacher narrowed,
    they begin as the `basis`, random otherwise. `teacher_ids` are the teacher's ids of the student's tokens where these
    are fewer.
    """

    def __init__(
        self,
        teacher: TextModel,
        student: TextModel,
        task: AnyTask,
        weights: Weights,
        *,
        hard: RowLoss,
        temperature: float,
        layer_map: LayerMap,
        answers: Sequence[Kept],
        device: torch.device,
        states: KeptStates | None = None,
        labelled: NDArray[np.bool_] | None = None,
        basis: Basis | None = None,
        teacher_ids: NDArray[np.int64] | None = None,
    ) -> None:
        check_sizes(shape_of(teacher.config), shape_of(student.config), task, weights)
        self.teacher = teacher.to(device).eval().requires_grad_(False)
        self.task, self.weights, self.hard = task, weights, hard
        self.temperature, self.layer_map, self.answers, self.states = temperature, layer_map, answers, states
        self.labelled = None if labelled is None else torch.from_numpy(labelled)
        self.teacher_ids = None if teacher_ids is None else torch.from_numpy(teacher_ids).to(device)
        self.inside = any(name in weights for name in INSIDE)
        self.heads = kept_heads(student.config)
        here, there = student.config.hidden_size, teacher.config.hidden_size
        self.relation_heads = relation_heads(attention_width(student.config), attention_width(teacher.config))
        needed = [name for name in _PROJECTED if name in weights and here != there]
        projections = nn.ModuleDict({name: nn.Linear(here, there, bias=False) for name in needed})
        if basis is not None:
            for projection in projections.values():
                cast(nn.Linear, projection).weight.data.copy_(basis.vectors)
        student.add_module("projections", projections)

    @property
    def whole_batch(self) -> bool:
        """Whether a row's loss depends on the others."""
        return "samples" in self.weights or "contrastive" in self.weights

    def on_other_rows(self) -> Lesson:
        """The same for rows of which nothing is kept: only states can be compared."""
        other = copy.copy(self)
        other.answers, other.states = (), None
        return other

    def __call__(
        self, model: TextModel, inputs: dict[str, Tensor], targets: Tensor, indices: NDArray[np.int64]
    ) -> Tensor:
        """One loss a row, `[rows]`."""
        read = self._read(model, inputs, targets, indices)
        total = torch.zeros(len(targets), device=targets.device)
        for name, weight in self.weights.items():
            # Of a row with several texts, each text has a loss of its own.
            losses = self._loss(name, model, read).view(-1, len(targets)).mean(dim=0)
            if name == "hard" and self.labelled is not None:
                losses = losses * self.labelled[torch.from_numpy(indices)].to(losses.device)
            total = total + weight * losses
        return total

    def _read(self, model: TextModel, inputs: dict[str, Tensor], targets: Tensor, indices: NDArray[np.int64]) -> Read:
        mask = inputs["attention_mask"]
        length, texts, answers = mask.shape[1], len(mask) // len(targets), None
        if self.answers:
            found = [one.read(_rows(indices, texts, len(one)), length) for one in self.answers]
            answers = torch.from_numpy(np.stack(found)).to(mask.device)
        if not self.inside:
            return Read(mask, targets, model(**inputs), answers, States(), States())
        if self.states is not None:
            theirs = self.states.read(_rows(indices, texts, len(self.states.kept)), length, mask.device)
        else:
            theirs = self._inside_teacher(inputs)
        with captured(model) as ours:
            logits = model(**inputs)
        return Read(mask, targets, logits, answers, ours, theirs)

    def _inside_teacher(self, inputs: dict[str, Tensor]) -> States:
        ids = inputs["input_ids"]
        with captured(self.teacher) as states, torch.no_grad():
            self.teacher(**inputs | {"input_ids": ids if self.teacher_ids is None else self.teacher_ids[ids]})
        return states

    def _loss(self, name: str, model: TextModel, read: Read) -> Tensor:
        if name == "hard":
            return self.hard(read.logits, read.targets)
        if name in OF_ANSWERS:
            if name == "contrastive":
                return o.contrastive(_projected(model, name, read.logits), cast(Tensor, read.answers).mean(dim=0))
            return self._of_answers(name, read, cast(Tensor, read.answers))
        if name in OF_LAYERS:
            return torch.stack(list(self._of_layers(name, model, read))).mean(dim=0)
        return self._of_ends(name, model, read)

    def _of_answers(self, name: str, read: Read, teachers: Tensor) -> Tensor:
        task, logits = self.task.name, read.logits
        answers = teachers.mean(dim=0)
        if name == "soft" and len(teachers) > 1:
            answers = o.mean_of_teachers(teachers, task, self.temperature, read.mask)
        if task == "answer":
            if name == "soft":
                return o.span_soft_targets(logits, answers, read.mask, self.temperature)
            return o.hidden_states(logits, answers, read.mask)
        if task == "tag":
            apart = (logits - answers).square().mean(dim=2)
            tokens = o.soft_targets(logits, answers, self.temperature) if name == "soft" else apart
            return mean_over_words(tokens, read.targets)
        if task == "embed":
            return o.squared_vectors(logits, answers)
        if name == "soft" and task == "classify":
            return o.soft_targets(logits, answers, self.temperature)
        if name == "soft" and task == "multilabel":
            return o.binary_soft_targets(logits, answers, self.temperature)
        return o.squared_logits(logits, answers)

    def _of_layers(self, name: str, model: TextModel, read: Read) -> Iterator[Tensor]:
        ours, theirs, mask = read.student, read.teacher, read.mask
        for here, there in self.layer_map:
            if name == "attention":
                found = o.scaled_products(ours.queries[here], ours.keys[here], self.heads)
                wanted = o.scaled_products(theirs.queries[there], theirs.keys[there], self.heads)
                yield o.attention_scores(found, wanted, mask)
                continue
            student, teacher = ours.hidden[here + 1], theirs.hidden[there + 1]
            if name == "hidden":
                yield o.hidden_states(_projected(model, name, student), teacher, mask)
            elif name == "directions":
                yield o.directions(student, teacher, mask)
            else:
                yield o.patient_states(student[:, 0], teacher[:, 0])

    def _of_ends(self, name: str, model: TextModel, read: Read) -> Tensor:
        ours, theirs, mask = read.student, read.teacher, read.mask
        if name == "embeddings":
            return o.hidden_states(_projected(model, name, ours.hidden[0]), theirs.hidden[0], mask)
        if name == "samples":
            return o.sample_relations(mean_pool(ours.hidden[-1], mask), mean_pool(theirs.hidden[-1], mask))

        def compared(kinds: tuple[str, str], heads: int) -> Tensor:
            found, wanted = (
                o.scaled_products(getattr(states, kinds[0])[layer], getattr(states, kinds[1])[layer], heads)
                for states, layer in zip((ours, theirs), self.layer_map[-1], strict=True)
            )
            return o.relations(found, wanted, mask)

        if name == "distributions":
            return compared(("queries", "keys"), self.heads)
        if name == "values":
            return compared(("values", "values"), self.heads)
        three = [compared((kind, kind), self.relation_heads) for kind in ("queries", "keys", "values")]
        return torch.stack(three).mean(dim=0)


def check_sizes(there: Shape, here: Shape, task: AnyTask | None, weights: Weights) -> None:
    """Raises `UsageError`, naming all objectives that compare what teacher (`there`) and student have not alike.

    Without a task, while it is not known, what hangs on it passes.
    """
    problems = []
    if here.hidden_size != there.hidden_size:
        vectors = ("soft", "logits") if isinstance(task, Embed) else ()
        problems += [
            f"{name} needs a student as wide as its teacher, {there.hidden_size}, and it is {here.hidden_size} wide"
            for name in (*_EQUAL_WIDTHS, *vectors)
            if name in weights
        ]
    if "contrastive" in weights and task is not None and task.name != "embed":
        problems.append(f"contrastive compares vectors, and {task.name} answers with none")
    by_heads = [name for name in _EQUAL_HEADS if name in weights and here.heads != there.heads]
    problems += [
        f"{name} compares head with head, and the student has {here.heads}, its teacher {there.heads}"
        for name in by_heads
    ]
    if problems:
        remedy = f". {_of_equal_heads(there, here)}" if by_heads else ""
        raise UsageError(f"--objective: {'; '.join(problems)}{remedy}")


def _of_equal_heads(there: Shape, here: Shape) -> str:
    """What to do where the heads are not as many."""
    narrower = here.hidden_size != there.hidden_size and here.hidden_size % there.heads == 0
    written = f", as {here.layers}x{here.hidden_size}x{there.heads}" if narrower else ""
    return f"Take a student of as many heads{written}, or relations, which needs no equal heads"


def relation_heads(student_width: int, teacher_width: int) -> int:
    """The most heads up to MOST_RELATION_HEADS that divide both widths."""
    both = math.gcd(student_width, teacher_width)
    return max(heads for heads in range(1, MOST_RELATION_HEADS + 1) if both % heads == 0)


def _rows(indices: NDArray[np.int64], texts: int, kept: int) -> NDArray[np.int64]:
    """The numbers of all texts of these examples, of so many that are kept: first all first ones, then the second."""
    return np.concatenate([indices + part * (kept // texts) for part in range(texts)])


def _projected(model: TextModel, name: str, states: Tensor) -> Tensor:
    projections: nn.ModuleDict = model.projections  # type: ignore[assignment]
    return projections[name](states) if name in projections else states
