from __future__ import annotations

import pytest

from limbeck.data import Columns
from limbeck.data.columns import find_roles, named_in_training
from limbeck.data.records import Table
from limbeck.errors import DataError, UsageError


def table(columns: str) -> Table:
    return Table("a.csv", "line", tuple(columns.split()), lambda: iter(()))


@pytest.mark.parametrize(
    ("columns", "text", "pair", "label"),
    [
        ("text label", "text", None, "label"),
        ("Label Sentence", "Sentence", None, "Label"),
        ("id sentence1 sentence2 score", "sentence1", "sentence2", "score"),
        ("id question1 question2 is_duplicate label", "question1", "question2", "label"),
        ("premise hypothesis label", "premise", "hypothesis", "label"),
        ("question sentence label", "question", "sentence", "label"),
        ("text text_pair label", "text", "text_pair", "label"),
        ("text question answer label", "text", None, "label"),
        ("title content category", "content", None, "category"),
        ("text label label_text", "text", None, "label"),
        ("utterance intent score", "utterance", None, "intent"),
        ("pair text label", "text", "pair", "label"),
    ],
)
def test_usual_names(columns: str, text: str, pair: str | None, label: str) -> None:
    roles = find_roles(table(columns), Columns(), labelled=True)
    assert (roles.text, roles.pair, roles.labels) == (text, pair, (label,))


@pytest.mark.parametrize(
    ("columns", "said", "expected"),
    [
        ("a b c", Columns("a", None, "c"), ("a", None, ("c",))),
        ("a b c", Columns("a", "b", "c"), ("a", "b", ("c",))),
        ("Foo bar label", Columns("foo"), ("Foo", None, ("label",))),
        ("sentence1 sentence2 label", Columns("sentence1"), ("sentence1", "sentence2", ("label",))),
        ("sentence1 sentence2 label", Columns("sentence2"), ("sentence2", None, ("label",))),
        ("sentence1 sentence2 label", Columns(pair=""), ("sentence1", None, ("label",))),
        ("text text_pair label", Columns(pair_separator="|"), ("text", None, ("label",))),
        ("text toxic rude", Columns(label="toxic,rude"), ("text", None, ("toxic", "rude"))),
        ("text a,b", Columns(label="a,b"), ("text", None, ("a,b",))),
        ("text body label", Columns(pair="body"), ("text", "body", ("label",))),
        ("text label sentiment", Columns(label="sentiment"), ("text", None, ("sentiment",))),
    ],
)
def test_said_names(columns: str, said: Columns, expected: tuple[str, str | None, tuple[str, ...]]) -> None:
    roles = find_roles(table(columns), said, labelled=True)
    assert (roles.text, roles.pair, roles.labels) == expected


@pytest.mark.parametrize(
    ("columns", "said", "labels", "negative"),
    [
        ("sentence1 sentence2 score", Columns(), ("score",), None),
        ("anchor positive", Columns(), (), None),
        ("anchor positive negative", Columns(), (), "negative"),
        ("text text_pair label", Columns(label=""), (), None),
        ("query answer label negative", Columns(label="label"), ("label",), None),
    ],
)
def test_pairs_to_embed_may_have_a_score_a_negative_or_neither(
    columns: str, said: Columns, labels: tuple[str, ...], negative: str | None
) -> None:
    roles = find_roles(table(columns), said, labelled=True, task="embed")
    assert (roles.labels, roles.negative) == (labels, negative)
    assert roles.pair is not None


def test_embedding_is_learnt_from_two_texts() -> None:
    with pytest.raises(DataError, match="the task embed learns from pairs of texts, and only 'text' was found"):
        find_roles(table("text label"), Columns(), labelled=True, task="embed")


@pytest.mark.parametrize(
    ("columns", "said", "message"),
    [
        (
            "a b",
            Columns(),
            "no column with a usual name for the text or the label; it has 'a', 'b'. Name the columns with --text and "
            "--label.",
        ),
        ("text b", Columns(), "usual name for the label; it has 'text', 'b'. Name the column with --label."),
        (
            "a label",
            Columns(text="x", label="y,label,labl"),
            "has no column 'x', named by --text, and no column 'y', named by --label, and no column 'labl', named by "
            "--label; it has 'a', 'label'. Did you mean 'label'?",
        ),
        (
            "a b",
            Columns(pair="c"),
            "has no column 'c', named by --pair, and no column with a usual name for the text or the label; it has "
            "'a', 'b'. Name the columns with --text and --label.",
        ),
        ("a label", Columns(), "usual name for the text; it has 'a', 'label'. Name the column with --text"),
        ("review comment label", Columns(), "which column is the text, 'review' or 'comment'"),
        ("text Text label", Columns(), "which column is the text, 'text' or 'Text'"),
        ("text label labels", Columns(), "which column is the label, 'label' or 'labels'"),
        ("question sentence answer label", Columns(), "'question' with 'sentence' or 'question' with 'answer'"),
        (
            "text label",
            Columns(text="txt"),
            "no column 'txt', named by --text; it has 'text', 'label'. Did you mean",
        ),
        ("text label", Columns(label="text", text="text"), "one column is named twice"),
    ],
)
def test_what_cannot_be_told_is_said(columns: str, said: Columns, message: str) -> None:
    with pytest.raises(DataError) as caught:
        find_roles(table(columns), said, labelled=True)
    assert message in str(caught.value)


def test_of_columns_that_a_model_was_trained_with_no_flag_is_said_to_have_named_them() -> None:
    columns = Columns(text="nachricht", pair="b")
    with pytest.raises(DataError) as caught, named_in_training(Columns(pair="b")):
        find_roles(table("text label"), columns, labelled=True)
    assert str(caught.value) == (
        "a.csv has no column 'nachricht', which the model was trained with, and no column 'b', named by --pair; it has "
        "'text', 'label'. Name the column with --text."
    )


def test_the_pair_is_asked_for_once() -> None:
    with pytest.raises(UsageError, match="drop --pair or --pair-separator"):
        find_roles(table("text b label"), Columns(pair="b", pair_separator="|"), labelled=True)


def test_no_label_is_needed_to_predict() -> None:
    assert find_roles(table("text"), Columns(), labelled=False).labels == ()
