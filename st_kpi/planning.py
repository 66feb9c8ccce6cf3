"""Which chunks a backfill has to fetch: what is wanted, less what is complete, cut by count."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from st_kpi import manifest
from st_kpi.errors import ConfigurationError, SourceError
from st_kpi.servicetitan.query import Created
from st_kpi.servicetitan.registry import REGISTRY, Entity, History, entity
from st_kpi.session import Session
from st_kpi.settings import Settings
from st_kpi.windows import Window, days, missing, split


@dataclass(frozen=True)
class Chunk:
    """A window of an entity, or the whole of it, and how many rows it was said to hold."""

    entity: str
    window: Window | None
    rows: int


def wanted_entities(names: Iterable[str] | None) -> list[Entity]:
    """The entities named, or all; raises ``UnknownEntity`` for a name the registry does not have."""
    return [entity(name) for name in names] if names else list(REGISTRY.values())


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


async def plan(session: Session, entity: Entity, wanted: Window) -> list[Chunk]:
    """The chunks of ``entity`` that ``wanted`` still needs; an entity read whole is always one chunk.

    Asks the source for totals and splits until a chunk holds at most ``chunk_rows`` rows. Raises ``SourceError``.
    """
    if entity.history is History.WHOLE:
        count = await session.source.count(entity)
        return [Chunk(entity.name, None, count.total)]
    done = await asyncio.to_thread(
        manifest.complete_windows, session, entity.name, session.typing(entity)
    )
    return [chunk for gap in missing(wanted, done) for chunk in await _split(session, entity, gap)]


async def _split(session: Session, entity: Entity, gap: Window) -> list[Chunk]:
    """Drive the pure splitting with the source's counts."""
    steps = split(gap, session.settings.zone, session.settings.chunk_rows)
    window = next(steps)
    while True:
        count = await session.source.count(entity, Created(window.start, window.end))
        try:
            window = steps.send(count.total)
        except StopIteration as stop:
            return [Chunk(entity.name, plan.window, plan.rows) for plan in stop.value]


async def source_time(session: Session) -> datetime:
    """The source's clock, which the API sends with every answer: ours may be wrong, in UTC."""
    probe = entity("business_units")
    count = await session.source.count(probe)
    if count.server_time is None:
        raise SourceError(
            "The answer has no Date header, so it is not known until when rows are there",
            entity=probe.name,
            url=session.settings.hosts[0],
        )
    return count.server_time
