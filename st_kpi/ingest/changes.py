"""What changed since the last time: where to go on, and how each kind of entity is read from there.

What was created since is read by windows, as the history was. For the rest, a feed goes on from its token. Where there
is none, the list is asked for what was modified since the watermark, less an overlap. Small lists are read whole. Rows
without a key are replaced by the days on which they were created: those that the feed names and those of the last
weeks, since pay is computed anew until its period is closed.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from st_kpi.errors import SourceError
from st_kpi.ingest import chunk, plan
from st_kpi.ingest.fetched import Fetched
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.plan import Chunk
from st_kpi.ingest.session import Session
from st_kpi.ingest.watermarks import Watermark, advanced
from st_kpi.servicetitan.registry import Changes, Entity, History
from st_kpi.windows import Window, covering, missing

_log = logging.getLogger(__name__)

#: Read again before the watermark: longer than a change takes to show.
OVERLAP = timedelta(hours=1)
#: Days between two changed ones that are read along: a window takes three requests and two tasks, a day some rows.
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


async def new_windows(
    session: Session, entity: Entity, until: datetime | None, now: datetime
) -> list[Chunk]:
    """The windows of what was created since the history was last read, which the source promises a number for.

    ``until`` is the end of what is read of it, None where nothing is. They also hold what no feed shows: a record without a ``modifiedOn``. Raises ``SourceError``.
    """
    if entity.history is History.WHOLE or until is None or until >= now:
        return []
    return await plan.cut(session, entity, [Window(until, now)])


async def loaded_until(session: Session, entities: Iterable[Entity]) -> dict[str, datetime]:
    """Until when the history of each entity is read; nothing for one of which none is."""
    fingerprints = {name: tables.fingerprint for name, tables in session.tables.items()}
    return await asyncio.to_thread(
        session.manifest.loaded_until,
        list(entities),
        fingerprints,
        session.settings.tolerated_rejects,
    )


async def fetch_sweep(session: Session, entity: Entity, now: datetime, run_id: str) -> Fetched:
    """Fetch anew what the list says was modified within the lookback; the whole of an entity without windows."""
    if entity.history is History.WHOLE:
        return await chunk.fetch(session, entity, None, run_id)
    since = await asyncio.to_thread(_lookback, session, entity, "modified_on", now)
    return await chunk.fetch_modified(session, entity, since, run_id, ReadMode.SWEEP)


async def due_for_sweep(
    session: Session, entities: Iterable[Entity], now: datetime, *, asked: bool = False
) -> set[Entity]:
    """Those whose list is to be looked through: weekly, or when asked to; never what is read whole or by windows anyway."""
    swept = await asyncio.to_thread(session.manifest.swept_at)
    candidates = {e for e in entities if e.changes not in (Changes.WHOLE, Changes.WINDOWS)}
    if asked:
        return candidates
    return {e for e in candidates if e.name not in swept or now - swept[e.name] >= SWEEP_EVERY}


async def moving(session: Session, entities: Iterable[Entity]) -> list[Entity]:
    """Those of which something is loaded that can change behind a reader: not what is read whole each time."""
    loaded = await asyncio.to_thread(session.watermarks.read)
    return [e for e in entities if e.name in loaded and e.changes is not Changes.WHOLE]


async def changed_windows(
    session: Session, entity: Entity, mark: Watermark, now: datetime, run_id: str
) -> tuple[list[Chunk], Watermark]:
    """The windows to read anew of an entity without a key, and the watermark that holds once they are stored.

    Reads the feed to its end, only for the days on which what changed was created. Raises ``SourceError``.
    """
    # A first reading begins a day too early, with what was already so when the history was read.
    since = _start(session, mark) if mark.token is None else datetime.min.replace(tzinfo=UTC)
    changed: set[date] = set()
    reached, has_more = mark, True
    while has_more:
        fetched = await _fetch_feed(session, entity, reached, run_id)
        changed |= await asyncio.to_thread(_days, session, fetched, run_id, since)
        reached, has_more = advanced(mark, fetched, run_id), fetched.has_more
        # Nobody knows the day of a row that was refused, so it has to be met again.
        mark = mark if fetched.rejected else reached
    recent = Window(await asyncio.to_thread(_lookback, session, entity, "created_on", now), now)
    windows = covering(changed, session.settings.zone, APART)
    older = [part for days in windows for part in missing(days, [recent])]
    closed = [Window(part.start, min(part.end, now)) for part in older if part.start < now]
    return await plan.cut(session, entity, [*closed, recent]), mark


def _days(session: Session, fetched: Fetched, run_id: str, since: datetime) -> set[date]:
    """The days that a stretch of the feed names for what changed since; its files are gone afterwards."""
    try:
        chunk.note(session, fetched, run_id)
        if not fetched.files:
            return set()
        return set(session.normalizer.created_days(fetched.files, session.settings.zone.key, since))
    finally:
        fetched.discard()


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
    last = min(session.stored.newest(entity, column) or now, now)
    return last - timedelta(days=session.settings.lookback_days)
