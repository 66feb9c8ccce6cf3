"""One chunk of one entity: promised, fetched, normalized, merged, counted.

A chunk is a ``createdOn`` window of an entity or the whole of a small one, what its list says was modified since a
moment, or a stretch of its feed. Of a list nothing is recorded unless promised = fetched = distinct = stored; a feed
promises nothing, and goes on from where its last stored row was.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

from st_kpi.errors import IncompleteChunk, SourceEmptied, room_needed
from st_kpi.ingest.fetched import Fetched
from st_kpi.ingest.manifest import ChunkRecord, ReadMode, Scalar
from st_kpi.ingest.normalize_sql import EMPTY_DATE
from st_kpi.ingest.normalized import Normalized, Stamp
from st_kpi.ingest.session import Session
from st_kpi.ingest.watermarks import Watermark, advanced
from st_kpi.servicetitan.client import Page
from st_kpi.servicetitan.query import Created, Filter, Modified
from st_kpi.servicetitan.registry import Changes, Entity
from st_kpi.warehouse.base import Merged, Reading, TypedFiles, counts_of
from st_kpi.warehouse.labels import labels
from st_kpi.windows import Window

_log = logging.getLogger(__name__)


async def fetch(
    session: Session,
    entity: Entity,
    window: Window | None,
    run_id: str,
    mode: ReadMode | None = None,
) -> Fetched:
    """Fetch every row created in the window, or every row there is, normalized page by page as they come.

    Raises ``IncompleteChunk`` when the rows are not as many as promised or not all different, or when the promise has
    changed in the meantime; ``SourceError`` when ServiceTitan cannot be read.
    """
    filters = Created(window.start, window.end) if window else None
    mode = mode or (ReadMode.CREATED if window else ReadMode.WHOLE)
    return await _fetch_list(session, entity, mode, window, filters, run_id)


async def fetch_modified(
    session: Session,
    entity: Entity,
    since: datetime,
    run_id: str,
    mode: ReadMode = ReadMode.MODIFIED,
) -> Fetched:
    """Fetch every row that the list says was modified since an instant; raises like ``fetch``.

    The window is left open, so that a row which changes behind the reader stays in it.
    """
    window = Window(since, datetime.max.replace(tzinfo=UTC))
    return await _fetch_list(session, entity, mode, window, Modified(since), run_id)


async def fetch_feed(session: Session, entity: Entity, since: str | date, run_id: str) -> Fetched:
    """Fetch the entity's feed from a token, or from a day on, up to about ``rows_per_chunk`` rows of it.

    Raises ``SourceError`` when ServiceTitan cannot be read.
    """
    started = datetime.now(UTC)
    pages = _stretch(session.source.export(entity, since), session.settings.rows_per_chunk)
    folder, normalized, answers = await _spool(session, entity, pages, run_id)
    return Fetched(
        entity=entity,
        mode=ReadMode.FEED,
        window=None,
        folder=folder,
        slices=normalized,
        promised=None,
        server_time=answers[0].server_time,
        read_at=answers[0].read_at,
        started_at=started,
        token=answers[-1].continue_from,
        has_more=answers[-1].has_more,
    )


def store(session: Session, fetched: Fetched, run_id: str, mark: Watermark | None = None) -> Merged:
    """Merge a fetched chunk and record it, in one transaction; its files are gone afterwards.

    With ``mark``, the entity's watermark until now, the new one is recorded too where the chunk brings it forward.
    Raises ``IncompleteChunk`` when not every row is in the warehouse afterwards, and then none is; ``SourceEmptied``
    when a whole entity is suddenly said to have no rows.
    """
    try:
        with labels(flow="load", run=run_id, entity=fetched.entity.name):
            _refuse_emptied(session, fetched)
            with _all_or_nothing(session):
                # Before the merge, which a warehouse may do as one with all that was written until then.
                _record(session, fetched, run_id)
                if mark is not None and fetched.mode in (ReadMode.FEED, ReadMode.MODIFIED):
                    session.watermarks.record(fetched.entity, advanced(mark, fetched, run_id))
                merged = _merge(session, fetched, run_id, mark)
    finally:
        fetched.discard()
    return merged


def note(session: Session, fetched: Fetched, run_id: str) -> None:
    """Record a stretch of a feed of which only the days are wanted, with what was refused; its files stay."""
    rows = fetched.rows - fetched.rejected
    receipt = session.manifest.receipt(_chunk(session, fetched, run_id, None))
    with _all_or_nothing(session):
        _record(session, fetched, run_id)
        told = {**receipt.params, **counts_of(Merged(rows, rows, 0))}
        session.warehouse.execute(receipt.sql, told)


def label(session: Session, mode: ReadMode, window: Window | None) -> str:
    """The chunk in a person's words: the tenant's days, or how its rows were asked for."""
    if window is None:
        return "(feed)" if mode is ReadMode.FEED else "(whole)"
    if mode in (ReadMode.MODIFIED, ReadMode.SWEEP):
        return f"modified since {window.start.astimezone(session.settings.zone):%Y-%m-%d %H:%M}"
    return window.label(session.settings.zone)


@contextmanager
def _all_or_nothing(session: Session) -> Iterator[None]:
    """A transaction; where it is rolled back, the run forgets what it has noted of it too."""
    try:
        with session.warehouse.transaction():
            yield
    except BaseException:
        session.rejects.forget()
        raise


async def _fetch_list(
    session: Session,
    entity: Entity,
    mode: ReadMode,
    window: Window | None,
    filters: Filter | None,
    run_id: str,
) -> Fetched:
    started = datetime.now(UTC)
    pages = session.source.pages(entity, filters)
    folder, normalized, answers = await _spool(session, entity, pages, run_id)
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        promised = answers[0].total or 0
        after = await session.source.count(entity, filters)
        fetched = Fetched(
            entity=entity,
            mode=mode,
            window=window,
            folder=folder,
            slices=normalized,
            promised=promised,
            server_time=answers[0].server_time,
            read_at=answers[0].read_at,
            started_at=started,
        )
        distinct = await asyncio.to_thread(_distinct, session, fetched)
        if not promised == after.total == fetched.rows == distinct:
            raise IncompleteChunk(
                entity.name, label(session, mode, window), after.total, fetched.rows, distinct
            )
        cleanup.pop_all()  # the files are the caller's now
    return fetched


async def _stretch(feed: AsyncGenerator[Page, None], limit: int) -> AsyncGenerator[Page, None]:
    """The pages of a feed until they hold ``limit`` rows."""
    rows = 0
    async with aclosing(feed):
        async for page in feed:
            yield page
            rows += page.rows
            if rows >= limit:
                return


async def _spool(
    session: Session, entity: Entity, pages: AsyncGenerator[Page, None], run_id: str
) -> tuple[Path, tuple[Normalized, ...], list[Page]]:
    """Normalize every page as it comes; returns the folder, what they became and the answers without their records.

    The answers are in the order of their rows.
    """
    folder = session.spool / f"{entity.name}-{uuid4().hex}"
    with room_needed(session.spool):
        folder.mkdir()
    pending: list[asyncio.Task[list[Normalized]]] = []
    answers: list[Page] = []
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            async with asyncio.TaskGroup() as group, aclosing(pages):
                async for page in pages:
                    answers.append(replace(page, records=()))
                    if page.rows:
                        stamp = _stamp(session, run_id, page)
                        pending.append(
                            group.create_task(_normalize(session, entity, stamp, page, folder))
                        )
                    await _let_normalizing_keep_up(pending)
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        cleanup.pop_all()
    answers.sort(key=lambda page: page.start)
    return folder, tuple(part for task in pending for part in task.result()), answers


def _stamp(session: Session, run_id: str, page: Page) -> Stamp:
    """A stamp of when the page came: of two equally old versions the one read later counts."""
    return Stamp(
        tenant_id=session.tenant_id,
        run_id=run_id,
        loaded_at=page.read_at,
        test_customer_pattern=session.settings.test_customer_pattern,
    )


def _refuse_emptied(session: Session, fetched: Fetched) -> None:
    if fetched.mode is not ReadMode.WHOLE or fetched.rows:
        return
    if stored := session.stored.count(fetched.entity):
        raise SourceEmptied(fetched.entity.name, stored)


def _merge(session: Session, fetched: Fetched, run_id: str, mark: Watermark | None) -> Merged:
    """Merge the files and write the chunk's row; raises ``IncompleteChunk`` when a row of them is not there afterwards."""
    entity, tables = fetched.entity, session.tables[fetched.entity.name]
    by_creation = fetched.mode in (ReadMode.CREATED, ReadMode.AGAIN)
    if entity.key is None and not by_creation:
        raise ValueError(f"{entity.name} has no key: a part of it would replace the whole")
    # A row that was refused is not in the files, and has not vanished for that.
    all_rows = (by_creation or fetched.mode is ReadMode.WHOLE) and not fetched.rejected
    line_files = tuple(part.lines for part in fetched.slices if part.lines)
    merged = session.warehouse.merge(
        TypedFiles(tables.records, tuple(fetched.files)),
        TypedFiles(tables.lines, line_files) if tables.lines else None,
        tenant_id=session.tenant_id,
        window=fetched.window if by_creation else None,
        everything=Reading(fetched.read_at, run_id) if all_rows else None,
        receipt=session.manifest.receipt(_chunk(session, fetched, run_id, mark)),
    )
    _require_all(session, fetched, merged)
    return merged


def _require_all(session: Session, fetched: Fetched, merged: Merged) -> None:
    """Raise ``IncompleteChunk`` where not every row that should be in the warehouse is."""
    expected = merged.distinct if fetched.promised is None else fetched.promised - fetched.rejected
    if not merged.distinct == merged.stored == expected:
        raise IncompleteChunk(
            fetched.entity.name,
            label(session, fetched.mode, fetched.window),
            expected,
            fetched.rows,
            merged.distinct,
        )


def _chunk(session: Session, fetched: Fetched, run_id: str, mark: Watermark | None) -> ChunkRecord:
    entity = fetched.entity
    return ChunkRecord(
        entity=entity,
        mode=fetched.mode,
        schema_fingerprint=session.tables[entity.name].fingerprint,
        window=fetched.window,
        promised=fetched.promised,
        fetched=fetched.rows,
        rejected=fetched.rejected,
        max_modified_on=fetched.max_modified_on,
        server_time=fetched.server_time,
        run_id=run_id,
        started_at=fetched.started_at,
        missed=_missed(session, fetched, run_id, mark),
    )


def _record(session: Session, fetched: Fetched, run_id: str) -> None:
    """Write the chunk's rejects and its drift, and which earlier rejects have come right."""
    entity = fetched.entity
    _resolve_rejects(session, fetched)
    rejects = [reject for part in fetched.slices for reject in part.rejects]
    session.rejects.record(entity, run_id, rejects)
    if empty := sum(part.empty_dates for part in fetched.slices):
        _log.warning(
            "%s: %d dates %s stand for none and are stored so", entity.name, empty, EMPTY_DATE
        )
    drift = {field for part in fetched.slices for field in part.drift}
    session.rejects.record_drift(entity, run_id, drift)


def _missed(
    session: Session, fetched: Fetched, run_id: str, mark: Watermark | None
) -> Scalar | None:
    """How many rows a second look brought that those before it should have brought."""
    entity, modes = fetched.entity, {ReadMode.SWEEP}
    if entity.changes is not Changes.WHOLE:  # read whole each time, nothing that changed was missed
        modes.add(ReadMode.WHOLE)
    if mark is None or mark.known_until is None or fetched.mode not in modes:
        return None
    return session.stored.missed(entity, run_id, fetched.read_at, mark.known_until)


def _resolve_rejects(session: Session, fetched: Fetched) -> None:
    """Note which of the records refused before are among the fetched ones."""
    entity, key = fetched.entity, fetched.entity.key
    if not fetched.files or not key:
        return
    outstanding = session.rejects.outstanding(entity)
    if outstanding and (present := session.normalizer.present(fetched.files, key, outstanding)):
        session.rejects.resolve(entity, present)


def _distinct(session: Session, fetched: Fetched) -> int:
    """Different records among the fetched ones; without a key every row is one of its own."""
    if fetched.entity.key is None or not fetched.slices:
        return fetched.rows
    return session.normalizer.distinct(fetched.files, fetched.entity.key) + fetched.rejected


async def _normalize(
    session: Session, entity: Entity, stamp: Stamp, page: Page, folder: Path
) -> list[Normalized]:
    def normalize() -> list[Normalized]:
        target = folder / f"{page.start:09}.parquet"
        with room_needed(session.spool):
            return session.normalizer.normalize(
                entity, session.tables[entity.name], stamp, page.records, target
            )

    return await asyncio.to_thread(normalize)


async def _let_normalizing_keep_up(pending: list[asyncio.Task[list[Normalized]]]) -> None:
    """Hold the download back while pages wait for their turn, so that memory stays flat."""
    while sum(not task.done() for task in pending) > _PAGES_WAITING:
        await asyncio.wait(
            [task for task in pending if not task.done()], return_when=asyncio.FIRST_COMPLETED
        )


_PAGES_WAITING = 1
