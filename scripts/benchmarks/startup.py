"""What a command takes that has next to nothing to do, with a Prefect server that runs already and with one of its own.

Everything runs on this machine: a small made-up tenant, a Prefect server, and in a process of its own each

1. `python -c "import prefect"`, the least that any of the others takes;
2. `st-kpi --version`, `show` and `lint`, which need no Prefect;
3. `st-kpi build` and `sync`, where nothing has changed, with the server and with a private one;
4. `st-kpi build` with the first private server of all, which has to migrate its database.

Each several times, the others in between; the middle one is told. Quote ratios: the machine's speed drifts, the two sides of
a ratio drift together.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from backfill import run, use

from st_kpi.cli.demo import sandbox
from st_kpi.local.private_server import prefect_api
from st_kpi.sandbox.generate import DEFAULT_SEED

ST_KPI = [sys.executable, "-m", "st_kpi"]
PLAIN = ("--version", "show", "lint")
ON_PREFECT = ("build", "sync")
#: In front of a command that is to see no server.
ALONE = ["env", "-u", "PREFECT_API_URL"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.02)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        tenant = stack.enter_context(sandbox(options.scale, DEFAULT_SEED))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        use(tenant.url)
        os.environ |= {
            "ST_KPI_WAREHOUSE": f"duckdb:///{folder}/small.duckdb",
            "XDG_CACHE_HOME": str(folder),
        }
        run([*ST_KPI, "backfill"])
        run([*ST_KPI, "build"])
        stack.enter_context(prefect_api())
        took = measure(folder, options.times)
    least = median(took["import prefect"])
    for name, seconds in took.items():
        middle = median(seconds)
        print(f"{name:<32} {middle:6.2f} s {middle / least:6.1f} x import prefect")


def measure(folder: Path, times: int) -> dict[str, list[float]]:
    """Seconds of each command, in turn."""
    took: dict[str, list[float]] = defaultdict(list)

    def take(name: str, command: list[str]) -> None:
        took[name].append(run(command)[0])

    for _ in range(times):
        take("import prefect", [sys.executable, "-c", "import prefect"])
        for name in PLAIN:
            take(name, [*ST_KPI, name])
        for name in ON_PREFECT:
            take(f"{name}, a server runs", [*ST_KPI, name])
            take(f"{name}, a private server", [*ALONE, *ST_KPI, name])
        for kept in folder.glob("st-kpi/*"):
            kept.unlink()
        take("build, the first private server", [*ALONE, *ST_KPI, "build"])
    return took


if __name__ == "__main__":
    main()
