"""What a transaction makes of statements is GoogleSQL to Google's analyzer: the emulator is more forgiving."""

import pytest

from st_kpi.warehouse.bigquery.transaction import merge_of_differences, with_differences
from st_kpi.warehouse.bigquery.values import as_of
from tests.support import googlesql

COLUMNS = {"n": "INT64", "amount": "NUMERIC", "day": "DATE", "label": "STRING"}
TABLES = {
    "st_kpi.kept": COLUMNS,
    "st_staging.noted": COLUMNS | {"before": "INT64", "after": "INT64"},
    "st_raw.jobs": {"id": "INT64", "customer_id": "INT64"},
    "st_ops.runs": {"run_id": "STRING"},
}


@pytest.mark.parametrize(
    "sql",
    [
        with_differences("st_kpi.kept", list(COLUMNS), "st_staging.noted"),
        merge_of_differences("st_kpi.kept", list(COLUMNS), "st_staging.noted"),
    ],
    ids=["a shadow", "a publication"],
)
def test_differences_are_applied_in_googlesql(sql: str) -> None:
    assert googlesql.refused(sql, TABLES, {}) is None


def test_the_moment_stands_behind_the_name_that_rows_are_given() -> None:
    sql = (
        "SELECT job.id FROM st_raw.jobs AS job JOIN st_raw.jobs other ON other.id = job.id"
        " WHERE EXISTS (SELECT 1 FROM st_raw.jobs) AND 'x' NOT IN (SELECT run_id FROM st_ops.runs)"
    )
    moment = "2025-01-06 00:00:00.123456+00"
    read = as_of(sql, moment, lambda table: table.startswith("st_raw."))
    then = f"FOR SYSTEM_TIME AS OF TIMESTAMP '{moment}'"
    assert read == (
        f"SELECT job.id FROM st_raw.jobs AS job {then} JOIN st_raw.jobs other {then} ON other.id = job.id"
        f" WHERE EXISTS (SELECT 1 FROM st_raw.jobs {then}) AND 'x' NOT IN (SELECT run_id FROM st_ops.runs)"
    )
    assert googlesql.refused(read, TABLES, {}) is None
