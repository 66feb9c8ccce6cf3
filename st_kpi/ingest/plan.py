"""Which chunks a backfill has to fetch: what was asked for, less what is complete, cut by count."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from st_kpi.errors import ConfigurationError, SourceError
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.query import Created
from st_kpi.servicetitan.registry import REGISTRY, Entity, History, entity
from st_kpi.settings import Settings
from st_kpi.windows import Window, days, differing, joined, missing, months, split

#: Rows a second of a slow machine, where ServiceTitan answers at once: see docs/benchmarks.md.
_PACE = 10_000
#: Rows of a page where records are short, and what a chunk takes beside its rows: requests, and seconds.
_PAGE, _REQUESTS_PER_CHUNK, _SECONDS_PER_CHUNK = 5_000, 1, 0.3


@dataclass(frozen=True)
class Chunk:
    """A window of an entity, or the whole of it, and how many rows it was said to hold."""

    entity: Entity
    window: Window | None
    rows: int


@dataclass(frozen=True)
class Gap:
    """The tenant's days ``first`` to ``last``, in which source and warehouse do not hold equally many rows."""

    entity: Entity
    first: date
    last: date
    promised: int
    stored: int


def wanted_entities(names: Iterable[str] | None) -> list[Entity]:
    """The entities named, or all; raises ``UnknownEntity`` for a name the registry does not have."""
    return [entity(name) for name in names] if names else list(REGISTRY.values())


def outlook(chunks: Sequence[Chunk], settings: Settings) -> str:
    """What a plan comes to, in a sentence: rows, requests, and about how long they take."""
    if not chunks:
        return "To load: nothing, everything is complete."
    rows = sum(chunk.rows for chunk in chunks)
    pages = sum(max(1, math.ceil(chunk.rows / _PAGE)) for chunk in chunks)
    requests = pages + _REQUESTS_PER_CHUNK * len(chunks)
    seconds = rows / _PACE + len(chunks) * _SECONDS_PER_CHUNK
    minutes = max(1, math.ceil(max(seconds, requests / settings.requests_per_second) / 60))
    return (
        f"To load: {rows:,} rows in {len(chunks):,} chunk{'s' * (len(chunks) != 1)}, about {requests:,} requests; about"
        f" {minutes:,} minute{'s' * (minutes != 1)}, longer where ServiceTitan takes long to answer."
    )


def check_days(settings: Settings, start: date | None, end: date | None) -> None:
    """Raise ``ConfigurationError`` for days that leave nothing to load, before anything is started."""
    first = start or settings.history_start
    last = end or datetime.now(settings.zone).date()
    if first > last:
        raise ConfigurationError(f"The first day {first} is after the last day {last}.")


def wanted_window(
    settings: Settings, start: date | None, end: date | None, now: datetime
) -> Window:
    """The window of the local days ``start`` to ``end``; by default from ``history_start`` up to now.

    It never reaches past ``now``, the source's clock, because what is still being created has no fixed membership.
    Raises ``ConfigurationError`` when it would be empty.
    """
    first = start or settings.history_start
    last = end or now.astimezone(settings.zone).date()
    check_days(settings, start, end)
    window = days(first, last, settings.zone)
    if window.start >= now:
        raise ConfigurationError(f"The first day {first} is in the future.")
    return Window(window.start, min(window.end, now))


async def missing_chunks(session: Session, entity: Entity, span: Window) -> list[Chunk]:
    """The chunks of ``entity`` that ``span`` still needs; an entity read whole is always one chunk.

    Asks the source for totals and splits until a chunk holds at most ``rows_per_chunk`` rows. Raises ``SourceError``.
    """
    if entity.history is History.WHOLE:
        count = await session.source.count(entity)
        return [Chunk(entity, None, count.total)]
    done = await complete_windows(session, entity)
    return await cut(session, entity, missing(span, done))


async def complete_windows(session: Session, entity: Entity) -> list[Window]:
    """The ``createdOn`` windows of the entity that need not be fetched again."""
    return await asyncio.to_thread(
        session.manifest.complete_windows,
        entity,
        session.tables[entity.name].fingerprint,
        session.settings.tolerated_rejects,
    )


async def cut(session: Session, entity: Entity, windows: Iterable[Window]) -> list[Chunk]:
    """Chunks that hold the windows, whatever was fetched before; asks the source for totals. Raises ``SourceError``."""
    return [chunk for window in windows for chunk in await _split(session, entity, window)]


async def gaps(session: Session, entity: Entity, span: Window) -> list[Chunk]:
    """The chunks, of whole days where one differs, in which source and warehouse do not hold equally many rows.

    Compares month by month and then halves what differs. An entity read whole is one chunk or none. Raises
    ``SourceError``.
    """
    if entity.history is History.WHOLE:
        count = await session.source.count(entity)
        same = count.total == await asyncio.to_thread(session.stored.listed, entity, None)
        return [] if same else [Chunk(entity, None, count.total)]
    different = []
    for month in months(span, session.settings.zone):
        different += await _differing(session, entity, month)
    return await cut(session, entity, joined(different))


async def gap_in_history(session: Session, entity: Entity, until: datetime) -> Gap | None:
    """Whether source and warehouse hold equally many rows of what is loaded, created before ``until``.

    One question for each stretch that is loaded, and only where it differs those that narrow the days down: a row too many
    in one month and one too few in another is left to ``gaps``. Raises ``SourceError``.
    """
    done = await complete_windows(session, entity)
    different: list[Window] = []
    for part in joined(done):
        window = Window(part.start, min(part.end, until))
        if window.start >= window.end:
            continue
        count = await session.source.count(entity, Created(window.start, window.end))
        if count.total != await asyncio.to_thread(session.stored.listed, entity, window):
            for month in months(window, session.settings.zone):
                different += await _differing(session, entity, month)
    if not different:
        return None
    span = Window(different[0].start, different[-1].end)
    count = await session.source.count(entity, Created(span.start, span.end))
    stored = await asyncio.to_thread(session.stored.listed, entity, span)
    first, last = span.local_days(session.settings.zone)
    return Gap(entity, first, last, count.total, stored)


async def _differing(session: Session, entity: Entity, month: Window) -> list[Window]:
    """Drive the pure narrowing with the counts of both sides; a month of which nothing is here differs as a whole."""
    steps = differing(month, session.settings.zone)
    window = next(steps)
    while True:
        count = await session.source.count(entity, Created(window.start, window.end))
        stored = await asyncio.to_thread(session.stored.listed, entity, window)
        if window == month and count.total and not stored:
            return [month]
        try:
            window = steps.send(count.total == stored)
        except StopIteration as stop:
            different: list[Window] = stop.value
            return different


async def _split(session: Session, entity: Entity, gap: Window) -> list[Chunk]:
    """Drive the pure splitting with the source's counts."""
    steps = split(gap, session.settings.zone, session.settings.rows_per_chunk)
    window = next(steps)
    while True:
        count = await session.source.count(entity, Created(window.start, window.end))
        try:
            window = steps.send(count.total)
        except StopIteration as stop:
            return [Chunk(entity, part, rows) for part, rows in stop.value]


async def source_time(session: Session) -> datetime:
    """The source's clock in UTC, which the API sends with every answer: ours may be behind.

    Raises ``SourceError`` where it tells none, or one far ahead of ours.
    """
    probe = entity("business_units")
    count = await session.source.count(probe)
    if count.server_time is None:
        raise SourceError(
            "The answer has no Date header, or one far ahead of this machine's clock, so it is not known until when rows"
            " are there",
            entity=probe.name,
            url=session.settings.hosts[0],
        )
    return count.server_time
