"""A recipe that several processes run at once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from limbeck.console import silence
from limbeck.errors import UsageError
from limbeck.files import user_cache
from limbeck.training.processes import join

LAUNCHER_SECONDS = 60.0  # in which a launcher has seen that a process failed, and has ended the others
P = ParamSpec("P")
T = TypeVar("T")


def together(recipe: Callable[P, T]) -> Callable[P, T]:
    """Let all processes that a launcher started run `recipe` together; alone it is what it was.

    The first process speaks for all, and nobody else writes the recipe's `out` meanwhile. The one that fails first says
    why, be it that or another: the others wait for the launcher to end them, and would end by themselves after
    LAUNCHER_SECONDS.
    """

    @wraps(recipe)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        processes = join()
        if not processes.first:
            silence()
        try:
            with alone_in(kwargs["out"]) if processes.first else nullcontext():
                result = recipe(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as error:
            if not processes.failed_before():
                raise
            if isinstance(error, Exception):
                with suppress(KeyboardInterrupt):
                    time.sleep(LAUNCHER_SECONDS)
            raise SystemExit(2) from None
        processes.part()
        return result

    return run


def alone_in(out: Any) -> AbstractContextManager[Any]:
    """Inside, no other process of this user writes `out`; a recipe within a recipe may.

    Raises `UsageError` where one does. The lock ends with its process, however that ends. Where the user's cache cannot
    be written to, nothing is locked.
    """
    path = str(Path(out).resolve())
    locks = user_cache() / "locks"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / hashlib.sha256(path.encode()).hexdigest(), blocking=False, is_singleton=True)
        return lock.acquire()
    except Timeout:
        raise UsageError(
            f"another limbeck writes {out} at this moment: let it end or stop it, or name another folder"
        ) from None
    except OSError:
        return nullcontext()
