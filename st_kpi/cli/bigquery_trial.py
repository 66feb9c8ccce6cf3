"""``st-kpi doctor --bigquery-trial FILE``: a first run on a real project, in the order in which it could fail.

A made-up company is loaded, synced and built, and what no emulator can say is tried: two writers at once, the ceiling, the
time of a job. The file holds jobs, times, bytes and messages, no rows and no name of the project.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from st_kpi.cli import demo
from st_kpi.cli.flow_run import import_flows
from st_kpi.cli.progress import log_on_stderr, say, waiting
from st_kpi.errors import ConfigurationError, StKpiError, WarehouseError
from st_kpi.ingest.session import open_for_build, open_session
from st_kpi.kpis.build import BuildResult
from st_kpi.local.private_server import prefect_api
from st_kpi.local.proxies import prepare_proxies
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import DUCKDB, Settings, load_settings
from st_kpi.warehouse import BigQueryOptions, bigquery_options, copy, open_warehouse
from st_kpi.warehouse.bigquery import record
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.condition import require_project
from st_kpi.warehouse.bigquery.options import SCHEME, project_and_location
from st_kpi.warehouse.labels import labels

#: The largest company of which a trial takes half an hour at most, 1,613 jobs.
_SCALE = 0.01
_SEED = 7
_WRITERS = 2
_CHANGES_EACH = 3
#: The least that BigQuery bills of a table: of two statements that read one each, a ceiling for both refuses one.
_ONE_TABLE = 10 * 1024**2
_SHORT = 5.0
_ENDLESS = (
    "SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a"
    " CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000000)) AS b"
)


def run_trial(file: Path) -> bool:
    """Run every step and keep what came of it in the file after each; returns whether all ended well.

    Raises ``ConfigurationError`` where the warehouse is not BigQuery or holds loaded rows, and for a file that cannot be
    written, before anything is made.
    """
    settings = load_settings()
    if not settings.warehouse.startswith(SCHEME):
        raise ConfigurationError(
            f"The trial is of BigQuery, and the warehouse is {settings.warehouse}: set"
            " ST_KPI_WAREHOUSE=bigquery://PROJECT?location=US, a project in which nothing is loaded."
        )
    prepare_proxies()
    trial = Trial(settings.warehouse, bigquery_options(settings), file)
    with log_on_stderr(), waiting("Trial"), ExitStack() as stack:
        trial.require_empty()
        trial.begin(stack)
        for name, does in trial.steps():
            if not trial.take(name, does) and name in trial.NEEDED:
                break
        trial.look_back()
        trial.close()
    return all(step["ended"] == "ok" for step in trial.report["steps"])


class Trial:
    """The steps, and the report that grows with them."""

    #: Without these the others have nothing to work on.
    NEEDED = ("project", "tables", "copy")

    def __init__(self, address: str, options: BigQueryOptions, file: Path) -> None:
        self._address = address
        self._options = options
        self._file = file
        self._since = datetime.now(UTC) - timedelta(minutes=1)  # by a clock that may be behind
        self._project, location = project_and_location(address)
        self._jobs = Jobs(self._project, location, options)
        self.report: dict[str, Any] = {
            "st_kpi": version("st-kpi"),
            "client": version("google-cloud-bigquery"),
            "location": location,
            "began": datetime.now(UTC).isoformat(),
            "steps": [],
            "jobs": [],
            "tables": [],
        }

    def require_empty(self) -> None:
        """Raise ``ConfigurationError`` where rows are loaded, which a trial would mix with those of a made-up company."""
        self._save()
        if self._jobs.table("st_ops.chunks") is None:
            return
        if self._jobs.rows("SELECT COUNT(*) AS n FROM st_ops.chunks")[0]["n"]:
            raise ConfigurationError(
                f"Project {self._project} holds loaded rows, among which a trial would put those of a made-up company: name"
                " another project, or remove the datasets of an earlier trial"
                f" (`for d in raw staging ref dim kpi ops; do bq rm -r -f {self._project}:st_$d; done`)."
            )

    def begin(self, stack: ExitStack) -> None:
        """Start the made-up tenant and a private Prefect server, which last until the stack ends."""
        self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="st-kpi-trial-")))
        self._tenant = stack.enter_context(demo.sandbox(_SCALE, _SEED))
        stack.enter_context(prefect_api(import_flows))

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("project", lambda: require_project(self._address, self._options)),
            ("tables", self._make_tables),
            ("copy", self._copy),
            ("sync", self._sync),
            ("build", self._build),
            ("build again", self._build),
            ("two writers", self._write_at_once),
            ("ceiling", self._meet_the_ceiling),
            ("time", self._outlast),
        ]

    def take(self, name: str, does: Callable[[], str]) -> bool:
        """Do a step and keep how it ended; returns whether well."""
        begun, clock = datetime.now(UTC), time.monotonic()
        try:
            with labels(trial=name):
                ended, says = "ok", does()
        except StKpiError as error:
            ended, says = "failed", str(error)
        seconds = round(time.monotonic() - clock, 1)
        step = {
            "step": name,
            "began": begun.isoformat(),
            "seconds": seconds,
            "ended": ended,
            "says": self._unnamed(says),
        }
        self.report["steps"].append(step)
        self._save()
        say(f"{name}: {ended} after {seconds} s. {says}")
        return ended == "ok"

    def look_back(self) -> None:
        """Add the jobs and the tables to the report."""
        made = record.jobs_since(self._jobs, self._since)
        self.report["jobs"] = [job | {"message": self._unnamed(job["message"])} for job in made]
        self.report["tables"] = record.tables_of_ours(self._jobs)
        self._save()

    def close(self) -> None:
        self._jobs.close()

    def _unnamed(self, text: str | None) -> str | None:
        return text and text.replace(self._project, "PROJECT")

    def _save(self) -> None:
        try:
            self._file.write_text(f"{json.dumps(self.report, indent=1)}\n", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"The report {self._file} cannot be written: {error.strerror}."
            ) from None

    def _settings(self, warehouse: str) -> Settings:
        return demo.settings_for(self._tenant, warehouse, self._folder)

    def _make_tables(self) -> str:
        with open_warehouse(self._address, bigquery=self._options) as warehouse:
            warehouse.ensure(raw_tables())
        return "Made, or as they must be."

    def _copy(self) -> str:
        from flows.backfill import backfill

        async def load() -> None:
            async with open_session(self._settings(file)):
                await backfill()

        file = f"{DUCKDB}{self._folder / 'company.duckdb'}"
        asyncio.run(load())
        with (
            open_warehouse(file, read_only=True) as source,
            open_warehouse(self._address, bigquery=self._options) as target,
        ):
            copied = copy.copy(source, target, raw_tables())
        return f"{sum(one.rows for one in copied):,} rows in {len(copied)} tables, counted on both sides."

    def _sync(self) -> str:
        from flows.daily_sync import daily_sync

        async def sync() -> None:
            async with open_session(self._settings(self._address)):
                await daily_sync()

        asyncio.run(sync())
        return "Every entity is up to date."

    def _build(self) -> str:
        from flows.refresh_kpis import refresh_kpis

        async def build() -> BuildResult:
            with open_for_build(self._settings(self._address)):
                return await refresh_kpis(self._tenant.today)

        built = asyncio.run(build())
        with open_warehouse(self._address, read_only=True, bigquery=self._options) as warehouse:
            compared = demo.compare(warehouse, demo.books_of(self._tenant))
        return f"{built.summary().splitlines()[0]} {compared}"

    def _write_at_once(self) -> str:
        """Two processes that merge one entity: which of them is given up, with which words, is in the jobs."""
        together = threading.Barrier(_WRITERS)

        def write(number: int) -> None:
            jobs = Jobs(self._project, self.report["location"], self._options)
            together.wait()
            for _ in range(_CHANGES_EACH):
                jobs.run(
                    "BEGIN TRANSACTION; UPDATE st_raw.jobs SET _run_id = _run_id WHERE TRUE; COMMIT TRANSACTION"
                )
            jobs.close()

        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(write, range(_WRITERS)))
        return f"{_WRITERS} writers changed one table {_CHANGES_EACH} times each."

    def _meet_the_ceiling(self) -> str:
        """Whether ``maximum_bytes_billed`` bounds each statement of a script, or all together."""
        options = replace(self._options, maximum_bytes_billed=_ONE_TABLE)
        jobs = Jobs(self._project, self.report["location"], options)
        try:
            jobs.run(
                "SELECT MAX(id) AS n FROM st_raw.jobs; SELECT MAX(id) AS n FROM st_raw.invoices"
            )
        except WarehouseError as error:
            return f"It bounds the script as a whole: {error}"
        finally:
            jobs.close()
        return "It bounds each statement of a script."

    def _outlast(self) -> str:
        """What BigQuery says of a job whose time is over."""
        jobs = Jobs(
            self._project, self.report["location"], replace(self._options, job_seconds=_SHORT)
        )
        try:
            jobs.run(_ENDLESS)
        except WarehouseError as error:
            return f"Ended: {error}"
        finally:
            jobs.close()
        raise WarehouseError("A statement that needs hours was done within seconds.")
