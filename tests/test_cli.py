from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limbeck
from limbeck.tasks.records import to_record

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")

COMMANDS = ("build", "train", "augment", "pretrain", "compress", "verify", "predict", "bases", "convert", "report")


def test_help_names_every_command_and_an_example(command: Command) -> None:
    ran = command("--help")
    assert (ran.code, ran.err) == (0, "")
    assert all(name in ran.out for name in COMMANDS)
    assert "Example: limbeck build" in ran.out
    assert command().out == ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example(command: Command, name: str) -> None:
    ran = command(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"Usage: limbeck {name}" in ran.out
    (line,) = [line.strip() for line in ran.out.splitlines() if line.startswith("Example: ")]
    said = importlib.import_module(f"limbeck.recipes.{name}").__dict__[name].__doc__
    assert line.startswith(f"Example: limbeck {name} ")
    # Where the function's own documentation has examples, this is one of them.
    assert "Example:" not in said or f"Example: `{line.removeprefix('Example: ')}`" in said


def test_version(command: Command) -> None:
    assert command("--version").out.strip() == limbeck.__version__


def test_as_a_module_it_is_the_same_command_line() -> None:
    line = [sys.executable, "-m", "limbeck", "--version"]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip() == limbeck.__version__


@pytest.mark.parametrize("words", [["--bogus"], *([name, "x", "--bogus"] for name in COMMANDS), ["bogus"], ["build"]])
def test_what_cannot_be_parsed_exits_with_2(command: Command, words: list[str]) -> None:
    ran = command(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "bogus" in ran.err or "is missing" in ran.err
    assert "Traceback" not in ran.err


def test_build_prints_one_document(
    tiny_base: Path, reviews_csv: Path, fast: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in fast.items()]
    ran = command("build", reviews_csv, "--out", tmp_path / "model", "--epochs=1", *flags, "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    assert (document["folder"], document["format"]) == (str(tmp_path / "model"), 1)
    assert document == {"folder": document["folder"], **json.loads((tmp_path / "model/limbeck.json").read_text())}
    assert "1/3 Train …" in ran.err

    again = command("build", reviews_csv, "--out", tmp_path / "model", "--epochs=1", *flags)
    assert again.code == 0
    assert "onnx-fp32" in again.out
    assert f"bundle: {tmp_path / 'model'}" in again.out
    assert "nothing to do" in again.err


def test_verify_prints_one_document(classify_bundle: Path, command: Command) -> None:
    ran = command("--json", "verify", classify_bundle, "--rows", 8, "--threads", 1)
    assert ran.code == 0
    document = json.loads(ran.out)
    assert (document["holds"], document["rows"], document["reference"]) == (True, 8, "PyTorch fp32")
    assert [check["certificate"]["variant"] for check in document["checks"]] == ["onnx-fp32", "onnx-int8"]
    assert "Proving onnx-int8 …" in ran.err


def test_verify_prints_a_table(classify_bundle: Path, command: Command) -> None:
    ran = command("verify", classify_bundle, "--rows", 8, "--threads", 1)
    assert ran.code == 0
    assert "reference, PyTorch fp32, 8 rows: accuracy" in ran.out
    assert ran.out.count("holds") == 2


def test_predict_prints_one_document(classify_bundle: Path, command: Command) -> None:
    texts = ["a fine film", "a dull one"]
    ran = command("predict", classify_bundle, *texts, "--json", "--threads", 1)
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    results = limbeck.load(classify_bundle, threads=1).predict(texts)
    assert document.pop("answers") == [
        {"text": text, **to_record(result)} for text, result in zip(texts, results, strict=True)
    ]
    assert document.pop("seconds") >= 0
    assert document == {
        "rows": 2,
        "truncated_rows": 0,
        "windowed_rows": 0,
        "skipped_rows": 0,
        "variant": "onnx-fp32",
        "tuned": False,
        "output": "standard output",
    }


def test_predict_to_a_file_prints_one_document_without_the_answers(
    classify_bundle: Path, command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    document = json.loads(command("predict", classify_bundle, "fine", "--output", out, "--json").out)
    assert "answers" not in document
    assert (document["rows"], document["output"]) == (1, str(out))
    assert out.read_text().splitlines()[0].startswith("text,prediction")


def test_a_document_or_nothing(classify_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.predict.CHUNK_ROWS", 1)
    ran = command("predict", classify_bundle, "fine", "", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "text 2 is empty" in ran.err


@pytest.mark.parametrize("form", ["csv", "table"])
def test_json_is_no_other_format(classify_bundle: Path, command: Command, form: str) -> None:
    ran = command("predict", classify_bundle, "fine", "--json", "--format", form)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"limbeck: --json prints one JSON document: drop --format {form}\n"


def test_report(own_bundle: Path, command: Command) -> None:
    (own_bundle / "report.html").unlink()
    document = json.loads(command("report", own_bundle, "--json").out)
    assert document == {"report": str(own_bundle / "report.html")}
    assert (own_bundle / "report.html").is_file()
    assert command("report", own_bundle).out == f"{own_bundle / 'report.html'}\n"


@pytest.mark.parametrize("words", [["a -b", "--pair-separator", "-"], ["--pair-separator", "-", "--", "a -b"]])
def test_a_dash_may_be_the_value_of_an_option(pair_bundle: Path, command: Command, words: list[str]) -> None:
    ran = command("predict", pair_bundle, *words)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["text"], found["pair"]) == ("a", "b")


def test_a_dash_without_a_command(command: Command) -> None:
    assert command("-").code == command("--json", "-").code == command("bogus", "-").code == 2


def test_texts_that_look_like_flags(classify_bundle: Path, command: Command) -> None:
    ran = command("predict", classify_bundle, "--", "--json", "-5 stars", "-")
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == ["--json", "-5 stars", "-"]


@pytest.mark.parametrize(
    ("words", "library"),
    [
        (["train", "{data}", "--out", "out"], "torch"),
        (["build", "{data}", "--out", "out"], "torch"),
        (["compress", "{bundle}"], "torch"),
        (["--json", "train", "{data}", "--out", "out"], "torch"),
    ],
)
def test_what_is_not_installed_is_named_with_its_install_line(
    command_without_torch: Command,
    classify_bundle: Path,
    reviews_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    library: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = command_without_torch(*(word.format(data=reviews_csv, bundle=classify_bundle) for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"limbeck: this needs {library}, which is not installed: pip install 'limbeck[train]'\n"
    assert list(tmp_path.iterdir()) == []


def test_predict_needs_no_pytorch(classify_bundle: Path, command: Command, command_without_torch: Command) -> None:
    words = ["predict", classify_bundle, "a fine film", "--threads", 1]
    without, with_torch = command_without_torch(*words), command(*words)
    assert (without.code, without.err) == (0, "")
    assert without.out == with_torch.out


def test_help_needs_no_pytorch(command_without_torch: Command) -> None:
    assert command_without_torch("--help").code == 0
    for name in ("predict", "verify"):
        assert command_without_torch(name, "--help").code == 0


def test_an_interruption_is_one_line_and_130(
    classify_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.recipes.predict.load", interrupt)
    for words in (["predict", classify_bundle, "train"], ["--json", "predict", classify_bundle, "train"]):
        ran = command(*words)
        assert (ran.code, ran.out) == (130, "")
        assert ran.err == "limbeck: interrupted; nothing half-written is left, and the same command begins anew\n"


def test_a_container_that_is_stopped_leaves_nothing_half_written(classify_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "many.csv").write_text("text\n" + "a fine film\n" * 400_000)
    line = [sys.executable, "-m", "limbeck", "predict", classify_bundle, "--input", tmp_path / "many.csv"]
    with subprocess.Popen([*line, "--output", out / "answers.jsonl"], stderr=subprocess.PIPE, text=True) as process:
        while not list(out.iterdir()):  # it has begun to write
            assert process.poll() is None
        process.terminate()
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == 130
    assert "limbeck: interrupted; nothing half-written is left" in said
    assert list(out.iterdir()) == []


def test_a_reader_that_stops_listening_is_no_error(classify_bundle: Path) -> None:
    script = "import sys; from limbeck.cli import main; main()"
    line = [sys.executable, "-c", script, "predict", str(classify_bundle)]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        process.stdin.write(b"a fine film\n" * 2000)
        process.stdin.close()
        assert process.stderr
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


def test_a_file_that_cannot_be_written(classify_bundle: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "taken.csv").mkdir()
    (tmp_path / "file").write_text("")
    for output in ("taken.csv", "file/out.csv"):
        ran = command("predict", classify_bundle, "fine", "--output", tmp_path / output)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("limbeck: cannot read or write ")
        assert ran.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "taken.csv"]
