"""Builds that are killed at any moment: what is published is whole afterwards, the old or the new."""

import asyncio
import datetime as dt
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import httpx
import pytest

from st_kpi.errors import WarehouseLocked
from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_window
from st_kpi.ingest.session import Session, credentials
from st_kpi.kpis.build import build
from st_kpi.sandbox import Company, create_app
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse import open_warehouse
from tests.conftest import tenant_settings

OLD, NEW = dt.date(2025, 9, 30), dt.date(2025, 10, 14)
TABLES = ("contributions", "kpi_daily", "kpi_weekly", "kpi_weekly_wide")

#: Builds a file as of a day; says so when it begins.
BUILDER = """
import datetime as dt, sys
from st_kpi.kpis.build import build
from st_kpi.warehouse import open_warehouse
from tests.conftest import tenant_settings
with open_warehouse(f"duckdb:///{sys.argv[1]}") as warehouse:
    print("begins", flush=True)
    build(warehouse, settings=tenant_settings(), as_of=dt.date.fromisoformat(sys.argv[2]), run_id="killed")
"""


def published(file: Path) -> dict[str, list[str]]:
    with open_warehouse(f"duckdb:///{file}") as warehouse:
        return {
            table: sorted(str(row) for row in warehouse.query(f"SELECT * FROM st_kpi.{table}"))
            for table in TABLES
        }


async def load(file: Path, company: Company) -> None:
    settings = tenant_settings()
    app = create_app(company, requests_per_second=100_000)
    api_url, auth_url = settings.hosts
    source = ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        transport=httpx.ASGITransport(app),
    )
    with open_warehouse(f"duckdb:///{file}") as warehouse:
        warehouse.ensure(raw_tables())
        async with source:
            session = Session(settings, warehouse, Normalizer(), file.parent, source)
            window = wanted_window(settings, None, None, await source_time(session))
            for entity in REGISTRY.values():
                for chunk in await missing_chunks(session, entity, window):
                    store(session, await fetch(session, entity, chunk.window, "load"), "load")


def build_as_of(file: Path, day: dt.date) -> None:
    with open_warehouse(f"duckdb:///{file}") as warehouse:
        build(warehouse, settings=tenant_settings(), as_of=day, run_id="whole")


class Builds:
    """A file with an old build, and what a new one publishes and how long it takes."""

    def __init__(self, folder: Path, company: Company) -> None:
        self.file, self.folder = folder / "old.duckdb", folder
        asyncio.run(load(self.file, company))
        build_as_of(self.file, OLD)
        self.old = published(self.file)
        new = folder / "new.duckdb"
        shutil.copy(self.file, new)
        began = time.monotonic()
        build_as_of(new, NEW)
        self.seconds = time.monotonic() - began
        self.new = published(new)

    def start(self, file: Path) -> subprocess.Popen[bytes]:
        """A build in a process of its own that has begun."""
        builder = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(file), NEW.isoformat()],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"begins\n"
        return builder

    def kill(self, number: int, after: float) -> bool:
        """Kill a build so many seconds after it began; True where it had not published yet."""
        file = self.folder / f"killed-{number}.duckdb"
        shutil.copy(self.file, file)
        with self.start(file) as builder:
            time.sleep(after)
            builder.kill()
        found = published(file)
        assert found in (self.old, self.new)
        build_as_of(file, NEW)
        assert published(file) == self.new
        file.unlink()
        return found == self.old


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory, company: Company) -> Builds:
    return Builds(tmp_path_factory.mktemp("killed"), company)


@pytest.mark.process
def test_a_build_that_is_killed_leaves_what_was_published(builds: Builds) -> None:
    assert builds.old != builds.new
    assert builds.kill(0, builds.seconds / 2)


@pytest.mark.process
def test_a_second_build_at_once_is_told_so(builds: Builds, tmp_path: Path) -> None:
    file = tmp_path / "two.duckdb"
    shutil.copy(builds.file, file)
    with builds.start(file) as first:
        with pytest.raises(WarehouseLocked, match="held by another process"):
            build_as_of(file, NEW)
        assert first.wait(60) == 0
    assert published(file) == builds.new


#: Builds where no file may grow by much more, as on a full disk.
CRAMPED = """
import resource, sys
from pathlib import Path
from st_kpi.errors import StKpiError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    exec(sys.argv[4])
except StKpiError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are Unix's")
@pytest.mark.parametrize("room", [0, 100_000, 1_000_000])
def test_a_build_without_room_leaves_what_was_published(
    builds: Builds, tmp_path: Path, room: int
) -> None:
    file = tmp_path / "full.duckdb"
    shutil.copy(builds.file, file)
    limit = str(file.stat().st_size + room if room > 500_000 else room + 1)
    done = subprocess.run(
        [sys.executable, "-c", CRAMPED, str(file), NEW.isoformat(), limit, BUILDER],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "told: " in done.stderr
    assert published(file) == (builds.old if done.returncode else builds.new)
    build_as_of(file, NEW)
    assert published(file) == builds.new


@pytest.mark.slow
def test_sixty_builds_that_are_killed(builds: Builds) -> None:
    chance = Random(1)
    before = [builds.kill(n, chance.uniform(0, 1.2 * builds.seconds)) for n in range(60)]
    assert sum(before) >= 30
