from __future__ import annotations

from pathlib import Path

from limbeck.data.csv import open_csv
from limbeck.data.writers import open_writer


def test_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"text": text, "label": "x"} for text in ("plain", "a\rb", "a\nb", "a\r\nb", "\r", 'a "b", c')]
    path = tmp_path / "out.csv"
    with open_writer(path, "csv") as write:
        write(rows)
    assert [record.fields for record in open_csv(path).records()] == rows
    assert path.read_bytes().startswith(b'text,label\nplain,x\n"a\rb",x\n')
