"""Typed files into the raw tables, in one script: from a staging table of their own, or, where they are small, along with it.

Nothing of a load is visible before the script commits, and everything about it has a name that follows from its
content: asked for again after an answer was lost, it is not done twice.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import duckdb
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter

from st_kpi.columns import Columns, ColumnType, RawTable
from st_kpi.warehouse.base import Merged, Params, Reading, TypedFiles
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.merge import newest_script, window_script
from st_kpi.warehouse.bigquery.schema import create, expiry
from st_kpi.warehouse.bigquery.values import (
    Parameter,
    named_parameters,
    parameters_in,
    parsed,
    quoted,
    rows_parameter,
    sent_type,
)
from st_kpi.windows import Window

_MEMORY_LIMIT = "350MB"
_ROW_GROUP = "32MB"
#: Files that are sent at the same time.
_AT_ONCE = 4
#: A script may bring so many values with it, and so many characters, and its request is far below ten megabytes: it takes
#: no longer for that, and a load job takes some seconds.
_MOST_VALUES = 20_000
_MOST_CHARACTERS = 1_000_000


def merge(
    jobs: Jobs,
    records: TypedFiles,
    nested: TypedFiles | None,
    *,
    tenant_id: int,
    window: Window | None,
    everything: Reading | None,
    expected: int | None = None,
    then: Sequence[str] = (),
    parameters: Sequence[Parameter] = (),
) -> Merged:
    """Load the files and merge them; see ``Warehouse.merge``.

    In the same transaction run the statements ``then``, which have ``parameters`` of their own and may name the counts as
    variables; nothing is kept where the files have another number of different rows than ``expected``.
    """
    with TemporaryDirectory(prefix="st-kpi-load-") as folder:
        uploads = [
            _Upload(typed.table.name, typed.table.typed_columns, typed.files, Path(folder), jobs)
            for typed in (records, nested)
            if typed is not None and typed.files
        ]
        told = [parameter.to_api_repr() for parameter in parameters]
        asked = (tenant_id, window, everything, expected, list(then), told)
        content = repr((asked, [upload.digests for upload in uploads]))
        # Without files there is nothing to know a second asking by.
        key = content if records.files else uuid4().hex
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        sources = {upload.name: upload.source(digest) for upload in uploads}
    script = _script(records.table, nested, sources, window, everything, expected, then)
    own = named_parameters(_params(tenant_id, window, everything, expected), parameters_in(script))
    sent = [upload.parameter for upload in uploads if upload.parameter]
    given = [*own, *sent, *parameters]
    job_id = f"st_kpi_merge_{records.table.name}_{digest}"
    (counts,) = jobs.run(script, given, job_id=job_id)
    for upload in uploads:
        upload.clear()
    return Merged(**{name: int(n) for name, n in counts.items()})


def replace(jobs: Jobs, table: str, columns: Columns, files: Sequence[Path]) -> None:
    """Load the files and make their rows those of the table, in one transaction; see ``Warehouse.load``."""
    names = quoted(name for name, _ in columns)
    statements = [f"DELETE FROM {table} WHERE TRUE"]
    with TemporaryDirectory(prefix="st-kpi-load-") as folder:
        upload = _Upload(table.replace(".", "_"), columns, files, Path(folder), jobs)
        if files:
            source = upload.source(uuid4().hex[:24])
            statements.append(
                f"INSERT INTO {table} ({names}) SELECT {parsed(columns, 'f')} FROM {source} AS f"
            )
    script = ";\n".join(["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"])
    jobs.run(script, [upload.parameter] if upload.parameter else [])
    upload.clear()


def _script(
    table: RawTable,
    nested: TypedFiles | None,
    sources: Mapping[str, str],
    window: Window | None,
    everything: Reading | None,
    expected: int | None,
    then: Sequence[str],
) -> str:
    source = sources.get(table.name)
    windowed, checked = window is not None, expected is not None
    if table.key is None:
        return window_script(table, source, windowed=windowed, expected=checked, then=then)
    lines = nested.table if nested else None
    return newest_script(
        table,
        source,
        lines,
        sources.get(lines.name) if lines else None,
        windowed=windowed,
        everything=everything is not None,
        expected=checked,
        then=then,
    )


def _params(
    tenant_id: int,
    window: Window | None,
    everything: Reading | None,
    expected: int | None,
) -> Params:
    params: dict[str, object] = {"tenant_id": tenant_id, "expected": expected}
    if window:
        params |= {"window_start": window.start, "window_end": window.end}
    if everything:
        params |= {"read_at": everything.read_at, "run_id": everything.run_id}
    return params


class _Upload:
    """The files of one table on their way: a few rows go along with the script, others into a staging table."""

    def __init__(
        self, name: str, columns: Columns, files: Sequence[Path], folder: Path, jobs: Jobs
    ) -> None:
        self.name = name
        self.columns = columns
        self.jobs = jobs
        self.files = files
        self.folder = folder
        self.staging = ""
        self.parameter: ArrayQueryParameter | None = None
        self.digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

    def source(self, digest: str) -> str:
        """Where a FROM finds the rows: ``parameter`` of the script, else the staging table, which is loaded now."""
        rows = few_rows(self.columns, self.files)
        if rows is not None:
            self.parameter = rows_parameter(self.columns, rows, self.name)
            return f"UNNEST(@{self.name})"
        self._load(digest)
        return self.staging

    def clear(self) -> None:
        if self.staging:
            self.jobs.drop(self.staging)

    def _load(self, digest: str) -> None:
        """Load every file, each by a job of its own."""
        self.staging = f"st_staging.incoming_{self.name}_{digest}"
        limit = self.jobs.options.load_megabytes * 1_000_000
        combined = combine(self.name, self.columns, self.files, self.folder, limit)
        fields = [bigquery.SchemaField(name, sent_type(kind)) for name, kind in self.columns]
        # Not by the load job: a table that one makes does not expire.
        table = bigquery.Table(self.jobs.reference(self.staging), schema=fields)
        table.expires = expiry()
        create(self.jobs, table)

        def load_one(number: int) -> None:
            file = combined[number]
            content = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            job_id = f"st_kpi_load_{self.name}_{digest}_{number}_{content}"
            with file.open("rb") as stream:
                self.jobs.load(stream, file.stat().st_size, self.staging, fields, job_id)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(load_one, range(len(combined))))


def few_rows(columns: Columns, files: Sequence[Path]) -> list[tuple[Any, ...]] | None:
    """The rows of the files as a parameter takes them, in their order; None where they are too many for a request."""
    with _reader() as connection:
        named = {"files": [str(file) for file in files]}
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM read_parquet($files)", named
        ).fetchall()[0]
        if count * len(columns) > _MOST_VALUES:
            return None
        rows = connection.execute(
            f"SELECT {_listed(columns)} FROM read_parquet($files)", named
        ).fetchall()
    size = sum(len(value) for row in rows for value in row if isinstance(value, str))
    return rows if size <= _MOST_CHARACTERS else None


def combine(
    name: str, columns: Columns, files: Sequence[Path], folder: Path, limit: int
) -> list[Path]:
    """The files as fewer ones of about ``limit`` bytes, with every column as BigQuery can load it.

    The same files give the same bytes again.
    """
    combined = []
    with _reader() as connection:
        for number, group in enumerate(_groups(files, limit)):
            target = folder / f"{name}-{number}.parquet"
            connection.execute(
                f"COPY (SELECT {_listed(columns)} FROM read_parquet($files)) TO '{target}'"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '{_ROW_GROUP}')",
                {"files": [str(file) for file in group]},
            )
            combined.append(target)
    return combined


@contextmanager
def _reader() -> Iterator[duckdb.DuckDBPyConnection]:
    """One thread keeps the order; a row group is held in memory, whatever its rows weigh."""
    with duckdb.connect(config={"memory_limit": _MEMORY_LIMIT, "threads": 1}) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _listed(columns: Columns) -> str:
    return ", ".join(
        f'CAST("{name}" AS VARCHAR) AS "{name}"' if kind is ColumnType.JSON else f'"{name}"'
        for name, kind in columns
    )


def _groups(files: Sequence[Path], limit: int) -> list[list[Path]]:
    groups: list[list[Path]] = []
    size = 0
    for file in files:
        size += file.stat().st_size
        if not groups or size > limit:
            groups.append([])
            size = file.stat().st_size
        groups[-1].append(file)
    return groups
