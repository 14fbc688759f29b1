from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
import pytest
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import limbeck
from limbeck.bundle import read_bundle, write_manifest
from limbeck.cli import run
from limbeck.engines import Settings
from limbeck.errors import UsageError
from limbeck.measure.benchmark import Benchmark, Program, Shares, Timing
from limbeck.measure.process import Process
from limbeck.measure.process import run_process as really_run
from limbeck.predictor import Predictor
from limbeck.recipes import bench as module
from limbeck.recipes.bench import bench
from limbeck.recipes.benching.advice import advice
from limbeck.recipes.benching.peers import peers_of

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "numpy_peak", lambda: 2e11)
    monkeypatch.setattr(module, "has_openvino", lambda: False)
    monkeypatch.setattr(module, "run_process", lambda command: Process(0.5, 150_000_000))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    lines = [f"film {n} was {'good and bright ' * (n % 5)}{'dull ' * (n % 3)}" for n in range(40)]
    path.write_text("text\n" + "\n".join(lines) + "\n")
    return path


def test_every_way_of_every_variant(classify_bundle: Path, texts: Path) -> None:
    found = bench(classify_bundle, texts, threads=1)
    assert found.rows == 40
    ways = {"single", "batch 32", "full", "auto", "batch 8"}  # a batch of 128 would hold all
    assert {(t.variant, t.way) for t in found.timings if t.rows == 40} == {
        (variant, way) for variant in ("onnx-fp32", "onnx-int8") for way in ways
    }
    assert {t.rows for t in found.timings if t.way == "auto"} == {10, 40}
    for t in found.timings:
        assert t.shares is not None
        shares = t.shares
        assert (
            shares.tokenising + shares.computing + shares.padding + shares.decoding + shares.waiting == pytest.approx(1)
        )
        assert min(shares.tokenising, shares.computing, shares.decoding) > 0
        assert t.rows_per_second == pytest.approx(t.rows / t.seconds)
    by_way = {t.way: t for t in found.timings if t.variant == "onnx-int8" and t.rows == 40}
    assert by_way["single"].padding == 0
    assert by_way["full"].padding > by_way["auto"].padding  # type: ignore[operator]
    assert by_way["single"].p50_ms <= by_way["single"].p99_ms  # type: ignore[operator]
    assert by_way["auto"].p50_ms is None
    assert found.share_of_peak.keys() == {"onnx-fp32"}  # the peak of int8 is not known without OpenVINO
    seconds = next(t.seconds for t in found.timings if (t.variant, t.way, t.rows) == ("onnx-fp32", "auto", 40))
    assert found.share_of_peak["onnx-fp32"] == pytest.approx(found.operations / seconds / 2e11)  # type: ignore[operator]


@pytest.mark.parametrize(("int8", "known"), [(4e11, {"onnx-fp32", "onnx-int8"}), (1e11, {"onnx-fp32"})])
def test_a_product_slower_than_that_of_fp32_is_no_peak(
    classify_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, int8: float, known: set[str]
) -> None:
    monkeypatch.setattr(module, "has_openvino", lambda: True)
    rates = {"fp32": 1.5e11, "int8": int8}  # and NumPy's 2e11
    monkeypatch.setattr("limbeck.engines.openvino_peak.openvino_peak", rates.__getitem__)
    found = bench(classify_bundle, texts, threads=1, rows=3)
    assert found.peaks["fp32"] == 2e11
    assert found.share_of_peak.keys() == known


def test_what_takes_too_long_is_not_tried_with_more(
    classify_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(module, "MOST_TOKENS_AT_ONCE", 50)
    found = bench(classify_bundle, texts, threads=1, variant=["onnx-fp32"])
    assert {(t.way, t.rows) for t in found.timings} == {("single", 10), ("auto", 10), ("batch 8", 40), ("batch 32", 40)}


def test_a_program_is_run_on_the_very_texts(pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    answered: list[str] = []

    def run_process(command: list[str]) -> Process:
        given.append(Path(command[command.index("--input") + 1]).read_text())
        really_run(command)
        answered.append(Path(command[command.index("--output") + 1]).read_text())
        return Process(0.5, 1)

    monkeypatch.setattr(module, "run_process", run_process)
    monkeypatch.setattr(module, "COLD_RUNS", 1)
    path = tmp_path / "pairs.csv"
    path.write_text("text,pair\n" + "".join(f"a good film {n},a bad one\n" for n in range(12)))
    found = bench(pair_bundle, path, threads=1, variant=["onnx-fp32"], rows=11)
    assert [len(lines.splitlines()) for lines in given] == [1, 11]
    assert [len(lines.splitlines()) for lines in answered] == [1, 11]
    assert json.loads(given[0]) == {"text": "a good film 0", "pair": "a bad one"}
    assert found.programs == (Program("onnx-fp32", 0.5, 1, 0.5, 1),)


def test_beside_transformers(classify_bundle: Path, texts: Path) -> None:
    found = bench(classify_bundle, texts, threads=1, variant=["onnx-fp32"], against=["transformers"])
    peers = {t.way: t for t in found.timings if t.variant == "transformers"}
    assert peers.keys() == {"single", "batch 32"}
    assert {t.same_answers for t in peers.values()} == {1.0}


def test_beside_optimum_intel(classify_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiled:
        """In the place of OpenVINO's models, whose package asks for an older transformers."""

        @staticmethod
        def from_pretrained(folder: str, *, export: bool) -> PreTrainedModel:
            assert export
            return AutoModelForSequenceClassification.from_pretrained(folder)

    package = ModuleType("optimum.intel")
    package.OVModelForSequenceClassification = Compiled  # type: ignore[attr-defined]
    package.OVModelForTokenClassification = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optimum", ModuleType("optimum"))
    monkeypatch.setitem(sys.modules, "optimum.intel", package)
    monkeypatch.setattr("limbeck.recipes.benching.peers.version", lambda name: "2.2.0")
    found = bench(classify_bundle, texts, threads=1, variant=["onnx-fp32"], against=["optimum-intel"])
    peers = {t.way: t.same_answers for t in found.timings if t.variant == "optimum-intel"}
    assert peers == {"single": 1.0, "batch 32": 1.0}


def test_the_command_and_its_page(classify_bundle: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = texts.with_name("bench.html")
    assert run(["bench", str(classify_bundle), str(texts), "--threads", "1", "--out", str(page)]) == 0
    out = capsys.readouterr().out
    for words in ("onnx-fp32 *", "batch 32", "0.50 s", "150.0 MB", f"page: {page}", "limbeck tune` was not run here"):
        assert words in out
    written = page.read_text()
    for words in ("How fast is model?", "texts a second, onnx-fp32", "Where the time goes", "<svg", "150 MB"):
        assert words in written
    assert run(["bench", str(classify_bundle), str(texts), "--threads", "1", "--rows", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == 3
    assert {"seconds", "shares", "padding", "p99_ms"} <= document["timings"][0].keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "bench.pdf"], r"--out bench.pdf: expected a file that ends in .html"),
        (
            ["--against", "sentence-transformers"],
            r"it has nothing for the task classify: try transformers",
        ),
        (
            ["--against", "transformers,tei"],
            r"--against tei: unknown; expected transformers, sentence",
        ),
        (["--rows", "0"], r"--rows"),
        (["--variant", "onnx-int4"], r"onnx-int4"),
        (["--text", "body"], r"body"),
    ],
)
def test_what_cannot_be_timed_is_said(
    classify_bundle: Path, texts: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(classify_bundle), str(texts), *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_no_rows_and_peers_that_are_not_there(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.csv").write_text('text\n""\n')
    with pytest.raises(UsageError, match=r"none\.csv has no rows"):
        bench(classify_bundle, tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"has nothing for the task regress$"):
        peers_of(["transformers"], "regress", "pooler")

    def not_there(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("limbeck.recipes.benching.peers.version", not_there)
    with pytest.raises(UsageError, match="--against transformers: it is not installed: pip install transformers"):
        peers_of(["transformers"], "classify", "pooler")


@pytest.mark.parametrize("task", ["classify", "multilabel"])
def test_a_peer_that_does_not_read_our_head_is_refused(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.benching.peers.version", lambda name: "1.0")
    assert peers_of(["sentence-transformers"], "embed", "mean") == ["sentence-transformers"]
    assert peers_of(["transformers"], task, "pooler") == ["transformers"]
    assert peers_of(["transformers"], "tag", "tokens") == ["transformers"]
    with pytest.raises(UsageError, match="--against optimum-intel: the head of this bundle, on cls pooling, is limbec"):
        peers_of(["optimum-intel"], task, "cls")
    with pytest.raises(UsageError, match="transformers does not read it and would answer with a random one"):
        peers_of(["transformers"], task, "mean")


@pytest.fixture
def nothing_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(*_: object) -> None:
        raise AssertionError("timed before all was known to be there")

    monkeypatch.setattr(module, "_timings", timed)
    monkeypatch.setattr(module, "_program", timed)


@pytest.mark.usefixtures("nothing_timed")
def test_what_is_missing_is_said_before_anything_is_timed(
    classify_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    given = ("bench", classify_bundle, texts)
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("limbeck.report")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "matplotlib.axes", None)
        ran = command(*given, "--out", texts.with_name("page.html"))
    assert (ran.code, ran.err) == (
        2,
        "limbeck: this needs matplotlib, which is not installed: pip install 'limbeck[train]'\n",
    )

    def broken(*_: object, **__: object) -> None:
        raise ValueError("no such sizes")

    monkeypatch.setattr("transformers.pipeline", broken)
    ran = command(*given, "--against", "transformers")
    assert ran.code == 2
    assert f"--against transformers: it cannot answer with {classify_bundle}: no such sizes" in ran.err

    monkeypatch.setattr("limbeck.engines.load.find_spec", lambda name: None)
    ran = command(*given, "--variant", "onnx-fp32", "--variant", "pytorch-fp32")
    assert "this needs torch, which is not installed" in ran.err


def test_bad_rows_are_left_out_and_counted(
    classify_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.csv"
    path.write_text('text\na good film\n""\na,b\na dull one\nnever read\n""\n')
    found = bench(classify_bundle, path, threads=1, variant=["onnx-fp32"], rows=2)
    assert (found.rows, found.left_out) == (2, 2)
    assert "left out as bad: 2 rows, the first some.csv, line 3: " in capsys.readouterr().err


@pytest.mark.parametrize("compiled", [True, False])
def test_a_bundle_without_a_chosen_variant(own_bundle: Path, texts: Path, compiled: bool) -> None:
    manifest = read_bundle(own_bundle).manifest
    variants = manifest.variants if compiled else ()
    write_manifest(own_bundle, msgspec.structs.replace(manifest, chosen=None, variants=variants))
    named = ["onnx-int8", "onnx-fp32"] if compiled else ["pytorch-fp32"]
    found = bench(own_bundle, texts, threads=1, variant=named, rows=12)
    assert {t.variant for t in found.timings} == set(named)
    assert found.chosen == named[0]
    assert (
        found.advice[0]
        == f"No variant of this bundle is chosen: {named[0]}, which was named first, stands for it here."
    )
    assert not any("which was chosen" in line for line in found.advice)
    with pytest.raises(UsageError, match="with --variant$" if compiled else "has no compiled variant yet"):
        bench(own_bundle, texts, threads=1)


Say = Callable[..., list[str]]


@pytest.fixture
def say(classify_bundle: Path) -> Say:
    """The advice on three made-up timings, changed as given."""
    predictor = limbeck.load(classify_bundle, variant="onnx-int8", threads=1)

    def advise(
        texts: tuple[str, ...] = ("a film", "a book"), threads: int = 1, **changes: dict[str, object]
    ) -> list[str]:
        shares = Shares(0.05, 0.9, 0.01, 0.02, 0.02)
        made = {
            "auto": Timing("onnx-int8", "auto", 100, 1.0, 100.0, padding=0.01, shares=shares),
            "single": Timing("onnx-int8", "single", 100, 1.0, 95.0, padding=0.0),
            "batch": Timing("onnx-int8", "batch 32", 100, 1.0, 95.0, padding=0.02),
            "other": Timing("onnx-fp32", "auto", 100, 1.0, 50.0),
        }
        timings = [dataclasses.replace(t, **changes.get(name, {})) for name, t in made.items()]  # type: ignore[arg-type]
        used = Predictor(predictor.bundle, predictor.variant, predictor._engine, Settings(threads=threads))
        return advice(timings, used, used.prepare(list(texts)).tokens)

    return advise


def test_where_all_is_well_only_tune_is_advised(say: Say) -> None:
    (line,) = say()
    assert "`limbeck tune` was not run here" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"batch": {"padding": 0.61, "rows_per_second": 40.0}},
            "padding is 61% of what is computed; by length, as predict has them, 1.0%. "
            "With that and its batches, predict is 2.5 times as fast.",
        ),
        ({"single": {"rows_per_second": 25.0}}, "One text a call gives 25% of the rows a second"),
        ({"other": {"rows_per_second": 140.0}}, "onnx-fp32 is 1.4 times as fast here as onnx-int8"),
        ({"auto": {"shares": Shares(0.3, 0.6, 0.0, 0.0, 0.1)}}, "Tokenising takes 30% of the time"),
        ({"threads": 64}, "64 threads on "),
        ({"texts": ("a film",) * 3 + ("a book",)}, "50% of the texts repeat another one"),
        ({"texts": ("a film " * 600, "a book")}, "50% of the texts are longer than the"),
    ],
)
def test_what_is_slow_is_said_in_words(say: Say, changes: dict[str, object], words: str) -> None:
    assert any(words in line for line in say(**changes))  # type: ignore[arg-type]


def test_variants_that_are_not_tuned_beside_one_that_is(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "limbeck.recipes.benching.advice.kept_tuned", lambda _, variant: variant.name == "onnx-int8" or None
    )
    (line,) = say()
    assert line.startswith("onnx-int8 is tuned to this machine, onnx-fp32 not: `limbeck tune BUNDLE --variant onnx-")


def test_no_change_is_advised_that_gains_nothing(say: Say) -> None:
    assert not [line for line in say(batch={"padding": 0.61, "rows_per_second": 95.0}) if "padding" in line]


def test_what_is_too_slow_for_all_rows(classify_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.0)
    chosen = limbeck.load(classify_bundle).variant.name
    found = bench(classify_bundle, texts, threads=1, variant=[chosen])
    assert any("take fewer --rows" in line for line in found.advice)
    assert not any("was not timed" in line for line in found.advice)


def test_the_chosen_variant_was_not_timed(classify_bundle: Path, texts: Path) -> None:
    chosen = limbeck.load(classify_bundle).variant.name
    (other,) = {"onnx-fp32", "onnx-int8"} - {chosen}
    found = bench(classify_bundle, texts, threads=1, variant=[other], rows=5)
    assert any(f"{chosen}, with which predict answers, was not timed" in line for line in found.advice)


def test_the_result_is_whole(classify_bundle: Path, texts: Path) -> None:
    found = bench(classify_bundle, texts, threads=1, variant=["onnx-fp32"], rows=5)
    assert isinstance(found, Benchmark)
    assert found.chosen == limbeck.load(classify_bundle).variant.name
    assert found.tokens == sum(r.reading.tokens for r in limbeck.load(classify_bundle).predict(_rows(texts)[:5]))


def _rows(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]
