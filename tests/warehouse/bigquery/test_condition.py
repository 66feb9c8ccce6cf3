"""Whether a project could be written, found out without writing, for ``st-kpi doctor``."""

import pytest
from google.cloud import bigquery

from st_kpi.errors import ConfigurationError, WarehouseError
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.condition import require_project
from tests.support.bigquery_emulator import options
from tests.support.faulty import Faulty
from tests.support.loader import Loader

LOCAL = "bigquery://local?location=US"


def test_a_project_as_it_must_be(loader: Loader, url: str) -> None:
    said = require_project(LOCAL, options(url))
    assert said == f"{LOCAL}, 6 datasets there, rights and billing as they must be"


def test_a_project_with_nothing_in_it_stays_so(url: str) -> None:
    said = require_project("bigquery://untouched", options(url))
    assert "without tables yet: the first load makes them" in said
    jobs = Jobs("untouched", "US", options(url))
    assert list(jobs.client.list_datasets()) == []
    jobs.close()


def test_datasets_elsewhere(loader: Loader, url: str) -> None:
    with pytest.raises(WarehouseError, match="write location=US"):
        require_project("bigquery://local?location=EU", options(url))


def test_ends_are_said_and_stay(url: str) -> None:
    jobs = Jobs("ending", "US", options(url))
    dataset = bigquery.Dataset("ending.st_raw")
    dataset.default_table_expiration_ms = 86_400_000
    jobs.client.create_dataset(dataset)
    with pytest.raises(
        ConfigurationError, match="st_raw, whose new tables are deleted after 1 days"
    ):
        require_project("bigquery://ending", options(url))
    assert jobs.client.get_dataset("st_raw").default_table_expiration_ms == 86_400_000
    jobs.close()


def test_rights_that_are_missing_are_named(loader: Loader, proxy: Faulty) -> None:
    """What an account with roles/bigquery.dataViewer is answered."""

    def only_reads(answer: dict[str, list[str]]) -> None:
        answer["permissions"] = ["bigquery.tables.getData"]

    proxy.fault = lambda method, path: only_reads if "testIamPermissions" in path else None
    with pytest.raises(WarehouseError) as caught:
        require_project(LOCAL, options(proxy.url))
    assert "bigquery.tables.delete, bigquery.tables.update, bigquery.tables.updateData on" in str(
        caught.value
    )
    assert "roles/bigquery.dataEditor" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "reason", "message", "words"),
    [
        ("/jobs", "accessDenied", "User does not have bigquery.jobs.create permission", "jobUser"),
        ("/jobs", "billingNotEnabled", "Billing has not been enabled", "BigQuery's sandbox"),
    ],
)
def test_what_a_dry_run_is_refused(
    loader: Loader, proxy: Faulty, part: str, reason: str, message: str, words: str
) -> None:
    proxy.message = message
    proxy.fault = lambda method, path: (403, reason) if part in path else None
    with pytest.raises((WarehouseError, ConfigurationError), match=words):
        require_project(LOCAL, options(proxy.url))
