from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
)

from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.base import quiet_loading
from limbeck.nn.language_model import (
    heads_of,
    language_loss,
    load_language_model,
    new_language_model,
    save_language_model,
)
from limbeck.nn.losses import NOT_LEARNT

VOCABULARY = 120
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "vocab_size": VOCABULARY,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": VOCABULARY},
    "electra": {**SIZES, "embedding_size": 16},
    "mpnet": SIZES,
    "roberta": SIZES,
    "modernbert": {**SIZES, "pad_token_id": 0, "global_attn_every_n_layers": 2, "local_attention": 16},
    "albert": {**SIZES, "embedding_size": 16},
    "xlm-roberta": SIZES,
    "deberta-v2": {**SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "legacy": False},
    "deberta": SIZES,
}


def inputs() -> dict[str, Tensor]:
    ids = torch.randint(5, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def labels() -> Tensor:
    """Two tokens of each row to predict, and nothing else."""
    wanted = torch.full((3, 13), NOT_LEARNT)
    for row, places in enumerate(((1, 5), (2, 3), (10, 4))):
        for place in places:
            wanted[row, 1 + place] = 7 + place
    return wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_at_the_chosen_places_is_that_of_all_logits(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **FAMILIES[family])
    with quiet_loading():
        AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
        plain = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    started = load_language_model(str(tmp_path), next_sentence=False, dropout=0.1)
    model = started.model.eval()
    assert not started.fresh_head
    assert model.encoder is heads_of(model).whole.base_model
    read, wanted = inputs(), labels()
    losses = language_loss(model)(model(**read), wanted)
    whole = plain(**{name: read[name] for name in model.input_names}, labels=wanted[:, 1:].contiguous())
    torch.testing.assert_close(losses.mean(), whole.loss, atol=1e-5, rtol=1e-5)
    losses.sum().backward()
    assert heads_of(model).whole.get_input_embeddings().weight.grad is not None


def test_a_base_without_a_head_gets_a_fresh_one_and_keeps_its_pooler(tiny_base: Path, tmp_path: Path) -> None:
    started = load_language_model(str(tiny_base), next_sentence=False, dropout=0.1)
    whole = heads_of(started.model).whole
    assert started.fresh_head
    assert whole.cls.predictions.decoder.weight is whole.bert.embeddings.word_embeddings.weight
    save_language_model(started, tmp_path)
    with quiet_loading():
        classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        base = AutoModel.from_pretrained(tiny_base)
        plain = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(classifier.bert.pooler.state_dict(), base.pooler.state_dict())
    read = inputs()
    with torch.inference_mode():
        hidden = started.model.eval()(**read)
        torch.testing.assert_close(heads_of(started.model).vocabulary_logits(hidden), plain(**read).logits)
    assert not load_language_model(str(tmp_path), next_sentence=False, dropout=0.1).fresh_head


def test_next_sentences_are_learnt_beside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocabulary_size": VOCABULARY, "pad_id": 0, "dropout": 0.0}
    started = new_language_model("tiny", next_sentence=True, **sizes)  # type: ignore[arg-type]
    save_language_model(started, tmp_path)
    with quiet_loading():
        plain = BertForPreTraining.from_pretrained(tmp_path).eval()
    read, wanted = inputs(), labels()
    wanted[:, 0] = torch.tensor([0, 1, 1])
    model = started.model.eval()
    losses = language_loss(model)(model(**read), wanted)
    whole = plain(**read, labels=wanted[:, 1:].contiguous(), next_sentence_label=wanted[:, 0])
    torch.testing.assert_close(losses.mean(), whole.loss)
    again = load_language_model(str(tmp_path), next_sentence=True, dropout=0.1)
    assert (again.fresh_head, again.fresh_next_sentence) == (False, False)


def test_shapes_are_those_of_the_published_models() -> None:
    config = new_language_model("mini", vocabulary_size=99, pad_id=0, next_sentence=False, dropout=0.1).model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (4, 256, 4)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (1024, 512, 99)


def test_bases_that_cannot_do_it(tiny_base: Path, tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1, n_positions=16)).save_pretrained(tmp_path)
    with pytest.raises(BaseModelError, match="for masked language modelling"):
        load_language_model(str(tmp_path), next_sentence=False, dropout=0.1)
    with pytest.raises(UsageError, match="--next-sentence is for BERT encoders"):
        load_language_model(str(tmp_path), next_sentence=True, dropout=0.1)
    shutil.copytree(tiny_base, tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BaseModelError, match="cannot load"):
        load_language_model(str(tmp_path / "cut"), next_sentence=False, dropout=0.1)


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_a_classifier_is_a_base_too(family: str, tmp_path: Path) -> None:
    config = AutoConfig.for_model(family, **FAMILIES[family])
    with quiet_loading():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    started = load_language_model(str(tmp_path), next_sentence=False, dropout=0.1)
    assert started.fresh_head
    assert bool(started.pooler) == (family == "bert")  # DeBERTa's belongs to its classifier
