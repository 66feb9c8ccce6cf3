"""Commands killed while they work: nothing is lost, nothing comes twice, nothing is left behind."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from st_kpi.cli.demo import sandbox
from tests.support.killing import STOPS, Ordeal

#: Of the lines that a backfill may say before it is stopped.
BEGINNINGS = ("Warehouse", "Prefect API", "To load", "Backfill")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox(0.004, 7, "long-records#6") as tenant:
        yield tenant.url


@pytest.fixture
def ordeal(url: str, prefect_server: str, tmp_path: Path) -> Ordeal:
    return Ordeal(url, prefect_server, tmp_path, seed=3)


def test_killed_runs_leave_nothing_behind_and_lose_nothing(ordeal: Ordeal) -> None:
    for _ in range(2):
        ordeal.disturb(signal.SIGKILL)
    ordeal.spool.mkdir(exist_ok=True)
    (ordeal.spool / "of-a-dead-run.ndjson").touch()
    ordeal.live()
    ordeal.finish()
    assert ordeal.loaded
    assert not ordeal.spool.exists()
    asyncio.run(ordeal.compare())
    assert ordeal.tally.clean, str(ordeal.tally)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_stopped_command_is_quiet_and_says_how_to_go_on(
    ordeal: Ordeal, kind: signal.Signals
) -> None:
    with ordeal.working() as process:
        began = time.monotonic()
        process.send_signal(kind)
        assert process.wait(30) == STOPS[kind]
    assert time.monotonic() - began < 5
    told = [line for line in ordeal.said.splitlines() if line.strip()]
    assert told[-1] == "st-kpi: stopped; run the same command again to go on."
    assert [line for line in told[:-1] if not line.startswith(BEGINNINGS)] == []
