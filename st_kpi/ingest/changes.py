"""What changed since the last time: where to go on, and how each kind of entity is read from there.

What was created since is read by windows, as the history was. For the rest, a feed goes on from its token. Where there
is none, the list is asked for what was modified since the watermark, less an overlap. Small lists are read whole. Rows without a key are replaced by the days on which they were created: those that
the feed names and those of the last weeks, since pay is computed anew until its period is closed.
"""

import asyncio
import logging
from datetime import UTC, date, datetime, time, timedelta

from st_kpi.errors import SourceError
from st_kpi.ingest import chunk, manifest, plan
from st_kpi.ingest.chunk import Fetched
from st_kpi.ingest.manifest import Kind, Watermark
from st_kpi.ingest.plan import Chunk
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.registry import Changes, Entity, History
from st_kpi.windows import Window, covering, missing

_log = logging.getLogger(__name__)

#: Read again before the watermark: longer than a change takes to show.
OVERLAP = timedelta(hours=1)
#: Days between two touched ones that are read along: a window takes three requests and two tasks, a day some rows.
APART = 14
#: How often the list is looked through for what the feed did not bring.
SWEEP_EVERY = timedelta(days=7)


async def fetch_changes(session: Session, entity: Entity, mark: Watermark, run_id: str) -> Fetched:
    """Fetch what changed since the watermark: the next stretch of the feed, the changed rows of a list, or a whole one.

    Raises ``IncompleteChunk`` where a list moved while it was read, and ``SourceError``.
    """
    if entity.changes is Changes.WHOLE:
        return await chunk.fetch(session, entity, None, run_id)
    if entity.changes is Changes.MODIFIED:
        return await chunk.fetch_modified(session, entity, _start(session, mark), run_id)
    return await _fetch_feed(session, entity, mark, run_id)


async def new_windows(session: Session, entity: Entity, now: datetime) -> list[Chunk]:
    """The windows of what was created since the history was last read, which the source promises a number for.

    They also hold what no feed shows: a record without a ``modifiedOn``. Raises ``SourceError``.
    """
    if entity.history is History.WHOLE:
        return []
    done = await asyncio.to_thread(
        manifest.complete_windows, session, entity.name, session.typing(entity)
    )
    end = max((window.end for window in done), default=now)
    return await plan.cut(session, entity, [Window(end, now)]) if end < now else []


async def fetch_sweep(session: Session, entity: Entity, now: datetime, run_id: str) -> Fetched:
    """Fetch anew what the list says was modified within the lookback; the whole of an entity without windows."""
    if entity.history is History.WHOLE:
        return await chunk.fetch(session, entity, None, run_id)
    since = await asyncio.to_thread(_lookback, session, entity, "modified_on", now)
    return await chunk.fetch_modified(session, entity, since, run_id, Kind.SWEEP)


def sweep_due(entity: Entity, last: datetime | None, now: datetime, *, asked: bool = False) -> bool:
    """Whether to look through the list: weekly, or when asked to; never where it is read whole or by windows anyway."""
    if entity.changes in (Changes.WHOLE, Changes.WINDOWS):
        return False
    return asked or last is None or now - last >= SWEEP_EVERY


async def touched_windows(
    session: Session, entity: Entity, mark: Watermark, now: datetime, run_id: str
) -> tuple[list[Chunk], Watermark]:
    """The windows to read anew of an entity without a key, and the watermark that holds once they are stored.

    Reads the feed to its end, only for the days on which what changed was created. Raises ``SourceError``.
    """
    # A first reading begins a day too early, with what was already so when the history was read.
    since = _start(session, mark) if mark.token is None else datetime.min.replace(tzinfo=UTC)
    touched: set[date] = set()
    reached, has_more = mark, True
    while has_more:
        fetched = await _fetch_feed(session, entity, reached, run_id)
        touched |= await asyncio.to_thread(_days, session, fetched, run_id, since)
        reached, has_more = chunk.advanced(mark, fetched, run_id), fetched.has_more
        # Nobody knows the day of a row that was refused, so it has to be met again.
        mark = mark if fetched.rejected else reached
    recent = Window(await asyncio.to_thread(_lookback, session, entity, "created_on", now), now)
    windows = covering(touched, session.settings.zone, APART)
    older = [part for days in windows for part in missing(days, [recent])]
    closed = [Window(part.start, min(part.end, now)) for part in older if part.start < now]
    return await plan.cut(session, entity, [*closed, recent]), mark


def _days(session: Session, fetched: Fetched, run_id: str, since: datetime) -> set[date]:
    """The days that a stretch of the feed names for what changed since; its files are gone afterwards."""
    try:
        chunk.note(session, fetched, run_id)
        if not fetched.files:
            return set()
        return set(session.typer.created_days(fetched.files, session.settings.zone.key, since))
    finally:
        fetched.discard()


def earlier(entity: str, known: Watermark, block: Watermark | None) -> Watermark:
    """Of the warehouse's watermark and the block's, the one that leaves out least; says so where they disagree."""
    if block is None or (block.token == known.token and block.since == known.since):
        return known
    first = min((known, block), key=_position)
    _log.warning(
        "%s: the watermark in Prefect (%s) is not the one in the warehouse (%s); reading from the earlier one.",
        entity,
        _position(block).isoformat(),
        _position(known).isoformat(),
    )
    return first


def _position(mark: Watermark) -> datetime:
    """How far a watermark is; tokens themselves cannot be compared."""
    return mark.known_until or mark.modified_on or datetime.min.replace(tzinfo=UTC)


async def _fetch_feed(session: Session, entity: Entity, mark: Watermark, run_id: str) -> Fetched:
    """The feed from the token on, else from the day before which everything is known."""
    # A day is all that the API documents, so the first reading begins with one.
    day = _start(session, mark).date()
    if mark.token is None:
        return await chunk.fetch_feed(session, entity, day, run_id)
    try:
        return await chunk.fetch_feed(session, entity, mark.token, run_id)
    except SourceError as error:
        if error.status != 400:
            raise
        _log.warning(
            "%s: the feed no longer takes its token; reading it from %s.", entity.name, day
        )
        return await chunk.fetch_feed(session, entity, day, run_id)


def _start(session: Session, mark: Watermark) -> datetime:
    """From when changes are read where there is no token."""
    if mark.since is not None:
        return mark.since - OVERLAP
    return datetime.combine(session.settings.history_start, time(), UTC)


def _lookback(session: Session, entity: Entity, column: str, now: datetime) -> datetime:
    """The setting's days before now, or before the newest row where nothing came lately."""
    (row,) = session.warehouse.query(
        f"SELECT MAX({column}) AS newest FROM st_raw.{entity.name} WHERE tenant_id = @tenant_id",
        {"tenant_id": session.tenant_id},
    )
    last = min(row["newest"] or now, now)
    begin: datetime = last - timedelta(days=session.settings.lookback_days)
    return begin
