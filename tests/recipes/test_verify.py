from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

import limbeck
from limbeck.bundle import read_bundle, write_manifest
from limbeck.errors import DataError, UsageError

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed")

NEW_ROWS = "text,label\n" + "".join(
    f"this {word} film {number},{label}\n"
    for number in range(6)
    for word, label in (("good", "positive"), ("bad", "negative"))
)


@pytest.fixture
def new_rows(tmp_path: Path) -> Path:
    path = tmp_path / "january.csv"
    path.write_text(NEW_ROWS)
    return path


def give_budget(bundle: Path, max_drop: float | None) -> None:
    """Change what the certificates promise, or take them away."""
    manifest = read_bundle(bundle).manifest
    variants = tuple(
        msgspec.structs.replace(
            v,
            certificate=replace(v.certificate, max_drop_points=max_drop) if v.certificate and max_drop else None,
        )
        for v in manifest.variants
    )
    write_manifest(bundle, msgspec.structs.replace(manifest, variants=variants))


def test_the_reference_computes_on_the_threads_that_are_said(
    classify_bundle: Path, pytorch_threads: Callable[[], int]
) -> None:
    limbeck.verify(classify_bundle, variant="onnx-fp32", threads=3)
    assert pytorch_threads() == 3


@pytest.mark.parametrize("kind", ["classify", "multilabel", "regress", "pair"])
def test_a_bundle_holds_on_the_rows_it_was_proven_on(request: pytest.FixtureRequest, kind: str) -> None:
    bundle: Path = request.getfixturevalue(f"{kind}_bundle")
    found = limbeck.verify(bundle, threads=1)
    assert found.holds
    assert found.reference == "PyTorch fp32"
    stored = [v.certificate for v in read_bundle(bundle).manifest.variants]
    assert len(found.checks) == len(stored) == 2
    for check, before in zip(found.checks, stored, strict=True):
        assert before is not None
        assert check.certificate.data_sha256 == before.data_sha256
        assert (check.certificate.rows, found.rows) == (before.rows, before.rows)
        assert check.certificate.value == pytest.approx(before.value)
        assert check.recheck.failures == ()


def test_verify_changes_nothing(classify_bundle: Path) -> None:
    before = {path: path.read_bytes() for path in classify_bundle.rglob("*") if path.is_file()}
    limbeck.verify(classify_bundle, variant="onnx-int8", rows=5, threads=1)
    assert {path: path.read_bytes() for path in classify_bundle.rglob("*") if path.is_file()} == before


def test_one_variant_on_new_rows(classify_bundle: Path, new_rows: Path) -> None:
    found = limbeck.verify(classify_bundle, data=str(new_rows), variant="onnx-int8", threads=1)
    (check,) = found.checks
    assert (check.certificate.variant, found.rows) == ("onnx-int8", 12)
    assert any("measured on other rows than the certificate: 12 now, 20 then" in r for r in check.recheck.remarks)
    assert 0 <= found.scores["accuracy"] <= 1


def test_at_most_so_many_rows(classify_bundle: Path, new_rows: Path) -> None:
    assert limbeck.verify(classify_bundle, data=str(new_rows), rows=7, threads=1).rows == 7


def test_columns_of_new_rows_may_have_other_names(classify_bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(NEW_ROWS.replace("text,label", "says,truth"))
    assert limbeck.verify(classify_bundle, data=str(other), text="says", label="truth", threads=1).rows == 12


def test_a_label_the_model_does_not_know_is_a_bad_row(classify_bundle: Path, new_rows: Path) -> None:
    new_rows.write_text(NEW_ROWS + "what,neither\n")
    with pytest.raises(DataError, match="line 14: the label 'neither' is not among those of the model"):
        limbeck.verify(classify_bundle, data=str(new_rows), threads=1)


def test_bad_rows_that_are_left_out_are_counted(
    classify_bundle: Path,
    new_rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    new_rows.write_text(NEW_ROWS + "what,neither\n,positive\n")
    assert limbeck.verify(classify_bundle, data=str(new_rows), skip_bad_rows=True, threads=1).rows == 12
    skipped = f"{new_rows.name}-skipped.jsonl"
    assert f"left out 2 of 14 rows as bad, written to {skipped}" in capsys.readouterr().err
    assert len((tmp_path / skipped).read_text().splitlines()) == 2


def test_long_texts_follow_the_policy(classify_bundle: Path, new_rows: Path) -> None:
    found = limbeck.verify(classify_bundle, data=str(new_rows), max_tokens=8, on_long="window", threads=1)
    assert (found.on_long, found.rows) == ("window", 12)


def test_a_contradicted_certificate(own_bundle: Path, command: Command) -> None:
    give_budget(own_bundle, -50.0)
    found = limbeck.verify(own_bundle, threads=1)
    assert not found.holds
    for check in found.checks:
        assert any("more than the -50 points allowed" in failure for failure in check.recheck.failures)
    ran = command("verify", own_bundle, "--threads", 1)
    assert ran.code == 1
    assert ran.out.count("FAILS") == 2
    assert "onnx-int8: accuracy fell by" in ran.out
    as_json = command("verify", own_bundle, "--threads", 1, "--json")
    assert (as_json.code, json.loads(as_json.out)["holds"]) == (1, False)


def test_a_variant_that_cannot_be_proven_is_said_first(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.verify.judging", None)
    manifest = read_bundle(own_bundle).manifest
    variants = tuple(msgspec.structs.replace(v, engine="abacus") for v in manifest.variants)
    write_manifest(own_bundle, msgspec.structs.replace(manifest, variants=variants))
    with pytest.raises(UsageError, match="variant onnx-int8 runs on 'abacus'"):
        limbeck.verify(own_bundle, variant="onnx-int8")
    write_manifest(own_bundle, manifest)
    give_budget(own_bundle, None)
    with pytest.raises(UsageError, match="pytorch-fp32 is what the other variants are held against"):
        limbeck.verify(own_bundle, variant="pytorch-fp32")
    with pytest.raises(UsageError, match="variant onnx-fp32 has no certificate: run `limbeck compress`"):
        limbeck.verify(own_bundle, threads=1)


def test_training_data_that_changed(own_bundle: Path, tmp_path: Path, new_rows: Path) -> None:
    manifest = read_bundle(own_bundle).manifest
    source = msgspec.structs.replace(manifest.source, path=str(new_rows))
    new_rows.write_text(NEW_ROWS * 3)
    write_manifest(own_bundle, msgspec.structs.replace(manifest, source=source))
    with pytest.raises(DataError, match=r"is no longer the data that .* was trained on: judge it .* with --data"):
        limbeck.verify(own_bundle, threads=1)
    new_rows.unlink()
    with pytest.raises(DataError, match="does not exist"):
        limbeck.verify(own_bundle, threads=1)


def test_without_pytorch_the_reference_is_fp32_onnx(
    classify_bundle: Path, new_rows: Path, command_without_torch: Command
) -> None:
    ran = command_without_torch("verify", classify_bundle, "--data", new_rows, "--threads", 1, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["reference"] == "ONNX Runtime fp32 (PyTorch is not installed)"
    assert found["holds"] is True
    assert [check["certificate"]["variant"] for check in found["checks"]] == ["onnx-fp32", "onnx-int8"]
    with_torch = limbeck.verify(classify_bundle, data=str(new_rows), threads=1)
    assert found["scores"] == pytest.approx(with_torch.scores)
