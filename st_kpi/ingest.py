"""One chunk of one entity: promised, fetched, typed, merged, counted.

A chunk is a ``createdOn`` window of an entity, or the whole of a small one. Nothing of it is recorded unless
promised = fetched = distinct = stored.
"""

import asyncio
import shutil
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from st_kpi import manifest
from st_kpi.errors import IncompleteChunk
from st_kpi.servicetitan.client import Page
from st_kpi.servicetitan.query import Created
from st_kpi.servicetitan.registry import Entity
from st_kpi.session import Session
from st_kpi.typed import Stamp, TypedPage
from st_kpi.warehouse.base import Merged, TypedFiles
from st_kpi.warehouse.tables import line_table, record_table
from st_kpi.windows import Window


@dataclass(frozen=True)
class Fetched:
    """A chunk that lies typed on disk, and what the source said of it."""

    entity: Entity
    window: Window | None
    folder: Path
    pages: tuple[TypedPage, ...]
    promised: int
    server_time: datetime | None
    started_at: datetime

    @property
    def rejected(self) -> int:
        return sum(page.rejected for page in self.pages)

    @property
    def rows(self) -> int:
        return sum(page.rows for page in self.pages) + self.rejected

    @property
    def max_modified_on(self) -> datetime | None:
        return max((p.max_modified_on for p in self.pages if p.max_modified_on), default=None)


async def fetch(session: Session, entity: Entity, window: Window | None, run_id: str) -> Fetched:
    """Fetch every page of the chunk and type it as it comes.

    Raises ``IncompleteChunk`` when the rows are not as many as promised or not all different, or when the promise has
    changed in the meantime; ``SourceError`` when ServiceTitan cannot be read.
    """
    started = datetime.now(UTC)
    folder = session.spool / f"{entity.name}-{uuid4().hex}"
    folder.mkdir()
    stamp = Stamp(
        tenant_id=session.tenant_id,
        run_id=run_id,
        typing=session.typing(entity),
        loaded_at=started,
        test_customer_pattern=session.settings.test_customer_pattern,
        personal=session.settings.personal_data,
    )
    filters = Created(window.start, window.end) if window else None
    typing: list[asyncio.Task[TypedPage]] = []
    promised, server_time = 0, None
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            async with (
                asyncio.TaskGroup() as group,
                aclosing(session.source.pages(entity, filters, entity.page_size)) as pages,
            ):
                async for page in pages:
                    if page.number == 1:
                        promised, server_time = page.total or 0, page.server_time
                    if page.rows:
                        typing.append(
                            group.create_task(_type(session, entity, stamp, page, folder))
                        )
                    await _let_typing_keep_up(typing)
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        after = await session.source.count(entity, filters)
        typed = tuple(task.result() for task in typing)
        fetched = Fetched(entity, window, folder, typed, promised, server_time, started)
        distinct = await asyncio.to_thread(_distinct, session, fetched)
        if not promised == after.total == fetched.rows == distinct:
            raise IncompleteChunk(
                entity.name, _label(session, window), after.total, fetched.rows, distinct
            )
        cleanup.pop_all()  # the files are the caller's now
    return fetched


def store(session: Session, fetched: Fetched, run_id: str) -> Merged:
    """Merge a fetched chunk and record it, in one transaction; its files are gone afterwards.

    Raises ``IncompleteChunk`` when not every row is in the warehouse afterwards, and then none is.
    """
    entity, settings = fetched.entity, session.settings
    chunk = manifest.ChunkRecord(
        entity=entity.name,
        typing=session.typing(entity),
        window=fetched.window,
        promised=fetched.promised,
        fetched=fetched.rows,
        rejected=fetched.rejected,
        max_modified_on=fetched.max_modified_on,
        server_time=fetched.server_time,
        run_id=run_id,
        started_at=fetched.started_at,
    )
    records = TypedFiles(
        record_table(entity, settings.personal_data), tuple(p.records for p in fetched.pages)
    )
    table = line_table(entity, settings.personal_data)
    nested = TypedFiles(table, tuple(p.lines for p in fetched.pages if p.lines)) if table else None
    try:
        with session.warehouse.transaction():
            merged = session.warehouse.merge(
                records, nested, tenant_id=session.tenant_id, window=fetched.window
            )
            if not merged.distinct == merged.stored == fetched.promised - fetched.rejected:
                raise IncompleteChunk(
                    entity.name,
                    _label(session, fetched.window),
                    fetched.promised,
                    fetched.rows,
                    merged.distinct,
                )
            manifest.record_chunk(session, chunk, merged)
            rejects = [reject for page in fetched.pages for reject in page.rejects]
            manifest.record_rejects(session, entity.name, run_id, rejects)
            drift = {name for page in fetched.pages for name in page.drift}
            if drift:
                manifest.record_drift(session, entity.name, run_id, drift)
    finally:
        shutil.rmtree(fetched.folder, ignore_errors=True)
    return merged


def _distinct(session: Session, fetched: Fetched) -> int:
    """Different records among the fetched ones; without a key every row is one of its own."""
    if fetched.entity.key is None or not fetched.pages:
        return fetched.rows
    files = [page.records for page in fetched.pages]
    return session.typer.distinct(files, fetched.entity.key) + fetched.rejected


async def _type(
    session: Session, entity: Entity, stamp: Stamp, page: Page, folder: Path
) -> TypedPage:
    raw = folder / f"{page.number:05}.ndjson"

    def spool_and_type() -> TypedPage:
        raw.write_bytes(page.ndjson())
        longest = max(len(memoryview(record)) for record in page.records)
        try:
            return session.typer.type_page(entity, stamp, raw, raw.with_suffix(".parquet"), longest)
        finally:
            raw.unlink()

    return await asyncio.to_thread(spool_and_type)


async def _let_typing_keep_up(typing: list[asyncio.Task[TypedPage]]) -> None:
    """Hold the download back while pages wait to be typed, so that memory stays flat."""
    while sum(not task.done() for task in typing) > _PAGES_WAITING:
        await asyncio.wait(
            [task for task in typing if not task.done()], return_when=asyncio.FIRST_COMPLETED
        )


_PAGES_WAITING = 3


def _label(session: Session, window: Window | None) -> str:
    return window.label(session.settings.zone) if window else "(whole)"
