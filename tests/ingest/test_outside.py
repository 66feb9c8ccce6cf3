"""What lies outside of the history is counted: older records, and such as no window shows."""

from datetime import UTC, datetime, timedelta

from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.outside import Outside, outside_history
from st_kpi.ingest.plan import missing_chunks, source_time
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.windows import Window


async def load(session: Session, start: datetime, end: datetime) -> None:
    for chunk in await missing_chunks(session, REGISTRY["invoices"], Window(start, end)):
        store(session, await fetch(session, chunk.entity, chunk.window, "run"), "run")


async def test_records_before_the_first_day_loaded_are_counted(session: Session) -> None:
    invoices, now = REGISTRY["invoices"], await source_time(session)
    listed = (await session.source.count(invoices)).total
    start = now - timedelta(days=30)
    await load(session, start, now)
    loaded = session.stored.count(invoices)
    assert 0 < loaded < listed
    found = await outside_history(session, invoices, now)
    assert found == Outside("invoices", listed - loaded, 0)
    (kept,) = session.warehouse.query(
        "SELECT entity, older, first_loaded FROM st_ops.outside_history"
    )
    assert kept == {"entity": "invoices", "older": listed - loaded, "first_loaded": start}


async def test_nothing_is_outside_of_a_whole_history(session: Session) -> None:
    now = await source_time(session)
    await load(session, datetime(2000, 1, 1, tzinfo=UTC), now)
    assert await outside_history(session, REGISTRY["invoices"], now) == Outside("invoices", 0, 0)
