"""What a sync asks of BigQuery: jobs, requests, bytes. The ceilings are a tenth above what was counted."""

from pathlib import Path

import pytest

from flows.daily_sync import daily_sync
from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_window
from st_kpi.ingest.session import Session, open_session
from st_kpi.sandbox import generate_company
from st_kpi.servicetitan.registry import REGISTRY
from tests.conftest import tenant_settings
from tests.support.bigquery_emulator import PROJECT, emptied
from tests.support.counted import counted
from tests.support.tenant import Tenant

#: Its load takes minutes; smaller syncs are counted at every run, in ``test_both_engines``.
pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]


async def test_a_sync_of_two_thousand_changes_asks_little(url: str, tmp_path: Path) -> None:
    emptied(url).close()
    with Tenant(generate_company(seed=7, scale=0.01)) as tenant, counted(url, times=100) as counter:
        settings = tenant_settings(
            tenant.url, warehouse=f"bigquery://{PROJECT}", bigquery_url=counter.url
        )
        async with open_session(settings) as session:
            counter.clear()
            await _load(session)
            counts = counter.counts()
            assert counts.jobs <= 52
            assert counts.bytes <= 2.4e9
            tenant.live(2_000)
            counter.clear()
            run_id = await daily_sync()
            counts = counter.counts()
            rows = session.manifest.completeness(run_id, REGISTRY.values())
        assert sum(row.changed for row in rows) > 1_500
        assert sum(row.chunks for row in rows) > 50, "each is a job, and little else is"
        assert counts.jobs <= 78
        assert counts.statements <= 580
        assert (
            counts.requests <= 400
        )  # on a busy machine it is asked more often whether a job is done
        assert counts.bytes <= 8.7e9


async def _load(session: Session) -> None:
    window = wanted_window(session.settings, None, None, await source_time(session))
    for entity in REGISTRY.values():
        for chunk in await missing_chunks(session, entity, window):
            store(session, await fetch(session, entity, chunk.window, "first"), "first")
