from __future__ import annotations

import gzip

import pytest

from limbeck.data.csv import open_csv, open_tsv, sniff_separator
from limbeck.errors import DataError

from .files import Write


@pytest.mark.parametrize(
    ("header", "separator"),
    [("text,label", ","), ("text;label", ";"), ("text\tlabel", "\t"), ("text", ","), ('"a,b,c";label', ";")],
)
def test_the_separator_is_seen_from_the_header_outside_quotes(header: str, separator: str) -> None:
    assert sniff_separator(header) == separator


def test_a_row_number_is_the_line_where_the_row_begins(write: Write) -> None:
    table = open_csv(write("a.csv", 'text,label\n"two\nlines",x\n\nlast,y\n'))
    assert [(record.row, record.fields["text"]) for record in table.records()] == [(2, "two\nlines"), (5, "last")]
    assert [table.place(record) for record in table.records()] == ["a.csv, line 2", "a.csv, line 5"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_mark_line_ends_and_quotes(write: Write, end: str) -> None:
    content = end.join(["\ufefftext,label", '"a ""b"", c",x', "é,y"])
    records = list(open_csv(write("a.csv", content)).records())
    assert [dict(record.fields) for record in records] == [
        {"text": 'a "b", c', "label": "x"},
        {"text": "é", "label": "y"},
    ]


def test_gzip(write: Write) -> None:
    table = open_csv(write("a.csv.gz", gzip.compress(b"text,label\na,x\n")))
    assert [dict(record.fields) for record in table.records()] == [{"text": "a", "label": "x"}]
    with pytest.raises(DataError, match="not a whole gzip file"):
        list(open_csv(write("b.csv.gz", gzip.compress(b"text,label\na,x\n" * 99)[:-9])).records())


def test_an_open_quote_costs_its_own_row_only(write: Write) -> None:
    table = open_csv(write("a.csv", 'text,label\na,x\n"open,x\nb,x\nc,y\n'))
    records = list(table.records())
    assert [(record.row, record.problem) for record in records] == [
        (2, None),
        (3, "the quote opened on line 3 is never closed"),
        (4, None),
        (5, None),
    ]
    assert records[1].fields == {"line": '"open,x'}


def test_a_quote_that_another_row_closes_is_said_with_both_lines(write: Write) -> None:
    table = open_csv(write("a.csv", 'text,label\n"open,x\nb,x\n"c",y\n'))
    records = list(table.records())
    assert [(record.row, record.problem is None) for record in records] == [(2, False), (3, True), (4, True)]
    assert "opened on line 2, closed on line 4" in str(records[0].problem)


def test_tsv_has_no_quoting(write: Write) -> None:
    table = open_tsv(write("a.tsv", 'text\tlabel\n"open\tx\n a "b" \ty\r\n'))
    assert [dict(record.fields) for record in table.records()] == [
        {"text": '"open', "label": "x"},
        {"text": ' a "b" ', "label": "y"},
    ]


def test_a_large_cell_is_read(write: Write) -> None:
    table = open_csv(write("a.csv", f"text,label\n{'a ' * 500_000},x\n"))
    assert [len(str(record.fields["text"])) for record in table.records()] == [1_000_000]
