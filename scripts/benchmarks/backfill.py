"""How long a backfill takes beside a bare download of the same pages, and how long a build takes.

Everything runs on this machine: the sandbox tenant, a Prefect server, and in a process of its own each

1. the bare download: the same requests by httpx, eight at a time, bodies thrown away;
2. `st-kpi backfill` into an empty DuckDB file, first the four big entities, then all of them;
3. `st-kpi build`, twice.

Times are whole processes, start-up included; the Prefect server runs already, as a lasting one would. Quote ratios:
the machine's speed drifts, the two sides of a ratio drift together.
"""

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from st_kpi.cli.demo import sandbox
from st_kpi.ingest.session import credentials
from st_kpi.local.private_server import prefect_api
from st_kpi.sandbox.company import SandboxCredentials
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.settings import load_settings

BIG = ("jobs", "estimates", "invoices", "payments")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--download", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.download:
        asyncio.run(download(BIG))
        return
    with ExitStack() as stack:
        stack.enter_context(prefect_api())
        tenant = stack.enter_context(sandbox(options.scale, options.seed))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        use(tenant.url)
        measure(folder, str(tenant.today))


def use(url: str) -> None:
    """From now on commands read the made-up tenant at this address."""
    os.environ |= {
        "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
        "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
        "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
        "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
        "ST_KPI_API_URL": url,
        "ST_KPI_AUTH_URL": url,
        "ST_KPI_TIMEZONE": "America/Phoenix",
    }


def measure(folder: Path, today: str) -> None:
    """Run every step in a process of its own and print a line for each."""
    st_kpi = [sys.executable, "-m", "st_kpi"]
    bare, _, printed = run([sys.executable, __file__, "--download"])
    rows, mebibytes = (int(n) for n in re.findall(r"\d+", printed))
    print(
        f"bare download    {rows:>9,} records {bare:6.1f} s {rows / bare:>9,.0f} records/s   ({mebibytes} MiB)"
    )
    os.environ["ST_KPI_WAREHOUSE"] = f"duckdb:///{folder}/four.duckdb"
    took, peak, _ = run([*st_kpi, "backfill", *(f"--entity={name}" for name in BIG)])
    print(
        f"backfill, four   {rows:>9,} records {took:6.1f} s {rows / took:>9,.0f} records/s"
        f"   {took / bare:.1f} x the download, peak {peak:,.0f} MB"
    )
    os.environ["ST_KPI_WAREHOUSE"] = f"duckdb:///{folder}/all.duckdb"
    took, peak, _ = run([*st_kpi, "backfill"])
    _, _, printed = run([*st_kpi, "status"])
    everything = sum(int(n.replace(",", "")) for n in re.findall(r"^\w+ +([\d,]+) ", printed, re.M))
    print(
        f"backfill, all    {everything:>9,} records {took:6.1f} s {everything / took:>9,.0f} records/s"
        f"   peak {peak:,.0f} MB"
    )
    again, _, _ = run([*st_kpi, "backfill"])
    print(f"backfill, again  nothing new       {again:6.1f} s")
    for label in ("build, first", "build, again"):
        took, peak, printed = run([*st_kpi, "build", "--as-of", today])
        inside = re.findall(r"in ([\d.]+) s", printed)[0]
        print(f"{label:<34} {took:6.1f} s   of which SQL {inside} s, peak {peak:,.0f} MB")


def run(command: list[str]) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of one process; ends the benchmark when it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        output.seek(0)
        printed = output.read()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{printed}")
    return took, memory_mb(usage), printed


def memory_mb(usage: resource.struct_rusage) -> float:
    """Linux counts in KiB, macOS in bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


async def download(names: tuple[str, ...]) -> None:
    """Fetch every page of the entities as the backfill would, and throw the records away."""
    settings = load_settings()
    api_url, auth_url = settings.hosts
    rows = size = 0
    source = ServiceTitan(credentials(settings), api_url=api_url, auth_url=auth_url)
    async with source:
        for name in names:
            entity = REGISTRY[name]
            async for page in source.pages(entity):
                rows += page.rows
                size += sum(len(memoryview(record)) for record in page.records)
    print(rows, size // 2**20)


if __name__ == "__main__":
    main()
