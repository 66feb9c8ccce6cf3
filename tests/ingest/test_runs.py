"""How a run is recorded, whatever ends it."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from st_kpi.errors import DiskFull, EntityUnavailable, SourceError, WarehouseError
from st_kpi.ingest.runs import failure_message, recorded
from st_kpi.ingest.session import Session
from st_kpi.warehouse import open_warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse


def runs(session: Session) -> list[tuple[Any, ...]]:
    rows = session.warehouse.query(
        "SELECT run_id, status, detail, finished_at IS NOT NULL AS finished FROM st_ops.runs"
        " ORDER BY started_at"
    )
    return [tuple(row.values()) for row in rows]


async def test_a_run_is_under_way_until_it_ends(session: Session) -> None:
    async with recorded(session, "backfill", "run-1") as run:
        assert runs(session) == [("run-1", "running", None, False)]
        assert not run.after_a_kill
    assert runs(session) == [("run-1", "completed", "", True)]


async def test_what_is_missing_at_its_end_makes_a_run_fail(session: Session) -> None:
    async with recorded(session, "backfill", "run-1") as run:
        run.failures += ["jobs: gone.", "jobs: gone.", "payments: gone."]
    assert runs(session) == [("run-1", "failed", "jobs: gone. payments: gone.", True)]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (SourceError("No answer", url="http://x"), "No answer (http://x)."),
        (DiskFull("The disk is full."), "The disk is full."),
        (KeyError("surprise"), "KeyError: 'surprise'"),
        (KeyboardInterrupt(), "The run was stopped."),
        (SystemExit(3), "The run was stopped."),
    ],
    ids=["ours", "disk-full", "unforeseen", "ctrl-c", "exit"],
)
async def test_a_run_that_breaks_off_says_why(
    session: Session, error: BaseException, detail: str
) -> None:
    with pytest.raises(type(error)) as raised:
        async with recorded(session, "daily-sync", "run-1"):
            raise error
    assert raised.value is error
    assert runs(session) == [("run-1", "failed", detail, True)]
    async with recorded(session, "daily-sync", "run-2") as run:
        assert not run.after_a_kill
    assert runs(session)[0] == ("run-1", "failed", detail, True)


async def test_what_failed_before_it_broke_off_is_said_too(session: Session) -> None:
    async def work() -> None:
        async with recorded(session, "backfill", "run-1") as run:
            run.failures.append("jobs: gone.")
            raise DiskFull("The disk is full.")

    with pytest.raises(DiskFull):
        await work()
    assert runs(session) == [("run-1", "failed", "jobs: gone. The disk is full.", True)]


async def test_a_cancelled_run_is_recorded_and_stays_cancelled(session: Session) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with recorded(session, "backfill", "run-1"):
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs(session) == [("run-1", "failed", "The run was stopped.", True)]


class Unwritable(DuckDBWarehouse):
    """A warehouse that cannot be written any more."""

    def execute(self, sql: str, params: Any = None) -> None:
        if "finished_at = @now" in sql:
            raise WarehouseError("The warehouse cannot be written.")
        super().execute(sql, params)


async def test_an_end_that_cannot_be_recorded_does_not_hide_the_error(session: Session) -> None:
    warehouse = Unwritable(":memory:")
    warehouse.ensure(())
    unwritable = replace(session, warehouse=warehouse)
    with pytest.raises(DiskFull, match="The disk is full"):
        async with recorded(unwritable, "backfill", "run-1"):
            raise DiskFull("The disk is full.")
    assert runs(unwritable) == [("run-1", "running", None, False)]
    with pytest.raises(WarehouseError, match="cannot be written"):
        async with recorded(unwritable, "repair-gap", "run-2"):
            pass  # a run that is said to have completed must have said so
    warehouse.close()


KILLED = """
import asyncio, os, signal, sys
from types import SimpleNamespace
from st_kpi.ingest.runs import recorded
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

async def work():
    warehouse = DuckDBWarehouse(sys.argv[1])
    warehouse.ensure(())
    async with recorded(SimpleNamespace(warehouse=warehouse, tenant_id=int(sys.argv[2])), "backfill", "run-1"):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(work())
"""


async def test_a_killed_run_is_said_to_have_failed(session: Session, tmp_path: Path) -> None:
    """Killed in earnest, in a process of its own; only the next run of the same flow can know."""
    file = tmp_path / "killed.duckdb"
    command = [sys.executable, "-c", KILLED, str(file), str(session.tenant_id)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with open_warehouse(f"duckdb:///{file}") as warehouse:
        there = replace(session, warehouse=warehouse)
        async with recorded(there, "daily-sync", "run-2") as other:
            assert other.after_a_kill  # its limits may be held still, and it may be at work
        assert runs(there)[0] == ("run-1", "running", None, False)
        async with recorded(there, "backfill", "run-3") as run:
            assert run.after_a_kill
        async with recorded(there, "backfill", "run-4") as later:
            assert not later.after_a_kill
        assert [row[:3] for row in runs(there)] == [
            ("run-1", "failed", "The run was killed."),
            ("run-2", "completed", ""),
            ("run-3", "completed", ""),
            ("run-4", "completed", ""),
        ]


def test_the_sentence_for_a_failure_names_the_entity_once(session: Session) -> None:
    ours = SourceError("No answer", url="http://x", entity="jobs")
    assert failure_message(session, "jobs", ours) == str(ours)
    assert failure_message(session, "catch-up", ours) == f"catch-up: {ours}"
    assert failure_message(session, "jobs", KeyError("jobs")) == "jobs: KeyError: 'jobs'"
    with pytest.raises(asyncio.CancelledError):
        failure_message(session, "jobs", asyncio.CancelledError())


def test_an_entity_without_a_scope_says_which_setting_to_write(session: Session) -> None:
    some = session.settings.model_copy(update={"optional_entities": frozenset({"receipts"})})
    lacking = replace(session, settings=some)

    def told(entity: str, part: str | None = None) -> str | None:
        error = EntityUnavailable("May not read", url="http://x", entity=entity, status=403)
        return failure_message(lacking, part or entity, error)

    assert told("receipts") is None
    setting = "by the setting ST_KPI_OPTIONAL_ENTITIES=receipts,returns."
    for message in (told("returns"), told("returns", "catch-up")):
        assert message
        assert message.endswith(setting)
    assert (told("jobs") or "").endswith("in ServiceTitan's developer portal: every KPI needs it.")
