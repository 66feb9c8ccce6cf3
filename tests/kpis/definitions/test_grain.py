"""Which statements are proved to be by a key, and what is refused."""

from pathlib import Path

import pytest

from st_kpi.kpis.definitions.lint import inspect

LEFT = "-- A.\n-- table: st_staging.a\nSELECT tenant_id, id AS k, customer_id AS other, total AS n FROM st_raw.jobs"
RIGHT = "-- B.\n-- table: st_staging.b\nSELECT tenant_id, id AS k, customer_id AS other, total AS n FROM st_raw.jobs"
PLAIN = "-- C.\n-- table: st_staging.c\nSELECT tenant_id, id AS other, total AS n FROM st_raw.jobs"
HEADER = "-- Rows of a test.\n-- table: st_dim.made\n-- incremental_by: k\n"

A, B = "FROM st_staging.a AS a", "st_staging.b AS b"
TENANT = "a.tenant_id = b.tenant_id"


def proved(tmp_path: Path, body: str) -> tuple[list[str], list[str]]:
    """The tables of ``made`` that can be cut down, and what the lint says."""
    files = {"a": LEFT, "b": RIGHT, "c": PLAIN, "made": HEADER + body}
    for name, text in files.items():
        (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
    project = inspect(tmp_path)
    assert {f.rule for f in project.findings} <= {"incremental-by", "wide", "portable"}
    messages = [f.message for f in project.findings if f.rule == "incremental-by"]
    return sorted(project.by_key.get("made", ())), messages


@pytest.mark.parametrize(
    ("body", "tables"),
    [
        pytest.param(f"SELECT k, n {A} WHERE n > 0", ["a"], id="a table"),
        pytest.param(f"SELECT NULLIF(k, 0) AS k {A}", ["a"], id="0 is no record"),
        pytest.param(f"SELECT b.other AS x, a.k {A} JOIN {B} ON b.k = a.k AND {TENANT}", ["a", "b"], id="joined on the key"),
        pytest.param(f"SELECT a.k, b.n {A} LEFT JOIN {B} ON b.k = a.k AND {TENANT}", ["a", "b"], id="left join on the key"),
        pytest.param(
            f"SELECT a.k, c.n {A} LEFT JOIN st_staging.c AS c ON c.other = a.other AND c.tenant_id = a.tenant_id",
            ["a"], id="another table looked up",
        ),
        pytest.param(f"SELECT a.k, b.n {A} LEFT JOIN {B} ON b.k = a.other AND {TENANT}", ["a"], id="looked up by something else"),
        pytest.param(
            f"SELECT a.k {A} LEFT JOIN {B} ON b.k = a.k AND {TENANT}"
            f" LEFT JOIN st_staging.b AS other ON other.k = a.other AND other.tenant_id = a.tenant_id",
            ["a"], id="read by the key and by something else",
        ),
        pytest.param(f"SELECT tenant_id, k, SUM(n) AS n {A} GROUP BY tenant_id, k HAVING SUM(n) > 0", ["a"], id="grouped by the key"),
        pytest.param(
            f"SELECT k {A} QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, k ORDER BY n) = 1", ["a"], id="a window over the key"
        ),
        pytest.param(f"SELECT k {A} UNION ALL SELECT k FROM {B}", ["a", "b"], id="UNION ALL"),
        pytest.param(
            f"WITH summed AS (SELECT tenant_id, k, MAX(n) AS n FROM {B} GROUP BY tenant_id, k)"
            f" SELECT a.k, b.n {A} LEFT JOIN summed AS b ON b.k = a.k AND {TENANT}",
            ["a", "b"], id="through WITH",
        ),
        pytest.param(
            f"WITH summed AS (SELECT tenant_id, other, MAX(n) AS n FROM {B} GROUP BY tenant_id, other)"
            f" SELECT a.k, b.n {A} LEFT JOIN summed AS b ON b.other = a.other AND {TENANT}",
            ["a"], id="looked up through WITH",
        ),
        pytest.param(f"SELECT k {A} CROSS JOIN UNNEST([1, 2]) AS copy", ["a"], id="copies of rows"),
    ],
)  # fmt: skip
def test_by_the_key(tmp_path: Path, body: str, tables: list[str]) -> None:
    assert proved(tmp_path, body) == ([f"st_staging.{name}" for name in tables], [])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(f"SELECT other AS k {A}", "not among the columns", id="another column under its name"),
        pytest.param(f"SELECT k + 1 AS k {A}", "not among the columns", id="another value"),
        pytest.param(f"SELECT k AS x, other AS k {A}", "no column of the result is k", id="the key under another name"),
        pytest.param("SELECT other AS k FROM st_staging.c AS c", "no column of the result is k", id="no table with the key"),
        pytest.param(f"SELECT COUNT(*) AS n, MAX(k) AS k {A}", "groups rows of several keys", id="one row of all"),
        pytest.param(f"SELECT MAX(k) AS k, other {A} GROUP BY other", "groups rows of several keys", id="another group"),
        pytest.param(f"SELECT k, SUM(n) OVER (PARTITION BY other) AS n {A}", "without the key in PARTITION BY", id="another window"),
        pytest.param(f"SELECT k, SUM(n) OVER () AS n {A}", "without the key in PARTITION BY", id="a window over all"),
        pytest.param(f"SELECT b.k {A} LEFT JOIN {B} ON b.k = a.k AND {TENANT}", "not among the columns", id="a key that may be NULL"),
        pytest.param(
            f"SELECT b.k, c.n FROM st_staging.c AS c LEFT JOIN {B} ON b.other = c.other AND b.tenant_id = c.tenant_id",
            "joined to rows without the key", id="looked up from rows without it",
        ),
        pytest.param(f"SELECT b.k {A} RIGHT JOIN {B} ON b.k = a.k AND {TENANT}", "RIGHT JOIN", id="right join"),
        pytest.param(f"SELECT a.k {A} FULL JOIN {B} ON b.k = a.k AND {TENANT}", "FULL JOIN", id="full join"),
        pytest.param(f"SELECT k {A} UNION DISTINCT SELECT k FROM {B}", "compares rows of all keys", id="UNION DISTINCT"),
        pytest.param(f"SELECT k {A} EXCEPT DISTINCT SELECT k FROM {B}", "compares rows of all keys", id="EXCEPT"),
        pytest.param(f"SELECT k {A} UNION ALL SELECT other AS k FROM st_staging.c", "one side of the UNION ALL", id="half a union"),
        pytest.param(f"SELECT k, other {A} UNION ALL SELECT other, k FROM {B}", "different columns", id="crossed union"),
        pytest.param(f"SELECT k {A} WHERE n = (SELECT MAX(n) FROM {B})", "a subquery", id="a subquery"),
        pytest.param(f"SELECT k {A} WHERE EXISTS (SELECT 1 FROM {B} WHERE b.other = a.other)", "a subquery", id="EXISTS"),
        pytest.param(f"SELECT k {A} ORDER BY k LIMIT 5", "a LIMIT", id="LIMIT"),
        pytest.param(f"SELECT k {A} UNION ALL SELECT k FROM {B} ORDER BY k LIMIT 5", "a LIMIT", id="LIMIT behind a union"),
        pytest.param(f"SELECT k, other {A} UNION ALL BY NAME SELECT other, k FROM {B}", "BY NAME", id="UNION BY NAME"),
        pytest.param(
            f"SELECT a.k FROM st_staging.c AS c JOIN (st_staging.a AS a JOIN {B} ON b.other = a.other AND {TENANT})"
            " ON c.other = a.other AND c.tenant_id = a.tenant_id",
            "nested join", id="a nested join",
        ),
        pytest.param("SELECT k, x FROM st_staging.a PIVOT (SUM(n) FOR other IN (1 AS x))", "a PIVOT", id="PIVOT"),
    ],
)  # fmt: skip
def test_not_by_the_key(tmp_path: Path, body: str, reason: str) -> None:
    tables, (message,) = proved(tmp_path, body)
    assert not tables
    assert reason in message
