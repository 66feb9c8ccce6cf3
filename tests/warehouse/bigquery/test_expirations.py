"""Datasets that delete what is in them: found before anything is written."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery

from st_kpi.errors import ConfigurationError
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.bigquery.client import Jobs
from tests.support.bigquery_emulator import opened, options
from tests.support.faulty import Fault, Faulty

SIXTY_DAYS = 60 * 24 * 3600 * 1000
BILLING = (
    "Billing has not been enabled for this project. Enable billing at https://console.cloud.google.com/billing."
    " The default table expiration time must be less than 60 days."
)


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project for each test, in which nothing is."""
    return request.node.name.replace("_", "-")[:28].strip("-")


@pytest.fixture
def own(url: str, project: str) -> Iterator[Jobs]:
    jobs = Jobs(project, "US", options(url))
    yield jobs
    jobs.close()


def expiring(jobs: Jobs, name: str, *, ours: bool) -> bigquery.Dataset:
    """A dataset with the defaults of a sandbox."""
    dataset = bigquery.Dataset(f"{jobs.project}.{name}")
    dataset.default_table_expiration_ms = SIXTY_DAYS
    dataset.default_partition_expiration_ms = SIXTY_DAYS
    if ours:
        dataset.labels = {"app": "st-kpi"}
    return jobs.client.create_dataset(dataset)


def old_table(jobs: Jobs, name: str) -> None:
    """A table of ours as a sandbox makes it: it ends, and its months do before."""
    fields = [bigquery.SchemaField("tenant_id", "INTEGER"), bigquery.SchemaField("created_on", "TIMESTAMP")]  # fmt: skip
    table = bigquery.Table(jobs.reference(name), schema=fields)
    table.expires = datetime.now(UTC) + timedelta(days=60)
    table.time_partitioning = bigquery.TimePartitioning("MONTH", "created_on", SIXTY_DAYS)
    jobs.client.create_table(table)


def test_what_is_not_ours_is_refused_before_anything_is_written(url: str, own: Jobs) -> None:
    expiring(own, "st_raw", ours=False)
    with pytest.raises(ConfigurationError) as caught:
        opened(url, own.project).ensure(raw_tables())
    said = str(caught.value)
    assert "st_raw, whose new tables are deleted after 60 days" in said
    assert "st_raw, whose new tables lose rows after 60 days" in said
    assert f"bq update --default_table_expiration 0 --default_partition_expiration 0 {own.project}:st_raw" in said  # fmt: skip
    assert [d.dataset_id for d in own.client.list_datasets()] == ["st_raw"]
    assert list(own.client.list_tables("st_raw")) == []
    assert own.client.get_dataset("st_raw").default_table_expiration_ms == SIXTY_DAYS


def test_what_is_ours_is_cleared_and_lost_rows_are_said(
    url: str, own: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    expiring(own, "st_raw", ours=True)
    old_table(own, "st_raw.invoices")
    own.client.create_table(bigquery.Table(own.reference("st_raw.of_somebody")))
    with caplog.at_level(logging.WARNING, "st_kpi"):
        opened(url, own.project).ensure(raw_tables())
    (told,) = [m for m in caplog.messages if "deleted rows by itself" in m]
    assert "st_raw.invoices, which loses rows after 60 days" in told
    assert "st-kpi repair" in told
    dataset = own.client.get_dataset("st_raw")
    assert not dataset.default_table_expiration_ms
    assert not dataset.default_partition_expiration_ms
    ended = {t.table_id for t in own.client.list_tables("st_raw") if t.expires}
    assert ended == {"of_somebody"}, "a table of somebody else keeps what they gave it"
    table = own.table("st_raw.invoices")
    assert table is not None
    assert not table.time_partitioning.expiration_ms
    caplog.clear()
    opened(url, own.project).ensure(raw_tables())
    assert caplog.messages == []


def sandbox(proxy: Faulty) -> None:
    """BigQuery without billing, as Google describes it: defaults on every dataset, which cannot be taken away."""

    def give_defaults(dataset: Any) -> None:
        dataset["defaultTableExpirationMs"] = dataset["defaultPartitionExpirationMs"] = str(SIXTY_DAYS)  # fmt: skip

    def fault(method: str, path: str) -> Fault:
        if "/datasets" not in path or "/tables" in path:
            return None
        if method == "PATCH":
            return (403, "billingNotEnabled")
        listing = path.split("?")[0].endswith("/datasets") and method == "GET"
        return None if listing or method == "DELETE" else give_defaults

    proxy.fault = fault
    proxy.message = BILLING


def test_a_project_without_billing_is_known_at_once_and_left_as_it_was(
    proxy: Faulty, own: Jobs
) -> None:
    sandbox(proxy)
    with pytest.raises(ConfigurationError, match=r"no billing account \(BigQuery's sandbox\).* 60 days"):  # fmt: skip
        opened(proxy.url, own.project).ensure(raw_tables())
    assert list(own.client.list_datasets()) == []


def test_an_end_that_stays_is_refused(proxy: Faulty, own: Jobs) -> None:
    """A rule of an organization: the change is taken, and nothing has changed."""
    sandbox(proxy)
    inner = proxy.fault

    def fault(method: str, path: str) -> Fault:
        return inner("POST", path) if method == "PATCH" else inner(method, path)

    proxy.fault = fault
    with pytest.raises(ConfigurationError, match="was told to take that away and did not"):
        opened(proxy.url, own.project).ensure(raw_tables())
    assert list(own.client.list_datasets()) == []
