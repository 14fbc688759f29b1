from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.bundle import Manifest, Model, Source

PAGE = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("| field | holds |\n")[2].partition("\n\n")[0]
ROWS = {line.split("`")[1]: line for line in TABLE.splitlines() if line.startswith("| `")}


def test_the_table_has_every_field_of_the_manifest_in_its_order() -> None:
    assert tuple(ROWS) == Manifest.__struct_fields__


@pytest.mark.parametrize(("row", "kind"), [("model", Model), ("source", Source)])
def test_a_row_names_all_that_is_in_it(row: str, kind: type[Model | Source]) -> None:
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in ROWS[row]] == []
