"""What a night takes on BigQuery, by the number and the kind of its jobs: a sync, a build, and another of nothing new.

Runs them through the emulator and counts (``tests/support/counted.py``). The seconds are not measured: each statement has
those that are known of small ones on the service, and a run takes those of the longest chain of jobs that wait for each
other. A disk or a core of this machine changes none of it.

    python scripts/benchmarks/bigquery.py [--scale 0.002] [--changes 60] [--times 500]
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from random import Random

from st_kpi.sandbox import generate_company
from st_kpi.sandbox.life.day import live
from tests.support.bigquery_emulator import emptied, emulator
from tests.support.counted import Counted, Job, counted, dearest_chain
from tests.warehouse.test_both_engines import built, follow, load, session_on

#: Seconds of one on the service: a SELECT, or any statement of a script; a job that is one statement that writes; a load.
READS, WRITES, LOADS = 1.2, 2.5, 3.0
_WRITING = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE AS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.002)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--times", type=int, default=500)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator(Path(folder)) as url,
        counted(url, options.times) as proxy,
    ):
        asyncio.run(_night(proxy, options.scale, options.changes, Path(folder) / "files"))


async def _night(proxy: Counted, scale: float, changes: int, folder: Path) -> None:
    company = generate_company(seed=7, scale=scale)
    print("| | jobs | in scripts | waits | requests | billed | seconds on the service |")
    print("|---|---|---|---|---|---|---|")
    async with session_on(emptied(proxy.url), company, folder) as session:
        await load(session)
        _tell(proxy, "first load")
        built(session, company, "first")
        _tell(proxy, "first build")
        live(company, Random(1), changes, renames=False)
        await follow(session)
        _tell(proxy, "sync")
        result = built(session, company, "second")
        _tell(proxy, f"build after it, {len(result.recomputed)} of {result.statements} statements")
        built(session, company, "third")
        _tell(proxy, "build of nothing new")


def _tell(proxy: Counted, name: str) -> None:
    counts, jobs = proxy.counts(), [job for job in proxy.jobs() if not job.dry_run]
    print(
        f"| {name} | {counts.jobs} | {counts.statements} | {counts.waits} | {counts.requests}"
        f" | {counts.bytes / 1e9:.1f} GB | {dearest_chain(jobs, _seconds):.0f} |",
        flush=True,
    )
    proxy.clear()


def _seconds(job: Job) -> float:
    if job.kind in ("LOAD", "COPY"):
        return LOADS
    if job.kind == "SCRIPT":
        return READS * len(job.statements)
    return WRITES if job.kind in _WRITING else READS


if __name__ == "__main__":
    main()
