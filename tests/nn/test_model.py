from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForSequenceClassification, DistilBertConfig, DistilBertModel

from limbeck.bundle import Pooling
from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.model import TextModel, fold_scale, load_model, mean_pool, new_model, save_model
from limbeck.tasks import AnyTask, Classify, MultiLabel, Regress

POOLINGS: tuple[Pooling, ...] = ("pooler", "cls", "mean")
TASK = Classify(("bad", "fair", "good"))


@pytest.fixture(scope="session")
def distilbert_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random DistilBERT, an encoder that takes no token types and names its settings otherwise."""
    folder = tmp_path_factory.mktemp("distilbert_base")
    config = DistilBertConfig(vocab_size=160, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        DistilBertModel(config).save_pretrained(folder)
    return folder


def inputs() -> dict[str, Tensor]:
    """Three rows of 12, 7 and 3 tokens; the second half of the first row is the second text of a pair."""
    lengths = torch.tensor([12, 7, 3])
    positions = torch.arange(12)
    ids = torch.randint(5, 150, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = (positions < lengths[:, None]).long()
    types = torch.zeros_like(mask)
    types[0, 6:] = 1
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}


def logits(model: TextModel) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = model.eval()(**inputs())
    return answer


def fresh(base: Path, pooling: Pooling, task: AnyTask = TASK) -> TextModel:
    torch.manual_seed(5)
    return new_model(str(base), task, pooling=pooling)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_model_answers_as_before(tiny_base: Path, tmp_path: Path, pooling: Pooling) -> None:
    model = fresh(tiny_base, pooling)
    before = logits(model)
    assert before.shape == (3, 3)
    assert before.dtype == torch.float32
    save_model(model, tmp_path)
    loaded = load_model(tmp_path, TASK, pooling=pooling)
    assert not loaded.training
    assert torch.equal(logits(loaded), before)
    eager = load_model(tmp_path, TASK, pooling=pooling, attention="eager")
    torch.testing.assert_close(logits(eager), before, atol=1e-5, rtol=1e-5)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert (tmp_path / "head.safetensors").exists() == (pooling != "pooler")


def test_the_default_head_is_a_plain_hugging_face_model(tiny_base: Path, tmp_path: Path) -> None:
    model = fresh(tiny_base, "pooler")
    save_model(model, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert plain.config.id2label == {0: "bad", 1: "fair", 2: "good"}
    assert plain.config.problem_type == "single_label_classification"
    with torch.inference_mode():
        assert torch.equal(plain(**inputs()).logits, logits(model))


@pytest.mark.parametrize(
    ("task", "problem_type"), [(MultiLabel(("a", "b")), "multi_label_classification"), (Regress(), "regression")]
)
def test_the_config_says_what_the_head_is_for(tiny_base: Path, task: AnyTask, problem_type: str) -> None:
    model = fresh(tiny_base, "pooler", task)
    assert model.config.problem_type == problem_type
    assert logits(model).shape == (3, task.outputs)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_does_not_change_the_answer(tiny_base: Path, pooling: Pooling) -> None:
    model = fresh(tiny_base, pooling)
    batch = inputs()
    together = logits(model)
    for row, length in enumerate((12, 7, 3)):
        with torch.inference_mode():
            alone = model(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_dropout_is_what_was_asked_for_and_attention_is_not_dropped(tiny_base: Path, pooling: Pooling) -> None:
    model = new_model(str(tiny_base), TASK, pooling=pooling, dropout=0.35)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert {rate for name, rate in rates.items() if not name.endswith("attention.self.dropout")} == {0.35}
    assert model.config.attention_probs_dropout_prob == 0


@pytest.mark.parametrize("pooling", POOLINGS)
def test_without_dropout_training_is_not_random(tiny_base: Path, distilbert_base: Path, pooling: Pooling) -> None:
    for base in (tiny_base, distilbert_base):
        model = new_model(str(base), TASK, pooling=pooling, dropout=0.0).train()
        assert torch.equal(model(**inputs()), model(**inputs())), base.name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_gets_a_gradient(tiny_base: Path, pooling: Pooling) -> None:
    model = fresh(tiny_base, pooling)
    model(**inputs()).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_encoder_is_the_part_that_came_from_the_base(tiny_base: Path, pooling: Pooling) -> None:
    first, second = (new_model(str(tiny_base), TASK, pooling=pooling).encoder for _ in range(2))
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert first.config.hidden_size == 32


def test_an_encoder_without_token_types_is_not_given_any(distilbert_base: Path, tmp_path: Path) -> None:
    for pooling in POOLINGS:
        model = fresh(distilbert_base, pooling)
        assert model.input_names == ("input_ids", "attention_mask")
        before = logits(model)
        (tmp_path / pooling).mkdir()
        save_model(model, tmp_path / pooling)
        assert torch.equal(logits(load_model(tmp_path / pooling, TASK, pooling=pooling)), before)
        fold_scale(model, mean=1.0, scale=2.0)
        torch.testing.assert_close(logits(model), before * 2 + 1)


def test_input_names_are_in_the_order_of_the_graph(tiny_base: Path) -> None:
    assert fresh(tiny_base, "mean").input_names == ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_unit_of_a_regression_is_folded_into_the_weights(tiny_base: Path, tmp_path: Path, pooling: Pooling) -> None:
    model = fresh(tiny_base, pooling, Regress())
    before = logits(model)
    fold_scale(model, mean=-3.5, scale=12.0)
    torch.testing.assert_close(logits(model), before * 12 - 3.5)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path, Regress(), pooling=pooling)
    torch.testing.assert_close(logits(loaded), before * 12 - 3.5)


def test_an_unknown_pooling_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="'max': expected one of pooler, cls, mean"):
        new_model(str(tiny_base), TASK, pooling="max")  # type: ignore[arg-type]


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="cannot load"):
        new_model(str(tmp_path), TASK)


@pytest.mark.parametrize("damage", ["missing", "cut"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_that_cannot_be_read_are_a_base_model_error(
    tiny_base: Path, tmp_path: Path, pooling: Pooling, damage: str
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    weights = base / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "cut":
        weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(BaseModelError, match="cannot load an encoder"):
        new_model(str(base), TASK, pooling=pooling)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 2**31))
def test_mean_pool_is_the_mean_of_what_is_not_masked(lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(len(lengths), 9, 4)).astype(np.float32)
    mask = np.arange(9) < np.array(lengths)[:, None]
    expected = np.stack([row[: lengths[i]].mean(axis=0) for i, row in enumerate(hidden)])
    hidden[~mask] *= 1e4  # whatever stands under the mask
    pooled = mean_pool(torch.from_numpy(hidden), torch.from_numpy(mask.astype(np.int64)))
    np.testing.assert_allclose(pooled.numpy(), expected, atol=1e-5)


def test_a_head_for_other_labels_is_fresh_and_one_for_the_same_is_kept(tiny_base: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    taught = new_model(str(tiny_base), Classify(("negative", "positive")))
    save_model(taught, tmp_path / "taught")
    shutil.copy(tiny_base / "tokenizer.json", tmp_path / "taught")
    before = taught.inner.classifier.weight
    for task, kept in (
        (Classify(("negative", "positive")), True),
        (Classify(("positive", "negative")), False),
        (Classify(("a", "b", "c")), False),
        (MultiLabel(("a", "b")), False),
    ):
        again = new_model(str(tmp_path / "taught"), task)
        assert again.inner.classifier.weight.shape == (task.outputs, before.shape[1])
        assert torch.equal(again.inner.classifier.weight, before) == kept
        for name, tensor in taught.encoder.state_dict().items():
            assert torch.equal(tensor, again.encoder.state_dict()[name])


def test_an_encoder_that_is_not_what_its_configuration_states(tiny_base: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}), "utf-8")
    with pytest.raises(BaseModelError, match=r"of other sizes than config.json states: .*intermediate"):
        new_model(str(base), Classify(("negative", "positive")))
