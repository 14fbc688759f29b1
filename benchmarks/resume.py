"""Kill a training with SIGKILL at random moments, resume it, and compare the final weights with an unbroken run.

    python benchmarks/resume.py DATA.csv [KILLS]

Every life of the process is killed a random while after its first checkpoint; the last one runs to the end.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import BASE, show


def start(data: str, out: Path) -> subprocess.Popen[bytes]:
    """`limbeck train` that saves its state every second."""
    command = [sys.executable, "-m", "limbeck", "train", data, "--out", str(out), "--base", BASE, "--epochs", "2"]
    return subprocess.Popen(
        [*command, "--checkpoint-seconds", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def weights(out: Path) -> str:
    """The hash of the trained weights."""
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def killed(data: str, out: Path, kills: int) -> int:
    """Train `out` through so many kills; returns how many hit a running training."""
    checkpoint = out.parent / f".{out.name}.training" / "checkpoint.safetensors"
    hits = 0
    for _ in range(kills):
        before = checkpoint.stat().st_mtime if checkpoint.exists() else 0.0
        process = start(data, out)
        while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime > before):
            time.sleep(0.05)
        time.sleep(random.uniform(0.0, 1.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hits += 1
        process.wait()
        if out.exists():
            break
    if not out.exists() and start(data, out).wait():
        raise SystemExit("the last run failed")
    return hits


def main(data: str, kills: str = "20") -> None:
    """Compare the weights of an unbroken run with those of one killed again and again."""
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        if start(data, whole).wait():
            raise SystemExit("the unbroken run failed")
        hits = killed(data, broken, int(kills))
        equal = weights(whole) == weights(broken)
    show(
        "training killed with SIGKILL and resumed",
        ["kills", "final weights equal"],
        [[hits, equal]],
        kills=hits,
        equal=equal,
    )
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
