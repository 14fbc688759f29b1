"""Results as flat records: what a CSV, JSONL or Parquet row says of a prediction."""

from __future__ import annotations

from msgspec.structs import asdict

from limbeck.tasks.results import (
    Answered,
    Classification,
    Embedding,
    Entity,
    MultiLabelling,
    Reading,
    Result,
    Tagging,
)

Record = dict[str, object]
RECORD_NAMES = (
    "prediction",
    "prediction_score",
    "prediction_scores",
    "prediction_start",
    "prediction_end",
    "truncated_tokens",
    "windows",
)


def to_record(result: Result, *, scores: bool = False) -> Record:
    """`prediction` and its `prediction_score`, every label's score if `scores`, and how the text was read.

    The names leave the input's own `label` and `score` columns alone.
    """
    record: Record
    if isinstance(result, Classification):
        record = {"prediction": result.label, "prediction_score": round(result.score, 6)}
        every = result.scores
    elif isinstance(result, MultiLabelling):
        record = {"prediction": result.labels}
        every = result.scores
    elif isinstance(result, Tagging):
        record = {"prediction": [asdict(entity) | {"score": round(entity.score, 6)} for entity in result.entities]}
        every = {}
    elif isinstance(result, Answered):
        record = {"prediction": result.text, "prediction_score": round(result.score, 6)}
        record |= {"prediction_start": result.start, "prediction_end": result.end}
        every = {}
        if scores:
            record["prediction_scores"] = [asdict(span) | {"score": round(span.score, 6)} for span in result.best]
    elif isinstance(result, Embedding):
        record = {"prediction": [round(number, 7) for number in result.vector.tolist()]}
        every = {}
    else:
        record = {"prediction": round(result.value, 6)}
        every = {}
    if scores and every:
        record["prediction_scores"] = {label: round(score, 6) for label, score in every.items()}
    record["truncated_tokens"] = result.reading.truncated_tokens
    record["windows"] = result.reading.windows
    return record


def example_record(task: str) -> Record:
    """What a record may hold, for those who must know what is in lists that are empty in the first rows."""
    entity = Entity(label="PER", text="Anna", start=0, end=4, score=0.5)
    return to_record(Tagging([entity], Reading())) if task == "tag" else {}
