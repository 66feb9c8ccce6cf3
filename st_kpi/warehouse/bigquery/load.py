"""Typed files into a staging table of their own, and from there, in one script, into the raw tables.

Nothing of a load is visible before the script commits, and everything about it has a name that follows from its
content: asked for again after an answer was lost, it is not done twice.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
from google.cloud import bigquery

from st_kpi.columns import Columns, ColumnType
from st_kpi.warehouse.base import Merged, Reading, TypedFiles
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.merge import newest_script, parsed, window_script
from st_kpi.warehouse.bigquery.schema import create
from st_kpi.warehouse.bigquery.values import query_parameters
from st_kpi.windows import Window

#: Whatever a killed run leaves behind is gone after this.
EXPIRES = dt.timedelta(days=2)
_MEMORY = "350MB"


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
        parts = [_part(files, Path(folder), jobs) for files in (records, nested) if files]
        asked = (tenant_id, window, everything, [part.digests for part in parts])
        # Without files there is nothing to know a second asking by.
        content = repr(asked) if records.files else uuid4().hex
        digest = hashlib.sha256(content.encode()).hexdigest()[:24]
        for part in parts:
            part.load(digest)
    staged = [part.staging for part in parts]
    params: dict[str, object] = {"tenant_id": tenant_id}
    if window:
        params |= {"window_start": window.start, "window_end": window.end}
    if everything:
        params |= {"read_at": everything.read_at, "run_id": everything.run_id}
    if records.table.key is None:
        script = window_script(records.table, staged[0], windowed=window is not None)
    else:
        lines = nested.table if nested is not None and nested.files else None
        script = newest_script(
            records.table,
            staged[0],
            lines,
            staged[-1],
            windowed=window is not None,
            everything=everything is not None,
        )
    used = query_parameters(script, params)
    (counted,) = jobs.run(script, used, job_id=f"st_kpi_merge_{records.table.name}_{digest}")
    for name in staged:
        jobs.drop(name)
    return Merged(**{name: int(n) for name, n in counted.items()})


def replace(jobs: Jobs, table: str, columns: Columns, files: Sequence[Path]) -> None:
    """Load the files and make their rows those of the table, in one transaction; see ``Warehouse.load``."""
    with TemporaryDirectory(prefix="st-kpi-load-") as folder:
        part = _Part(table.replace(".", "_"), columns, files, Path(folder), jobs)
        part.load(uuid4().hex[:24])
    listed = ", ".join(f"`{name}`" for name, _ in columns)
    jobs.run(
        f"BEGIN TRANSACTION;\nDELETE FROM {table} WHERE TRUE;\n"
        f"INSERT INTO {table} ({listed}) SELECT {parsed(columns)} FROM {part.staging} AS f;\nCOMMIT TRANSACTION"
    )
    jobs.drop(part.staging)


def _part(files: TypedFiles, folder: Path, jobs: Jobs) -> "_Part":
    columns = [(column.name, column.type) for column in files.table.columns]
    return _Part(files.table.name, columns, files.files, folder, jobs)


class _Part:
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
        fields = [bigquery.SchemaField(name, str(_staged(kind))) for name, kind in self.columns]
        made = bigquery.Table(self.jobs.reference(self.staging), schema=fields)
        made.expires = dt.datetime.now(dt.UTC) + EXPIRES
        create(self.jobs, made)

        def one(part: int) -> None:
            file = self.combined[part]
            job_id = f"st_kpi_load_{self.name}_{digest}_{part}_{self.digests[part][:16]}"
            with file.open("rb") as opened:
                self.jobs.load(opened, file.stat().st_size, self.staging, fields, job_id)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(len(self.combined))))


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
    made = []
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number, group in enumerate(_groups(files, limit)):
            target = folder / f"{name}-{number}.parquet"
            connection.execute(
                f"COPY (SELECT {listed} FROM read_parquet($files)) TO '{target}'"
                " (FORMAT parquet, COMPRESSION zstd)",
                {"files": [str(file) for file in group]},
            )
            made.append(target)
    return made


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


def _staged(kind: ColumnType) -> ColumnType:
    return ColumnType.STRING if kind is ColumnType.JSON else kind
