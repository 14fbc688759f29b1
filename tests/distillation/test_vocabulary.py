from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from families import FAMILIES, make_base
from limbeck.distillation.vocabulary import needed_ids, trim_embeddings
from limbeck.nn.model import TextModel, load_model, new_model, save_model
from limbeck.tasks import Classify

TASK = Classify(("negative", "positive"))


def answer(model: TextModel, ids: list[int]) -> torch.Tensor:
    rows = torch.tensor([ids])
    with torch.inference_mode():
        logits: torch.Tensor = model.eval()(
            input_ids=rows, attention_mask=torch.ones_like(rows), token_type_ids=torch.zeros_like(rows)
        )
    return logits


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_answers_to_kept_tokens_stay(family: str, tmp_path: Path) -> None:
    texts = ["the film was good", "a dull book", "it was not very long"]
    model = new_model(str(make_base(family, texts, tmp_path / "base")), TASK)
    kept = np.array(sorted({*needed_ids(model), 7, 9, 12, 20}), dtype=np.int64)
    before = answer(model, [9, 20, 12, 7])
    rows, config = model.config.vocab_size, model.config
    ends = {name: getattr(config, name) for name in ("pad_token_id", "eos_token_id", "cls_token_id")}
    saved = trim_embeddings(model, kept)
    width = model.encoder.get_input_embeddings().weight.shape[1]
    assert saved == (rows - len(kept)) * width > 0
    ids = np.searchsorted(kept, [9, 20, 12, 7]).tolist()
    torch.testing.assert_close(answer(model, ids), before)
    assert all(kept[getattr(config, name)] == i for name, i in ends.items() if i is not None)
    save_model(model, tmp_path / "trimmed")
    torch.testing.assert_close(answer(load_model(tmp_path / "trimmed", TASK, pooling="pooler"), ids), before)


def test_positions_that_count_from_the_padding_id(tmp_path: Path) -> None:
    model = new_model(str(make_base("roberta", ["the film"], tmp_path / "base")), TASK)
    model.encoder.get_input_embeddings().padding_idx = 4
    assert set(range(5)) <= needed_ids(model)
