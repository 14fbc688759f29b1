from __future__ import annotations

import json

from limbeck.tasks import Classification, MultiLabelling, Reading, Regression
from limbeck.tasks.records import to_record

READ = Reading(tokens=64, truncated_tokens=9, windows=2)
PROBABILITIES = {"good": 0.1234567891, "bad": 0.8765432109}


def test_a_classification() -> None:
    result = Classification("bad", PROBABILITIES["bad"], PROBABILITIES, READ)
    short = {"prediction": "bad", "prediction_score": 0.876543, "truncated_tokens": 9, "windows": 2}
    assert to_record(result) == short
    assert to_record(result, scores=True) == short | {"prediction_scores": {"good": 0.123457, "bad": 0.876543}}


def test_a_multi_labelling() -> None:
    result = MultiLabelling(["bad"], PROBABILITIES, READ)
    assert to_record(result) == {"prediction": ["bad"], "truncated_tokens": 9, "windows": 2}
    assert to_record(result, scores=True)["prediction_scores"] == {"good": 0.123457, "bad": 0.876543}


def test_a_number() -> None:
    result = Regression(3.14159265, Reading())
    expected = {"prediction": 3.141593, "truncated_tokens": 0, "windows": 1}
    assert to_record(result) == to_record(result, scores=True) == expected


def test_every_record_is_json_and_leaves_the_rows_own_columns_alone() -> None:
    for result in (
        Classification("bad", 0.9, PROBABILITIES, READ),
        MultiLabelling([], PROBABILITIES, READ),
        Regression(1.5, READ),
    ):
        record = to_record(result, scores=True)
        assert json.loads(json.dumps(record)) == record
        assert not {"text", "pair", "label", "score"} & record.keys()
