"""Google's client as this project uses it: one place that makes it and runs its jobs.

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

from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY
from google.cloud.bigquery.table import RowIterator

from st_kpi.errors import ConfigurationError, StKpiError
from st_kpi.warehouse.bigquery.errors import CLIENT_ERRORS, is_transient, translate_error
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.bigquery.values import Parameter, row_values
from st_kpi.warehouse.labels import current_labels

#: A job that failed for a passing reason is started again under another id, so often in all.
ATTEMPTS = 5
_POLL_SECONDS = 0.2


class Jobs:
    """The jobs of one project in one location. Safe to use from several threads."""

    def __init__(self, project: str, location: str, options: BigQueryOptions) -> None:
        self.project = project
        self.location = location
        self.options = options
        self.retry = DEFAULT_RETRY.with_timeout(options.retry_seconds)
        self.client = _client(project, location, options)

    def rows(self, sql: str, parameters: Sequence[Parameter] = ()) -> list[dict[str, Any]]:
        """Run one SELECT; see ``row_values`` for the values."""

        def ask() -> RowIterator:
            return self.client.query_and_wait(
                sql,
                job_config=self._config(parameters),
                retry=self.retry,
                job_retry=DEFAULT_JOB_RETRY.with_timeout(self.options.retry_seconds),
            )

        with self.translate_errors():
            try:
                rows = ask()
            except Conflict:  # its answer was lost, and a SELECT can be asked again
                rows = ask()
            return row_values(rows)

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

        with self.translate_errors():
            job = self._finished(start, job_id or f"st_kpi_{time.time_ns():x}_{id(start):x}")
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

        with self.translate_errors():
            self._finished(start, job_id)

    def copy(self, source: str, target: str, expires: str) -> None:
        """Make a table that has the rows of another without storing them twice; it is gone after ``expires``."""
        config = bigquery.CopyJobConfig(
            operation_type=bigquery.job.OperationType.CLONE,
            destination_expiration_time=expires,
            labels=_labels(),
        )
        with self.translate_errors():
            job = self.client.copy_table(
                self.reference(source), self.reference(target), job_config=config, retry=self.retry
            )
            job.result(retry=self.retry)

    def estimate(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """How many bytes a SELECT will read, without running it."""
        config = self._config(parameters)
        config.dry_run = True
        config.use_query_cache = False
        with self.translate_errors():
            job = self.client.query(sql, job_config=config, retry=self.retry)
            return int(job.total_bytes_processed or 0)

    def table(self, name: str) -> bigquery.Table | None:
        """The table of this name, or None where there is none."""
        with self.translate_errors():
            try:
                return self.client.get_table(self.reference(name), retry=self.retry)
            except NotFound:
                return None

    def drop(self, name: str) -> None:
        """Delete a table that expires anyway: what has been done is not undone because this fails."""
        with suppress(StKpiError), self.translate_errors():
            self.client.delete_table(self.reference(name), retry=self.retry, not_found_ok=True)

    def reference(self, name: str) -> bigquery.TableReference:
        dataset, table = name.split(".")
        return bigquery.DatasetReference(self.project, dataset).table(table)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn the client's errors into sentences that name the project and the way out."""
        try:
            yield
        except CLIENT_ERRORS as error:
            raise translate_error(error, self.project, self.location) from error

    def _config(self, parameters: Sequence[Parameter]) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=list(parameters),
            maximum_bytes_billed=self.options.maximum_bytes_billed,
            labels=_labels(),
        )

    def _finished(self, start: Callable[[str], Any], job_id: str) -> Any:
        """The job of this id, done well: started now, or found because it was started before.

        One that has failed keeps its id for ever, so another attempt has another.
        """
        for attempt in range(1, ATTEMPTS + 1):
            name = job_id if attempt == 1 else f"{job_id}_{attempt}"
            started_before = False
            try:
                job = start(name)
            except Conflict:
                started_before = True
                job = self.client.get_job(name, location=self.location, retry=self.retry)
            try:
                self._wait(job)
                return job
            except GoogleAPICallError as error:
                if attempt == ATTEMPTS or not (started_before or is_transient(error)):
                    raise
                if not started_before:
                    time.sleep(min(2 ** (attempt - 1), self.options.retry_seconds / ATTEMPTS))
        raise AssertionError("unreachable")

    def _wait(self, job: Any) -> None:
        """Wait until the job is done; raises its error.

        By jobs.get and not by its results, whose errors cannot be told from those of the way there.
        """
        while not job.done(retry=self.retry):
            time.sleep(_POLL_SECONDS)
        error = job.exception()
        if error is not None:
            raise error


def parquet_schema(schema: Sequence[bigquery.SchemaField]) -> list[bigquery.SchemaField]:
    """The schema, if a Parquet file can be loaded with it: BigQuery takes JSON out of no Parquet file.

    Raises ``ValueError`` naming the column. No emulator refuses such a load.
    """
    for field in schema:
        if field.field_type == "JSON":
            raise ValueError(f"{field.name} is JSON, which cannot be loaded from Parquet")
        parquet_schema(field.fields)
    return list(schema)


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
        raise translate_error(error, project, location) from None


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
    labels: Mapping[str, str] = {"app": "st-kpi", **current_labels()}
    return {
        key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63]
        for key, value in labels.items()
        if value
    }
