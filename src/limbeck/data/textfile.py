"""Opening text files: UTF-8 with or without its mark, plain or gzip, broken bytes kept for the row's message."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from limbeck.errors import DataError

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def open_text(path: Path, newline: str) -> Iterator[IO[str]]:
    """The file as text, each byte that is not UTF-8 as a surrogate, which `character_problem` names.

    Args:
        path: a plain or (suffix `.gz`) gzip-compressed file.
        newline: as in `open`: "" where carriage returns end lines too, and "\\n" where they do not.

    Raises:
        DataError: the file is empty, UTF-16, damaged gzip or cannot be read.
    """
    try:
        with open_bytes(path) as raw:
            start = raw.read(4)
        if not start:
            raise DataError(f"{path.name} is empty")
        if start.startswith(UTF16_MARKS):
            raise DataError(f"{path.name} is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8")
        encoding, errors = "utf-8-sig", "surrogateescape"
        with (
            gzip.open(path, "rt", encoding=encoding, errors=errors, newline=newline)
            if path.suffix.lower() == ".gz"
            else path.open(encoding=encoding, errors=errors, newline=newline)
        ) as text:
            yield cast(IO[str], text)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content as bytes, decompressed."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def check_header(name: str, columns: list[str]) -> tuple[str, ...]:
    """The column names without outer white space.

    Raises:
        DataError: a name occurs twice, so that a flag could not say which column is meant.
    """
    names = tuple(column.strip() for column in columns)
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise DataError(f"{name}: the header names {', '.join(map(repr, twice))} more than once. Rename one.")
    return names
