"""Every error that limbeck raises on purpose.

    LimbeckError
    ├── UsageError          an argument or flag is wrong; says what was expected
    │   └── MissingExtra    a library of an optional extra is absent; names the line that installs it
    ├── DataError           the user's rows are wrong; lists the bad rows with their numbers
    ├── BaseModelError      the encoder to start from cannot be found or loaded
    ├── BundleError         a bundle is damaged, incomplete or not a bundle
    ├── ExportError         a compiled graph is not what was asked for
    ├── TooLong             a text has more tokens than the model reads, under `--on-long error`
    └── CheckFailed         a measured check did not hold (a certificate, a budget): exit code 1

A message says what was expected, what came and what to do. `exit_code` is what the command line returns:
0 done, 1 a check failed, 2 bad input or usage.
"""

from __future__ import annotations


class LimbeckError(Exception):
    """The root: catch this to catch everything limbeck raises on purpose."""

    exit_code = 2


class UsageError(LimbeckError):
    """An argument or flag is wrong."""


class MissingExtra(UsageError):
    """A command needs a library that the plain install does not bring."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"this needs {library}, which is not installed: pip install 'limbeck[{extra}]'")


class DataError(LimbeckError):
    """The user's rows cannot be used as they are."""


class BaseModelError(LimbeckError):
    """The encoder to start from cannot be found or loaded."""


class BundleError(LimbeckError):
    """A bundle is damaged, incomplete or not a bundle."""


class ExportError(LimbeckError):
    """A compiled graph is not what was asked for."""


class TooLong(LimbeckError):
    """A text has more tokens than the model reads, and the policy for long texts is `error`."""


class CheckFailed(LimbeckError):
    """A measured check did not hold."""

    exit_code = 1
