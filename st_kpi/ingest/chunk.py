"""One chunk of one entity: promised, fetched, typed, merged, counted.

A chunk is a ``createdOn`` window of an entity or the whole of a small one, what its list says was modified since a
moment, or a stretch of its feed. Of a list nothing is recorded unless promised = fetched = distinct = stored; a feed
promises nothing, and goes on from where its last stored row was.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

from st_kpi.errors import IncompleteChunk, SourceEmptied, room_needed
from st_kpi.ingest import manifest
from st_kpi.ingest.manifest import Kind, Watermark
from st_kpi.ingest.normalize import Stamp, TypedPage
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.client import Page
from st_kpi.servicetitan.query import Created, Filter, Modified
from st_kpi.servicetitan.registry import Changes, Entity
from st_kpi.servicetitan.tables import line_table, record_table
from st_kpi.warehouse.base import Merged, Reading, TypedFiles
from st_kpi.warehouse.labels import labels
from st_kpi.windows import Window


@dataclass(frozen=True)
class Fetched:
    """A chunk that lies typed on disk, and what the source said of it.

    ``promised`` is None of a feed, whose ``token`` says where to go on and ``has_more`` whether more is there now.
    """

    entity: Entity
    kind: Kind
    window: Window | None
    folder: Path
    pages: tuple[TypedPage, ...]
    promised: int | None
    server_time: datetime | None
    started_at: datetime
    token: str | None = None
    has_more: bool = False

    @property
    def rejected(self) -> int:
        return sum(page.rejected for page in self.pages)

    @property
    def rows(self) -> int:
        return sum(page.rows for page in self.pages) + self.rejected

    @property
    def files(self) -> list[Path]:
        """The typed records."""
        return [page.records for page in self.pages]

    @property
    def max_modified_on(self) -> datetime | None:
        return max((p.max_modified_on for p in self.pages if p.max_modified_on), default=None)

    def discard(self) -> None:
        """Remove the files; safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)


async def fetch(
    session: Session, entity: Entity, window: Window | None, run_id: str, kind: Kind | None = None
) -> Fetched:
    """Fetch every row created in the window, or every row there is, typed page by page as they come.

    Raises ``IncompleteChunk`` when the rows are not as many as promised or not all different, or when the promise has
    changed in the meantime; ``SourceError`` when ServiceTitan cannot be read.
    """
    filters = Created(window.start, window.end) if window else None
    kind = kind or (Kind.CREATED if window else Kind.WHOLE)
    return await _fetch_list(session, entity, kind, window, filters, run_id)


async def fetch_modified(
    session: Session, entity: Entity, since: datetime, run_id: str, kind: Kind = Kind.MODIFIED
) -> Fetched:
    """Fetch every row that the list says was modified since an instant; raises like ``fetch``.

    The window is left open, so that a row which changes behind the reader stays in it.
    """
    window = Window(since, datetime.max.replace(tzinfo=UTC))
    return await _fetch_list(session, entity, kind, window, Modified(since), run_id)


async def fetch_feed(session: Session, entity: Entity, since: str | date, run_id: str) -> Fetched:
    """Fetch the entity's feed from a token, or from a day on, up to about ``rows_per_chunk`` rows of it.

    Raises ``SourceError`` when ServiceTitan cannot be read.
    """
    started = datetime.now(UTC)
    pages = _stretch(session.source.export(entity, since), session.settings.rows_per_chunk)
    folder, typed, answers = await _spool(session, entity, pages, run_id)
    return Fetched(
        entity,
        Kind.FEED,
        None,
        folder,
        typed,
        None,
        answers[0].server_time,
        started,
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
            with session.warehouse.transaction():
                merged = _merge(session, fetched, run_id)
                _record(session, fetched, merged, run_id, mark)
                if mark is not None and fetched.kind in (Kind.FEED, Kind.MODIFIED):
                    moved = advanced(mark, fetched, run_id)
                    manifest.record_watermark(session, fetched.entity.name, moved)
    finally:
        fetched.discard()
    return merged


def note(session: Session, fetched: Fetched, run_id: str) -> None:
    """Record a stretch of a feed of which only the days are wanted, with what was refused; its files stay."""
    rows = fetched.rows - fetched.rejected
    with session.warehouse.transaction():
        _record(session, fetched, Merged(rows, rows, 0), run_id, None)


def advanced(mark: Watermark, fetched: Fetched, run_id: str) -> Watermark:
    """The watermark once the chunk is stored: never past anything not yet stored."""
    received = [t for t in (mark.modified_on, fetched.max_modified_on) if t]
    # Until the feed has been read to its end, nothing newer than before is known to be complete.
    reached = None if fetched.has_more else fetched.server_time
    return Watermark(
        token=fetched.token or mark.token,
        modified_on=max(received, default=None),
        known_until=reached or mark.known_until,
        run_id=run_id,
    )


def label(session: Session, kind: Kind, window: Window | None) -> str:
    """The chunk in a person's words: the tenant's days, or how its rows were asked for."""
    if window is None:
        return "(feed)" if kind is Kind.FEED else "(whole)"
    if kind in (Kind.MODIFIED, Kind.SWEEP):
        return f"modified since {window.start.astimezone(session.settings.zone):%Y-%m-%d %H:%M}"
    return window.label(session.settings.zone)


async def _fetch_list(
    session: Session,
    entity: Entity,
    kind: Kind,
    window: Window | None,
    filters: Filter | None,
    run_id: str,
) -> Fetched:
    started = datetime.now(UTC)
    pages = session.source.pages(entity, filters, entity.page_size)
    folder, typed, answers = await _spool(session, entity, pages, run_id)
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        promised = answers[0].total or 0
        after = await session.source.count(entity, filters)
        fetched = Fetched(
            entity, kind, window, folder, typed, promised, answers[0].server_time, started
        )
        distinct = await asyncio.to_thread(_distinct, session, fetched)
        if not promised == after.total == fetched.rows == distinct:
            raise IncompleteChunk(
                entity.name, label(session, kind, window), after.total, fetched.rows, distinct
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
) -> tuple[Path, tuple[TypedPage, ...], list[Page]]:
    """Type every page as it comes; returns the folder, the typed pages and the answers without their records.

    The answers are in the order of their numbers.
    """
    folder = session.spool / f"{entity.name}-{uuid4().hex}"
    with room_needed(session.spool):
        folder.mkdir()
    typing: list[asyncio.Task[TypedPage]] = []
    answers: list[Page] = []
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            async with asyncio.TaskGroup() as group, aclosing(pages):
                async for page in pages:
                    answers.append(replace(page, records=()))
                    if page.rows:
                        stamp = _stamp(session, entity, run_id)
                        typing.append(
                            group.create_task(_type(session, entity, stamp, page, folder))
                        )
                    await _let_typing_keep_up(typing)
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        cleanup.pop_all()
    answers.sort(key=lambda page: page.number)
    return folder, tuple(task.result() for task in typing), answers


def _stamp(session: Session, entity: Entity, run_id: str) -> Stamp:
    """A stamp of this moment: of two equally old versions the one read later counts."""
    return Stamp(
        tenant_id=session.tenant_id,
        run_id=run_id,
        typing=session.typing(entity),
        loaded_at=datetime.now(UTC),
        test_customer_pattern=session.settings.test_customer_pattern,
        personal=session.settings.personal_data,
    )


def _refuse_emptied(session: Session, fetched: Fetched) -> None:
    if fetched.kind is not Kind.WHOLE or fetched.rows:
        return
    name = fetched.entity.name
    (row,) = session.warehouse.query(
        f"SELECT COUNT(*) AS n FROM st_raw.{name} WHERE tenant_id = @tenant_id",
        {"tenant_id": session.tenant_id},
    )
    if row["n"]:
        raise SourceEmptied(name, int(row["n"]))


def _merge(session: Session, fetched: Fetched, run_id: str) -> Merged:
    """Merge the files; raises ``IncompleteChunk`` when a row of them is not there afterwards."""
    entity, personal = fetched.entity, session.settings.personal_data
    table = line_table(entity, personal)
    by_creation = fetched.kind in (Kind.CREATED, Kind.AGAIN)
    if entity.key is None and not by_creation:
        raise ValueError(f"{entity.name} has no key: a part of it would replace the whole")
    # A row that was refused is not in the files, and has not vanished for that.
    all_rows = (by_creation or fetched.kind is Kind.WHOLE) and not fetched.rejected
    merged = session.warehouse.merge(
        TypedFiles(record_table(entity, personal), tuple(fetched.files)),
        TypedFiles(table, tuple(p.lines for p in fetched.pages if p.lines)) if table else None,
        tenant_id=session.tenant_id,
        window=fetched.window if by_creation else None,
        everything=Reading(fetched.started_at, run_id) if all_rows else None,
    )
    wanted = merged.distinct if fetched.promised is None else fetched.promised - fetched.rejected
    if not merged.distinct == merged.stored == wanted:
        raise IncompleteChunk(
            entity.name,
            label(session, fetched.kind, fetched.window),
            wanted,
            fetched.rows,
            merged.distinct,
        )
    return merged


def _record(
    session: Session, fetched: Fetched, merged: Merged, run_id: str, mark: Watermark | None
) -> None:
    """Write the chunk's row, its rejects and its drift; and which earlier rejects have come right."""
    entity = fetched.entity
    # Of a list that is read whole each time, nothing that changed was missed.
    looked_again = fetched.kind is Kind.SWEEP or (
        fetched.kind is Kind.WHOLE and entity.changes is not Changes.WHOLE
    )
    missed = 0
    if mark is not None and mark.known_until and looked_again:
        missed = manifest.missed(session, entity.name, run_id, fetched.started_at, mark.known_until)
    chunk = manifest.ChunkRecord(
        entity=entity.name,
        kind=fetched.kind,
        typing=session.typing(entity),
        window=fetched.window,
        promised=fetched.promised,
        fetched=fetched.rows,
        rejected=fetched.rejected,
        max_modified_on=fetched.max_modified_on,
        server_time=fetched.server_time,
        run_id=run_id,
        started_at=fetched.started_at,
        missed=missed,
    )
    manifest.record_chunk(session, chunk, merged)
    open_rejects = manifest.outstanding_rejects(session, entity.name)
    if open_rejects and fetched.files and entity.key:
        came_right = session.typer.present(fetched.files, entity.key, open_rejects)
        manifest.resolve_rejects(session, entity.name, came_right)
    rejects = [reject for page in fetched.pages for reject in page.rejects]
    manifest.record_rejects(session, entity.name, run_id, rejects)
    drift = {name for page in fetched.pages for name in page.drift}
    manifest.record_drift(session, entity.name, run_id, drift)


def _distinct(session: Session, fetched: Fetched) -> int:
    """Different records among the fetched ones; without a key every row is one of its own."""
    if fetched.entity.key is None or not fetched.pages:
        return fetched.rows
    return session.typer.distinct(fetched.files, fetched.entity.key) + fetched.rejected


async def _type(
    session: Session, entity: Entity, stamp: Stamp, page: Page, folder: Path
) -> TypedPage:
    raw = folder / f"{page.number:05}.ndjson"

    def spool_and_type() -> TypedPage:
        target = raw.with_suffix(".parquet")
        longest = max(len(memoryview(record)) for record in page.records)
        try:
            with room_needed(session.spool):
                raw.write_bytes(page.ndjson())
                return session.typer.type_page(entity, stamp, raw, target, longest)
        finally:
            raw.unlink(missing_ok=True)

    return await asyncio.to_thread(spool_and_type)


async def _let_typing_keep_up(typing: list[asyncio.Task[TypedPage]]) -> None:
    """Hold the download back while pages wait to be typed, so that memory stays flat."""
    while sum(not task.done() for task in typing) > _PAGES_WAITING:
        await asyncio.wait(
            [task for task in typing if not task.done()], return_when=asyncio.FIRST_COMPLETED
        )


_PAGES_WAITING = 3
