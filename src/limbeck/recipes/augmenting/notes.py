"""What `limbeck augment` says of the rows that it made."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.augmentation.made import Made
from limbeck.data import Dataset

SHOWN_CHARACTERS = 60


def outcome_lines(made: Made, train: Dataset) -> Iterator[str]:
    """For each method the rows made, those dropped and why, and the first as an example."""
    for method, counts in made.counts.items():
        reasons = {
            "with nothing to change": counts.nothing_to_change,
            "equal to their row": counts.unchanged,
            "equal to another": counts.repeated,
            "equal to a dev or test row": counts.held_out,
        }
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        rate = f", {counts.attempts / counts.seconds:,.0f} rows/s" if counts.seconds else ""
        yield f"{method}: {counts.made:,} of {counts.attempts:,} made{rate}" + (f"; dropped: {dropped}" * bool(dropped))
        example = next((row for row in made.rows if row.method == method), None)
        if example is not None:
            before, after = train.texts[example.source], example.text.text
            if before == after and train.pairs is not None and example.pair is not None:
                before, after = train.pairs[example.source], example.pair
            yield f"  {_around(before, after)}"


def _around(before: str, after: str) -> str:
    """Both texts from a little before the first difference on: `…a good film → …a fine film`."""
    lead = SHOWN_CHARACTERS // 3
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
    start = before.rfind(" ", 0, first - lead) + 1 if first > lead else 0
    return " → ".join(_shown(text, start) for text in (before, after))


def _shown(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return "…" * (start > 0) + text[start:end] + "…" * (end < len(text))
