"""A recipe that several processes run at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec, TypeVar

from limbeck.console import silence
from limbeck.training.processes import join

LAUNCHER_SECONDS = 60.0  # in which a launcher has seen that a process failed, and has ended the others
P = ParamSpec("P")
T = TypeVar("T")


def together(recipe: Callable[P, T]) -> Callable[P, T]:
    """Let all processes that a launcher started run `recipe` together; alone it is what it was.

    The first process speaks for all. The one that fails first says why, be it that or another: the others wait for the
    launcher to end them, and would end by themselves after LAUNCHER_SECONDS.
    """

    @wraps(recipe)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        processes = join()
        if not processes.first:
            silence()
        try:
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
