"""Fetch real movie-review sentences and write them as `text,label`.

    python examples/fetch_reviews.py build/demo/reviews.csv

They come with the source archive of the package vaderSentiment (Hutto and Gilbert 2014, MIT licence): 10,604 sentences
with a mean sentiment from -4 to 4. Those between -0.5 and 0.5 are left out.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ARCHIVE = "vaderSentiment==3.3.2"
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
SENTENCES = "movieReviewSnippets_GroundTruth.txt"
NEUTRAL = 0.5


def fetch(folder: Path) -> Path:
    """Download the source archive with pip, from whatever index pip is set up for."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", ARCHIVE]
    subprocess.run([*command, "--dest", str(folder)], check=True)
    return next(folder.glob("vader*.tar.gz"))


def sentences(archive: Path) -> str:
    """The tab-separated file of sentences, out of the archive in the archive."""
    with tarfile.open(archive) as outer:
        inner = next(member for member in outer if member.name.endswith(INNER))
        packed = outer.extractfile(inner)
        if packed is None:
            raise SystemExit(f"{archive} holds no {INNER}")
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as nested:
            member = next(m for m in nested if m.name.endswith(SENTENCES) and not Path(m.name).name.startswith("."))
            file = nested.extractfile(member)
            if file is None:
                raise SystemExit(f"{INNER} holds no {SENTENCES}")
            return file.read().decode("utf-8", errors="replace")


def main(output: Path) -> None:
    """Write the reviews, unless they are there."""
    if output.exists():
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        lines = sentences(fetch(Path(folder))).splitlines()
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    scored = [(text.strip(), float(score)) for _, score, text in rows]
    beside = output.with_suffix(".partial")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(
            (text, "positive" if score > 0 else "negative") for text, score in scored if abs(score) >= NEUTRAL
        )
    beside.rename(output)
    print(f"{output}: {sum(abs(s) >= NEUTRAL for _, s in scored):,} of {len(scored):,} sentences")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
