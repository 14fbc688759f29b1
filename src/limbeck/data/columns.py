"""Which columns hold the text, its pair and the label: as said, or by the names that data sets usually use."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from limbeck.data.records import Columns, Table
from limbeck.errors import DataError, UsageError

# Ranks: the first one that matches decides; two matches of one rank are for the user to decide between.
# Pairs come before single texts, or `question` would hide `sentence` beside it.
PAIR_RANKS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("text", "text_pair"), ("text", "pair"), ("text", "text2")),
    (("question", "context"),),
    (
        ("sentence1", "sentence2"),
        ("sentence_1", "sentence_2"),
        ("sentence_a", "sentence_b"),
        ("question1", "question2"),
        ("text1", "text2"),
        ("text_a", "text_b"),
        ("premise", "hypothesis"),
        ("question", "sentence"),
        ("question", "answer"),
        ("query", "document"),
        ("query", "passage"),
        ("query", "answer"),
        ("query", "positive"),
        ("anchor", "positive"),
    ),
)
WORD_NAMES = ("tokens", "words")  # of columns that may hold lists of words
TEXT_RANKS: tuple[tuple[str, ...], ...] = (
    ("text",),
    (
        *("sentence", "content", "review", "review_text", "comment", "comment_text", "tweet", "message"),
        *("utterance", "document", "body", "query", "question"),
        *("sentence1", "question1", "text1", "text_a", "premise"),
    ),
    WORD_NAMES,
    ("anchor",),
    ("title", "headline", "subject"),
)
LABEL_RANKS: tuple[tuple[str, ...], ...] = (
    ("label", "labels"),
    ("answers",),
    ("ner_tags", "tags", "entities", "spans", "ner"),
    ("class", "category", "intent", "sentiment", "target", "emotion", "emotions", "topic"),
    ("score", "rating", "stars", "similarity"),
    ("y",),
)
# The third texts of triplets, which only the task embed reads.
NEGATIVE_NAMES = ("negative", "hard_negative", "text_negative")
_LABEL_NAMES = {name for rank in LABEL_RANKS for name in rank}
ANSWER_NAMES = ("answers", "answer")
FLAGS = {"text": "--text", "pair": "--pair", "label": "--label"}


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of one table by what they hold."""

    text: str
    pair: str | None
    labels: tuple[str, ...]
    """One column, several of 0 and 1, or none where there is or need be no label."""
    negative: str | None = None
    """The column of the texts that do not belong to their rows, in triplets."""
    answers: bool = False
    """Whether the label holds answers as spans of the second text."""

    def describe(self) -> str:
        """For messages: `text 'question1', pair 'question2', label 'is_duplicate'`."""
        parts = [f"text {self.text!r}"]
        parts += [f"pair {self.pair!r}"] if self.pair else []
        parts += [f"label {', '.join(map(repr, self.labels))}"] if self.labels else []
        parts += [f"negative {self.negative!r}"] if self.negative else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Lack:
    """A column that is not there: the one named `name`, or if that is None one with a usual name for its role."""

    role: str
    name: str | None
    hint: str = ""


class ColumnsMissing(DataError):
    """All columns that a table lacks; those of the roles `trained` were named when a model was trained."""

    def __init__(self, table: Table, lacks: Sequence[Lack], trained: Collection[str] = ()) -> None:
        self.table = table
        self.lacks = sorted(lacks, key=lambda lack: list(FLAGS).index(lack.role))
        named = [
            f"no column {lack.name!r}, "
            + ("which the model was trained with" if lack.role in trained else f"named by {FLAGS[lack.role]}")
            for lack in self.lacks
            if lack.name is not None
        ]
        usual = [lack.role for lack in self.lacks if lack.name is None]
        said = [*named, *([f"no column with a usual name for the {' or the '.join(usual)}"] if usual else [])]
        to_name = [lack.role for lack in self.lacks if lack.name is None or lack.role in trained]
        parts = [f"{table.name} has {', and '.join(said)}; it has {_list(table.columns)}."]
        parts += [_say(*to_name)] if to_name else []
        super().__init__(" ".join([*parts, *(lack.hint for lack in self.lacks if lack.hint)]))

    def of_training(self, said: Columns) -> ColumnsMissing:
        """The same where a model's own columns were taken but for those that were `said`."""
        return ColumnsMissing(
            self.table, self.lacks, [lack.role for lack in self.lacks if lack.name and not getattr(said, lack.role)]
        )


@contextmanager
def named_in_training(said: Columns) -> Iterator[None]:
    """Within, columns that were not `said` are those of a model's training data: an error says so of missing ones."""
    try:
        yield
    except ColumnsMissing as error:
        raise error.of_training(said) from None


def find_roles(table: Table, columns: Columns, *, labelled: bool, task: str | None = None) -> Roles:
    """The roles of a table's columns.

    Args:
        table: the table.
        columns: what the user said.
        labelled: whether a label is needed.
        task: `embed` takes pairs of texts with a label, a negative text, or neither; `answer` takes answers.

    Raises:
        DataError: columns are not there (all are named), or none or several have a usual name.
        UsageError: the pair is asked for twice, as a column and behind a separator.
    """
    if columns.pair and columns.pair_separator:
        raise UsageError("the pair is in a column of its own or behind a separator: drop --pair or --pair-separator")
    lacks: list[Lack] = []
    if labelled and task == "embed":
        return _embed_roles(table, columns, lacks)
    labels: tuple[str, ...] = ()
    if labelled:
        labels = _label_columns(table, columns, lacks)
    text, pair = _text_columns(table, columns, set(labels), lacks)
    if lacks:
        raise ColumnsMissing(table, lacks)
    used = [text, *([pair] if pair else []), *labels]
    if len(set(used)) < len(used):
        raise DataError(f"{table.name}: one column is named twice: {', '.join(map(repr, used))}")
    if task == "answer" and pair is None:
        raise DataError(f"{table.name}: the task answer reads a question and its context. {_say('text', 'pair')}")
    named_so = task is None and pair is not None and any(name.lower() in ANSWER_NAMES for name in labels)
    return Roles(text, pair, labels, answers=task == "answer" or named_so)


def _embed_roles(table: Table, columns: Columns, lacks: list[Lack]) -> Roles:
    """Two texts, and what says how alike they are: a label, a negative text, or that they are a pair."""
    negative = next((name for name in table.columns if name.lower() in NEGATIVE_NAMES), None)
    labels: tuple[str, ...] = ()
    if columns.label:
        labels, negative = (_said(table, "label", columns.label, lacks),), None
    elif columns.label is None and negative is None and any(name.lower() in _LABEL_NAMES for name in table.columns):
        labels = _label_columns(table, columns, lacks)
    text, pair = _text_columns(table, columns, {*labels, *([negative] if negative else [])}, lacks)
    if lacks:
        raise ColumnsMissing(table, lacks)
    if pair is None and not columns.pair_separator:
        raise DataError(
            f"{table.name}: the task embed learns from pairs of texts, and only {text!r} was found among "
            f"{_list(table.columns)}. {_say('text', 'pair')}"
        )
    return Roles(text, pair, labels, negative)


def _text_columns(table: Table, columns: Columns, taken: set[str], lacks: list[Lack]) -> tuple[str, str | None]:
    """The text's column and the pair's."""
    free = {name for name in table.columns if name not in taken}
    said = _said(table, "text", columns.text, lacks) if columns.text else None
    if columns.pair:
        pair = _said(table, "pair", columns.pair, lacks)
        return said or _usual(table, "text", TEXT_RANKS, free - {pair}, lacks), pair
    if columns.pair is None and columns.pair_separator is None:
        found = _usual_pair(table, said, free)
        if found is not None:
            return found
    return said or _usual(table, "text", TEXT_RANKS, free, lacks), None


def _usual_pair(table: Table, said: str | None, free: set[str]) -> tuple[str, str] | None:
    """Two columns whose names go together, the first of them the one that was said, if any."""
    names = {name.lower(): name for name in table.columns if name in free}
    for rank in PAIR_RANKS:
        # A column named `text` is the text, with no pair but its own.
        if said is None and "text" in names and rank is not PAIR_RANKS[0]:
            return None
        found = [(names[one], names[two]) for one, two in rank if one in names and two in names]
        found = [(one, two) for one, two in found if said in (None, one)]
        if len(found) > 1:
            listed = " or ".join(f"{one!r} with {two!r}" for one, two in found)
            raise DataError(f"{table.name}: which columns are the texts, {listed}? {_say('text', 'pair')}")
        if found:
            return found[0]
    return None


def _label_columns(table: Table, columns: Columns, lacks: list[Lack]) -> tuple[str, ...]:
    if not columns.label:
        taken = {columns.text, columns.pair}
        return (_usual(table, "label", LABEL_RANKS, {name for name in table.columns if name not in taken}, lacks),)
    if columns.label in table.columns or "," not in columns.label:
        return (_said(table, "label", columns.label, lacks),)
    return tuple(_said(table, "label", name.strip(), lacks) for name in columns.label.split(",") if name.strip())


def _said(table: Table, role: str, name: str, lacks: list[Lack]) -> str:
    """The column that was named: exactly, else whatever the case of its letters; one of `lacks` if it is not there."""
    if name in table.columns:
        return name
    same = [column for column in table.columns if column.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(name, table.columns, n=1)
    lacks.append(Lack(role, name, f"Did you mean {near[0]!r}?" if near else ""))
    return name


def _usual(table: Table, role: str, ranks: Sequence[Sequence[str]], free: set[str], lacks: list[Lack]) -> str:
    """The column with a usual name for the role; one of `lacks` if there is none."""
    for rank in ranks:
        found = [column for column in table.columns if column in free and column.lower() in rank]
        if len(found) > 1:
            listed = " or ".join(map(repr, found))
            raise DataError(f"{table.name}: which column is the {role}, {listed}? {_say(role)}")
        if found:
            return found[0]
    pairs = role == "label" and _usual_pair(table, None, free) is not None
    lacks.append(Lack(role, None, "Vectors are learnt from pairs without a label: pass --task embed." * pairs))
    return ""


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns)) or "no columns"


def _say(*roles: str) -> str:
    flags = list(dict.fromkeys(FLAGS[role] for role in roles))
    return f"Name the column{'s' * (len(flags) > 1)} with {' and '.join(flags)}."
