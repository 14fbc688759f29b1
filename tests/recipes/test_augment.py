from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from conftest import BAD, GOOD, NEUTRAL, review
from limbeck.data import Columns, load_splits
from limbeck.data.carve import text_key
from limbeck.errors import BaseModelError, LimbeckError, UsageError
from limbeck.recipes.augment import augment
from limbeck.recipes.train import train
from limbeck.text.units import words

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles", "language_models")
pytestmark = pytest.mark.usefixtures("one_thread")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_rows_are_made_of_training_rows_alone(tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "more"
    done = augment(str(reviews_csv), out=out, base=str(tiny_base), copies=2)
    assert {path.name for path in out.iterdir()} == {"train.jsonl", "dev.jsonl", "test.jsonl"}
    before, after = load_splits(reviews_csv), load_splits(out, task=done.task)
    for name in ("dev", "test"):
        mine, theirs = getattr(after, name), getattr(before, name)
        assert (mine.texts, mine.labels) == (theirs.texts, theirs.labels)
    rows = read(out / "train.jsonl")
    there, made = [r for r in rows if r["made_by"] is None], [r for r in rows if r["made_by"]]
    assert [(r["text"], r["label"], r["from_row"]) for r in there] == list(
        zip(before.train.texts, before.train.labels, before.train.rows, strict=True)
    )
    source = {row["from_row"]: row for row in there}
    assert all(row["label"] == source[row["from_row"]]["label"] for row in made)
    held_out = {text_key(text, None) for text in (*before.dev.texts, *before.test.texts)}
    keys = [text_key(row["text"], None) for row in rows]
    assert not held_out & {*keys}
    assert len({*keys}) == len(keys)
    assert {row["made_by"] for row in made} == {"synonyms", "insert", "delete", "swap"}
    assert (done.train_rows, done.made_rows, done.dev_rows) == (len(there), len(made), len(before.dev))
    assert len(made) > 6 * len(there)
    assert not any("share a text" in note or "in train too" in note for note in after.notes)


def test_training_takes_the_folder_as_it_is(tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    done = augment(str(reviews_csv), out=tmp_path / "more", base=str(tiny_base), method=("delete",))
    bundle = train(
        done.folder,
        out=tmp_path / "model",
        base=str(tiny_base),
        task="classify",
        epochs=1,
        max_tokens=32,
        precision="fp32",
    )
    assert bundle.manifest.source.rows == {"train": done.train_rows + done.made_rows, "dev": 20, "test": 20}


def test_the_same_seed_gives_the_same_files(reviews_csv: Path, tiny_masked: Path, tmp_path: Path) -> None:
    said: dict[str, Any] = {"base": str(tiny_masked), "method": ("synonyms", "masked")}
    names = ("one", "same", "other")
    for name, more in zip(names, ({}, {"budget_tokens": 128}, {"seed": 1}), strict=True):
        augment(str(reviews_csv), out=tmp_path / name, **said, **more)
    one, same, other = ((tmp_path / name / "train.jsonl").read_bytes() for name in names)
    assert one == same
    assert one != other


def test_words_by_a_language_model_and_by_word_vectors(
    tiny_masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"the unheard film of {a} and {b},{label}" for label, a in (("x", "day"), ("y", "music")) for b in NEUTRAL]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows))
    (tmp_path / "vectors.txt").write_text("unheard 1 0\nquiet 1 0.1\ndull 0 1\n")
    said: dict[str, Any] = {"method": ("tinybert",), "base": str(tiny_masked), "copies": 4}
    done = augment(str(tmp_path / "rows.csv"), out=tmp_path / "near", word_vectors=tmp_path / "vectors.txt", **said)
    made = [row["text"].split() for row in read(tmp_path / "near" / "train.jsonl") if row["made_by"]]
    assert {words[1] for words in made} == {"unheard", "quiet", "dull"}
    assert len({words[2] for words in made}) > 4
    assert all(words[0] == "the" and words[3] == "of" for words in made)
    assert done.methods["tinybert"].attempts == 4 * done.train_rows
    assert "words of several pieces stay" not in capsys.readouterr().err
    augment(str(tmp_path / "rows.csv"), out=tmp_path / "alone", **said)
    assert {row["text"].split()[1] for row in read(tmp_path / "alone" / "train.jsonl")} == {"unheard"}
    assert "words of several pieces stay: --word-vectors FILE" in capsys.readouterr().err


def test_back_translation_through_two_models(reviews_csv: Path, tiny_translator: Path, tmp_path: Path) -> None:
    model = str(tiny_translator)
    done = augment(str(reviews_csv), out=tmp_path / "more", method=("back-translation",), there=model, back=model)
    counts = done.methods["back-translation"]
    made = [row for row in read(tmp_path / "more" / "train.jsonl") if row["made_by"]]
    assert len(made) == counts.made > 0
    assert counts.attempts == 160


@pytest.mark.parametrize("kind", ["multilabel", "regress", "pair", "tag"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_rows_of_every_task_come_back_as_they_were(
    kind: str, form: Any, tiny_base: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: Path = request.getfixturevalue("tag_jsonl" if kind == "tag" else f"{kind}_csv")
    columns = Columns(label_separator="|" if kind == "multilabel" else None)
    before, out = load_splits(data, columns), tmp_path / "more"
    said: dict[str, Any] = {"label_separator": columns.label_separator, "format": form, "base": str(tiny_base)}
    if kind == "tag" and form == "csv":
        with pytest.raises(UsageError, match="csv cannot hold entities"):
            augment(str(data), out=out, **said)
        return
    done = augment(str(data), out=out, **said)
    after = load_splits(out)
    assert (after.task, after.labels) == (before.task, before.labels) == (done.task, before.labels)
    for name in ("dev", "test"):
        mine, theirs = getattr(after, name), getattr(before, name)
        assert (mine.texts, mine.pairs, mine.labels) == (theirs.texts, theirs.pairs, theirs.labels)
    rows = zip(after.train.texts, after.train.pairs or [None] * len(after.train), after.train.labels, strict=True)  # type: ignore[arg-type]
    made = [*rows]
    old = zip(before.train.texts, before.train.pairs or [None] * len(before.train), before.train.labels, strict=True)  # type: ignore[arg-type]
    assert {*old} <= {*made}
    assert len(made) == done.train_rows + done.made_rows
    if kind == "tag":
        entities = [(text[a:b], label) for text, _, spans in made for a, b, label in spans]  # type: ignore[union-attr]
        assert {word for word, label in entities if label == "GOOD"} <= set(GOOD)
        assert {word for word, label in entities if label == "BAD"} <= set(BAD)
        assert all([a, b] in words(text).tolist() for text, _, spans in made for a, b, _ in spans)  # type: ignore[union-attr]


def test_given_splits_stay_and_may_hold_the_made_text(tiny_base: Path, tmp_path: Path) -> None:
    choose = random.Random(1)
    folder = tmp_path / "given"
    folder.mkdir()
    rows = [(review(choose, GOOD if n % 2 else BAD), "ab"[n % 2]) for n in range(40)]
    # Every text that a deletion in the first row can make is a dev row.
    first = "good film day"
    tests = [("film day", "a"), ("good day", "b"), ("good film", "a"), ("good", "b"), ("film", "a"), ("day", "b")]
    for name, part in {"train": [(first, "a"), *rows], "dev": tests, "test": tests}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])
    done = augment(str(folder), out=tmp_path / "more", method=("delete",), copies=5)
    assert done.methods["delete"].held_out == 5
    assert all(row["from_row"] != 2 for row in read(tmp_path / "more" / "train.jsonl") if row["made_by"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"out": "more.jsonl"}, "expected a folder. One file would be split again"),
        ({"out": "."}, "exists: choose another"),
        ({"method": ("back-translation",)}, "--there MODEL --back MODEL"),
        ({"there": "model"}, "are for --method back-translation"),
        ({"method": ("swap",), "word_vectors": Path("x")}, "--word-vectors are for"),
        ({"method": ("back-translation",), "there": "a", "back": "b", "beams": 2, "copies": 2}, "one best translation"),
        ({"sides": "first"}, "is for pairs"),
        ({"share": 0.0, "copies": 0}, "--copies 0: expected 1 or more; --share 0"),
        ({"method": ()}, "no --method"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    said: dict[str, Any], message: str, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    with pytest.raises(UsageError, match=message):
        augment(str(reviews_csv), **{"out": "more", **said})
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_entities_do_not_survive_translation(tag_jsonl: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="loses the places of entities"):
        augment(str(tag_jsonl), out=tmp_path / "more", method=("back-translation",), there="a", back="b")


def test_answers_would_lose_their_places(tmp_path: Path) -> None:
    rows = [{"question": f"who is {n}", "context": f"it is {n} here", "answers": str(n)} for n in range(40)]
    data = tmp_path / "questions.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    with pytest.raises(UsageError, match="the places of the answers would be lost"):
        augment(str(data), out=tmp_path / "more", method=("swap",))


def test_made_rows_are_not_made_of_again(tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    augment(str(reviews_csv), out=tmp_path / "more", method=("swap",))
    with pytest.raises(UsageError, match="was written by limbeck augment"):
        augment(str(tmp_path / "more"), out=tmp_path / "again", method=("swap",))


@pytest.mark.parametrize("method", ["masked", "tinybert"])
def test_a_base_without_a_head_leaves_nothing(method: Any, tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no masked-language-model head"):
        augment(str(reviews_csv), out=tmp_path / "more", method=(method,), base=str(tiny_base))
    assert not any(tmp_path.iterdir())


def test_command_line(command: Command, reviews_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "more"
    ran = command(
        "augment", str(reviews_csv), "--out", str(out), "--method", "swap", "--method", "delete", "--format", "parquet"
    )
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == f"next: limbeck train {out} --task classify --out model"
    assert "swap: " in ran.err
    assert set(pq.read_table(out / "train.parquet")["made_by"].to_pylist()) == {None, "swap", "delete"}
    ran = command("augment", str(reviews_csv), "--out", str(out), "--json")
    assert (ran.code, "exists: choose another" in ran.err) == (LimbeckError.exit_code, True)
