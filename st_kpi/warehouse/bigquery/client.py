"""Google's client as this project uses it: one place that makes it, runs its jobs and words its errors.

Every request is repeated while the service says that it may be (429, 503, ``rateLimitExceeded``), every statement
has the ceiling of bytes and the labels of the work under way, and no error leaves without a sentence for a person.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

from google.api_core.exceptions import (
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY
from google.cloud.bigquery.table import RowIterator
from requests.exceptions import RequestException

from st_kpi.errors import ConfigurationError, StKpiError, WarehouseError
from st_kpi.warehouse.base import BigQueryOptions
from st_kpi.warehouse.bigquery.values import Parameter, row_values
from st_kpi.warehouse.labels import current_labels

#: A job that failed for a passing reason is started again under another id, so often in all.
ATTEMPTS = 5
_PASSING = frozenset(
    {"rateLimitExceeded", "backendError", "internalError"}
    | {"jobRateLimitExceeded", "jobBackendError", "jobInternalError"}
)
_CONCURRENT = "aborted due to concurrent update"


class Jobs:
    """The jobs of one project in one location. Safe to use from several threads."""

    def __init__(self, project: str, location: str, options: BigQueryOptions) -> None:
        self.project = project
        self.location = location
        self.options = options
        self.retry = DEFAULT_RETRY.with_timeout(options.retry_seconds)
        self.client = _client(project, location, options)

    def rows(self, sql: str, parameters: Sequence[Parameter] = ()) -> list[dict[str, Any]]:
        """Run one SELECT; see ``bigquery_sql.row_values`` for the values."""

        def ask() -> RowIterator:
            return self.client.query_and_wait(
                sql,
                job_config=self._config(parameters),
                retry=self.retry,
                job_retry=DEFAULT_JOB_RETRY.with_timeout(self.options.retry_seconds),
            )

        with self.told():
            try:
                found = ask()
            except Conflict:  # its answer was lost, and a SELECT can be asked again
                found = ask()
            return row_values(found)

    def run(
        self, sql: str, parameters: Sequence[Parameter] = (), *, job_id: str | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement or a script, once even if its answer is lost; returns the rows of a script's last SELECT.

        With ``job_id`` also once however often it is asked for: where that job has succeeded before, its result is
        returned and nothing runs.
        """

        def start(name: str) -> bigquery.QueryJob:
            return self.client.query(
                sql,
                job_config=self._config(parameters),
                job_id=name,
                retry=self.retry,
                job_retry=None,
            )

        with self.told():
            job = self._settled(start, job_id or f"st_kpi_{time.time_ns():x}_{id(start):x}")
            return row_values(job.result(retry=self.retry, job_retry=None))

    def load(
        self,
        file: IO[bytes],
        size: int,
        table: str,
        schema: Sequence[bigquery.SchemaField],
        job_id: str,
    ) -> None:
        """Append a Parquet file to a table of this name, once however often it is asked for."""
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=parquet_schema(schema),
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            labels=_labels(),
        )

        def start(name: str) -> bigquery.LoadJob:
            # The upload repeats itself on a 429 or 503, but not on a 403 that says rateLimitExceeded.
            upload: Callable[[], bigquery.LoadJob] = self.retry(
                lambda: self.client.load_table_from_file(
                    file, self.reference(table), rewind=True, size=size, job_id=name, job_config=config
                )
            )  # fmt: skip
            return upload()

        with self.told():
            self._settled(start, job_id)

    def copy(self, source: str, target: str, expires: str) -> None:
        """Make a table that has the rows of another without storing them twice; it is gone after ``expires``."""
        config = bigquery.CopyJobConfig(
            operation_type=bigquery.job.OperationType.CLONE,
            destination_expiration_time=expires,
            labels=_labels(),
        )
        with self.told():
            job = self.client.copy_table(
                self.reference(source), self.reference(target), job_config=config, retry=self.retry
            )
            job.result(retry=self.retry)

    def estimate(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """How many bytes a SELECT will read, without running it."""
        config = self._config(parameters)
        config.dry_run = True
        config.use_query_cache = False
        with self.told():
            job = self.client.query(sql, job_config=config, retry=self.retry)
            return int(job.total_bytes_processed or 0)

    def table(self, name: str) -> bigquery.Table | None:
        """The table of this name, or None where there is none."""
        with self.told():
            try:
                return self.client.get_table(self.reference(name), retry=self.retry)
            except NotFound:
                return None

    def drop(self, name: str) -> None:
        """Delete a table that expires anyway: what has been done is not undone because this fails."""
        with suppress(StKpiError), self.told():
            self.client.delete_table(self.reference(name), retry=self.retry, not_found_ok=True)

    def reference(self, name: str) -> bigquery.TableReference:
        dataset, table = name.split(".")
        return bigquery.DatasetReference(self.project, dataset).table(table)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the client's errors into sentences that name the project and the way out."""
        try:
            yield
        except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
            raise worded(error, self.project, self.location) from error

    def _config(self, parameters: Sequence[Parameter]) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=list(parameters),
            maximum_bytes_billed=self.options.maximum_bytes_billed,
            labels=_labels(),
        )

    def _settled(self, start: Callable[[str], Any], job_id: str) -> Any:
        """The job of this id, done well: started now, or found because it was started before.

        One that has failed keeps its id for ever, so another attempt has another.
        """
        for attempt in range(1, ATTEMPTS + 1):
            name = job_id if attempt == 1 else f"{job_id}_{attempt}"
            found = False
            try:
                job = start(name)
            except Conflict:
                found = True
                job = self.client.get_job(name, location=self.location, retry=self.retry)
            try:
                # By jobs.get and not by its results, whose errors cannot be told from those of the way there.
                while not job.done(retry=self.retry):
                    time.sleep(_POLL_SECONDS)
                error = job.exception()
                if error is None:
                    return job
                raise error
            except GoogleAPICallError as failed:
                last = attempt == ATTEMPTS
                if last or not (found or _passing(failed)):
                    raise
                if not found:
                    time.sleep(min(2 ** (attempt - 1), self.options.retry_seconds / ATTEMPTS))
        raise AssertionError("unreachable")


_POLL_SECONDS = 0.2


def parquet_schema(schema: Sequence[bigquery.SchemaField]) -> list[bigquery.SchemaField]:
    """The schema, if a Parquet file can be loaded with it: BigQuery takes JSON out of no Parquet file.

    Raises ``ValueError`` naming the column. No emulator refuses such a load.
    """
    for field in schema:
        if field.field_type == "JSON":
            raise ValueError(f"{field.name} is JSON, which cannot be loaded from Parquet")
        parquet_schema(field.fields)
    return list(schema)


def worded(
    error: GoogleAPICallError | RetryError | GoogleAuthError | RequestException,
    project: str,
    location: str,
) -> StKpiError:
    """The error of the client in one sentence: what was refused, and what to do about it."""
    cause = error.cause if isinstance(error, RetryError) else None
    if isinstance(cause, GoogleAPICallError | RetryError | GoogleAuthError | RequestException):
        return worded(cause, project, location)
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return ConfigurationError(f"{_NO_CREDENTIALS} Google says: {_one_line(str(error))}")
    if not isinstance(error, GoogleAPICallError):
        return WarehouseError(
            f"BigQuery cannot be reached for project {project}: {_one_line(str(error))}"
        )
    message, reason = _message(error), _reason(error)
    if isinstance(error, Unauthorized):
        return ConfigurationError(f"{_NO_CREDENTIALS} BigQuery says: {message}")
    if reason in ("rateLimitExceeded", "jobRateLimitExceeded"):
        return WarehouseError(
            f"BigQuery was asked too often in project {project} and kept refusing: {message}"
            " Run the same command again in some minutes; what is complete stays."
        )
    if reason == "quotaExceeded":
        return WarehouseError(
            f"A quota of project {project} is used up: {message}"
            " Wait until it is refilled or ask Google for more; what is complete stays."
        )
    if reason == "billingNotEnabled" or "billing has not been enabled" in message.lower():
        return ConfigurationError(
            f"Project {project} has no billing account, and without one BigQuery neither loads nor"
            " changes tables for long: enable billing for it in the Google Cloud console."
        )
    if reason == "bytesBilledLimitExceeded":
        return WarehouseError(
            f"A statement would read more than it may: {message}"
            " Raise ST_KPI_MAXIMUM_BYTES_BILLED if that is meant."
        )
    if isinstance(error, Forbidden):
        return WarehouseError(
            f"BigQuery allows this account too little in project {project}: {message}"
            f" Give it {_roles(message)}."
        )
    if isinstance(error, NotFound) and "not found: project" in message.lower():
        return ConfigurationError(
            f"There is no Google Cloud project {project}, or this account cannot see it: check the"
            " project in ST_KPI_WAREHOUSE."
        )
    if isinstance(error, NotFound) and "location" in message.lower():
        return WarehouseError(
            f"{message} The warehouse's address says location={location}: if the datasets lie"
            " elsewhere, name that location in ST_KPI_WAREHOUSE."
        )
    if "invalid project id" in message.lower():
        return ConfigurationError(f"{project!r} is no project id: check ST_KPI_WAREHOUSE.")
    if _CONCURRENT in message:
        return WarehouseError(
            f"Another run wrote to the same tables at the same moment: {message}"
            " Nothing of this one was written; run it again."
        )
    return WarehouseError(f"BigQuery refused a statement in project {project}: {message}")


_NO_CREDENTIALS = (
    "There are no Google Cloud credentials that work: run `gcloud auth application-default login`,"
    " set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run where one is attached."
)


def _roles(message: str) -> str:
    """The roles without which this was refused; both where the message does not say."""
    if "bigquery.jobs.create" in message:
        return "roles/bigquery.jobUser"
    if re.search(r"bigquery\.(datasets|tables)\.", message):
        return "roles/bigquery.dataEditor"
    return "roles/bigquery.dataEditor and roles/bigquery.jobUser"


def _client(project: str, location: str, options: BigQueryOptions) -> bigquery.Client:
    credentials: Credentials | None = options.credentials
    client_options = None
    if options.url:
        client_options = {"api_endpoint": options.url.rstrip("/")}
        if _on_this_machine(options.url):
            credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        return bigquery.Client(
            project=project,
            credentials=credentials,
            location=location,
            client_options=client_options,
        )
    except DefaultCredentialsError as error:
        raise ConfigurationError(
            f"{_NO_CREDENTIALS} Google says: {_one_line(str(error))}"
        ) from None


def _on_this_machine(url: str) -> bool:
    """Whether the address is an emulator here; raises ``ConfigurationError`` for one that is not safe to use."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"ST_KPI_BIGQUERY_URL is {url!r}, which is no address such as https://host."
        )
    if parts.scheme == "http" and not loopback:
        raise ConfigurationError(
            f"ST_KPI_BIGQUERY_URL is {url!r}: credentials are not sent without encryption, use https."
        )
    return parts.scheme == "http"


def _labels() -> dict[str, str]:
    """As BigQuery takes them: small letters, digits, - and _, at most 63."""
    given: Mapping[str, str] = {"app": "st-kpi", **current_labels()}
    return {
        key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63]
        for key, value in given.items()
        if value
    }


def _passing(error: GoogleAPICallError) -> bool:
    return _reason(error) in _PASSING or _CONCURRENT in str(error)


def _reason(error: GoogleAPICallError) -> str:
    first: Mapping[str, str] = error.errors[0] if error.errors else {}
    return first.get("reason", "") if isinstance(first, Mapping) else ""


def _message(error: GoogleAPICallError) -> str:
    """What the service says, as a sentence, without the client's own words around it."""
    text = re.sub(r"^(GET|POST|PUT|PATCH|DELETE) \S+ ", "", str(error.message))
    return _one_line(text.split("; reason:")[0])


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
