"""What is asked of a student: objectives with weights, by the name of a method or written out."""

from __future__ import annotations

import re

from limbeck.errors import UsageError

Weights = dict[str, float]
"""The weight of each objective by its name."""

# From the answers alone: the teacher's are computed once.
OF_ANSWERS = ("soft", "logits", "contrastive")
# What needs no look inside the teacher.
WITHOUT_STATES = ("hard", *OF_ANSWERS)
# Layer for layer, along the layer map.
OF_LAYERS = ("hidden", "directions", "patient", "attention")
# Of the last layers, or of the embeddings.
OF_ENDS = ("embeddings", "distributions", "values", "relations", "samples")
NAMES = ("hard", *OF_ANSWERS, *OF_LAYERS, *OF_ENDS)
PRESETS: dict[str, Weights] = {
    "default": {"soft": 0.5, "hard": 0.5},
    "hinton": {"soft": 0.9, "hard": 0.1},
    "distilbert": {"soft": 5.0, "hard": 2.0, "directions": 1.0},
    "tinybert": {"soft": 1.0, "embeddings": 1.0, "hidden": 1.0, "attention": 1.0},
    "minilm": {"soft": 1.0, "distributions": 1.0, "values": 1.0},
    "minilmv2": {"soft": 1.0, "relations": 1.0},
}
_WEIGHTED = re.compile(r"\s*([a-z]+)\s*=\s*(\d+(?:\.\d*)?|\.\d+)\s*")


def parse_objective(text: str) -> Weights:
    """The weights of a preset, or of objectives written out, as `soft=0.5,hidden=1`.

    Raises `UsageError` for what is neither, for a name that is no objective, and where nothing has any weight.
    """
    if text in PRESETS:
        return dict(PRESETS[text])
    matches = [_WEIGHTED.fullmatch(part) for part in text.split(",")]
    found = {match[1]: float(match[2]) for match in matches if match}
    unknown = [name for name in found if name not in NAMES]
    if not all(matches) or unknown or len(found) < len(matches):
        raise UsageError(
            f"--objective {text!r}: expected one of {', '.join(PRESETS)}, or objectives with weights, each once, as "
            f"soft=0.5,hidden=1, of {', '.join(NAMES)}"
        )
    kept = {name: weight for name, weight in found.items() if weight}
    if not kept:
        raise UsageError(f"--objective {text}: nothing has any weight, so nothing would be learnt")
    return kept
