"""A BigQuery on this machine, from ``scripts/emulator``: one process for each worker of the test run."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from st_kpi.local.private_server import free_port
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.engine import BigQueryWarehouse
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.bigquery.schema import PUBLICATIONS
from st_kpi.warehouse.system_tables import SYSTEM_TABLES

HOME = Path(__file__).parents[2] / ".emulator"
PROJECT = "local"
_PATIENCE = 60.0


@contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """Start it with its data in ``folder``; gives its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [HOME / "bin" / "local-bigquery", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--grpc-port",
        str(free_port()),
        "--data-dir",
        folder / "data",
        "--project",
        PROJECT,
    ]
    with (folder / "log").open("wb") as log:
        # Nothing of the environment: it reads variables with names such as GROUPS.
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, env={"HOME": str(HOME)}
        )
        try:
            _wait(process, url, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            answer = httpx.get(f"{url}/bigquery/v2/projects/{PROJECT}/datasets", timeout=_PATIENCE)
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        if answer.status_code == 200:
            return
    raise RuntimeError(f"The BigQuery emulator did not start:\n{log.read_text()[-2_000:]}")


def options(url: str | None, **more: float) -> BigQueryOptions:
    """For tests, where nobody waits for long."""
    return BigQueryOptions(url=url, **{"retry_seconds": 20, **more})  # type: ignore[arg-type]


def opened(url: str | None, project: str = PROJECT, location: str = "US") -> BigQueryWarehouse:
    """A warehouse of the project, as the last test left it."""
    return BigQueryWarehouse(project, location, options(url))


def emptied(url: str | None, project: str = PROJECT, location: str = "US") -> BigQueryWarehouse:
    """A warehouse with all its tables and no rows: making the tables anew would take each test seconds."""
    jobs = Jobs(project, location, options(url))
    warehouse = BigQueryWarehouse(project, location, options(url))
    if jobs.table(PUBLICATIONS) is None:
        warehouse.ensure(raw_tables())
        return warehouse
    lasting = {t.qualified for t in raw_tables()} | {*SYSTEM_TABLES, PUBLICATIONS}
    statements = []
    for dataset in ("st_raw", "st_staging", "st_ref", "st_dim", "st_kpi", "st_ops"):
        rows = jobs.rows(f"SELECT table_id, row_count FROM {dataset}.__TABLES__")
        for row in rows:
            table = f"{dataset}.{row['table_id']}"
            if table not in lasting:
                jobs.drop(table)
            elif row["row_count"] and table != PUBLICATIONS:
                statements.append(f"DELETE FROM {table} WHERE TRUE")
    if statements:
        jobs.run(";\n".join(statements))
    return warehouse
