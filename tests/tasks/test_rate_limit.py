"""The tenant's one ceiling: whatever processes share it, the API never sees more than it allows."""

import asyncio
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client

from st_kpi.cli.demo import sandbox
from st_kpi.errors import RunFailed
from st_kpi.ingest.session import open_session
from st_kpi.local.private_server import is_private
from st_kpi.sandbox.company import SandboxCredentials
from st_kpi.servicetitan.rate import RollingWindow
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.settings import load_settings
from tasks import rate_limit
from tasks.caps import CAPS
from tasks.rate_limit import (
    GOOD_FOR,
    ON_THE_WAY,
    SharedAllowance,
    ensure_limits,
    rate_limit_name,
    terms,
)

NAME = rate_limit_name(SandboxCredentials.TENANT_ID)
SMALL = REGISTRY["business_units"]
SECONDS = 5.0


@pytest.mark.parametrize("per_second", range(1, 61))
def test_the_terms_keep_to_what_is_allowed(per_second: int) -> None:
    """Granted in a window that is longer by the time a permit may be on its way, as a whole number."""
    block, decay = terms(per_second)
    assert decay > 0
    assert block >= 1
    assert math.floor(block + decay * (1 + GOOD_FOR + ON_THE_WAY)) <= per_second


async def test_a_wait_for_permits_is_told_once(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_limit, "_TELLS_AFTER", 0.2)
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name("few", 1, slot_decay_per_second=1.0)
    allowance = SharedAllowance("few", 1, RollingWindow(10))
    for _ in range(2):
        async with allowance.slot():
            pass
    told = [message for message in caplog.messages if "rate limit" in message]
    assert told == ["Waiting for the rate limit few, which other runs of this tenant use up"]


async def test_a_wait_for_permits_has_an_end(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has set the limit to nothing on the dashboard."""
    monkeypatch.setattr(rate_limit, "_GIVES_UP_AFTER", 0.2)
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name("none", 1, slot_decay_per_second=0.001)
    allowance = SharedAllowance("none", 1, RollingWindow(10))
    async with allowance.slot():
        pass
    with pytest.raises(RunFailed, match=r"in vain for .* look at the concurrency limit none"):
        async with allowance.slot():
            pass


def asking(url: str, folder: Path, *, forget: bool = False) -> subprocess.Popen[str]:
    """This file as a process of its own, to which the Prefect server is one that others use too."""
    root = Path(__file__).parents[2]
    environment = {
        "PYTHONPATH": str(root),
        "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
        "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
        "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
        "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
        "ST_KPI_API_URL": url,
        "ST_KPI_AUTH_URL": url,
        "ST_KPI_TIMEZONE": "America/Phoenix",
        "ST_KPI_WAREHOUSE": f"duckdb:///{folder}/{uuid4()}.duckdb",
    }
    return subprocess.Popen(
        [sys.executable, __file__, "forget" if forget else "ask"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    output, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert "ERROR" not in complaints  # to be refused is part of the game
    return output.splitlines()[-1]


async def ask() -> str:
    """Ask for some seconds as fast as the allowance lets this process; how many answers came, and for how long."""
    async with open_session(load_settings()) as session:
        assert not is_private()
        await ensure_limits()
        started = time.monotonic()
        answers = 0

        async def one_after_another() -> None:
            nonlocal answers
            while time.monotonic() < started + SECONDS:
                await session.source.count(SMALL)
                answers += 1

        await asyncio.gather(*(one_after_another() for _ in range(16)))
        return f"{answers} {time.monotonic() - started:.2f}"


async def forget() -> str:
    """Let the limit disappear from under a client that goes by it; the error's name and cause."""
    async with open_session(load_settings()) as session, get_client() as client:
        await ensure_limits()
        await session.source.count(SMALL)
        await client.delete_global_concurrency_limit_by_name(NAME)
        await asyncio.sleep(GOOD_FOR)
        try:
            await session.source.count(SMALL)
        except Exception as error:
            return f"{type(error).__name__} {error}".replace("\n", " ")
    return "nothing"


def test_two_processes_share_one_ceiling(prefect_server: str, tmp_path: Path) -> None:
    with sandbox(0.004, 7) as tenant:
        asked = [said(p) for p in [asking(tenant.url, tmp_path) for _ in range(2)]]
        seen = httpx.get(f"{tenant.url}/sandbox", trust_env=False).json()
    answers = [int(line.split()[0]) for line in asked]
    print(f"{sum(answers) / SECONDS:.0f} requests a second: {asked}, {seen}")
    assert seen["requests"] == sum(answers)
    assert min(answers) > 0
    assert seen["rate_limited"] == 0
    assert seen["max_requests_in_a_second"] <= 60


async def test_a_limit_that_is_gone_is_not_no_limit(prefect_server: str, tmp_path: Path) -> None:
    """The client goes by the limit that was made for it, and does not ask without one."""
    with sandbox(0.004, 7) as tenant:
        told = said(asking(tenant.url, tmp_path, forget=True))
        seen = httpx.get(f"{tenant.url}/sandbox", trust_env=False).json()
    assert "must be created" in told
    assert seen["requests"] == 1


async def test_the_limits_are_made_as_the_terms_say(prefect_server: str, tmp_path: Path) -> None:
    with sandbox(0.004, 7) as tenant:
        said(asking(tenant.url, tmp_path))
    block, decay = terms(60)
    async with get_client() as client:
        made = await client.read_global_concurrency_limit_by_name(NAME)
        tags = await client.read_concurrency_limits(limit=200, offset=0)
    assert (made.limit, made.slot_decay_per_second, made.active) == (block, decay, True)
    assert {limit.tag: limit.concurrency_limit for limit in tags} == CAPS


if __name__ == "__main__":
    print(asyncio.run(forget() if sys.argv[1] == "forget" else ask()))
