"""Each rule of the transpile against the value BigQuery documents, computed by DuckDB."""

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from st_kpi.warehouse.duckdb.dialect import parameters, to_duckdb

D = Decimal


def run(sql: str, **params: Any) -> tuple[Any, str]:
    """The one value of a BigQuery statement on DuckDB, and its type."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    result = connection.execute(to_duckdb(sql), params or None)
    assert result.description is not None
    (value,) = result.fetchone() or (None,)
    return value, str(result.description[0][1])


@pytest.mark.parametrize(
    ("sql", "value", "kind"),
    [
        pytest.param(
            "SELECT CAST('12.345678901' AS NUMERIC)", D("12.345678901"), "DECIMAL(38,9)", id="NUMERIC keeps nine decimals"
        ),
        pytest.param("SELECT NUMERIC '0.000000001'", D("1E-9"), "DECIMAL(38,9)", id="so does a NUMERIC literal"),
        pytest.param(
            "SELECT CAST(1 AS NUMERIC(38, 9))", D(1), "DECIMAL(38,9)", id="a written scale stays as it is"
        ),
        pytest.param(
            "SELECT SUM(CAST(x AS NUMERIC)) FROM UNNEST([1, 2]) AS x", D(3), "DECIMAL(38,9)", id="NUMERIC inside a function"
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(CAST(2 AS NUMERIC), CAST(3 AS NUMERIC))",
            D("0.666666667"),
            "DECIMAL(38,9)",
            id="a quotient of NUMERIC is NUMERIC, rounded up",
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(CAST(-2 AS NUMERIC), CAST(3 AS NUMERIC))",
            D("-0.666666667"),
            "DECIMAL(38,9)",
            id="and rounded away from zero below it",
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(NUMERIC '0.000000001', CAST(2 AS NUMERIC))",
            D("1E-9"),
            "DECIMAL(38,9)",
            id="half of the last decimal rounds away from zero",
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(NUMERIC '98765432109.123456789', CAST(7 AS NUMERIC))",
            D("14109347444.160493827"),
            "DECIMAL(38,9)",
            id="more digits than a double holds",
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(CAST(1 AS NUMERIC), CAST(0 AS NUMERIC))", None, "DECIMAL(38,9)", id="by zero is NULL"
        ),
        pytest.param(
            "SELECT SAFE_DIVIDE(NULL, CAST(1 AS NUMERIC))", None, "DECIMAL(38,9)", id="NULL divided is NULL"
        ),
        pytest.param(
            "SELECT COUNTIF(x > 1) FROM UNNEST([1, 2, 3]) AS x", 2, "BIGINT", id="COUNTIF counts"
        ),
        pytest.param(
            "SELECT COUNTIF(x > 1) FROM UNNEST([1]) AS x WHERE FALSE", 0, "BIGINT", id="COUNTIF over no rows is 0"
        ),
        pytest.param(
            "SELECT SUM(IF(x > 1, 1, 0)) FROM UNNEST([1, 2]) AS x", 1, "BIGINT", id="a sum of whole numbers is INT64"
        ),
        pytest.param(
            "SELECT SUM(CASE WHEN x > 1 THEN 1 ELSE 0 END) FROM UNNEST([1, 2]) AS x", 1, "BIGINT", id="also out of CASE"
        ),
        pytest.param(
            "SELECT EXTRACT(DAYOFWEEK FROM DATE '2026-03-01')", 1, "BIGINT", id="Sunday is day 1"
        ),
        pytest.param(
            "SELECT EXTRACT(DAYOFWEEK FROM DATE '2026-03-02')", 2, "BIGINT", id="Monday is day 2"
        ),
        pytest.param("SELECT EXTRACT(WEEK FROM DATE '2026-03-02')", 9, "BIGINT", id="WEEK counts Sundays"),
        pytest.param(
            "SELECT EXTRACT(WEEK(MONDAY) FROM DATE '2026-03-02')", 9, "BIGINT", id="WEEK(MONDAY) counts Mondays"
        ),
        pytest.param(
            "SELECT EXTRACT(WEEK FROM DATE '2026-01-01')", 0, "BIGINT", id="days before the first Sunday are week 0"
        ),
        pytest.param("SELECT EXTRACT(ISOWEEK FROM DATE '2026-03-02')", 10, "BIGINT", id="ISOWEEK"),
        pytest.param("SELECT EXTRACT(YEAR FROM DATE '2026-03-02')", 2026, "BIGINT", id="YEAR"),
        pytest.param(
            "SELECT EXTRACT(DATE FROM TIMESTAMP '2025-01-13 06:30:00+00' AT TIME ZONE 'America/Phoenix')",
            dt.date(2025, 1, 12),
            "DATE",
            id="EXTRACT(DATE)",
        ),
        pytest.param(
            "SELECT TIMESTAMP_DIFF(TIMESTAMP '2025-01-02 01:00:00+00', TIMESTAMP '2025-01-01 23:00:00+00', DAY)",
            0,
            "BIGINT",
            id="two hours over midnight are no day",
        ),
        pytest.param(
            "SELECT TIMESTAMP_DIFF(TIMESTAMP '2025-01-02 23:00:00+00', TIMESTAMP '2025-01-01 23:00:00+00', HOUR)",
            24,
            "BIGINT",
            id="whole hours elapsed",
        ),
        pytest.param(
            "SELECT DATE_ADD(DATE '2024-02-29', INTERVAL 1 YEAR)", dt.date(2025, 2, 28), "DATE", id="a leap day plus a year"
        ),
        pytest.param(
            "SELECT DATE_SUB(DATE '2025-03-01', INTERVAL 1 DAY)", dt.date(2025, 2, 28), "DATE", id="DATE_SUB is a DATE"
        ),
        pytest.param(
            "SELECT DATE_TRUNC(DATE '2025-01-12', WEEK(MONDAY))", dt.date(2025, 1, 6), "DATE", id="Sunday's week began on Monday"
        ),
        pytest.param(
            "SELECT DATE_TRUNC(DATE '2025-01-13', WEEK(MONDAY))", dt.date(2025, 1, 13), "DATE", id="Monday begins its week"
        ),
        pytest.param("SELECT LAST_DAY(DATE '2024-02-10')", dt.date(2024, 2, 29), "DATE", id="LAST_DAY"),
        pytest.param("SELECT DATE_DIFF(DATE '2025-01-08', DATE '2025-01-01', DAY)", 7, "BIGINT", id="DATE_DIFF in days"),
        pytest.param(
            "SELECT DATE(TIMESTAMP '2025-01-13 06:30:00+00')", dt.date(2025, 1, 13), "DATE", id="DATE without a zone is UTC"
        ),
        pytest.param(
            "SELECT CONCAT('a', CAST(NULL AS STRING))", None, "VARCHAR", id="CONCAT with NULL is NULL"
        ),
        pytest.param(
            "SELECT x FROM UNNEST(GENERATE_DATE_ARRAY(DATE '2025-01-06', DATE '2025-01-12', INTERVAL 7 DAY)) AS x",
            dt.date(2025, 1, 6),
            "DATE",
            id="GENERATE_DATE_ARRAY",
        ),
        pytest.param(r"SELECT 'a_c' LIKE 'a\\_c'", True, "BOOLEAN", id="a backslash in LIKE takes the meaning off a mark"),
        pytest.param(r"SELECT 'abc' LIKE r'a\_c'", False, "BOOLEAN", id="which then stands for itself alone"),
        pytest.param(r"SELECT RTRIM('a\t\n')", "a", "VARCHAR", id="RTRIM takes off all white space"),
        pytest.param("SELECT LOWER('İ')", "i̇", "VARCHAR", id="the dot of İ stays"),
        pytest.param("SELECT SAFE_CAST('yes' AS BOOL)", None, "BOOLEAN", id="yes is no BOOL"),
        pytest.param("SELECT SAFE_CAST('True' AS BOOL)", True, "BOOLEAN", id="True is one"),
        pytest.param("SELECT SAFE_CAST('2025-01-06 10:00' AS DATE)", None, "DATE", id="an instant is no DATE"),
        pytest.param("SELECT SAFE_CAST('2025-1-6' AS DATE)", dt.date(2025, 1, 6), "DATE", id="a DATE with single digits is one"),
        pytest.param("SELECT SAFE_CAST('2.5' AS INT64)", None, "BIGINT", id="2.5 is no INT64"),
        pytest.param("SELECT SAFE_CAST(' -0x1F ' AS INT64)", -31, "BIGINT", id="a hexadecimal number is one"),
        pytest.param("SELECT SAFE_CAST('1_000' AS NUMERIC)", None, "DECIMAL(38,9)", id="1_000 is no NUMERIC"),
        pytest.param(
            "SELECT TIMESTAMP_DIFF(TIMESTAMP '2025-01-02 00:00:00+00', TIMESTAMP '1969-12-31 00:00:00.000001+00', DAY)",
            20090,
            "BIGINT",
            id="a microsecond less than a day is none",
        ),
        pytest.param(
            "SELECT JSON_QUERY_ARRAY(JSON '{}')", None, "JSON[]", id="what is no array has no elements"
        ),
        pytest.param("SELECT 50000 * 50000", 2_500_000_000, "BIGINT", id="whole numbers have 64 bits"),
    ],
)  # fmt: skip
def test_value_and_type_are_bigquerys(sql: str, value: Any, kind: str) -> None:
    assert run(sql) == (value, kind)


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        pytest.param(
            "2025-01-13 06:59:59+00",
            "America/Phoenix",
            dt.date(2025, 1, 12),
            id="the last second of Sunday",
        ),
        pytest.param(
            "2025-01-13 07:00:00+00",
            "America/Phoenix",
            dt.date(2025, 1, 13),
            id="the first of Monday",
        ),
        pytest.param(
            "2025-03-10 03:59:59+00", "America/New_York", dt.date(2025, 3, 9), id="in summer time"
        ),
        pytest.param(
            "2025-03-09 04:59:59+00", "America/New_York", dt.date(2025, 3, 8), id="in winter time"
        ),
    ],
)
def test_local_date_of_an_instant(instant: str, zone: str, day: dt.date) -> None:
    sql = f"SELECT DATE(t, @timezone) FROM (SELECT TIMESTAMP '{instant}' AS t)"
    assert run(sql, timezone=zone) == (day, "DATE")


@pytest.mark.parametrize(
    ("excluded", "passes"),
    [([], True), (["other"], True), (["excluded", "other"], False)],
    ids=["nothing excluded", "something else excluded", "excluded"],
)
def test_list_parameter(excluded: list[str], passes: bool) -> None:
    assert run("SELECT 'excluded' NOT IN UNNEST(@list)", list=excluded)[0] is passes


def test_parameters_are_those_the_statement_names() -> None:
    sql = "SELECT @as_of AS a, '@no' AS b -- @neither\nFROM t WHERE x = @timezone OR y = @as_of"
    assert parameters(sql) == {"as_of", "timezone"}
    assert "$as_of" in to_duckdb(sql)
