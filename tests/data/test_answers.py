from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.data import load_splits
from limbeck.data.answers import read_answers
from limbeck.data.jsonl import open_json
from limbeck.data.problems import RowProblem
from limbeck.errors import DataError

CONTEXT = "Anna lives in Basel, and Anna sings."


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        ({"text": ["Anna", "Basel"], "answer_start": [25, 14]}, ((25, 29, "Anna"), (14, 19, "Basel"))),
        ([{"text": "Basel", "answer_start": 14}], ((14, 19, "Basel"),)),
        ([{"text": "Basel", "start": 14}], ((14, 19, "Basel"),)),
        ({"text": "Basel", "start": 14}, ((14, 19, "Basel"),)),
        (["Anna"], ((0, 4, "Anna"),)),
        ("Anna", ((0, 4, "Anna"),)),
        ("{'text': ['Basel'], 'answer_start': [14]}", ((14, 19, "Basel"),)),
        ('["Basel"]', ((14, 19, "Basel"),)),
        ({"text": [], "answer_start": []}, ()),
        ([], ()),
        ("", ()),
        (None, ()),
    ],
)
def test_forms_of_answers(value: object, spans: tuple[tuple[int, int, str], ...]) -> None:
    assert read_answers(value, CONTEXT).spans == spans


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([{"text": "Basel", "answer_start": 15}], "'Basel' does not stand at character 15 .*, where it says 'asel,'"),
        ([{"text": "Basel", "answer_start": "14"}], "does not stand at character '14'"),
        ("Zürich", "'Zürich' is not in its context"),
        ({"text": ["Anna"], "answer_start": []}, "do not hold as many starts as texts"),
        ([{"text": "", "answer_start": 0}], "the answer '' is no text"),
        (7, "are a int, expected texts"),
    ],
)
def test_answers_that_do_not_fit(value: object, problem: str) -> None:
    with pytest.raises(RowProblem, match=problem):
        read_answers(value, CONTEXT)


def squad(path: Path, contexts: int) -> Path:
    """A SQuAD 2.0 file of two questions a context, the second of which has no answer."""
    paragraphs = [
        {
            "context": f"Anna {n} lives in Basel.",
            "qas": [
                {"id": f"a{n}", "question": f"Who is {n}?", "answers": [{"text": f"Anna {n}", "answer_start": 0}]},
                {"id": f"b{n}", "question": f"Who is not {n}?", "answers": [], "is_impossible": True},
            ],
        }
        for n in range(contexts)
    ]
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Anna", "paragraphs": paragraphs}]}), "utf-8")
    return path


def test_a_squad_file_is_read_and_contexts_stand_on_one_side(tmp_path: Path) -> None:
    splits = load_splits(squad(tmp_path / "squad.json", 40))
    assert splits.task == "answer"
    assert splits.labels == ()
    parts = (splits.train, splits.dev, splits.test)
    contexts = [set(part.pairs or ()) for part in parts]
    assert sum(map(len, contexts)) == 40
    assert [len(part) for part in parts] == [2 * len(found) for found in contexts]
    assert splits.train.labels[0] in (((0, 6, splits.train.pairs[0][:6]),), ())  # type: ignore[index]


def test_bad_questions_are_counted_from_the_first(tmp_path: Path) -> None:
    path = squad(tmp_path / "squad.json", 20)
    document = json.loads(path.read_text("utf-8"))
    document["data"][0]["paragraphs"][1]["qas"][0]["answers"][0]["answer_start"] = 3
    path.write_text(json.dumps(document, indent=1), "utf-8")
    with pytest.raises(DataError, match=r"squad.json, question 3: the answer 'Anna 1' does not stand at character 3"):
        load_splits(path)


def test_a_question_of_a_squad_file_without_answers_is_bad(tmp_path: Path) -> None:
    path = squad(tmp_path / "squad.json", 20)
    document = json.loads(path.read_text("utf-8"))
    del document["data"][0]["paragraphs"][1]["qas"][1]["answers"]
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(DataError, match=r"squad.json, question 4: no label: the field 'answers' is missing"):
        load_splits(path)


def test_a_row_without_the_field_is_bad_and_one_with_nothing_in_it_has_no_answer(tmp_path: Path) -> None:
    rows = [{"question": f"who is {n}?", "context": f"it is {n}", "answers": str(n)} for n in range(40)]
    rows[5]["answers"] = None  # type: ignore[assignment]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    splits = load_splits(path)
    assert sum(not label for part in (splits.train, splits.dev, splits.test) for label in part.labels) == 1
    del rows[7]["answers"]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    with pytest.raises(DataError, match="line 8: no label: the field 'answers' is missing"):
        load_splits(path)


def test_an_empty_squad_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "squad.json"
    path.write_text('{"data": [{"title": "t", "paragraphs": []}]}', "utf-8")
    with pytest.raises(DataError, match="holds no question"):
        open_json(path)
