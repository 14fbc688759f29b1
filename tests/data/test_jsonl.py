from __future__ import annotations

from limbeck.data.jsonl import open_json, open_jsonl

from .files import Write, jsonl


def test_row_numbers_are_lines_and_columns_are_the_keys(write: Write) -> None:
    table = open_jsonl(write("a.jsonl", '{"text": "a"}\n\n{"text": "b", "label": 1}\r\n'))
    assert table.columns == ("text", "label")
    assert [(record.row, record.fields["text"]) for record in table.records()] == [(1, "a"), (3, "b")]


def test_a_broken_line_is_kept_for_the_message(write: Write) -> None:
    table = open_jsonl(write("a.jsonl", '{"text": "a"}\n{"text": \n["b"]\n{"text": "\\ud83d"}\n'))
    problems = [record.problem for record in table.records()]
    assert problems[0] is None
    assert "not valid JSON" in str(problems[1])
    assert "expected an object, as {…}, got a list" in str(problems[2])
    assert "half a surrogate pair" in str(problems[3])


def test_escaped_characters_beyond_the_basic_plane_are_whole(write: Write) -> None:
    (record,) = open_jsonl(write("a.jsonl", '{"text": "\\ud83d\\ude00"}\n')).records()
    assert (record.fields["text"], record.problem) == ("😀", None)


def test_json_is_a_list_or_lines(write: Write) -> None:
    listed = open_json(write("a.json", '[\n {"text": "a"},\n {"text": "b"}\n]'))
    assert [(listed.place(record), record.fields["text"]) for record in listed.records()] == [
        ("a.json, row 1", "a"),
        ("a.json, row 2", "b"),
    ]
    lines = open_json(write("b.json", jsonl([{"text": "a"}, {"text": "b"}])))
    assert [lines.place(record) for record in lines.records()] == ["b.json, line 1", "b.json, line 2"]


def test_a_list_tells_broken_characters_in_any_column(write: Write) -> None:
    rows = [b'{"text": "a", "more": "\\ud83d"}', b'{"text": "b", "more": ["\xff"]}', b'{"text": "\\u00e9"}']
    problems = [record.problem for record in open_json(write("a.json", b"[" + b",\n".join(rows) + b"]")).records()]
    assert "half a surrogate pair" in str(problems[0])
    assert "not valid UTF-8: byte 0xff" in str(problems[1])
    assert problems[2] is None


def test_a_squad_file_tells_broken_characters_in_any_column(write: Write) -> None:
    article = {"title": "\ud83d", "paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q"}, 2]}]}
    problems = [record.problem for record in open_json(write("a.json", jsonl([{"data": [article]}]))).records()]
    assert "half a surrogate pair" in str(problems[0])
    assert "expected an object with a question" in str(problems[1])
