from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.augmentation import masked, tinybert
from limbeck.augmentation.masked import MaskedModel, load_masked_model
from limbeck.augmentation.tinybert import replace_each
from limbeck.augmentation.words import Marked

pytest_plugins = ("language_models",)
TEXT = "the Film was good, and the unheard plot was dull"
SYNONYMS = {"unheard": ["awful", "poor"], "good": ["bad"]}  # "good" is one piece: it is masked all the same
Change = Callable[..., list[Marked | None]]


@pytest.fixture(scope="module")
def model(tiny_masked: Path, tmp_path_factory: pytest.TempPathFactory) -> MaskedModel:
    return load_masked_model(str(tiny_masked), tmp_path_factory.mktemp("tokenizer"), torch.device("cpu"))


@pytest.fixture
def change(model: MaskedModel) -> Change:
    def changed(texts: list[Marked], seed: int = 0, **said: Any) -> list[Marked | None]:
        settings = {"share": 1.0, "top_k": 4, "budget_tokens": 512, "synonyms": SYNONYMS, **said}
        call = partial(replace_each, masked_model=model, **settings)
        return call(texts, lambda i: np.random.default_rng([seed, i]), lambda done: None)

    return changed


def read_alone(model: MaskedModel, text: str, word: str, top_k: int) -> set[str]:
    """The likeliest other words in the place of `word`, by one plain forward pass of the text with that one mask."""
    (tokens,) = model.tokenizer.encode([text.replace(word, model.mask_token)], max_tokens=model.max_tokens)
    ids = torch.from_numpy(tokens.input_ids.astype(np.int64))[None]
    with torch.inference_mode():
        logits = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    order = logits[ids[0] == model.mask_id][0].argsort(descending=True).tolist()
    words = [model.pieces[i] for i in order if model.words[i] and model.pieces[i] != word.lower()]
    return set(words[:top_k])


def test_each_word_gets_the_candidates_of_its_own_mask_or_its_synonyms(change: Change, model: MaskedModel) -> None:
    seen: dict[int, set[str]] = {}
    for made in change([Marked(TEXT)] * 80):
        assert made is not None
        assert made.text.count(",") == 1
        for i, word in enumerate(made.text.replace(",", "").split()):
            seen.setdefault(i, set()).add(word)
    masked_words = {1: "Film", 3: "good", 7: "plot", 9: "dull"}
    for i, word in masked_words.items():
        wanted = read_alone(model, TEXT, word, 4)
        assert {found.lower() for found in seen[i]} == wanted
    assert all(word[0].isupper() for word in seen[1])
    assert seen[6] == {"awful", "poor"}
    stop_words = {0: "the", 2: "was", 4: "and", 5: "the", 8: "was"}
    assert all(seen[i] == {word} for i, word in stop_words.items())


def test_each_word_is_replaced_with_the_same_probability(change: Change) -> None:
    plain = TEXT.split()
    made = [m.text.split() for m in change([Marked(TEXT)] * 600, share=0.4) if m is not None]
    changed = np.array([[a != b for a, b in zip(plain, words, strict=True)] for words in made])
    assert changed[:, [1, 3, 6, 7, 9]].mean(axis=0) == pytest.approx(0.4, abs=0.08)
    assert np.corrcoef(changed[:, 1], changed[:, 3])[0, 1] == pytest.approx(0, abs=0.15)


def test_copies_share_what_is_read_and_only_what_is_drawn_is(
    change: Change, model: MaskedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []

    def counting(masked_model: MaskedModel, tokens: list[Any], count: int) -> list[masked.ReadMask]:
        rows.append(len(tokens))
        return masked.read_masks(masked_model, tokens, count)

    monkeypatch.setattr(tinybert, "read_masks", counting)
    change([Marked(TEXT)] * 50)
    assert sum(rows) == 4
    rows.clear()
    (one,) = change([Marked(TEXT)], share=0.4, synonyms={})
    assert one is not None
    assert sum(rows) == sum(a != b for a, b in zip(TEXT.split(), one.text.split(), strict=True)) < 4


def test_batches_and_company_do_not_change_what_is_drawn(change: Change) -> None:
    texts = [Marked(TEXT), Marked("a lovely film"), Marked("we found this book rather long")] * 4
    together = change(texts, share=0.5)
    assert change(texts, share=0.5, budget_tokens=16) == together
    assert change(texts[:5], share=0.5) == together[:5]
    assert change(texts, 1, share=0.5) != together


def test_entities_stay_and_move_along(change: Change) -> None:
    entities = ((4, 8, "WHAT"), (TEXT.index("dull"), TEXT.index("dull") + 4, "HOW"))
    for made in change([Marked(TEXT, entities)] * 10):
        assert made is not None
        assert [made.text[a:b] for a, b, _ in made.entities] == ["Film", "dull"]
        assert "good" not in made.text


def test_what_has_no_candidates_stays(change: Change, model: MaskedModel) -> None:
    long = "film " * 100
    texts = ["tedium 12 was the", "!", long, "[MASK] film"]
    nothing, of_signs, made, with_mask = change([Marked(text) for text in texts])
    assert nothing is of_signs is with_mask is None
    assert made is not None
    assert made.text.split()[62:] == ["film"] * 38
    assert "film" not in made.text.split()[:62]
