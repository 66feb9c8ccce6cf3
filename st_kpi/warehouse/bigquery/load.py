"""Typed files into a staging table of their own, and from there, in one script, into the raw tables.

Nothing of a load is visible before the script commits, and everything about it has a name that follows from its
content: asked for again after an answer was lost, it is not done twice.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
from google.cloud import bigquery

from st_kpi.columns import Columns, ColumnType, RawTable
from st_kpi.warehouse.base import Merged, Params, Reading, TypedFiles
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.merge import newest_script, window_script
from st_kpi.warehouse.bigquery.schema import create, expiry
from st_kpi.warehouse.bigquery.values import parsed, query_parameters, quoted, sent_type
from st_kpi.windows import Window

_MEMORY_LIMIT = "350MB"
_ROW_GROUP = "32MB"
#: Files that are sent at the same time.
_AT_ONCE = 4


def merge(
    jobs: Jobs,
    records: TypedFiles,
    nested: TypedFiles | None,
    *,
    tenant_id: int,
    window: Window | None,
    everything: Reading | None,
) -> Merged:
    """Load the files and merge them; see ``Warehouse.merge``."""
    with TemporaryDirectory(prefix="st-kpi-load-") as folder:
        uploads = [
            _Upload(typed.table.name, typed.table.typed_columns, typed.files, Path(folder), jobs)
            for typed in (records, nested)
            if typed is not None
        ]
        content = repr((tenant_id, window, everything, [upload.digests for upload in uploads]))
        # Without files there is nothing to know a second asking by.
        key = content if records.files else uuid4().hex
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        for upload in uploads:
            upload.load(digest)
    staged = [upload.staging for upload in uploads]
    script = _script(records.table, nested, staged, window, everything)
    parameters = query_parameters(script, _params(tenant_id, window, everything))
    (counts,) = jobs.run(script, parameters, job_id=f"st_kpi_merge_{records.table.name}_{digest}")
    for name in staged:
        jobs.drop(name)
    return Merged(**{name: int(n) for name, n in counts.items()})


def replace(jobs: Jobs, table: str, columns: Columns, files: Sequence[Path]) -> None:
    """Load the files and make their rows those of the table, in one transaction; see ``Warehouse.load``."""
    with TemporaryDirectory(prefix="st-kpi-load-") as folder:
        upload = _Upload(table.replace(".", "_"), columns, files, Path(folder), jobs)
        upload.load(uuid4().hex[:24])
    names = quoted(name for name, _ in columns)
    jobs.run(
        f"BEGIN TRANSACTION;\nDELETE FROM {table} WHERE TRUE;\n"
        f"INSERT INTO {table} ({names}) SELECT {parsed(columns, 'f')} FROM {upload.staging} AS f;\n"
        "COMMIT TRANSACTION"
    )
    jobs.drop(upload.staging)


def _script(
    table: RawTable,
    nested: TypedFiles | None,
    staged: Sequence[str],
    window: Window | None,
    everything: Reading | None,
) -> str:
    windowed = window is not None
    if table.key is None:
        return window_script(table, staged[0], windowed=windowed)
    lines = nested.table if nested is not None and nested.files else None
    return newest_script(
        table, staged[0], lines, staged[-1], windowed=windowed, everything=everything is not None
    )


def _params(tenant_id: int, window: Window | None, everything: Reading | None) -> Params:
    params: dict[str, object] = {"tenant_id": tenant_id}
    if window:
        params |= {"window_start": window.start, "window_end": window.end}
    if everything:
        params |= {"read_at": everything.read_at, "run_id": everything.run_id}
    return params


class _Upload:
    """The files of one table, and the staging table that they are loaded into."""

    def __init__(
        self, name: str, columns: Columns, files: Sequence[Path], folder: Path, jobs: Jobs
    ) -> None:
        self.name = name
        self.columns = columns
        self.jobs = jobs
        limit = jobs.options.load_megabytes * 1_000_000
        self.combined = combine(name, columns, files, folder, limit)
        self.digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.combined]
        self.staging = ""

    def load(self, digest: str) -> None:
        """Load every file, each by a job of its own."""
        self.staging = f"st_staging.incoming_{self.name}_{digest}"
        fields = [bigquery.SchemaField(name, sent_type(kind)) for name, kind in self.columns]
        table = bigquery.Table(self.jobs.reference(self.staging), schema=fields)
        table.expires = expiry()
        create(self.jobs, table)

        def load_one(number: int) -> None:
            file = self.combined[number]
            job_id = f"st_kpi_load_{self.name}_{digest}_{number}_{self.digests[number][:16]}"
            with file.open("rb") as stream:
                self.jobs.load(stream, file.stat().st_size, self.staging, fields, job_id)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(load_one, range(len(self.combined))))


def combine(
    name: str, columns: Columns, files: Sequence[Path], folder: Path, limit: int
) -> list[Path]:
    """The files as fewer ones of about ``limit`` bytes, with every column as BigQuery can load it.

    The same files give the same bytes again.
    """
    listed = ", ".join(
        f'CAST("{name}" AS VARCHAR) AS "{name}"' if kind is ColumnType.JSON else f'"{name}"'
        for name, kind in columns
    )
    combined = []
    # One thread keeps the order; a row group is held in memory, whatever its rows weigh.
    with duckdb.connect(config={"memory_limit": _MEMORY_LIMIT, "threads": 1}) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'UTC'")
        for number, group in enumerate(_groups(files, limit)):
            target = folder / f"{name}-{number}.parquet"
            connection.execute(
                f"COPY (SELECT {listed} FROM read_parquet($files)) TO '{target}'"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '{_ROW_GROUP}')",
                {"files": [str(file) for file in group]},
            )
            combined.append(target)
    return combined


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
