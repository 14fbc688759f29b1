"""Files that are whole or not there: written beside, then renamed into place."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNUSED_SECONDS = 30 * 24 * 60 * 60


@contextmanager
def replace_when_written(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed over `path` when the block ends well, removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        as_usual(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def folder_when_written(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`; renamed to it when the block ends well, removed when it does not.

    `path` must not be there, or be an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.mkdir()
    try:
        yield beside
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def scratch_within(folder: Path) -> Iterator[Path]:
    """An empty hidden folder in `folder`, to build in and to move files from; removed at the end, come what may.

    What a process that was killed left in it goes first, so only one process at a time may use it.
    """
    scratch = folder / ".scratch.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def as_usual(path: Path) -> None:
    """Give a file, or all in a folder, the mode that the user's umask asks for: some libraries write for themselves."""
    umask = os.umask(0)
    os.umask(umask)
    for one in (path, *path.rglob("*")) if path.is_dir() else (path,):
        one.chmod((0o777 if one.is_dir() else 0o666) & ~umask)


def user_cache() -> Path:
    """The folder for what can be made again, under XDG_CACHE_HOME or `~/.cache`; without a home among temporary files.

    Raises `PermissionError` where that one is another user's.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limbeck"
    except RuntimeError:  # a user whom the system does not know, as a container may have
        return _temporary_cache()


def _temporary_cache() -> Path:
    folder = Path(tempfile.gettempdir())
    if sys.platform == "win32":  # where they are each user's own
        return folder / "limbeck"
    own = folder / f"limbeck-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.lstat().st_uid != os.getuid():  # what is kept is trusted
        raise PermissionError(errno.EPERM, "it is another user's; name a folder of yours with XDG_CACHE_HOME", str(own))
    return own


def remove_unused(paths: Iterable[Path]) -> None:
    """Remove those files and folders that nothing has touched in a long time."""
    for path in paths:
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - path.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or leave the old one."""
    with replace_when_written(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
