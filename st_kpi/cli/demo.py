"""The whole product in one command: a made-up tenant over real HTTP, and the proof against its own books."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from st_kpi.cli.flow_run import import_flows
from st_kpi.cli.progress import log_on_stderr, progress_bar, say, working
from st_kpi.cli.render_weekly import weekly_table
from st_kpi.errors import CheckFailed, ConfigurationError, RunFailed
from st_kpi.local.private_server import prefect_api
from st_kpi.local.process import start_process
from st_kpi.reporting import published
from st_kpi.reporting.weekly_report import FILE
from st_kpi.sandbox.company import SandboxCredentials
from st_kpi.settings import DUCKDB, Settings, load_settings
from st_kpi.warehouse import Warehouse, open_warehouse

_WEEKS_SHOWN = 8
_DIFFERENCES_SHOWN = 10


@dataclass(frozen=True)
class ServedTenant:
    """The sandbox as it is served: where, as which tenant, and which day is today there."""

    url: str
    tenant_id: int
    today: date


def run_demo(*, scale: float, seed: int, home: Path) -> None:
    """Serve, backfill, build, show and compare; raises ``CheckFailed`` when a cell differs from the books."""
    started = time.monotonic()
    file = _fresh_file(home)
    say(f"Starting a made-up company at scale {scale} and a private Prefect server...")
    with log_on_stderr(), _sandbox_process(scale, seed) as process, prefect_api(import_flows):
        tenant = _ready(process)
        settings = settings_for(tenant, f"{DUCKDB}{file}", file.parent)
        say(f"The company answers at {tenant.url}; its today is {tenant.today}.")
        asyncio.run(_load_and_build(settings, tenant.today))
        with open_warehouse(settings.warehouse, read_only=True) as warehouse:
            print(weekly_table(published.read(warehouse, weeks=_WEEKS_SHOWN, zone=settings.zone)))
            verdict = compare(warehouse, books_of(tenant))
    print(verdict)
    print(f"The weekly review is {file.with_name(FILE)}: open it in a browser.")
    print(f"The warehouse is {file}. Ask it:")
    print(f"  ST_KPI_WAREHOUSE=duckdb:///{file} {sys.argv[0]} show --kpi gpm")
    say(f"Done in {time.monotonic() - started:.0f} s.")


def compare(
    warehouse: Warehouse, books: dict[tuple[str, date, str], tuple[Decimal, Decimal]]
) -> str:
    """Compare every published weekly cell with the books, numerator and denominator, both ways.

    Returns the sentence that says they are equal; raises ``CheckFailed`` naming the first cells that differ.
    """
    rows = warehouse.query(
        "SELECT kpi, week_start, `rollup` AS rollup_name, SUM(numerator) AS numerator,"
        " COALESCE(SUM(denominator), 0) AS denominator FROM st_kpi.kpi_weekly"
        " GROUP BY kpi, week_start, `rollup`"
    )
    nothing = (Decimal(0), Decimal(0))
    ours = {
        (r["kpi"], r["week_start"], r["rollup_name"]): (r["numerator"], r["denominator"])
        for r in rows
    }
    keys = ours.keys() | books.keys()
    different = sorted(k for k in keys if ours.get(k, nothing) != books.get(k, nothing))
    if different:
        shown = [
            f"  {kpi} {week} {rollup}: published {ours.get((kpi, week, rollup), nothing)},"
            f" books {books.get((kpi, week, rollup), nothing)}"
            for kpi, week, rollup in different[:_DIFFERENCES_SHOWN]
        ]
        raise CheckFailed(
            f"{len(different):,} of {len(keys):,} weekly cells differ from the tenant's own books:\n"
            + "\n".join(shown)
        )
    kpis = len({key[0] for key in keys})
    weeks = len({key[1] for key in keys})
    return (
        f"Compared with the company's own books: {len(keys):,} cells ({kpis} KPIs, {weeks} weeks,"
        " every rollup) are equal to the cent."
    )


async def _load_and_build(settings: Settings, today: date) -> None:
    from flows.backfill import backfill
    from flows.refresh_kpis import refresh_kpis
    from st_kpi.ingest.session import open_for_build, open_session

    with progress_bar("Backfill") as progress:
        async with open_session(settings, progress):
            await backfill()
    with open_for_build(settings), working("Build"):
        say((await refresh_kpis(today)).summary())


def settings_for(tenant: ServedTenant, warehouse: str, folder: Path) -> Settings:
    """Those with which the tenant is loaded into the warehouse; its mapping files and the weekly review go to the folder."""
    return load_settings(
        tenant_id=tenant.tenant_id,
        client_id=SandboxCredentials.CLIENT_ID,
        client_secret=SandboxCredentials.CLIENT_SECRET,
        app_key=SandboxCredentials.APP_KEY,
        api_url=tenant.url,
        auth_url=tenant.url,
        timezone="America/Phoenix",
        warehouse=warehouse,
        report_path=str(folder),
        mappings=_mapping_files(tenant, folder),
    )


def _mapping_files(tenant: ServedTenant, home: Path) -> Path:
    """The folder of the mapping files as the company itself would write them: each seed has other units."""
    folder = home / "mappings"
    folder.mkdir(exist_ok=True)
    for name, text in _ask(f"{tenant.url}/sandbox/mappings").items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _fresh_file(home: Path) -> Path:
    """The demo's own database file, made anew each time."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = home.resolve() / "demo.duckdb"
        for old in (file, file.with_name("demo.duckdb.wal")):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The demo's folder {home} cannot be written: {error.strerror}."
        ) from None
    return file


@contextmanager
def sandbox(scale: float, seed: int, *faults: str) -> Iterator[ServedTenant]:
    """The made-up tenant, served by a process of its own while the block runs."""
    with _sandbox_process(scale, seed, *faults) as process:
        yield _ready(process)


@contextmanager
def _sandbox_process(scale: float, seed: int, *faults: str) -> Iterator[subprocess.Popen[str]]:
    """The sandbox in a process of its own, as a real tenant would be."""
    arguments = ["--port", "0", "--scale", str(scale), "--seed", str(seed)]
    arguments += [f"--fault={fault}" for fault in faults]
    with start_process("st_kpi.sandbox", arguments, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


def _ready(process: subprocess.Popen[str]) -> ServedTenant:
    assert process.stdout is not None
    line = process.stdout.readline()
    if " on http" not in line:
        raise RunFailed("The made-up tenant did not start.")
    url = line.rsplit(" ", 1)[1].strip()
    about = _ask(f"{url}/sandbox")
    return ServedTenant(url, about["tenant_id"], date.fromisoformat(about["today"]))


def books_of(tenant: ServedTenant) -> dict[tuple[str, date, str], tuple[Decimal, Decimal]]:
    """The tenant's own numbers per KPI, week and rollup: numerator and denominator."""
    return {
        (row["kpi"], date.fromisoformat(row["week_start"]), row["rollup"]): (
            Decimal(row["numerator"]),
            Decimal(row["denominator"] or 0),
        )
        for row in _ask(f"{tenant.url}/sandbox/books", as_of=str(tenant.today))
    }


def _ask(url: str, **params: str) -> Any:
    try:
        return httpx.get(url, params=params, trust_env=False, timeout=600).raise_for_status().json()
    except httpx.HTTPError as error:
        raise RunFailed(f"The made-up tenant does not answer at {url}: {error}") from None
