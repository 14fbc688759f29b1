from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import NEUTRAL
from limbeck.nn.language_model import language_loss, load_language_model
from limbeck.nn.model import TextModel
from limbeck.text import Packed, Tokenizer, pack, pack_pairs, tokenize_documents
from limbeck.training.masking import Masking
from limbeck.training.place import Progress
from limbeck.training.plan import Plan
from limbeck.training.pretrain import Judge, Pretrained, pretrain_model, targets_of
from limbeck.training.step import Objective, Stepper

PLAN = Plan(epochs=8, batch=16, learning_rate=5e-3, patience=99, checkpoint_seconds=0.0)


class Stopped(Exception):
    """Somebody pulled the plug."""


@dataclass(frozen=True)
class Text:
    train: Packed
    held_out: Packed
    masking: Masking


def text_of(tokenizer: Tokenizer, make: Callable[..., Packed]) -> Text:
    """Sentences in which each word tells the next: runs of one row of words."""
    ring = NEUTRAL[:12]
    said = [" ".join(ring[(start + i) % 12] for i in range(9)) + "." for start in range(12)]
    documents = tokenize_documents(
        tokenizer, [(" ".join(said[(n + k) % 12] for k in range(4)), False) for n in range(96)]
    )
    mask = tokenizer.token_id("[MASK]")
    assert mask is not None
    return Text(make(documents[:72]), make(documents[72:]), Masking(mask, torch.arange(5, tokenizer.vocabulary_size)))


@pytest.fixture(scope="module")
def text(tokenizer_file: Path) -> Text:
    tokenizer = Tokenizer(tokenizer_file)
    return text_of(tokenizer, lambda documents: pack(tokenizer, documents, max_tokens=24))


def new_model(tiny_base: Path, *, next_sentence: bool = False, dropout: float = 0.0) -> TextModel:
    torch.manual_seed(1)
    return load_language_model(str(tiny_base), next_sentence=next_sentence, dropout=dropout).model


def pretrain(
    model: TextModel, text: Text, folder: Path, plan: Plan = PLAN, on_step: Callable[[Progress], None] = lambda _: None
) -> Pretrained:
    return pretrain_model(
        model,
        text.train,
        text.held_out,
        text.masking,
        plan,
        judged_before=True,
        pad_id=0,
        precision="fp32",
        folder=folder,
        fingerprint="a run",
        on_step=on_step,
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_perplexity_falls_on_text_that_can_be_learnt(tiny_base: Path, text: Text, tmp_path: Path) -> None:
    model = new_model(tiny_base)
    done = pretrain(model, text, tmp_path)
    assert done.before is not None
    assert done.before.perplexity > 20
    assert done.after.perplexity < 12  # the words of the text are thirteen
    assert done.after.accuracy > 2 * done.before.accuracy
    assert done.after.tokens == done.before.tokens
    assert done.fit.best.score == pytest.approx(-done.after.loss, rel=1e-4)


def test_the_masks_that_judge_are_the_same_each_time_and_leave_no_trace(tiny_base: Path, text: Text) -> None:
    model = new_model(tiny_base)
    before = torch.get_rng_state()
    scores = []
    for seed, budget in ((0, 8192), (0, 8192), (1, 8192)):
        judge = Judge(text.held_out, text.masking, seed=seed, budget_tokens=budget, pad_id=0)
        scores.append(judge.scores(model, "fp32"))
    assert scores[0] == scores[1] != scores[2]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("one_thread")
def test_a_stopped_run_ends_with_the_weights_of_an_unbroken_one(tiny_base: Path, text: Text, tmp_path: Path) -> None:
    plan = Plan(epochs=3, batch=16, learning_rate=3e-3, patience=99, checkpoint_seconds=0.0)
    whole, broken = new_model(tiny_base, dropout=0.1), new_model(tiny_base, dropout=0.1)
    unbroken = pretrain(whole, text, tmp_path / "whole", plan)

    def stop(now: Progress) -> None:
        if now.step == 7:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(broken, text, tmp_path / "broken", plan, stop)
    torch.manual_seed(99)
    again = new_model(tiny_base, dropout=0.1)
    resumed = pretrain(again, text, tmp_path / "broken", plan)
    assert resumed.after == unbroken.after
    assert [e.loss for e in resumed.fit.evaluations] == [e.loss for e in unbroken.fit.evaluations]
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_next_sentences_are_judged_too(tiny_base: Path, tokenizer_file: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(tokenizer_file)
    text = text_of(tokenizer, lambda documents: pack_pairs(tokenizer, documents, max_tokens=32, seed=0))
    model = new_model(tiny_base, next_sentence=True)
    done = pretrain(model, text, tmp_path, Plan(epochs=1, batch=16, learning_rate=1e-3))
    assert done.after.next_sentence_accuracy is not None
    assert 0.2 < done.after.next_sentence_accuracy < 1
    wanted: Tensor = targets_of(text.train)[:, 0]
    assert set(wanted.tolist()) == {0, 1}


def test_each_visit_sees_other_masks(tiny_base: Path, text: Text) -> None:
    seen: list[Tensor] = []

    def watch(inputs: dict[str, Tensor], targets: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        corrupted = text.masking(inputs, targets)
        seen.append(corrupted[0]["input_ids"])
        return corrupted

    model = new_model(tiny_base)
    stepper = Stepper(
        model,
        text.train.rows,
        targets_of(text.train),
        Objective(language_loss(model), corrupt=watch),
        budget_tokens=8192,
        pad_id=0,
        device=torch.device("cpu"),
    )
    indices = torch.arange(8).numpy()
    losses = [stepper.gradients(indices, "fp32") for _ in range(2)]
    assert losses[0] != losses[1]
    assert not torch.equal(seen[0], seen[1])
