from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, pre_tokenizers, processors
from transformers import AutoTokenizer

from limbeck.errors import BundleError, TooLong, UsageError
from limbeck.text import OnLong, Tokenizer, Tokens
from limbeck.text.tokenizer import WINDOW_OVERLAP

TEXTS = st.text(alphabet=string.ascii_letters + string.digits + " .,!?'-", max_size=120)
PAIRS = st.tuples(TEXTS, TEXTS)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    return Tokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def theirs(tiny_base: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture(scope="session")
def fast(tokenizer_file: Path) -> FastTokenizer:
    return FastTokenizer.from_file(str(tokenizer_file))


def content(fast: FastTokenizer, text: str) -> list[int]:
    return list(fast.encode(text, add_special_tokens=False).ids)


def split_pair(tokens: Tokens) -> tuple[list[int], list[int]]:
    """The content of both halves of `[CLS] first [SEP] second [SEP]`."""
    second_starts = int(np.argmax(tokens.token_type_ids == 1))
    ids = tokens.input_ids.tolist()
    return ids[1 : second_starts - 1], ids[second_starts:-1]


def joined(pieces: Sequence[list[int]], overlap: int) -> list[int]:
    """Pieces put together again, each but the first without the `overlap` tokens that it shares."""
    whole = list(pieces[0])
    for piece in pieces[1:]:
        if overlap:
            assert piece[:overlap] == whole[-overlap:]
        whole += piece[overlap:]
    return whole


# --- what comes out for a text that fits


@given(TEXTS)
def test_a_text_that_fits_is_read_as_transformers_reads_it(tokenizer: Tokenizer, theirs: Any, text: str) -> None:
    (tokens,) = tokenizer.encode([text], max_tokens=512)
    wanted = theirs(text, return_token_type_ids=True)
    assert tokens.input_ids.tolist() == wanted["input_ids"]
    assert tokens.token_type_ids.tolist() == wanted["token_type_ids"]
    assert (tokens.row, tokens.truncated_tokens) == (0, 0)
    assert tokens.input_ids.dtype == np.int32
    assert len(tokens) == len(wanted["input_ids"]) == tokenizer.lengths([text])[0]


@given(PAIRS)
def test_a_pair_that_fits_is_read_as_transformers_reads_it(
    tokenizer: Tokenizer, theirs: Any, pair: tuple[str, str]
) -> None:
    (tokens,) = tokenizer.encode([pair[0]], [pair[1]], max_tokens=512)
    assume(pair[1])  # transformers takes an empty second text for none
    wanted = theirs(*pair, return_token_type_ids=True)
    assert tokens.input_ids.tolist() == wanted["input_ids"]
    assert tokens.token_type_ids.tolist() == wanted["token_type_ids"]
    assert len(tokens) == tokenizer.lengths([pair[0]], [pair[1]])[0]


@pytest.mark.parametrize(
    "processor",
    [
        None,
        processors.BertProcessing(("</s>", 1), ("<s>", 0)),
        processors.RobertaProcessing(("</s>", 1), ("<s>", 0)),
        processors.TemplateProcessing("$A:2 </s> <s>:3", "$A:2 </s> $B:1 <s>:3", [("<s>", 0), ("</s>", 1)]),
    ],
)
@pytest.mark.parametrize("pair", [None, "z", "z y z y", ""])
def test_special_tokens_stand_where_the_tokenizer_puts_them(tmp_path: Path, processor: Any, pair: str | None) -> None:
    fast = FastTokenizer(models.BPE({"<s>": 0, "</s>": 1, "y": 2, "z": 3}, []))  # which reads nothing of other letters
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    if processor is not None:
        fast.post_processor = processor
    fast.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    for text in ("y y z", "z", ""):
        (tokens,) = tokenizer.encode([text], None if pair is None else [pair], max_tokens=64)
        wanted = fast.encode(text, pair)
        assert tokens.input_ids.tolist() == wanted.ids
        assert tokens.token_type_ids.tolist() == wanted.type_ids


def test_nothing_is_unknown_to_the_tiny_tokenizer(tokenizer: Tokenizer) -> None:
    (tokens,) = tokenizer.encode([string.printable], max_tokens=512)
    assert tokenizer.token_id("[UNK]") not in tokens.input_ids.tolist()


@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(3, 40), st.sampled_from(["truncate", "window"]))
def test_one_text_reads_as_it_does_among_others(
    tokenizer: Tokenizer, texts: list[str], max_tokens: int, on_long: OnLong
) -> None:
    together = tokenizer.encode(texts, max_tokens=max_tokens, on_long=on_long)
    assert [t.row for t in together] == sorted(t.row for t in together)
    for row, text in enumerate(texts):
        alone = tokenizer.encode([text], max_tokens=max_tokens, on_long=on_long)
        among = [t for t in together if t.row == row]
        assert [t.input_ids.tolist() for t in among] == [t.input_ids.tolist() for t in alone]
        assert [t.truncated_tokens for t in among] == [t.truncated_tokens for t in alone]


def test_no_texts_are_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([], max_tokens=8) == []
    assert tokenizer.encode([], [], max_tokens=8, on_long="window") == []
    assert tokenizer.lengths([]) == []


# --- truncate


@given(TEXTS, st.integers(3, 40))
def test_truncation_is_that_of_transformers_and_counted(
    tokenizer: Tokenizer, theirs: Any, text: str, max_tokens: int
) -> None:
    (tokens,) = tokenizer.encode([text], max_tokens=max_tokens)
    wanted = theirs(text, truncation="longest_first", max_length=max_tokens)
    assert tokens.input_ids.tolist() == wanted["input_ids"]
    assert tokens.truncated_tokens == max(0, tokenizer.lengths([text])[0] - max_tokens)


@given(PAIRS, st.integers(5, 40))
def test_truncation_of_a_pair_cuts_the_longer_text_first(
    tokenizer: Tokenizer, fast: FastTokenizer, pair: tuple[str, str], max_tokens: int
) -> None:
    (tokens,) = tokenizer.encode([pair[0]], [pair[1]], max_tokens=max_tokens)
    first, second = content(fast, pair[0]), content(fast, pair[1])
    kept_first, kept_second = (
        split_pair(tokens) if second else (tokens.input_ids.tolist()[1 : 1 + min(len(first), max_tokens - 3)], [])
    )
    room = max_tokens - 3
    assert kept_first == first[: len(kept_first)]
    assert kept_second == second[: len(kept_second)]
    assert len(kept_first) + len(kept_second) == min(len(first) + len(second), room)
    assert tokens.truncated_tokens == len(first) + len(second) - len(kept_first) - len(kept_second)
    cut_first, cut_second = len(kept_first) < len(first), len(kept_second) < len(second)
    if cut_first and cut_second:
        assert abs(len(kept_first) - len(kept_second)) <= 1
    elif cut_first:
        assert len(kept_first) >= len(kept_second) - 1
    elif cut_second:
        assert len(kept_second) >= len(kept_first) - 1


# --- window


@given(TEXTS, st.integers(3, 40))
def test_windows_cover_every_token_and_overlap_by_a_quarter(
    tokenizer: Tokenizer, fast: FastTokenizer, text: str, max_tokens: int
) -> None:
    windows = tokenizer.encode([text], max_tokens=max_tokens, on_long="window")
    assert all(len(w) <= max_tokens for w in windows)
    assert all(w.truncated_tokens == 0 and w.row == 0 for w in windows)
    assert all(w.input_ids[0] == fast.token_to_id("[CLS]") for w in windows)
    assert all(w.input_ids[-1] == fast.token_to_id("[SEP]") for w in windows)
    room = max_tokens - 2
    overlap = int(room * WINDOW_OVERLAP)
    pieces = [w.input_ids.tolist()[1:-1] for w in windows]
    assert joined(pieces, overlap) == content(fast, text)
    assert all(len(piece) == room for piece in pieces[:-1])
    assert len(pieces) == 1 or len(pieces[-1]) > overlap  # none that only repeats its neighbour


@given(PAIRS, st.integers(5, 40))
def test_windows_of_a_pair_slide_the_longer_text_past_the_other(
    tokenizer: Tokenizer, fast: FastTokenizer, pair: tuple[str, str], max_tokens: int
) -> None:
    texts = content(fast, pair[0]), content(fast, pair[1])
    windows = tokenizer.encode([pair[0]], [pair[1]], max_tokens=max_tokens, on_long="window")
    assert all(len(w) <= max_tokens for w in windows)
    room = max_tokens - 3
    if len(texts[0]) + len(texts[1]) <= room:
        assert len(windows) == 1
        return
    sliding = 0 if len(texts[0]) >= len(texts[1]) else 1
    standing = texts[1 - sliding][: room // 2]
    assert all(w.truncated_tokens == len(texts[1 - sliding]) - len(standing) for w in windows)
    if not texts[1]:
        pieces = [w.input_ids.tolist()[1:-2] for w in windows]
    else:
        halves = [split_pair(w) for w in windows]
        assert all(half[1 - sliding] == standing for half in halves)
        pieces = [half[sliding] for half in halves]
    assert joined(pieces, int((room - len(standing)) * WINDOW_OVERLAP)) == texts[sliding]


def test_a_text_that_just_fits_is_one_window(tokenizer: Tokenizer) -> None:
    text = "good " * 10
    assert len(tokenizer.encode([text], max_tokens=12, on_long="window")) == 1
    first, second = tokenizer.encode([text], max_tokens=11, on_long="window")
    assert (len(first), len(second)) == (11, 5)  # nine tokens; then two shared ones and the tenth


# --- error


def test_too_long_names_every_row(tokenizer: Tokenizer) -> None:
    texts = ["good " * 5, "good " * 9, "good", "bad " * 30]
    with pytest.raises(TooLong) as raised:
        tokenizer.encode(texts, max_tokens=8, on_long="error")
    message = str(raised.value)
    assert "text 2 (9 tokens), text 4 (30 tokens)" in message
    assert "8 tokens" in message
    assert "6 beside special tokens" in message
    assert "text 1" not in message
    assert "text 3" not in message
    assert "--on-long truncate" in message
    assert "more" not in message


def test_too_long_stops_listing_after_twenty(tokenizer: Tokenizer) -> None:
    with pytest.raises(TooLong, match=r"text 20 \(9 tokens\) and 5 more") as raised:
        tokenizer.encode(["good " * 9] * 25, max_tokens=8, on_long="error")
    assert "text 21" not in str(raised.value)


def test_too_long_counts_both_texts_of_a_pair(tokenizer: Tokenizer) -> None:
    texts = ["good bad", "good bad fine"]
    assert len(tokenizer.encode(texts, ["dull", "fine"], max_tokens=7, on_long="error")) == 2
    with pytest.raises(TooLong, match=r"text 2 \(4 tokens\)"):
        tokenizer.encode(texts, ["dull", "fine"], max_tokens=6, on_long="error")


# --- what is refused


def test_an_unknown_policy_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match=r"'cut'.*error.*truncate.*window"):
        tokenizer.encode(["good"], max_tokens=8, on_long="cut")  # type: ignore[arg-type]


def test_room_for_special_tokens_alone_is_refused(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(["good"], max_tokens=3)) == 1
    with pytest.raises(UsageError, match="max_tokens 2"):
        tokenizer.encode(["good"], max_tokens=2)
    assert len(tokenizer.encode(["good"], ["bad"], max_tokens=5)) == 1
    with pytest.raises(UsageError, match="max_tokens 4"):
        tokenizer.encode(["good"], ["bad"], max_tokens=4)


@pytest.mark.parametrize("written", [None, "{", '{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer_is_a_bundle_error(tmp_path: Path, written: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if written is not None:
        path.write_text(written)
    with pytest.raises(BundleError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer(path)


# --- stored settings


def test_stored_truncation_and_padding_are_switched_off(
    tokenizer: Tokenizer, fast: FastTokenizer, tmp_path: Path
) -> None:
    changed = FastTokenizer.from_str(fast.to_str())
    changed.enable_truncation(6, stride=1)
    changed.enable_padding(length=20, direction="left")
    changed.save(str(tmp_path / "tokenizer.json"))
    other = Tokenizer(tmp_path / "tokenizer.json")
    texts = ["good", "a long and rather tedious film, but wonderful music"]
    assert other.lengths(texts) == tokenizer.lengths(texts)
    policies: tuple[OnLong, ...] = ("truncate", "window")
    for policy in policies:
        got = other.encode(texts, max_tokens=8, on_long=policy)
        wanted = tokenizer.encode(texts, max_tokens=8, on_long=policy)
        assert [t.input_ids.tolist() for t in got] == [t.input_ids.tolist() for t in wanted]


def test_the_vocabulary_is_told(tokenizer: Tokenizer, fast: FastTokenizer) -> None:
    assert tokenizer.vocabulary_size == fast.get_vocab_size()
    assert tokenizer.token_id("[PAD]") == 0
    assert tokenizer.token_id("no such entry") is None
