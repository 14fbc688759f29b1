"""A whole process: how long it takes and the most memory it holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from limbeck.errors import CheckFailed

# A process counts the memory of the one that started it until it is its own (getrusage(2)), so a small one starts it.
# The peak comes in kibibytes on Linux and in bytes on macOS; Windows does not tell.
_LAUNCHER = """
import json, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
seconds = time.perf_counter() - start
peak = 0
if sys.platform != "win32":
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([done.returncode, seconds, peak, done.stderr[-1000:].decode("utf-8", "replace")]))
"""


class Process(NamedTuple):
    """Seconds from start to end, and the peak of resident memory; 0 where the system does not tell."""

    seconds: float
    peak_bytes: int


def run_process(command: Sequence[str]) -> Process:
    """Run a command to its end, its output thrown away; it ends with us where we are interrupted.

    Raises `CheckFailed` where it fails, with the last of what it said.
    """
    launcher = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    with subprocess.Popen(launcher, stdout=subprocess.PIPE, start_new_session=True) as launched:
        try:
            told, _ = launched.communicate()
        except BaseException:
            _kill(launched)
            raise
    status, seconds, peak, said = json.loads(told)
    if status:
        raise CheckFailed(f"{' '.join(command[:6])} … ended with status {status}: {said.strip() or 'it said nothing'}")
    return Process(seconds, peak)


def _kill(launched: subprocess.Popen[bytes]) -> None:
    """End a launcher and what it launched, which on Windows are of no group that could be killed."""
    if sys.platform == "win32":
        launched.kill()
    else:
        os.killpg(launched.pid, signal.SIGKILL)
