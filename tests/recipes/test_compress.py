from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limbeck
from limbeck.bundle import Bundle, read_bundle, read_manifest, write_manifest
from limbeck.engines import Engine, Settings
from limbeck.engines.base import Arrays
from limbeck.errors import BundleError, CheckFailed, UsageError
from limbeck.export.quantize import quantize_int8, weight_nodes
from limbeck.measure import Certificate, usable_cpus
from limbeck.proving import Candidate
from limbeck.proving import prove as really_prove
from limbeck.recipes.compressing.judge import Judge
from limbeck.recipes.report import report as write_report
from limbeck.report import card
from limbeck.show import show

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed")

NOT_FINITE = None


@pytest.fixture
def quantised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, tuple[str, ...]]]:
    """Every try at int8 in the bundle: whether a scale per channel, and the nodes kept in fp32."""
    tries: list[tuple[bool, tuple[str, ...]]] = []

    def note(
        source: Path,
        target: Path,
        rows: Sequence[Arrays],
        *,
        per_channel: bool,
        keep_fp32: tuple[str, ...],
        settings: Settings,
    ) -> None:
        if target.name != "trial.onnx":  # not what is measured of one node alone
            tries.append((per_channel, keep_fp32))
        quantize_int8(source, target, rows, per_channel=per_channel, keep_fp32=keep_fp32, settings=settings)

    monkeypatch.setattr("limbeck.recipes.compressing.onnx_variants.quantize_int8", note)
    return tries


Compress = Callable[..., Bundle]


@pytest.fixture
def compress(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Compress:
    """Compress a bundle whose int8 tries lose the points named, one after another; the last goes on for ever."""
    like = read_bundle(own_bundle).variant("onnx-fp32").certificate
    assert like is not None

    def made_up(
        int8: list[float | None],
        fp32: float = 0.0,
        int8_rows_per_second: float = 2000.0,
        changed: tuple[int, int] = (1, 0),
    ) -> Bundle:
        drops, changes = iterate(int8), iterate(changed)

        def prove(candidate: Candidate, *_: object, max_drop: float, **__: object) -> Certificate:
            drop = fp32 if candidate.precision == "fp32" else next(drops)
            if drop is None:
                raise CheckFailed("a logit is nan")
            return replace(
                like,
                variant=candidate.name,
                precision=candidate.precision,
                remedies=candidate.remedies,
                size_bytes=candidate.size_bytes,
                drop_points=drop,
                changed=0 if candidate.precision == "fp32" else next(changes),
                max_drop_points=max_drop,
                holds=drop <= max_drop,
            )

        monkeypatch.setattr("limbeck.recipes.compressing.judge.prove", prove)
        monkeypatch.setattr(
            "limbeck.recipes.compressing.judge.race_engines", lambda *_, **__: [1000.0, int8_rows_per_second]
        )
        return limbeck.compress(own_bundle, max_drop=1.0, threads=1)

    return made_up


def iterate(values: Sequence[Any]) -> Iterator[Any]:
    yield from values
    while True:
        yield values[-1]


Tries = list[tuple[bool, tuple[str, ...]]]


@pytest.mark.parametrize(
    ("changed", "remedies"), [((3, 2), ("a scale per output channel",)), ((2, 3), ())], ids=["finer", "plain"]
)
def test_of_two_forms_that_hold_the_closer_is_kept(
    compress: Compress, quantised: Tries, own_bundle: Path, changed: tuple[int, int], remedies: tuple[str, ...]
) -> None:
    manifest = compress([0.9], changed=changed).manifest
    assert quantised == [(False, ()), (True, ())]  # the one that is kept not once more
    assert [(v.name, v.remedies) for v in manifest.variants] == [("onnx-fp32", ()), ("onnx-int8", remedies)]
    assert manifest.refused == ()
    assert manifest.chosen == "onnx-int8"
    alike = own_bundle.parent / "alike.onnx"
    rows = Judge(read_bundle(own_bundle), own_bundle, None, 1.0, 1).calibration
    quantize_int8(own_bundle / "onnx/model.onnx", alike, rows, per_channel=bool(remedies))
    assert (own_bundle / "onnx/model_quantized.onnx").read_bytes() == alike.read_bytes()


@pytest.mark.parametrize(
    ("drops", "remedies"), [([5.0, 0.5], ("a scale per output channel",)), ([0.5, 5.0], ())], ids=["finer", "plain"]
)
def test_where_one_form_holds_it_is_kept_and_the_other_refused(
    compress: Compress, quantised: Tries, own_bundle: Path, drops: list[float | None], remedies: tuple[str, ...]
) -> None:
    manifest = compress(drops).manifest
    assert quantised == [(False, ()), (True, ())]
    assert manifest.variants[1].remedies == remedies
    assert [c.drop_points for c in manifest.refused] == [5.0]
    assert not manifest.refused[0].holds
    assert limbeck.load(own_bundle, variant="onnx-int8", threads=1).predict(["a fine film"])


@pytest.mark.parametrize(("finer", "per_channel"), [(2.0, True), (9.0, False)])
def test_then_the_most_sensitive_nodes_stay_in_fp32(
    compress: Compress, quantised: Tries, own_bundle: Path, finer: float, per_channel: bool
) -> None:
    manifest = compress([5.0, finer, 4.0, 3.0, 1.0]).manifest
    assert [channels for channels, _ in quantised] == [False, True, *[per_channel] * 3]
    kept = [names for _, names in quantised]
    assert [len(names) for names in kept] == [0, 0, 1, 2, 4]
    assert kept[4][:2] == kept[3]
    assert kept[3][:1] == kept[2]
    assert set(kept[4]) < set(weight_nodes(own_bundle / "onnx/model.onnx"))
    *channels, said = manifest.variants[1].remedies
    assert channels == ["a scale per output channel"] * per_channel
    shown = said.removeprefix("kept in fp32: ").split(", ")
    assert [short in name for short, name in zip(shown, kept[4], strict=True)] == [True] * 4
    assert [c.drop_points for c in manifest.refused] == [5.0, finer, 4.0, 3.0]


def test_int8_that_never_holds_is_not_left_in_the_bundle(
    compress: Compress, quantised: Tries, own_bundle: Path
) -> None:
    compress([7.0])
    nodes = len(weight_nodes(own_bundle / "onnx/model.onnx"))
    counts = [len(names) for _, names in quantised]
    assert counts[:5] == [0, 0, 1, 2, 4]
    assert counts[-1] < nodes <= 2 * counts[-1]
    manifest = read_bundle(own_bundle).manifest  # checks the files' hashes
    assert [v.name for v in manifest.variants] == ["onnx-fp32"]
    assert manifest.chosen == "onnx-fp32"
    assert len(manifest.refused) == len(quantised)
    assert [path.name for path in (own_bundle / "onnx").iterdir()] == ["model.onnx"]
    assert "onnx/model_quantized.onnx" not in manifest.files
    with pytest.raises(UsageError, match="has no variant 'onnx-int8': expected one of onnx-fp32"):
        limbeck.load(own_bundle, variant="onnx-int8")


def test_logits_that_are_not_finite_are_refused_and_the_next_remedy_tried(
    compress: Compress, quantised: Tries, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = compress([NOT_FINITE, 0.0]).manifest
    assert len(quantised) == 2
    assert manifest.chosen == "onnx-int8"
    assert manifest.refused == ()  # there is no certificate to keep
    assert "int8 refused: a logit is nan" in capsys.readouterr().err


def test_the_fastest_that_holds_is_chosen(compress: Compress) -> None:
    assert compress([0.0], int8_rows_per_second=500.0).manifest.chosen == "onnx-fp32"


@pytest.mark.parametrize(
    ("objective", "chosen"), [("throughput", "onnx-fp32"), ("latency", "onnx-int8"), ("size", "onnx-int8")]
)
def test_the_best_for_what_was_asked_is_chosen(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, objective: Any, chosen: str
) -> None:
    monkeypatch.setattr(
        "limbeck.recipes.compressing.judge.race_engines", lambda *_, singles: [1.0, 2.0] if singles else [2.0, 1.0]
    )
    manifest = limbeck.compress(own_bundle, max_drop=100.0, threads=1, objective=objective).manifest
    assert manifest.chosen == chosen
    assert manifest.arguments["compress"]["objective"] == objective


def test_int8_may_hold_where_fp32_does_not(compress: Compress) -> None:
    manifest = compress([0.5], fp32=2.0).manifest
    assert manifest.chosen == "onnx-int8"
    assert [v.name for v in manifest.variants] == ["onnx-fp32", "onnx-int8"]


def test_where_not_even_fp32_holds_the_check_fails(compress: Compress, own_bundle: Path, command: Command) -> None:
    with pytest.raises(CheckFailed, match=r"no variant of .* holds --max-drop 1, not even fp32 ONNX"):
        compress([7.0], fp32=3.0)
    manifest = read_bundle(own_bundle).manifest
    assert manifest.chosen is None
    assert [(v.name, v.certificate and v.certificate.holds) for v in manifest.variants] == [("onnx-fp32", False)]
    ran = command("predict", own_bundle, "a fine film")
    assert ran.code == 2
    assert "no variant holds its budget, so none is chosen; name one of onnx-fp32 with --variant" in ran.err
    assert command("predict", own_bundle, "a fine film", "--variant", "onnx-fp32").code == 0


def test_a_budget_that_nothing_keeps_exits_with_1(own_bundle: Path, command: Command) -> None:
    ran = command("compress", own_bundle, "--max-drop=-1", "--threads", 1)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == f"limbeck: no variant of {own_bundle} holds --max-drop -1, not even fp32 ONNX"
    assert "Traceback" not in ran.err


def test_other_rows_to_judge_by(own_bundle: Path, reviews_csv: Path) -> None:
    before = read_bundle(own_bundle).variant("onnx-fp32").certificate
    bundle = limbeck.compress(own_bundle, data=str(reviews_csv), max_drop=100.0, threads=1)
    after = bundle.variant("onnx-fp32").certificate
    assert before is not None
    assert after is not None
    assert (before.rows, after.rows) == (20, 200)
    assert before.data_sha256 != after.data_sha256
    arguments: dict[str, Any] = bundle.manifest.arguments["compress"]
    assert (arguments["data"], arguments["max_drop"]) == (str(reviews_csv), 100.0)


def test_rows_to_judge_by_may_have_other_columns_and_bad_ones(
    own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    good = "".join(f"a good film {n},positive\na dull one {n},negative\n" for n in range(6))
    (tmp_path / "other.csv").write_text(f"says,truth\n{good},positive\nwhat,neither\n")
    given = ("compress", own_bundle, "--data", "other.csv", "--max-drop", 100, "--threads", 1)
    assert "Name the columns with --text and --label" in command(*given).err
    columns = ("--text", "says", "--label", "truth")
    assert "pass `--skip-bad-rows`" in command(*given, *columns).err
    ran = command(*given, *columns, "--skip-bad-rows")
    assert ran.code == 0, ran.err
    assert "left out 2 of 14 rows as bad, written to other.csv-skipped.jsonl" in ran.err
    bundle = read_bundle(own_bundle)
    assert [v.certificate and v.certificate.rows for v in bundle.manifest.variants] == [12, 12]
    arguments: dict[str, Any] = bundle.manifest.arguments["compress"]
    assert (arguments["text"], arguments["label"], arguments["skip_bad_rows"]) == ("says", "truth", True)
    reported = command("report", own_bundle)
    assert reported.code == 0
    assert "left out 2 of 14 rows" in reported.err
    assert "cannot be read" not in reported.err


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("remedies", [(), ("a scale per output channel",)], ids=["first", "second"])
def test_a_compilation_that_was_stopped_leaves_the_bundle_as_it_was(
    own_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch, remedies: tuple[str, ...]
) -> None:
    def stopping(candidate: Candidate, *given: Any, **said: Any) -> Certificate:
        if candidate.name == "onnx-int8" and candidate.remedies == remedies:
            raise KeyboardInterrupt
        return really_prove(candidate, *given, **said)

    (own_bundle / "onnx/model.onnx").write_bytes(b"of an older version")
    write_manifest(own_bundle, read_manifest(own_bundle))
    before = contents(own_bundle)
    words = ("compress", own_bundle, "--max-drop", 100, "--threads", 1)
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.compressing.judge.prove", stopping)
        assert command(*words).code == 130
    assert contents(own_bundle) == before
    assert command(*words).code == 0
    assert contents(own_bundle).keys() == before.keys()
    assert len(limbeck.load(own_bundle, variant="onnx-fp32").predict(["a fine film"])) == 1


def test_variants_are_in_place_when_all_is_proven_and_no_sooner(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_bundle / ".scratch.partial").mkdir()
    (own_bundle / ".scratch.partial/left.onnx").write_bytes(b"by a process that was killed")
    before, seen = contents(own_bundle / "onnx"), []

    def race(engines: Sequence[Engine], *_: object, **__: object) -> list[float]:
        seen.append(contents(own_bundle / "onnx"))
        return [1.0] * len(engines)

    monkeypatch.setattr("limbeck.recipes.compressing.judge.race_engines", race)
    manifest = limbeck.compress(own_bundle, max_drop=100.0, threads=1).manifest
    assert seen == [before]
    assert manifest == read_bundle(own_bundle).manifest
    assert [path.name for path in own_bundle.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_of_which_only_variants_are_damaged_is_compiled_again(own_bundle: Path, command: Command) -> None:
    (own_bundle / "onnx/model_quantized.onnx").write_bytes(b"half")
    (own_bundle / "onnx/model.onnx").unlink()
    said = command("predict", own_bundle, "a fine film")
    assert said.code == 2
    assert f"Copy the bundle again, or compile it again: `limbeck compress {own_bundle}`" in said.err
    limbeck.compress(own_bundle, max_drop=100.0, threads=1)
    assert read_bundle(own_bundle).manifest.chosen
    (own_bundle / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"edited after they were written: tokenizer.json. .* or build it anew"):
        limbeck.compress(own_bundle, max_drop=100.0, threads=1)


def test_compressing_twice_gives_the_same_files(own_bundle: Path) -> None:
    before = read_bundle(own_bundle).manifest.files
    assert limbeck.compress(own_bundle, max_drop=100.0, threads=1).manifest.files == before


def test_the_reference_computes_on_the_threads_that_are_said(
    own_bundle: Path, tmp_path: Path, pytorch_threads: Callable[[], int]
) -> None:
    for said, threads in ((3, 3), (None, usable_cpus())):
        Judge(read_bundle(own_bundle), tmp_path, None, 1.0, said)
        assert pytorch_threads() == threads


def test_the_card_is_of_this_compilation_and_an_earlier_report_is_said(
    own_bundle: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    report = own_bundle / "report.html"
    ran = command("compress", own_bundle, "--max-drop", 100, "--threads", 1, "--objective", "size")
    assert ran.code == 0
    assert f"report: {report}, of an earlier compilation: limbeck report {own_bundle} writes it anew\n" in ran.out
    manifest = read_bundle(own_bundle).manifest
    assert manifest.chosen == "onnx-int8"
    assert (own_bundle / "README.md").read_text("utf-8") == card(manifest, name="own")
    write_report(own_bundle)
    show(read_bundle(own_bundle), as_json=False)
    assert f"report: {report}\n" in capsys.readouterr().out
