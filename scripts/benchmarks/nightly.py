"""What a nightly build takes, and how much room a kept build does.

Works on a copy of a backfilled DuckDB file. Each night some 2,500 source rows change straight in the
raw tables, most of them recent: amounts of invoices and pay lines, statuses and days of jobs, new
invoices, jobs and customers, invoices that turn inactive. Then comes a build for the next day; every
tenth is a full one, so that both meet the same changes. Measured are these builds and one of nothing
new, `explain`, and the room that the history takes in a file of its own.

    python scripts/benchmarks/nightly.py WAREHOUSE.duckdb --as-of 2025-10-21 [--nights 100]
"""

import argparse
import datetime as dt
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from st_kpi.kpis.build import BuildResult, build
from st_kpi.reporting.diff import diff
from st_kpi.reporting.explain import explain
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import Settings
from st_kpi.warehouse import Warehouse, open_warehouse
from st_kpi.warehouse.system_tables import HISTORY

#: Of the newest so many rows of each table, most changes are made.
RECENT = 20_000
SETTINGS = Settings(timezone="America/Phoenix")

#: How many rows of a table change in which way in a night.
EDITS = (
    (400, "invoices", "sub_total = sub_total + 10"),
    (200, "invoices", "balance = 0"),
    (300, "jobs", "job_status = 'Completed', completed_on = COALESCE(completed_on, created_on)"),
    (300, "appointments", "start = TIMESTAMP_ADD(start, INTERVAL 1 DAY)"),
    (200, "estimates", "status_name = 'Sold', sold_on = COALESCE(sold_on, created_on)"),
    (100, "invoices", "active = FALSE"),
    (200, "payments", "unapplied_amount = 0"),
)
#: The pay lines of so many jobs change too; they have no id.
JOBS_WITH_OTHER_PAY = 100
#: How many rows of a table are new in a night.
NEW = ((300, "invoices"), (60, "jobs"), (40, "customers"))
FULL_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--nights", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(shutil.copy(options.file, folder))
        with open_warehouse(f"duckdb:///{file}") as warehouse:
            measure(warehouse, options.as_of, options.nights)
        room(file, Path(folder), options.nights)


def measure(warehouse: Warehouse, as_of: dt.date, nights: int) -> None:
    warehouse.ensure(raw_tables())
    build_as_of(warehouse, as_of, "first")  # one that runs nothing, where the file was built before
    for full in (False, True):
        took = [timed(warehouse, as_of, f"repeated {n}", full=full) for n in range(3)]
        report("full build, nothing new" if full else "build, nothing new", took)
    chance = random.Random(7)
    nightly: list[Taken] = []
    whole: list[Taken] = []
    for night in range(1, nights + 1):
        edit(warehouse, night, chance)
        full = night % FULL_EVERY == 0
        took_one = timed(warehouse, as_of + dt.timedelta(days=night), f"night {night}", full=full)
        (whole if full else nightly).append(took_one)
    report("nightly build", nightly)
    report("of these the last ten", nightly[-10:])
    report("full build of such a night", whole)
    week = as_of - dt.timedelta(days=7)
    for kpi, rollup in (("leads", "All"), ("gpm", "All"), ("outstanding_ar", "All")):
        started = time.perf_counter()
        rows = explain(warehouse, kpi, week=as_of if kpi == "outstanding_ar" else week).rows
        took = time.perf_counter() - started
        print(f"explain {kpi} {rollup}: {len(rows):,} rows in {took:.3f} s")
    started = time.perf_counter()
    values = len(diff(warehouse).changes)
    print(f"diff of two nights: {values:,} values in {time.perf_counter() - started:.3f} s")
    causes = warehouse.query(
        "SELECT cause, COUNT(*) AS cells FROM st_kpi.kpi_changes GROUP BY cause ORDER BY cause"
    )
    print("cells by cause:", ", ".join(f"{r['cause']} {r['cells']:,}" for r in causes))


class Taken(NamedTuple):
    """What one build took, in seconds: all of it, and on all processors."""

    seconds: float
    cpu: float
    ran: int
    in_part: int


def timed(warehouse: Warehouse, as_of: dt.date, run_id: str, *, full: bool = False) -> Taken:
    started, worked = time.perf_counter(), time.process_time()
    result = build_as_of(warehouse, as_of, run_id, full=full)
    took, cpu = time.perf_counter() - started, time.process_time() - worked
    return Taken(took, cpu, len(result.recomputed), len(result.in_part))


def report(label: str, builds: Sequence[Taken]) -> None:
    middle = Taken(*(statistics.median(column) for column in zip(*builds, strict=True)))
    slowest = max(build.seconds for build in builds)
    print(
        f"{label}: median of {len(builds)} {middle.seconds:.2f} s, slowest {slowest:.2f} s;"
        f" CPU {middle.cpu:.2f} s;"
        f" {middle.ran:.0f} statements ran, {middle.in_part:.0f} in part"
    )


def build_as_of(
    warehouse: Warehouse, as_of: dt.date, run_id: str, *, full: bool = False
) -> BuildResult:
    return build(warehouse, settings=SETTINGS, as_of=as_of, run_id=run_id, full=full)


def edit(warehouse: Warehouse, night: int, chance: random.Random) -> None:
    """Some 2,500 rows, as a night's sync would bring them."""
    for count, table, change in EDITS:
        warehouse.execute(
            f"UPDATE st_raw.{table} SET {change}, _loaded_at = CURRENT_TIMESTAMP()"
            " WHERE id IN UNNEST(@ids)",
            {"ids": sample(warehouse, table, count, chance)},
        )
    warehouse.execute(
        "UPDATE st_raw.gross_pay_items SET amount = amount + 1, _loaded_at = CURRENT_TIMESTAMP()"
        " WHERE job_id IN UNNEST(@ids)",
        {"ids": sample(warehouse, "jobs", JOBS_WITH_OTHER_PAY, chance)},
    )
    for count, table in NEW:
        warehouse.execute(
            f"INSERT INTO st_raw.{table} SELECT * REPLACE (id + {night * 10_000_000_000} AS id)"
            f" FROM st_raw.{table} WHERE id IN UNNEST(@ids)",
            {"ids": sample(warehouse, table, count, chance)},
        )


def sample(warehouse: Warehouse, table: str, count: int, chance: random.Random) -> list[int]:
    rows = warehouse.query(
        f"SELECT id FROM st_raw.{table} WHERE id < 10000000000 ORDER BY id DESC LIMIT {RECENT}"
    )
    return chance.sample([row["id"] for row in rows], count)


def room(file: Path, folder: Path, nights: int) -> None:
    """How big each part of the history is, alone in a file."""
    print(f"warehouse file: {file.stat().st_size / 1e6:.0f} MB")
    for table in (*HISTORY, "st_kpi.contributions"):
        alone = folder / f"{table}.duckdb"
        with duckdb.connect(str(alone)) as connection:
            connection.execute(f"ATTACH '{file}' AS kept (READ_ONLY)")
            connection.execute(f"CREATE TABLE copied AS FROM kept.{table}")
            counted = connection.execute("SELECT COUNT(*) FROM copied").fetchone()
        rows = counted[0] if counted else 0
        size = alone.stat().st_size
        print(f"{table}: {rows:,} rows, {size / 1e6:.2f} MB, {size / nights / 1e3:.1f} kB a build")


if __name__ == "__main__":
    main()
