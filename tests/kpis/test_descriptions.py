"""The published tables say what they mean, where a BI tool shows it."""

from typing import Any

import pytest

from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.descriptions import WIDE, described

PROJECT = inspect()
DESCRIBED = described(PROJECT)


@pytest.mark.parametrize("table", DESCRIBED)
def test_every_table_says_what_its_rows_are(table: str) -> None:
    assert len(DESCRIBED[table].text.split()) > 4
    assert DESCRIBED[table].columns.keys() <= PROJECT.tables[table].keys()


def test_every_column_that_a_bi_tool_connects_to_says_whether_it_adds_up() -> None:
    columns = DESCRIBED[WIDE].columns
    assert columns.keys() == PROJECT.tables[WIDE].keys()
    assert "SUM(gpm_numerator) / SUM(gpm_denominator)" in columns["gpm"]
    assert "never over weeks" in columns["outstanding_ar"]
    assert "Additive over weeks and rollups" in columns["leads"]


def test_a_build_writes_them_into_the_warehouse(built: Any) -> None:
    rows = built.warehouse.query(
        "SELECT column_name, comment FROM duckdb_columns()"
        f" WHERE schema_name || '.' || table_name = '{WIDE}'"
    )
    assert {row["column_name"]: row["comment"] for row in rows} == DESCRIBED[WIDE].columns
