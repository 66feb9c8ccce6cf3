"""What is left of a backfill and a sync that are killed again and again at random moments.

The sandbox tenant runs in a process of its own, with faults where asked for, and goes on living meanwhile; one Prefect
server serves all commands. Each command is the real one, in a process of its own, killed while it starts or, mostly,
while it works. Every few kills one may end, and its warehouse is compared, row by row, with an undisturbed first load.
Ends with 1 where a row was lost, is too many, or a complete chunk was fetched again.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[2]))

from st_kpi.cli.demo import sandbox
from st_kpi.local.private_server import prefect_api
from tests.support.killing import Ordeal

#: As a bad day of the real API, all at once.
ROUGH = ("rate-limit=0.02", "server-error=0.03", "cut-connection=0.02", "truncated-json=0.02",
         "token-dies=0.01")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=0.005)
    parser.add_argument("--fault", action="append", help=f"by default {', '.join(ROUGH)}")
    parser.add_argument("--calm", action="store_true", help="no faults at all")
    parser.add_argument("--compare-every", type=int, default=10, metavar="KILLS")
    parser.add_argument("--minutes", type=float, default=60, help="stop earlier after so long")
    options = parser.parse_args()
    faults = () if options.calm else tuple(options.fault or ROUGH)
    with ExitStack() as stack:
        api = stack.enter_context(prefect_api())
        tenant = stack.enter_context(sandbox(options.scale, 7, *faults))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ordeal = Ordeal(tenant.url, api, folder, options.seed)
        until = time.monotonic() + 60 * options.minutes
        run(ordeal, options.kills, options.compare_every, until, Random(options.seed))
    print(ordeal.tally)
    sys.exit(not ordeal.tally.clean)


def run(ordeal: Ordeal, kills: int, compare_every: int, until: float, chance: Random) -> None:
    """Kill so many commands, or until so late; warehouses are begun anew now and then."""
    killed = ordeal.tally.kills
    while killed.total() < kills and time.monotonic() < until:
        goal = min(kills, killed.total() + compare_every)
        if ordeal.loaded and ordeal.tally.compared % 3 == 0:
            ordeal.begin_anew()
        while killed.total() < goal and time.monotonic() < until:
            if chance.random() < 0.4:
                ordeal.live()
            ordeal.disturb()
        ordeal.finish()
        asyncio.run(ordeal.compare())
        print(f"{time.strftime('%H:%M:%S')} {ordeal.tally}", flush=True)


if __name__ == "__main__":
    main()
