"""Answers to questions as spans of their contexts: SQuAD files, and the forms that rows hold answers in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.data.literals import parse_literal
from limbeck.data.problems import RowProblem
from limbeck.data.records import Record
from limbeck.tasks import Span

SQUAD_COLUMNS = ("id", "title", "question", "context", "answers")
_STARTS = ("answer_start", "start")


@dataclass(frozen=True, slots=True)
class Answers:
    """A raw label: the answers to a question as spans of its context with their texts; none where it has no answer."""

    spans: tuple[Span, ...]


def is_squad(document: object) -> bool:
    """Whether a JSON document is a SQuAD file: `{"data": [{"title", "paragraphs": [{"context", "qas"}]}]}`."""
    articles = document.get("data") if isinstance(document, Mapping) else None
    return isinstance(articles, list) and any(isinstance(a, Mapping) and "paragraphs" in a for a in articles)


def squad_records(document: Mapping[str, object]) -> Iterator[Record]:
    """The questions of a SQuAD 1.1 or 2.0 file, counted from 1; one that cannot be read is a bad row."""
    number = 0
    articles = document["data"]
    for article in articles if isinstance(articles, list) else []:
        title = article.get("title", "") if isinstance(article, Mapping) else ""
        for paragraph in _list_of(article, "paragraphs"):
            for qa in _list_of(paragraph, "qas"):
                number += 1
                if not isinstance(paragraph, Mapping) or not isinstance(qa, Mapping):
                    yield Record(number, {"question": str(qa)}, "expected an object with a question and its answers")
                    continue
                yield Record(number, {**qa, "title": title, "context": paragraph.get("context")})


def _list_of(value: object, name: str) -> list[object]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def read_answers(value: object, context: str) -> Answers:
    """The answers that a cell holds, checked against the context.

    It may be `{"text": […], "answer_start": […]}`, a list of `{"text", "answer_start"}` (or `start`), or texts alone,
    which are looked up where they first stand; or a text that spells one of these. Nothing, an empty list or an empty
    text is no answer.

    Raises:
        RowProblem: an answer is not in the context, or not in one of these forms.
    """
    if value is None:
        return Answers(())
    if isinstance(value, str):
        if (written := parse_literal(value)) is not None:
            return read_answers(written, context)
        return Answers((_looked_up(value, context),) if value.strip() else ())
    if isinstance(value, Mapping):
        texts = value.get("text")
        starts = next((value[name] for name in _STARTS if name in value), None)
        if isinstance(texts, str):
            return Answers((_checked(texts, starts, context),))
        if not isinstance(texts, Sequence) or not isinstance(starts, Sequence) or len(texts) != len(starts):
            raise RowProblem(f"the answers {value!r:.80} do not hold as many starts as texts")
        return Answers(tuple(_checked(text, start, context) for text, start in zip(texts, starts, strict=True)))
    if isinstance(value, Sequence):
        return Answers(tuple(span for item in value for span in read_answers(item, context).spans))
    raise RowProblem(f"the answers are a {type(value).__name__}, expected texts with where they start in the context")


def _checked(text: object, start: object, context: str) -> Span:
    if not isinstance(text, str) or not text.strip():
        raise RowProblem(f"the answer {text!r:.80} is no text")
    if start is None:
        return _looked_up(text, context)
    if isinstance(start, bool) or not isinstance(start, int) or context[start : start + len(text)] != text or start < 0:
        there = f", where it says {context[start : start + len(text)]!r:.60}" if isinstance(start, int) else ""
        raise RowProblem(f"the answer {text!r:.60} does not stand at character {start!r} of the context{there}")
    return start, start + len(text), text


def _looked_up(text: str, context: str) -> Span:
    start = context.find(text)
    if start < 0:
        raise RowProblem(f"the answer {text!r:.80} is not in its context")
    return start, start + len(text), text
