"""Google's client as this project uses it: one place that makes it and runs its jobs.

Every request is repeated while the service says that it may be (429, 503, ``rateLimitExceeded``), and no request and
no job is waited for without end. Every statement has the ceiling of bytes and the labels of the work under way, and no
error leaves without a sentence for a person.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from threading import Lock
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY
from google.cloud.bigquery.table import RowIterator
from requests.adapters import HTTPAdapter

from st_kpi.errors import ConfigurationError, StKpiError, WarehouseError
from st_kpi.warehouse.bigquery.errors import CLIENT_ERRORS, is_transient, translate_error
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.bigquery.values import Parameter, row_values
from st_kpi.warehouse.labels import current_labels

_POLL_SECONDS = 0.2
#: How long one question after a job may take, which the service answers when the job ends.
_HELD_SECONDS = 30.0
#: The most that is waited before a job that failed for a passing reason is started again.
_PAUSE_SECONDS = 30.0
#: Seconds that the service gets to end a job whose time is over, before it is cancelled from here.
_GRACE_SECONDS = 60.0
#: Rows that come with the answer that a script has ended.
_ROWS_WITH_THE_ANSWER = 1_000


class Jobs:
    """The jobs of one project in one location. Safe to use from several threads."""

    def __init__(self, project: str, location: str, options: BigQueryOptions) -> None:
        self.project = project
        self.location = location
        self.options = options
        self.retry = DEFAULT_RETRY.with_timeout(options.retry_seconds)
        self.client = _client(project, location, options)
        self._closed = False
        self._running: set[str] = set()
        #: Bytes, by the label ``kpi`` of the jobs; of a SELECT what it read, which is billed as ten megabytes at least.
        self.billed: Counter[str] = Counter()
        self._noting = Lock()

    def rows(self, sql: str, parameters: Sequence[Parameter] = ()) -> list[dict[str, Any]]:
        """Run one SELECT; see ``row_values`` for the values."""

        def ask() -> RowIterator:
            return self.client.query_and_wait(
                sql,
                job_config=self._config(parameters),
                retry=self.retry,
                job_retry=DEFAULT_JOB_RETRY.with_timeout(self.options.retry_seconds),
                wait_timeout=self.options.job_seconds + _GRACE_SECONDS,
            )

        with self.translate_errors():
            try:
                rows = ask()
            except Conflict:  # its answer was lost, and a SELECT can be asked again
                rows = ask()
            self._note_billed(rows.total_bytes_processed)
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
            job = self._finished(start, job_id or f"st_kpi_{uuid4().hex}")
            self._note_billed(job.total_bytes_billed)
            if job.statement_type not in ("SELECT", "SCRIPT", None):
                return []
            return row_values(job.result(_ROWS_WITH_THE_ANSWER, retry=self.retry, job_retry=None))

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
            job_timeout_ms=self._job_timeout_ms,
        )

        def start(name: str) -> bigquery.LoadJob:
            # Of itself the upload repeats no 403 that says rateLimitExceeded, and all else for three quarters of an hour.
            upload: Callable[[], bigquery.LoadJob] = self.retry(
                lambda: self.client.load_table_from_file(
                    file,
                    self.reference(table),
                    rewind=True,
                    size=size,
                    num_retries=0,
                    job_id=name,
                    job_config=config,
                )
            )
            return upload()

        with self.translate_errors():
            self._finished(start, job_id)

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

    def cancel_running(self) -> None:
        """Cancel every job that a thread waits for."""
        for name in list(self._running):
            self._cancel(name)

    def close(self) -> None:
        """Cancel the jobs that other threads still wait for, and let none begin: nobody is there for their rows."""
        self._closed = True
        self.cancel_running()
        self.client.close()  # type: ignore[no-untyped-call]

    def reference(self, name: str) -> bigquery.TableReference:
        dataset, table = name.split(".")
        return bigquery.DatasetReference(self.project, dataset).table(table)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn the client's errors into sentences that name the project and the way out."""
        try:
            yield
        except (*CLIENT_ERRORS, TimeoutError) as error:
            raise translate_error(error, self.project, self.location) from error

    def _config(self, parameters: Sequence[Parameter]) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=list(parameters),
            maximum_bytes_billed=self.options.maximum_bytes_billed,
            labels=_labels(),
            job_timeout_ms=self._job_timeout_ms,
        )

    def _note_billed(self, count: int | None) -> None:
        with self._noting:
            self.billed[current_labels().get("kpi", "others")] += count or 0

    @property
    def _job_timeout_ms(self) -> int:
        return int(self.options.job_seconds * 1_000)

    def _finished(self, start: Callable[[str], Any], job_id: str) -> Any:
        """The job of this id, done well: started now, or found because it was started before.

        One that has failed keeps its id for ever, so another attempt has another. Of two that write one table at the same
        time BigQuery gives one up, and again if both come back together: so they wait for different times.
        """
        until = time.monotonic() + self.options.retry_seconds
        for attempt in count(1):
            name = job_id if attempt == 1 else f"{job_id}_{attempt}"
            started_before = False
            try:
                job = start(name)
            except Conflict:
                started_before = True
                job = self._started(name)
            try:
                self._wait(job)
                return job
            except GoogleAPICallError as error:
                pause = random.uniform(0.5, 1) * min(2.0 ** (attempt - 1), _PAUSE_SECONDS)
                passes = started_before or is_transient(error)
                if not passes or time.monotonic() + pause > until:
                    raise
                if not started_before:
                    time.sleep(pause)
        raise AssertionError("unreachable")

    def _started(self, name: str) -> Any:
        """A job that is there, by its id: what says so and what knows it may differ for some seconds."""
        patient = Retry(if_exception_type(NotFound), timeout=self.options.retry_seconds)
        ask: Callable[[], Any] = patient(
            lambda: self.client.get_job(name, location=self.location, retry=self.retry)
        )
        return ask()

    def _wait(self, job: Any) -> None:
        """Wait until the job is done; raises its error. A job that nobody waits for any more is cancelled."""
        self._running.add(job.job_id)
        try:
            if self._closed:
                raise WarehouseError(
                    "The warehouse was closed: a job that begins now is cancelled."
                )
            self._wait_for_its_end(job)
        except BaseException:
            if not job.done(reload=False):
                self._cancel(job.job_id)
            raise
        finally:
            self._running.discard(job.job_id)

    def _wait_for_its_end(self, job: Any) -> None:
        """Raises the job's error, and ``TimeoutError`` where its time is over.

        Results are asked for because they are answered when they are there; whether the job failed says jobs.get alone,
        for errors of results cannot be told from those of the way there.
        """
        end = time.monotonic() + self.options.job_seconds + _GRACE_SECONDS
        while not job.done(reload=False):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"Job {job.job_id}")
            if isinstance(job, bigquery.QueryJob):
                with suppress(*CLIENT_ERRORS, TimeoutError):
                    job.result(
                        _ROWS_WITH_THE_ANSWER,
                        retry=None,
                        job_retry=None,
                        timeout=min(left, _HELD_SECONDS),
                    )
                    continue
            if not job.done(retry=self.retry):
                time.sleep(min(left, _POLL_SECONDS))
        error = job.exception()
        if error is not None:
            raise error

    def _cancel(self, name: str) -> None:
        """Ask the service to end a job; what cannot be told now ends by the job's own time."""
        with suppress(*CLIENT_ERRORS):
            self.client.cancel_job(
                name, location=self.location, retry=self.retry.with_timeout(10), timeout=10
            )


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
        client = bigquery.Client(
            project=project,
            credentials=credentials,
            location=location,
            client_options=client_options,
        )
    except DefaultCredentialsError as error:
        raise translate_error(error, project, location) from None
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, _Hurried(options.request_seconds))
    return client


class _Hurried(HTTPAdapter):
    """Waits for every answer, but for none longer than this: Google's client waits for ever unless each call says other."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def send(self, *args: Any, **more: Any) -> Any:
        asked = more.get("timeout")
        if not isinstance(asked, (int, float)) or asked > self._seconds:
            more["timeout"] = self._seconds
        return super().send(*args, **more)


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
