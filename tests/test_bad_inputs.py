"""What users get wrong, through the command line: one message that says what to do, and nothing left on disk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed")

Content = str | bytes | Callable[[Path], None]
GOOD = "text,label\n" + "".join(f"this film was good {n},positive\nthis film was bad {n},negative\n" for n in range(30))
TRAIN = "train in.csv --out out --base {base} --epochs 1 --precision fp32"
LONG = "a good film " * 40


@dataclass(frozen=True)
class Bad:
    """`line` is the command, in a folder that holds `files`; the message has all of `says` in it."""

    line: str
    says: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=lambda: {"in.csv": GOOD})


def rows(*more: str) -> dict[str, Content]:
    return {"in.csv": GOOD + "".join(f"{row}\n" for row in more)}


def no_label_folders(path: Path) -> None:
    path.mkdir()
    (path / "notes.md").write_text("nothing to learn from")


def change_manifest(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        manifest = json.loads((path / "limbeck.json").read_text())
        (path / "limbeck.json").write_text(json.dumps(manifest | changes))

    return change


def name_columns(**columns: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        manifest = json.loads((path / "limbeck.json").read_text())
        manifest["source"]["columns"] |= columns
        (path / "limbeck.json").write_text(json.dumps(manifest))

    return change


def damage(path: Path) -> None:
    graph = path / "onnx/model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)


def truncate(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


FILES = {
    "missing": Bad(TRAIN, ("in.csv does not exist; did you mean inn.csv?",), {"inn.csv": GOOD}),
    "empty": Bad(TRAIN, ("in.csv is empty",), {"in.csv": ""}),
    "header only": Bad(TRAIN, ("in.csv holds a header and no rows",), {"in.csv": "text,label\n"}),
    "folder without data": Bad(
        TRAIN.replace("in.csv", "in"),
        ("in holds neither files named train, dev", "nor a folder of .txt files for each label"),
        {"in": no_label_folders},
    ),
    "unknown suffix": Bad(
        TRAIN.replace("in.csv", "in.xlsx"),
        ("in.xlsx has no suffix that says its format; expected one of .csv, .tsv",),
        {"in.xlsx": "PK"},
    ),
    "UTF-16": Bad(TRAIN, ("in.csv is UTF-16, expected UTF-8. Convert it: iconv",), {"in.csv": GOOD.encode("utf-16")}),
    "not parquet": Bad(TRAIN.replace("csv", "parquet"), ("in.parquet is not a parquet file",), {"in.parquet": GOOD}),
    "to predict, missing": Bad("predict {model} --input none.csv", ("none.csv does not exist",)),
    "to predict, empty": Bad("predict {model} --input in.csv --output out.csv", ("in.csv is empty",), {"in.csv": ""}),
}
COLUMNS = {
    "no text": Bad(
        TRAIN,
        ("no column with a usual name for the text", "it has 'foo', 'label'", "--text"),
        {"in.csv": GOOD.replace("text", "foo")},
    ),
    "no label": Bad(
        TRAIN, ("no column with a usual name for the label", "--label"), {"in.csv": GOOD.replace("label", "foo")}
    ),
    "not there": Bad(f"{TRAIN} --text txt", ("in.csv has no column 'txt', named by --text", "Did you mean 'text'?")),
    "ambiguous": Bad(
        TRAIN, ("which column is the text, 'review' or 'comment'?",), {"in.csv": "review,comment,label\na,b,c\n"}
    ),
    "named twice in the header": Bad(
        TRAIN, ("the header names 'text' more than once",), {"in.csv": "text,label,text\na,b,c\n"}
    ),
    "named twice by flags": Bad(f"{TRAIN} --text label --label label", ("one column is named twice",)),
    "pair named twice": Bad(f"{TRAIN} --pair label --pair-separator x", ("drop --pair or --pair-separator",)),
    "neither text nor label": Bad(
        TRAIN,
        ("no column with a usual name for the text or the label", "Name the columns with --text and --label."),
        {"in.csv": GOOD.replace("text,label", "foo,bar")},
    ),
    "to predict, of the training": Bad(
        "predict own --input in.csv",
        ("in.csv has no column 'nachricht', which the model was trained with; it has 'text', 'label'", "with --text."),
        {"in.csv": GOOD, "own": name_columns(text="nachricht", label="art")},
    ),
    "to verify, of the training": Bad(
        "verify own --data in.csv",
        (
            "no column 'nachricht', which the model was trained with, and no column 'art', which the model was",
            "Name the columns with --text and --label.",
        ),
        {"in.csv": GOOD, "own": name_columns(text="nachricht", label="art")},
    ),
    "to distil, of the training": Bad(
        "distill own in.csv --student L1 --out out",
        ("no column 'nachricht', which the model was trained with;", "Name the column with --text."),
        {"in.csv": GOOD, "own": name_columns(text="nachricht")},
    ),
    "to predict, not there": Bad("predict {model} --input in.csv --text txt", ("named by --text", "'text'?")),
}
ROWS = {
    "empty text": Bad(TRAIN, ("in.csv, line 62: the text in 'text' is empty", "--skip-bad-rows"), rows(" ,positive")),
    "no label": Bad(TRAIN, ("in.csv, line 62: no label",), rows("fine,")),
    "ragged": Bad(TRAIN, ("line 62: expected 2 fields, got 3", "line 63: expected 2"), rows("a,b,c", "a,b,c")),
    "broken JSON": Bad(
        TRAIN.replace("csv", "jsonl"),
        ("in.jsonl, line 2: not valid JSON",),
        {"in.jsonl": '{"text": "a", "label": "b"}\n{"text": \n'},
    ),
    "broken UTF-8": Bad(
        TRAIN, ("line 62: not valid UTF-8: byte 0xe9",), {"in.csv": GOOD.encode() + b"caf\xe9,positive\n"}
    ),
    "unclosed quote": Bad(TRAIN, ("the quote opened on line 62 is never closed",), rows('"fine,positive')),
    "NUL": Bad(TRAIN, ("line 62: a NUL character",), rows("fi\0ne,positive")),
    "to predict": Bad(
        "predict {model} --input in.csv --output out.csv",
        ("2 rows cannot be used", "line 62", "line 63", "--skip-bad-rows"),
        rows(",positive", "a,b,c"),
    ),
}
LABELS = {
    "only one": Bad(
        TRAIN, ("the same label, 'positive'; expected at least two",), {"in.csv": GOOD.replace("negative", "positive")}
    ),
    "too few rows": Bad(
        TRAIN, ("rows to train on, expected at least 10",), {"in.csv": "".join(GOOD.splitlines(keepends=True)[:9])}
    ),
    "no number": Bad(
        TRAIN,
        ("in.csv, line 22: the label 'many' is not a finite number",),
        {"in.csv": "text,label\n" + "".join(f"film {n},{n}.5\n" for n in range(20)) + "x,many\n"},
    ),
    "unknown to the model": Bad(
        "verify {model} --data in.csv",
        ("line 62: the label 'neutral' is not among those of the model",),
        rows("a,neutral"),
    ),
}
FLAGS = {
    "pooling": Bad(f"{TRAIN} --pooling max", ("max", "pooler", "cls", "mean")),
    "task": Bad(f"{TRAIN} --task guess", ("guess", "classify", "multilabel", "regress")),
    "no number": Bad(f"{TRAIN} --batch many", ("--batch", "many")),
    "train_last": Bad(f"{TRAIN} --train-last 9", ("--train-last 9: expected 0 to 2, the layers of this encoder",)),
    "attack": Bad(f"{TRAIN} --adversarial vat", ("vat", "fgm", "pgd")),
    "smoothed numbers": Bad(
        f"{TRAIN} --label-smoothing 0.1",
        ("--label-smoothing: has no meaning for the task regress",),
        {"in.csv": "text,label\n" + "".join(f"film {n},{n}.5\n" for n in range(40))},
    ),
    "pairs without a label": Bad(
        TRAIN,
        ("no column with a usual name for the label", "pass --task embed"),
        {"in.csv": "anchor,positive\n" + "".join(f"film {n},book {n}\n" for n in range(40))},
    ),
    "one text to embed": Bad(
        f"{TRAIN} --task embed",
        ("in.csv: the task embed learns from pairs of texts, and only 'text' was found", "--text and --pair"),
    ),
    "names to embed": Bad(
        f"{TRAIN} --task embed",
        ("line 2: the label 'same' is not a finite number", "Pass --label ''"),
        {"in.csv": "text,text_pair,label\n" + "".join(f"film {n},book {n},same\n" for n in range(40))},
    ),
    "answers elsewhere": Bad(
        TRAIN,
        ("in.csv, line 2: the answer 'Basel' is not in its context",),
        {"in.csv": "question,context,answers\nwhere?,Anna lives in Bern,Basel\n"},
    ),
    "out exists": Bad(
        TRAIN,
        ("out exists and is no bundle that was trained here: choose another --out",),
        {"in.csv": GOOD, "out": "the notes of last year"},
    ),
    "variant": Bad(
        "predict {model} x --variant int4", ("has no variant 'int4': expected one of onnx-fp32, onnx-int8",)
    ),
    "a file as a text": Bad("predict {model} in.csv", ("in.csv is a file: name it with --input in.csv",)),
    "texts and input": Bad(
        "predict {model} x --input in.csv", ("texts as arguments or a file with --input, not both",)
    ),
    "output suffix": Bad("predict {model} x --output out.txt", ("expected a name ending in .jsonl, .csv or .parquet",)),
    "output format": Bad("predict {model} x --format parquet", ("Parquet cannot go to standard output",)),
    "on_long": Bad("predict {model} x --on-long cut", ("cut", "error", "truncate", "window")),
    "max_tokens to predict": Bad("predict {model} x --max-tokens 65", ("--max-tokens 65: expected 8 to 64",)),
    "unknown": Bad("predict {model} x --scorse", ("--scorse", "--scores")),
    "unknown command": Bad(
        "predicts {model} x",
        (
            "unknown command 'predicts'. Did you mean 'predict'? Expected one of build, train, pretrain, augment, "
            "distill, compress, verify, predict, tune, bench, bases, convert, report. See limbeck --help",
        ),
    ),
    "unknown command like no other": Bad("serve", ("unknown command 'serve'. Expected one of build",)),
    "no bundle": Bad("predict", ("predict: BUNDLE is missing", "For example: limbeck predict model", "--help")),
    "no place for it": Bad("train x.csv", ("train: --out is missing", "For example: limbeck train reviews.csv")),
    "a flag without its value": Bad("train x.csv --out", ("--out needs a value", "limbeck train --help")),
    "too many": Bad("train x.csv y.csv z.csv --out m", ("y.csv, z.csv: more than train takes",)),
}
BASES = {
    "no such folder": Bad(
        TRAIN.replace("{base}", "./nowhere"),
        ("no encoder at './nowhere': expected a hub id, or a Hugging Face model folder", "nowhere is no folder"),
    ),
    "no model folder": Bad(TRAIN.replace("{base}", "."), ("has no config.json",)),
    "no such package": Bad(
        TRAIN.replace("{base}", "package:no_such_one/model"),
        ("no installed package 'no_such_one': expected package:NAME/path",),
    ),
    "hub out of reach": Bad(
        TRAIN.replace("{base}", "nobody/nothing"),
        (
            "cannot load 'nobody/nothing'",
            "Expected a hub id that this machine can reach, a folder, or package:NAME/path",
        ),
    ),
}
BUNDLES = {
    "missing": Bad("predict nowhere x", ("nowhere does not exist; expected a folder written by `limbeck build`",)),
    "a file": Bad("predict in.csv x", ("in.csv is a file; expected a folder",)),
    "no bundle": Bad(
        "verify out", ("out has no limbeck.json", "not a model folder"), {"out": lambda path: path.mkdir()}
    ),
    "a plain model": Bad("compress {base}", ("has no limbeck.json, so it is no bundle (a plain model folder)",)),
    "damaged": Bad("predict own x", ("own is not whole", "damaged or edited", "onnx/model.onnx"), {"own": damage}),
    "cut off": Bad("verify own", ("own is not whole", "model.safetensors", "Copy the bundle again"), {"own": truncate}),
    "a file lost": Bad(
        "predict own x",
        ("own is not whole, files are missing: tokenizer.json",),
        {"own": lambda path: (path / "tokenizer.json").unlink()},
    ),
    "broken manifest": Bad(
        "predict own x",
        ("limbeck.json is damaged", "Copy the bundle again, or build it anew"),
        {"own": lambda path: (path / "limbeck.json").write_text('{"format": 1, ') and None},
    ),
    "manifest of another kind": Bad("predict own x", ("limbeck.json is damaged",), {"own": change_manifest(task=3)}),
    "newer format": Bad(
        "report own", ("format 2, this limbeck reads format 1: upgrade limbeck",), {"own": change_manifest(format=2)}
    ),
    "not compiled yet": Bad(
        "predict own x",
        ("own has no compiled variant yet: run `limbeck compress own`",),
        {"own": change_manifest(variants=[], chosen=None)},
    ),
    "nothing chosen": Bad(
        "predict own x", ("no variant holds its budget", "--variant"), {"own": change_manifest(chosen=None)}
    ),
}
TEXTS = {
    "no separator named": Bad("predict {pairs} x", ("this model reads pairs", "--pair-separator '|||'")),
    "separator absent": Bad(
        "predict {pairs} 'a | b' 'a b' --pair-separator '|'",
        ("text 2 has '|' 0 times, and --pair-separator expects it once: 'a b'",),
    ),
    "one side empty": Bad("predict {pairs} 'a |' --pair-separator '|'", ("text 1 is empty on one side of '|'",)),
    "pairs for single texts": Bad(
        "predict {model} 'a | b' --pair-separator '|'", ("this model reads one text a row, no pairs",)
    ),
    "single texts for pairs": Bad("predict {pairs} --input in.csv", ("reads pairs, and in.csv has one text a row",)),
    "empty": Bad("predict {model} fine ''", ("text 2 is empty",)),
    "too long": Bad(
        f"predict {{model}} short '{LONG}' --on-long error",
        ("longer than the 32 tokens that the model reads: text 2 (122 tokens)", "`--on-long window`"),
    ),
    "flags for files": Bad("predict {model} x --skip-bad-rows", ("are for files: name the file with --input",)),
}
# Numbers that no recipe can use: not yet refused before work begins.
NUMBERS = {
    "max_tokens to train": Bad(f"{TRAIN} --max-tokens 65", ("--max-tokens 65: expected 8 to 64",)),
    "batch": Bad(f"{TRAIN} --batch 0", ("--batch 0",)),
    "accumulate": Bad(f"{TRAIN} --accumulate 0", ("--accumulate 0",)),
    "learning_rate": Bad(f"{TRAIN} --learning-rate=-1", ("--learning-rate -1",)),
    "seed": Bad(f"{TRAIN} --seed=-1", ("--seed -1",)),
    "rows": Bad("verify {model} --rows 0", ("--rows 0",)),
    "max_drop": Bad("compress own --max-drop nan", ("--max-drop nan",), {"own": lambda path: None}),
}
GROUPS = {
    "files": FILES,
    "columns": COLUMNS,
    "rows": ROWS,
    "labels": LABELS,
    "flags": FLAGS,
    "bases": BASES,
    "bundles": BUNDLES,
    "texts": TEXTS,
    "numbers": NUMBERS,
}
CASES = [pytest.param(bad, id=f"{group}: {name}") for group, bads in GROUPS.items() for name, bad in bads.items()]


def listing(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")
    }


@pytest.mark.parametrize("bad", CASES)
def test_bad_input(
    bad: Bad,
    request: pytest.FixtureRequest,
    command: Command,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = {"base": tiny_base}
    for name, fixture in (("model", "classify_bundle"), ("pairs", "pair_bundle")):
        if f"{{{name}}}" in bad.line:
            places[name] = request.getfixturevalue(fixture)
    if "own" in bad.files:
        request.getfixturevalue("own_bundle")
    for name, content in bad.files.items():
        if callable(content):
            content(tmp_path / name)
        else:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)

    ran = command(*shlex.split(bad.line.format(**places)))

    assert [part for part in bad.says if part not in ran.err] == [], ran.err
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("limbeck: ") == 1
    assert "Traceback" not in ran.err
    assert listing(tmp_path) == before
