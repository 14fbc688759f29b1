"""Whether memory stays where it is over many requests: random lengths and batch sizes for minutes.

    python benchmarks/steady.py BUNDLE [MINUTES] [VARIANT]

Prints the memory the process holds after the first minute and at the end, and the ratio.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from common import show

import limbeck

WORDS = ("the", "film", "story", "actor", "was", "is", "not", "very", "quite", "good", "bad", "dull", "long", "and")
MOST_WORDS, MOST_TEXTS, PAGE_BYTES = 600, 64, 4096


def resident_bytes() -> int:
    """The memory this process holds now (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def main(bundle: str, minutes: str = "10", variant: str | None = None) -> None:
    """Predict until the time is over."""
    predictor = limbeck.load(bundle, variant=variant, objective="throughput")
    random.seed(0)
    begin, texts, after_a_minute = time.monotonic(), 0, 0
    while (passed := time.monotonic() - begin) < 60 * float(minutes):
        count = random.randint(1, MOST_TEXTS)
        given = [" ".join(random.choices(WORDS, k=random.randint(1, MOST_WORDS))) for _ in range(count)]
        texts += len(predictor.predict(given))
        if not after_a_minute and passed > 60:
            after_a_minute = resident_bytes()
    last = resident_bytes()
    show(
        f"{minutes} minutes of random texts, {predictor.variant.name}",
        ["texts", "MB after a minute", "MB at the end", "ratio"],
        [[texts, after_a_minute / 1e6, last / 1e6, last / after_a_minute]],
        texts=texts,
        first_bytes=after_a_minute,
        last_bytes=last,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
