from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import Splits, load_splits, stream_input
from limbeck.data.problems import RowProblem
from limbeck.data.spans import from_spans, from_tags, join_words
from limbeck.errors import DataError

WORDS = ["Anna", "Maria", "met", "Bob", "in", "New", "York", "."]
TEXT, PLACES = join_words(WORDS, "tokens")
WANTED = ((0, 10, "PER"), (15, 18, "PER"), (22, 30, "LOC"))


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-PER I-PER O B-PER O B-LOC I-LOC O", "IOB2"),
        ("I-PER I-PER O I-PER O I-LOC I-LOC O", "IOB1"),
        ("B-PER E-PER O S-PER O B-LOC E-LOC O", "BIOES"),
        ("B-PER L-PER O U-PER O B-LOC L-LOC O", "BIOES"),
        ("b-PER i-PER _ b-PER O b-LOC i-LOC O", "IOB2"),
    ],
)
def test_every_scheme_spells_the_same_entities(tags: str, scheme: str) -> None:
    found = from_tags(tags.split(), PLACES)
    assert found.spans == WANTED
    assert found.scheme == scheme


def test_neighbours_are_told_apart_by_each_scheme() -> None:
    words = [(0, 1), (2, 3), (4, 5)]
    for tags in ("B-X B-X I-X", "I-X B-X I-X", "S-X B-X E-X"):
        assert from_tags(tags.split(), words).spans == ((0, 1, "X"), (2, 5, "X")), tags
    assert from_tags(["I-X", "I-Y", "I-Y"], words).spans == ((0, 1, "X"), (2, 5, "Y"))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([{"start": 22, "end": 30, "label": "LOC"}, {"start": 0, "end": 10, "type": "PER"}], WANTED[::2]),
        ([[15, 18, "PER"]], WANTED[1:2]),
        ([], ()),
    ],
)
def test_lists_of_spans(values: list[Any], wanted: tuple[object, ...]) -> None:
    assert from_spans(values, TEXT).spans == wanted


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"start": 0, "end": 99, "label": "X"}], r"is no span of the text's 32 characters"),
        ([{"start": 0, "end": 10**400, "label": "X"}], "is no span"),
        ([{"start": 0, "end": float("inf"), "label": "X"}], "neither"),
        ([{"start": 4, "end": 4, "label": "X"}], "is no span"),
        ([{"start": 4, "end": 5, "label": "X"}], "is no span"),  # white space
        ([{"start": 0.5, "end": 2, "label": "X"}], r"neither \{start, end, label\} nor"),
        ([{"start": 0, "end": 2}], "neither"),
        ([[0, 2]], "neither"),
        ([[0, 6, "A"], [3, 9, "B"]], "the entities 'A' up to 6 and 'B' from 3 overlap"),
    ],
)
def test_what_is_no_span(values: list[Any], message: str) -> None:
    with pytest.raises(RowProblem, match=message):
        from_spans(values, TEXT)


CONLL = "-DOCSTART- -X- O O\n\n" + "\n\n".join(
    f"Anna NNP B-NP B-PER\nmet{n} VBD B-VP O\nBob NNP B-NP B-PER" for n in range(40)
)


def entities(splits: Splits) -> set[object]:
    return {label for part in (splits.train, splits.dev, splits.test) for label in part.labels}


@pytest.mark.parametrize("name", ["a.conll", "a.iob", "a.bio"])
def test_conll(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CONLL)
    splits = load_splits(tmp_path / name)
    assert (splits.task, splits.labels) == ("tag", ("PER",))
    assert any("words have tags (IOB2)" in note for note in splits.notes)
    assert sum(map(len, (splits.train, splits.dev, splits.test))) == 40
    text = next(text for text in splits.train.texts if "met7 " in text or text)
    assert text.startswith("Anna met")
    label = splits.train.labels[splits.train.texts.index(text)]
    assert label == ((0, 4, "PER"), (len(text) - 3, len(text), "PER"))


def test_bad_lines_make_their_sentence_bad(tmp_path: Path) -> None:
    path = tmp_path / "bad.conll"
    path.write_text(CONLL + "\n\nalone\n\nAnna A B X-PER\nsees A B O\n\nBob A B C D O\n\nZoe A B-PER\n")
    with pytest.raises(DataError) as raised:
        load_splits(path)
    message = str(raised.value)
    assert "4 rows cannot be used" in message
    assert "bad.conll, line 163: line 163 has 1 columns, expected 2 to 4: 'alone'" in message
    assert "line 165: the tag 'X-PER' is neither O nor a label after B-, I-, E-, S-" in message
    assert "line 168: line 168 has 6 columns, expected 2 to 4" in message
    assert "line 170: line 170 has 3 columns, the lines before have 4" in message


def rows(form: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(40):
        words = [f"On{n}", *WORDS]
        text, places = join_words(words, "tokens")
        if form == "tokens":
            tags = ["O", *["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O"]]
            made.append({"tokens": words, "ner_tags": tags})
        else:
            spans = from_tags(["O", *["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O"]], places).spans
            made.append(
                {"text": text, "entities": [dict(zip(("start", "end", "label"), s, strict=True)) for s in spans]}
            )
    return made


def test_words_with_tags_and_texts_with_spans_are_the_same_data(tmp_path: Path) -> None:
    found = []
    for form in ("tokens", "spans"):
        path = tmp_path / f"{form}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(form)))
        found.append(load_splits(path))
    assert found[0].sha256 == found[1].sha256
    assert found[0].labels == ("LOC", "PER")
    assert found[0].task == found[1].task == "tag"
    assert any("the labels are spans of the text" in note for note in found[1].notes)


def as_numpy_prints(words: list[str]) -> str:
    return str(np.array(words, dtype=object))


@pytest.mark.parametrize("spell", [json.dumps, str, as_numpy_prints])
def test_lists_of_words_and_tags_that_a_csv_file_spells(tmp_path: Path, spell: Callable[[list[str]], str]) -> None:
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows("tokens")))
    path = tmp_path / "spelled.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["tokens", "ner_tags"])
        writer.writeheader()
        writer.writerows({name: spell(values) for name, values in row.items()} for row in rows("tokens"))
    found = load_splits(path)
    assert (found.task, found.sha256) == ("tag", load_splits(tmp_path / "lists.jsonl").sha256)
    assert next(stream_input(path)).text == "On0 Anna Maria met Bob in New York ."


def test_lists_of_spans_that_a_csv_file_spells(tmp_path: Path) -> None:
    made = [*rows("spans"), {"text": "Nobody was there.", "entities": []}]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    path = tmp_path / "spelled.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "entities"])
        writer.writeheader()
        writer.writerows(made)
    found = load_splits(path)
    assert (found.task, found.sha256) == ("tag", load_splits(tmp_path / "lists.jsonl").sha256)


def test_a_text_without_entities_needs_the_task_said_only_where_all_are_without(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    made = [*rows("spans"), {"text": "Nobody was there.", "entities": []}]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    assert () in entities(load_splits(path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "2 words have 1 tags, expected one a word"),
        ({"tokens": ["a", ""], "ner_tags": ["O", "O"]}, "word 2 in 'tokens' is ''"),
        ({"tokens": [], "ner_tags": []}, "'tokens' holds no word"),
        ({"tokens": ["a"], "ner_tags": [3]}, "the tag 3 is not a text such as O"),
        ({"tokens": ["a"], "ner_tags": "O"}, "neither a list of tags beside a list of words, nor a list of entities"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in [*rows("tokens"), row]))
    with pytest.raises(DataError, match="bad.jsonl, line 41: .*" + message):
        load_splits(path)
