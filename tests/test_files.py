from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.files import (
    as_usual,
    folder_when_written,
    remove_unused,
    replace_when_written,
    scratch_within,
    sha256_of,
    user_cache,
    write_text,
)


def test_the_file_appears_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replace_when_written(path) as beside:
        beside.write_text("half")
        assert beside.parent == path.parent
        assert not path.exists()
        beside.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with replace_when_written(path) as beside:
            beside.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_does_not_pass_for_success(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replace_when_written(path):
        pass
    assert path.read_text() == "old"


def test_the_mode_is_that_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replace_when_written(tmp_path / "file") as beside:
            beside.touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_user_without_a_home_has_a_cache_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "said"))
    assert user_cache() == tmp_path / "said" / "limbeck"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache() == user_cache() == tmp_path / f"limbeck-{os.getuid()}"
    assert user_cache().stat().st_mode & 0o777 == 0o700
    other = os.getuid() + 1
    user_cache().rename(tmp_path / f"limbeck-{other}")
    monkeypatch.setattr("os.getuid", lambda: other)
    with pytest.raises(PermissionError, match="it is another user's; name a folder of yours with XDG_CACHE_HOME"):
        user_cache()


def test_what_nothing_has_touched_in_a_long_time_is_removed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name} folder").mkdir()
        (tmp_path / f"{name} folder/file").touch()
        (tmp_path / name).touch()
    for name in ("old folder", "old"):
        os.utime(tmp_path / name, (0, 0))
    remove_unused([*tmp_path.iterdir(), tmp_path / "gone"])
    assert {path.name for path in tmp_path.iterdir()} == {"new folder", "new"}


def test_text_is_written_as_utf_8_without_any_change(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "naïve – 漢字\r\n\n")
    assert (tmp_path / "file.txt").read_bytes() == "naïve – 漢字\r\n\n".encode()


@given(st.binary(max_size=400))
def test_the_hash_is_that_of_the_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("hash") / "file"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_the_hash_of_a_file_larger_than_one_read(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096 * 3
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()


def test_a_scratch_folder_begins_empty_and_is_gone_in_the_end(tmp_path: Path) -> None:
    def fail() -> None:
        with scratch_within(tmp_path) as scratch:
            (scratch / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    with scratch_within(tmp_path) as scratch:
        pass
    scratch.mkdir()
    (scratch / "file").write_text("left by a process that was killed")
    with scratch_within(tmp_path) as again:
        assert again == scratch
        assert list(again.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    with folder_when_written(path) as beside:
        (beside / "file.txt").write_text("whole")
        assert not path.exists()
    assert [one.name for one in path.iterdir()] == ["file.txt"]

    def fail() -> None:
        with folder_when_written(tmp_path / "other") as beside:
            (beside / "file.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_folders_stay_open_to_those_who_may_read_their_files(tmp_path: Path) -> None:
    (tmp_path / "made/1_Pooling").mkdir(parents=True)
    (tmp_path / "made/1_Pooling/config.json").write_text("{}")
    (tmp_path / "made/1_Pooling/config.json").chmod(0o600)
    before = os.umask(0o027)
    try:
        as_usual(tmp_path / "made")
    finally:
        os.umask(before)
    modes = [
        (tmp_path / name).stat().st_mode & 0o777 for name in ("made", "made/1_Pooling", "made/1_Pooling/config.json")
    ]
    assert modes == [0o750, 0o750, 0o640]
