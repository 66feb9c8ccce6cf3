"""What errors of Google's client are turned into; those that come over the wire are in ``test_engine``."""

import pytest
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    RetryError,
    ServiceUnavailable,
)
from google.auth.exceptions import RefreshError, TransportError
from requests.exceptions import ConnectionError as Disconnected

from st_kpi.errors import ConfigurationError, StKpiError, WarehouseError
from st_kpi.warehouse.bigquery.errors import ClientError, is_transient, translate_error

SERIALIZE = "Could not serialize access to table p:st_raw.jobs due to concurrent update"
OUTSTANDING = "Query error: Too many DML statements outstanding against table p:st_raw.jobs, limit is 20. at [3:1]"
BOTH_WROTE = "Transaction is aborted due to concurrent update against table p:st_kpi.kpi_weekly"


def refused(kind: type[GoogleAPICallError], message: str, reason: str) -> GoogleAPICallError:
    return kind(message, errors=[{"reason": reason}])


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            refused(BadRequest, BOTH_WROTE, "invalidQuery"),
            WarehouseError,
            f"Another run wrote to the same tables at the same moment: {BOTH_WROTE}."
            " Nothing of this one was written; run it again.",
        ),
        (
            refused(Forbidden, "Billing has not been enabled", "accessDenied"),
            ConfigurationError,
            "Project p has no billing account (BigQuery's sandbox): without one BigQuery changes no rows, and deletes"
            " every table and every month of it after 60 days. Enable billing for it in the Google Cloud console.",
        ),
        (
            refused(BadRequest, "POST https://host/p: Unknown {name}; reason: x", "invalidQuery"),
            WarehouseError,
            "BigQuery refused a statement in project p: Unknown {name}.",
        ),
        (
            refused(BadRequest, SERIALIZE, "invalidQuery"),
            WarehouseError,
            f"Another run wrote to the same tables at the same moment: {SERIALIZE}."
            " Nothing of this one was written; run it again.",
        ),
        (
            refused(BadRequest, OUTSTANDING, "invalidQuery"),
            WarehouseError,
            f"BigQuery was asked too often in project p and kept refusing: {OUTSTANDING}."
            " Run the same command again in some minutes; what is complete stays.",
        ),
        (
            refused(
                Forbidden,
                "Permission bigquery.datasets.update denied on dataset p:st_raw",
                "accessDenied",
            ),
            WarehouseError,
            "BigQuery allows this account too little in project p: Permission bigquery.datasets.update denied on dataset"
            " p:st_raw. Give it roles/bigquery.dataOwner on the dataset.",
        ),
        (Disconnected("gone"), WarehouseError, "BigQuery cannot be reached for project p: gone."),
        (TransportError("off"), WarehouseError, "BigQuery cannot be reached for project p: off."),
    ],
)
def test_an_error_becomes_one_sentence(
    error: ClientError, kind: type[StKpiError], sentence: str
) -> None:
    for met in (error, RetryError("Timeout of 300 s exceeded", error)):
        translated = translate_error(met, "p", "US")
        assert (type(translated), str(translated)) == (kind, sentence)


def test_a_job_whose_time_is_over_is_named() -> None:
    for error, named in ((TimeoutError(), "a SELECT"), (TimeoutError("Job st_kpi_1"), "Job st_kpi_1")):  # fmt: skip
        translated = translate_error(error, "p", "US")
        assert isinstance(translated, WarehouseError)
        assert f"was cancelled: {named}. Run the same command again" in str(translated)


def test_credentials_that_do_not_work_are_a_matter_of_settings() -> None:
    translated = translate_error(RefreshError("expired\ntoken"), "p", "US")
    assert isinstance(translated, ConfigurationError)
    assert str(translated).endswith("Google says: expired token.")


def test_what_passes_is_told_from_what_stays() -> None:
    assert is_transient(refused(ServiceUnavailable, "Try again", "backendError"))
    for text in (BOTH_WROTE, SERIALIZE, OUTSTANDING, "Retrying the job may solve the problem"):
        assert is_transient(refused(BadRequest, text, "invalidQuery"))
    assert not is_transient(refused(BadRequest, "Syntax error", "invalidQuery"))
    assert not is_transient(refused(Forbidden, "Access Denied", "accessDenied"))
