"""Statements on their way to BigQuery, without one."""

import pytest

from st_kpi.warehouse.bigquery.values import (
    joinable,
    numbered,
    renamed,
    tables_in,
    written_table,
)

NAMES = {"st_kpi.a": "st_staging.x", "st_kpi.b": "st_staging.y"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a.n FROM st_kpi.a", "SELECT a.n FROM st_staging.x AS a"),
        ("SELECT n FROM st_kpi.a AS t", "SELECT n FROM st_staging.x AS t"),
        ("SELECT n FROM st_kpi.a t", "SELECT n FROM st_staging.x t"),
        ("SELECT n FROM st_kpi.a JOIN st_kpi.b USING (n)", "SELECT n FROM st_staging.x AS a JOIN st_staging.y AS b USING (n)"),
        ("SELECT n FROM st_kpi.a, st_kpi.c", "SELECT n FROM st_staging.x AS a, st_kpi.c"),
        ("INSERT INTO st_kpi.a (n) SELECT n FROM st_kpi.b", "INSERT INTO st_staging.x (n) SELECT n FROM st_staging.y AS b"),
        ("DELETE FROM st_kpi.a WHERE a.n = 1", "DELETE FROM st_staging.x AS a WHERE a.n = 1"),
        ("UPDATE st_kpi.a SET n = 1 WHERE TRUE", "UPDATE st_staging.x SET n = 1 WHERE TRUE"),
        ("SELECT 'st_kpi.a' AS t -- st_kpi.a\nFROM st_kpi.c", "SELECT 'st_kpi.a' AS t -- st_kpi.a\nFROM st_kpi.c"),
        ("SELECT n FROM st_kpi.a_long", "SELECT n FROM st_kpi.a_long"),
        ("SELECT n FROM (SELECT n FROM st_kpi.a) AS t", "SELECT n FROM (SELECT n FROM st_staging.x AS a) AS t"),
    ],
)  # fmt: skip
def test_tables_are_exchanged_and_nothing_else(sql: str, expected: str) -> None:
    assert renamed(sql, NAMES) == expected


def test_parameters_get_a_number() -> None:
    assert numbered("SET a = @a, b = @b_1 -- @c\nWHERE d = '@e'", 3) == (
        "SET a = @a_3, b = @b_1_3 -- @c\nWHERE d = '@e'"
    )
    assert numbered("SET a = @@row_count + @b", 3) == "SET a = @@row_count + @b_3"


def test_what_a_statement_names() -> None:
    assert tables_in("SELECT n FROM st_kpi.a JOIN st_raw.b ON TRUE") == {"st_kpi.a", "st_raw.b"}
    for sql in (
        "INSERT INTO st_kpi.a (n) SELECT 1",
        "DELETE FROM st_kpi.a AS t WHERE TRUE",
        "UPDATE st_kpi.a SET n = 1",
    ):
        assert written_table(sql) == "st_kpi.a"
    with pytest.raises(ValueError, match="not an INSERT"):
        written_table("SELECT 1")


def test_null_is_joined_by_equality() -> None:
    sql = joinable(
        "DELETE FROM st_kpi.a AS t WHERE EXISTS (SELECT 1 FROM st_kpi.b AS c WHERE c.n IS NOT DISTINCT FROM t.n)"
    )
    assert "TO_JSON_STRING(c.n) = TO_JSON_STRING(t.n)" in sql
    assert joinable("DELETE FROM st_kpi.a WHERE n = 1") == "DELETE FROM st_kpi.a WHERE n = 1"
