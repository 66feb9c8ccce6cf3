"""What is kept of jobs and tables: figures and refusals, no SQL and no rows."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from st_kpi.errors import WarehouseError
from st_kpi.warehouse.bigquery import load
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.record import jobs_since, tables_of_ours
from tests.support.loader import Loader, invoice


def test_jobs_are_told_without_what_they_read(
    loader: Loader, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_MOST_VALUES", 0)
    since = datetime.now(UTC) - timedelta(seconds=1)
    loader.load("invoices", [invoice(1, 5, "100", "7")])
    with pytest.raises(WarehouseError):
        jobs.run("SELECT 1 AS n; SELECT ERROR('refused') AS secret_column")
    records = jobs_since(jobs, since)
    assert [record["created"] for record in records if not record["parent"]] == sorted(
        record["created"] for record in records if not record["parent"]
    )
    (merge,) = [r for r in records if r["job"].startswith("st_kpi_merge_")]
    assert {"load", "query"} <= {record["kind"] for record in records}
    assert merge["ran_ms"] >= 0
    assert (merge["state"], merge["reason"]) == ("DONE", None)
    assert [r for r in records if r["parent"] == merge["job"]]
    (refused,) = [record for record in records if record["reason"]]
    assert "refused" in refused["message"]
    text = json.dumps(records)
    assert "secret_column" not in text
    assert "FROM st_raw" not in text
    names = [record["job"] for record in records]
    assert len(names) == len(set(names))


def test_tables_are_told_by_size_and_layout(loader: Loader, jobs: Jobs) -> None:
    tables = {record["table"]: record for record in tables_of_ours(jobs)}
    assert tables["st_raw.invoices"]["clustered"] == ["tenant_id", "id"]
    assert tables["st_raw.invoices"]["expires"] is None
    json.dumps(list(tables.values()))
