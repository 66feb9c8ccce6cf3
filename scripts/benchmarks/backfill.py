"""How long a backfill takes beside a bare program that loads the same pages, and how long a build takes.

Everything runs on this machine: a made-up tenant that answers from memory (``tenant.py``), a Prefect server, and in a
process of its own each

1. the bare program (``bare.py``): four entities downloaded and typed with DuckDB, nothing checked;
2. `st-kpi backfill` of the same four into an empty DuckDB file, beside the server and without one;
3. `st-kpi backfill` of everything, then `st-kpi build`, twice;
4. the first two again with records as long as real ones.

Each that reads is run twice and the second time counts, for the tenant writes a page when it is asked for it first. Times
are whole processes, start-up included. Quote ratios: the machine's speed drifts, the two sides of a ratio drift together.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from st_kpi.local.private_server import prefect_api
from st_kpi.sandbox.company import SandboxCredentials

BIG = ("jobs", "estimates", "invoices", "payments")
HERE = Path(__file__).parent
ST_KPI = [sys.executable, "-m", "st_kpi"]
FOUR = [*ST_KPI, "backfill", *(f"--entity={name}" for name in BIG)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--kilobytes", type=int, default=8, help="of a long record, on average")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(prefect_api())
        with tenant(options.scale) as url:
            bare = four(folder, "short records")
            without_server(folder, bare)
            everything(folder, bare, httpx.get(f"{url}/sandbox").json()["today"])
        long = f"long-records#{options.kilobytes}"
        with tenant(options.scale / 4, "--fault", long):
            four(folder, f"{options.kilobytes} KB")


@contextmanager
def tenant(scale: float, *arguments: str) -> Iterator[str]:
    """A made-up tenant that commands read while the block runs."""
    command = [sys.executable, str(HERE / "tenant.py"), f"--scale={scale}"]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().rsplit(" ", 1)[1].strip()
        use(url)
        try:
            yield url
        finally:
            process.terminate()


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


def four(folder: Path, label: str) -> float:
    """The bare program and the backfill beside it; returns the seconds of the bare program."""
    for _ in range(2):
        bare, peak, printed = run([sys.executable, str(HERE / "bare.py"), fresh(folder)])
    rows = int(printed)
    print(f"bare program, {label:<14} {rows:>9,} records {bare:6.1f} s   peak {peak:,.0f} MB")
    for _ in range(2):
        fill_new(folder)
        took, peak, _ = run(FOUR)
    print(
        f"backfill, four, {label:<12} {rows:>9,} records {took:6.1f} s   {took / bare:.1f} x the bare program,"
        f" peak {peak:,.0f} MB"
    )
    return bare


def without_server(folder: Path, bare: float) -> None:
    """The same with a private Prefect server; its first one on a machine has been before."""
    url = os.environ.pop("PREFECT_API_URL")
    fill_new(folder)
    took, _, _ = run(FOUR)
    os.environ["PREFECT_API_URL"] = url
    print(f"backfill, four, private server {took:26.1f} s   {took / bare:.1f} x the bare program")


def everything(folder: Path, bare: float, today: str) -> None:
    """All entities, and what follows."""
    for _ in range(2):
        fill_new(folder)
        took, peak, _ = run([*ST_KPI, "backfill"])
    _, _, printed = run([*ST_KPI, "status"])
    rows = sum(int(n.replace(",", "")) for n in re.findall(r"^\w+ +([\d,]+) ", printed, re.M))
    print(
        f"backfill, all                {rows:>11,} records {took:6.1f} s   {took / bare:.1f} x the bare program"
        f" of four, peak {peak:,.0f} MB"
    )
    again, _, _ = run([*ST_KPI, "backfill"])
    print(f"backfill, nothing new {again:35.1f} s")
    for label in ("build, first", "build, again"):
        took, peak, printed = run([*ST_KPI, "build", "--as-of", today])
        inside = re.findall(r"in ([\d.]+) s", printed)[0]
        print(f"{label:<22} {took:35.1f} s   of which SQL {inside} s, peak {peak:,.0f} MB")


def fresh(folder: Path) -> str:
    """The name of a file that is not there."""
    file = folder / "warehouse.duckdb"
    for old in folder.glob(f"{file.name}*"):
        old.unlink()
    return str(file)


def fill_new(folder: Path) -> None:
    """Commands fill a new warehouse from now on."""
    os.environ["ST_KPI_WAREHOUSE"] = f"duckdb:///{fresh(folder)}"


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


if __name__ == "__main__":
    main()
