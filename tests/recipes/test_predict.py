from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import limbeck
from limbeck.errors import DataError, TooLong, UsageError
from limbeck.measure import usable_cpus
from limbeck.predictor import Predictor, Prepared, Text
from limbeck.tasks import Result
from limbeck.tasks.records import to_record
from limbeck.text import OnLong, Tokens

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)

# Of many lengths, so that batches by length must be put back into order.
TEXTS = [f"film {n} was {'good and bright ' * (n % 5)}{'dull ' * (n % 3)}" for n in range(17)]
LONG = "a good film " * 30


def records(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            separator = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return path


def answers(bundle: Path, texts: list[Any], **how: Any) -> list[Result]:
    return limbeck.load(bundle, threads=1).predict(texts, **how)


def plain(value: object) -> object:
    """A value as CSV writes it."""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv", "out.parquet"])
@pytest.mark.parametrize("source", ["in.csv", "in.tsv", "in.jsonl", "in.parquet"])
def test_from_every_format_to_every_format(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, output: str
) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 4)
    rows = [{"id": f"row {number}", "text": text, "label": "mine"} for number, text in enumerate(TEXTS)]
    done = limbeck.predict(classify_bundle, input=write(tmp_path / source, rows), output=tmp_path / output, threads=1)
    assert (done.rows, done.skipped_rows, done.output) == (17, 0, str(tmp_path / output))
    expected = [row | to_record(result) for row, result in zip(rows, answers(classify_bundle, TEXTS), strict=True)]
    found = records(tmp_path / output)
    assert [list(row) for row in found] == [list(row) for row in expected]
    for got, wanted in zip(found, expected, strict=True):
        score, near = float(got.pop("prediction_score")), wanted.pop("prediction_score")
        assert score == pytest.approx(near, abs=2e-6)
        assert got == (wanted if not output.endswith("csv") else {k: plain(v) for k, v in wanted.items()})


@pytest.mark.parametrize("kind", ["classify", "multilabel", "regress"])
def test_arguments_give_what_the_library_gives(request: pytest.FixtureRequest, kind: str, command: Command) -> None:
    bundle: Path = request.getfixturevalue(f"{kind}_bundle")
    ran = command("predict", bundle, *TEXTS[:3], "--scores", "--threads", 1)
    expected = [
        {"text": text, **to_record(result, scores=True)}
        for text, result in zip(TEXTS, answers(bundle, TEXTS[:3]), strict=False)
    ]
    assert ran.code == 0
    assert [json.loads(line) for line in ran.out.splitlines()] == expected
    assert ran.err == ""


@pytest.mark.parametrize("words", [[], ["-"], ["-", "--threads", "1"], ["--no-scores", "-"]])
def test_standard_input(
    classify_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    content = "a fine film\r\ncafé\u2028bar\na dull one".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    ran = command("predict", classify_bundle, *words)
    texts = [json.loads(line)["text"] for line in ran.out.strip().split("\n")]
    assert texts == ["a fine film", "café\u2028bar", "a dull one"]


def test_standard_input_says_which_lines_are_bad(
    classify_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"fine\n\nfine\ncaf\xe9\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    ran = command("predict", classify_bundle)
    assert (ran.code, ran.out) == (2, "")
    assert "standard input, line 2 is empty" in ran.err
    assert "standard input, line 4 is not valid UTF-8: byte 0xe9 at character 4" in ran.err
    assert "A file may hold bad rows: --input FILE --skip-bad-rows" in ran.err


def test_a_bad_argument_is_not_told_of_files(classify_bundle: Path, command: Command) -> None:
    ran = command("predict", classify_bundle, "")
    assert (ran.code, ran.out, ran.err) == (2, "", "limbeck: text 1 is empty: ''\n")


def test_a_table_for_people(classify_bundle: Path, command: Command) -> None:
    ran = command("predict", classify_bundle, "a [b]fine[/b] film", "[/]", "--format", "table")
    assert ran.code == 0
    assert {"text", "prediction"} <= set(ran.out.splitlines()[1].split())
    assert "a [b]fine[/b] film" in ran.out
    assert "[/]" in ran.out
    assert "…" in command("predict", classify_bundle, "x " * 100, "--format", "table").out
    scored = command("predict", classify_bundle, "a film", "--format", "table", "--scores").out
    assert re.search(r"negative 0\.\d{3}", scored)


def test_the_same_answer_alone_and_among_many(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [{"text": text} for text in TEXTS])
    assert command("predict", classify_bundle, "--input", source, "--output", tmp_path / "out.jsonl").code == 0
    for text, row in zip(TEXTS, records(tmp_path / "out.jsonl"), strict=True):
        alone = json.loads(command("predict", classify_bundle, "--", text).out)
        assert alone.pop("prediction_score") == pytest.approx(row.pop("prediction_score"), abs=2e-6)
        assert alone == row


def test_a_variant_by_name(classify_bundle: Path, tmp_path: Path) -> None:
    done = limbeck.predict(
        classify_bundle, "a fine film", variant="onnx-int8", output=tmp_path / "out.jsonl", threads=1
    )
    assert done.variant == "onnx-int8"
    (result,) = limbeck.load(classify_bundle, variant="onnx-int8", threads=1).predict(["a fine film"])
    assert records(tmp_path / "out.jsonl") == [{"text": "a fine film", **to_record(result)}]


def test_more_threads_than_cpus_are_said(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    allowed = usable_cpus()
    words = ("predict", classify_bundle, "a fine film", "--output", tmp_path / "out.jsonl", "--threads")
    more = command(*words, allowed + 1)
    assert f"{allowed + 1} threads on {allowed} CPUs wait for one another: take --threads {allowed}." in more.err
    assert "wait for one another" not in command(*words, allowed).err


def test_cut_texts_are_counted_and_said(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [{"text": text} for text in ("short", LONG, LONG)])
    ran = command("predict", classify_bundle, "--input", source, "--output", tmp_path / "out.jsonl")
    assert ran.err.startswith("3 texts in")
    assert command("predict", classify_bundle, LONG).err.startswith("1 text in")
    assert ", 2 cut" in ran.err
    first, second, _ = records(tmp_path / "out.jsonl")
    (result,) = answers(classify_bundle, [LONG])
    assert (first["truncated_tokens"], second["truncated_tokens"]) == (0, result.reading.truncated_tokens)
    assert result.reading.truncated_tokens > 0


def test_long_texts_are_read_in_windows(classify_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [{"text": text} for text in ("short", LONG)])
    out = tmp_path / "out.jsonl"
    done = limbeck.predict(classify_bundle, input=source, output=out, on_long="window", threads=1)
    assert (done.windowed_rows, done.truncated_rows) == (1, 0)
    expected = answers(classify_bundle, ["short", LONG], on_long="window")
    assert [row["windows"] for row in records(out)] == [result.reading.windows for result in expected]
    assert records(out)[1]["windows"] > 1


def test_long_texts_are_refused_by_their_rows(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 4)
    texts = ["short"] * 5 + [LONG, "short", LONG]
    source = write(tmp_path / "in.csv", [{"text": text} for text in texts])
    with pytest.raises(TooLong) as caught:
        limbeck.predict(classify_bundle, input=source, output=tmp_path / "out.jsonl", on_long="error", threads=1)
    # Lines of the file, its header being the first: not places in a chunk.
    assert "in.csv, line 7 (92 tokens), in.csv, line 9 (92 tokens)" in str(caught.value)
    assert "`--on-long truncate` or `--on-long window`" in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_fewer_tokens_may_be_read(classify_bundle: Path, tmp_path: Path) -> None:
    done = limbeck.predict(classify_bundle, "a b c d e f g h i j", output=tmp_path / "o.csv", max_tokens=8, threads=1)
    assert done.truncated_rows == 1


def test_bad_rows_are_an_error_before_anything_is_answered(classify_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\n{"text": ""}\n{"text": "fine"}\n{"text": \n')
    with pytest.raises(DataError) as caught:
        limbeck.predict(classify_bundle, input=source, output=tmp_path / "out.csv", threads=1)
    assert "2 rows cannot be used" in str(caught.value)
    assert "in.jsonl, line 2: the text in 'text' is empty" in str(caught.value)
    assert "in.jsonl, line 4: not valid JSON" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_bad_rows_are_left_out_on_request(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "answers.csv"
    source.write_text('{"text": "fine"}\n{"text": ""}\n{"text": "dull"}\n{"text": \n')
    ran = command("predict", classify_bundle, "--input", source, "--output", out, "--skip-bad-rows")
    assert ran.code == 0
    assert "left out as bad: 2" in ran.err
    assert [row["text"] for row in records(out)] == ["fine", "dull"]
    skipped = records(tmp_path / "answers-skipped.jsonl")
    assert [(row["row"], row["file"]) for row in skipped] == [(2, "in.jsonl"), (4, "in.jsonl")]


def test_without_an_output_skipped_rows_lie_beside_the_input(
    classify_bundle: Path, command: Command, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\n{"text": ""}\n')
    assert command("predict", classify_bundle, "--input", source, "--skip-bad-rows").code == 0
    assert [row["row"] for row in records(tmp_path / "in-skipped.jsonl")] == [2]


def test_pairs(pair_bundle: Path, command: Command, tmp_path: Path) -> None:
    pairs = [("a good film", "a bad one"), ("a dull plot", "an awful book")]
    expected = [
        {"text": a, "pair": b, **to_record(result)}
        for (a, b), result in zip(pairs, answers(pair_bundle, pairs), strict=True)
    ]
    words = [f"{a} ||| {b}" for a, b in pairs]
    ran = command("predict", pair_bundle, *words, "--pair-separator", "|||", "--threads", 1)
    assert [json.loads(line) for line in ran.out.splitlines()] == expected

    columns = {
        ("sentence1", "sentence2"): [],
        ("one", "two"): ["--text", "one", "--pair", "two"],
        ("text", "two"): ["--pair", "two"],
    }
    for (first, second), flags in columns.items():
        source = write(tmp_path / "in.csv", [{first: a, second: b} for a, b in pairs])
        ran = command("predict", pair_bundle, "--input", source, *flags, "--threads", 1)
        found = [json.loads(line) for line in ran.out.splitlines()]
        assert [row["prediction"] for row in found] == [row["prediction"] for row in expected], ran.err

    source = write(tmp_path / "in.csv", [{"text": text} for text in words])
    ran = command("predict", pair_bundle, "--input", source, "--pair-separator", "|||", "--threads", 1)
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]


def test_a_file_of_single_texts_for_a_model_of_pairs(pair_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [{"text": "alone"}])
    with pytest.raises(UsageError, match=r"reads pairs, and in.csv has one text a row: .* --pair"):
        limbeck.predict(pair_bundle, input=source, threads=1)


def test_a_model_of_single_texts_reads_the_first_of_two_columns(classify_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [{"sentence1": "a fine film", "sentence2": "a dull one"}])
    limbeck.predict(classify_bundle, input=source, output=tmp_path / "out.jsonl", threads=1)
    (result,) = answers(classify_bundle, ["a fine film"])
    assert records(tmp_path / "out.jsonl")[0]["prediction"] == to_record(result)["prediction"]


def test_the_columns_of_the_training_are_looked_for(reviews_csv: Path, tmp_path: Path, own_bundle: Path) -> None:
    manifest = json.loads((own_bundle / "limbeck.json").read_text())
    manifest["source"]["columns"]["text"] = "Says"
    (own_bundle / "limbeck.json").write_text(json.dumps(manifest))
    source = write(tmp_path / "in.csv", [{"text": "not this", "Says": "a fine film"}])
    limbeck.predict(own_bundle, input=source, output=tmp_path / "out.jsonl", threads=1)
    (expected,) = answers(own_bundle, ["a fine film"])
    (found,) = records(tmp_path / "out.jsonl")
    assert found["prediction_score"] == to_record(expected)["prediction_score"]
    limbeck.predict(own_bundle, input=source, text="text", output=tmp_path / "out.jsonl", threads=1)
    (expected,) = answers(own_bundle, ["not this"])
    assert records(tmp_path / "out.jsonl")[0]["prediction_score"] == to_record(expected)["prediction_score"]


def test_a_failing_run_leaves_the_old_output(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 4)
    source = write(tmp_path / "in.csv", [{"text": text} for text in TEXTS])
    calls = []

    def fail_late(result: Result, *, scores: bool) -> dict[str, object]:
        calls.append(result)
        if len(calls) > 10:
            raise KeyboardInterrupt
        return to_record(result, scores=scores)

    monkeypatch.setattr("limbeck.recipes.predict.to_record", fail_late)
    for name in ("out.jsonl", "out.csv", "out.parquet"):
        calls.clear()
        old = tmp_path / name
        old.write_bytes(b"of the run before")
        with pytest.raises(KeyboardInterrupt):
            limbeck.predict(classify_bundle, input=source, output=old, threads=1)
        assert old.read_bytes() == b"of the run before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.jsonl", "out.csv", "out.parquet"}


def test_rows_of_many_kinds(classify_bundle: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    rows: list[dict[str, Any]] = [{"text": "a", "n": 1}, {"text": "b", "n": None, "more": ["x", "ü"]}, {"text": "c"}]
    write(source, rows)
    for suffix in ("jsonl", "csv", "parquet"):
        limbeck.predict(classify_bundle, input=source, output=out.with_suffix(f".{suffix}"), threads=1)
    assert [row.get("more") for row in records(out.with_suffix(".jsonl"))] == [None, ["x", "ü"], None]
    assert [row["more"] for row in records(out.with_suffix(".csv"))] == ["", '["x", "ü"]', ""]
    assert [row["more"] for row in records(out.with_suffix(".parquet"))] == [None, ["x", "ü"], None]


@pytest.mark.parametrize(
    ("later", "output", "message"),
    [
        ({"text": "b", "more": 1}, "out.csv", "a row has 'more', which the first rows have not"),
        ({"text": "b", "more": 1}, "out.parquet", "a row has 'more', which the first rows have not"),
        ({"text": "b", "n": "one"}, "out.parquet", "holds values of several kinds"),
    ],
)
def test_rows_that_the_output_cannot_hold(
    classify_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    later: dict[str, Any],
    output: str,
    message: str,
) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 1)
    source = write(tmp_path / "in.jsonl", [{"text": "a", "n": 1}, later])
    with pytest.raises(DataError, match=message) as caught:
        limbeck.predict(classify_bundle, input=source, output=tmp_path / output, threads=1)
    assert "write a .jsonl file" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_not_a_number_is_null_in_json(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"text": "a", "n": float("nan")}, {"text": "b", "n": 1.5}])
    ran = command("predict", classify_bundle, "--input", source)
    assert [json.loads(line, parse_constant=pytest.fail)["n"] for line in ran.out.splitlines()] == [None, 1.5]


def test_a_folder_of_texts(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("b", "a"):
        (tmp_path / "texts" / f"{name}.txt").write_text(f"a fine {name}")
    ran = command("predict", classify_bundle, "--input", tmp_path / "texts")
    assert [json.loads(line)["file"] for line in ran.out.splitlines()] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "says"}, "--text, --pair and --skip-bad-rows are for files"),
        ({"skip_bad_rows": True}, "--text, --pair and --skip-bad-rows are for files"),
        ({"pair_separator": "|"}, "this model reads one text a row, no pairs"),
        ({"format": "parquet"}, "Parquet cannot go to standard output"),
        ({"max_tokens": 7}, "--max-tokens 7: expected 8 to 64"),
    ],
)
def test_arguments_that_do_not_fit(classify_bundle: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        limbeck.predict(classify_bundle, "a text", **arguments)


def test_a_broken_character_in_an_argument(classify_bundle: Path, command: Command) -> None:
    ran = command("predict", classify_bundle, "fine", "caf\udce9", "")
    assert (ran.code, ran.out) == (2, "")
    assert "text 2 is not valid UTF-8: byte 0xe9 at character 4" in ran.err
    assert "text 3 is empty" in ran.err


def test_a_text_may_end_as_the_names_of_files_do_and_be_longer(classify_bundle: Path, tmp_path: Path) -> None:
    done = limbeck.predict(classify_bundle, LONG + "as in.csv", output=tmp_path / "out.jsonl", threads=1)
    assert done.rows == 1


def test_the_next_rows_are_tokenised_while_these_are_computed(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 4)
    prepare, logits = Predictor.prepare, Predictor.logits
    prepared, second = list[threading.Thread](), threading.Event()

    def note(self: Predictor, texts: Sequence[Text], *, on_long: OnLong | None = None) -> Prepared:
        prepared.append(threading.current_thread())
        if len(prepared) == 2:
            second.set()
        return prepare(self, texts, on_long=on_long)

    def wait(self: Predictor, tokens: Sequence[Tokens], **said: Any) -> Any:
        assert second.wait(20)  # without a thread of its own it would never come
        return logits(self, tokens, **said)

    monkeypatch.setattr(Predictor, "prepare", note)
    monkeypatch.setattr(Predictor, "logits", wait)
    path, out = tmp_path / "texts.csv", tmp_path / "answers.jsonl"
    path.write_text("text\n" + "".join(f"a good film {n}\n" for n in range(10)))
    assert limbeck.predict(classify_bundle, input=path, output=out, threads=1).rows == 10
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == [
        f"a good film {n}" for n in range(10)
    ]
    assert threading.main_thread() not in prepared
