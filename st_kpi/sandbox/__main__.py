"""`python -m st_kpi.sandbox --port P --scale X --seed N`: serve the made-up tenant."""

from __future__ import annotations

import argparse

from st_kpi.sandbox.faults.app import Faults
from st_kpi.sandbox.serve import serve


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m st_kpi.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--scale", type=float, default=0.05, help="1.0 is 161,332 jobs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests-per-second", type=int, default=60)
    parser.add_argument("--token-seconds", type=int, default=900)
    parser.add_argument("--report-seconds", type=float, default=60, help="between two calls of one")
    parser.add_argument("--fault", action="append", default=[], help="NAME[=SHARE][@PATH][#DETAIL]")
    parser.add_argument("--fault-seed", type=int, default=0)
    options = parser.parse_args()
    try:
        serve(
            options.host,
            options.port,
            seed=options.seed,
            scale=options.scale,
            requests_per_second=options.requests_per_second,
            token_seconds=options.token_seconds,
            report_seconds=options.report_seconds,
            faults=Faults.parse(options.fault, options.fault_seed),
        )
    except (OSError, ValueError) as error:  # the port is taken, the scale or a fault makes no sense
        parser.error(str(error))


if __name__ == "__main__":
    main()
