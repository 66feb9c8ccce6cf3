"""How long a sync takes after a day at the company, beside the backfill that finds nothing new.

Everything runs on this machine: the sandbox tenant, a Prefect server, and in a process of its own each

1. `st-kpi backfill` of everything, and again with nothing new;
2. thrice, after 2,000 changes each: `st-kpi sync`; then the same with `--sweep`; the middle one of three is told,
   and the bare download of as many requests;
3. `st-kpi backfill` of jobs and invoices from a tenant some of whose records are 6 MB long.

Times are whole processes, start-up included; the Prefect server runs already, as a lasting one would. Quote ratios:
the machine's speed drifts, the two sides of a ratio drift together.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from backfill import run, use

from st_kpi.cli.demo import sandbox
from st_kpi.ingest.session import credentials
from st_kpi.local.private_server import prefect_api
from st_kpi.local.process import start_process
from st_kpi.sandbox.generate import DEFAULT_SEED
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.settings import load_settings

ST_KPI = [sys.executable, "-m", "st_kpi"]
CHANGES = 2_000
TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--download", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.download is not None:
        asyncio.run(download(options.download))
        return
    with ExitStack() as stack:
        stack.enter_context(prefect_api())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with sandbox(options.scale, DEFAULT_SEED) as tenant:
            serve(tenant.url, folder / "all.duckdb")
            measure(tenant.url)
        with rough(options.scale) as url:
            serve(url, folder / "huge.duckdb")
            took, peak, _ = run([*ST_KPI, "backfill", "--entity=jobs", "--entity=invoices"])
            print(f"backfill, records of 6 MB          {took:6.1f} s   peak {peak:,.0f} MB")


def serve(url: str, file: Path) -> None:
    """From now on the commands read this tenant into this file."""
    use(url)
    os.environ["ST_KPI_WAREHOUSE"] = f"duckdb:///{file}"


def measure(url: str) -> None:
    """Backfill, then the syncs, and a line for each."""
    took, peak, _ = run([*ST_KPI, "backfill"])
    print(f"backfill, all                      {took:6.1f} s   peak {peak:,.0f} MB")
    again, _, _ = run([*ST_KPI, "backfill"])
    print(f"backfill, nothing new              {again:6.1f} s")
    day = 0
    for label, more in (("sync", []), ("sync --sweep", ["--sweep"])):
        times, peaks, asked = [], [], []
        for _ in range(TIMES):
            day += 1
            httpx.post(
                f"{url}/sandbox/live",
                params={"changes": CHANGES, "seed": day, "renames": "false"},
                trust_env=False,
                timeout=600,
            ).raise_for_status()
            before = told(url)["requests"]
            took, peak, _ = run([*ST_KPI, "sync", *more])
            times.append(took)
            peaks.append(peak)
            asked.append(told(url)["requests"] - before)
        requests = round(median(asked))
        bare, _, _ = run([sys.executable, __file__, "--download", str(requests)])
        print(
            f"{f'{label}, {CHANGES:,} changes':<34} {median(times):6.1f} s"
            f"   ({', '.join(f'{t:.1f}' for t in times)}), {median(times) / again:.2f} x the backfill with"
            f" nothing new, {median(times) / bare:.1f} x {requests} bare requests in {bare:.1f} s,"
            f" peak {max(peaks):,.0f} MB"
        )
    seen = told(url)
    print(
        f"the tenant saw at most {seen['max_requests_in_a_second']} requests in a second"
        f" and refused {seen['rate_limited']}"
    )


def told(url: str) -> dict[str, Any]:
    """The tenant's counters."""
    answer: dict[str, Any] = httpx.get(f"{url}/sandbox", trust_env=False, timeout=600).json()
    return answer


@contextmanager
def rough(scale: float) -> Iterator[str]:
    """A tenant with records of 6 MB; its address."""
    arguments = ["--scale", str(scale), "--fault", "huge-record=1"]
    with start_process("st_kpi.sandbox", arguments, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rsplit(" ", 1)[1].strip()
        finally:
            process.terminate()


async def download(requests: int) -> None:
    """As many requests as a sync made, for one row each, eight at a time."""
    settings = load_settings()
    api_url, auth_url = settings.hosts
    source = ServiceTitan(credentials(settings), api_url=api_url, auth_url=auth_url)
    async with source:
        await asyncio.gather(*(source.count(REGISTRY["campaigns"]) for _ in range(requests)))


if __name__ == "__main__":
    main()
