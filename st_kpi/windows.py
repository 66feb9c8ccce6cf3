"""Windows of time: local days to UTC instants, chunks of a backfill, what is still missing.

Pure functions on dates. A window is half-open, ``[start, end)``, in UTC; a day is a day of the tenant's zone.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, order=True)
class Window:
    """A half-open range of instants, ``start <= t < end``, in UTC."""

    start: datetime
    end: datetime

    def label(self, zone: ZoneInfo) -> str:
        """The local days the window touches, first and last: ``2023-04-01..2023-06-30``."""
        first, last = self.local_days(zone)
        return f"{first}..{last}"

    def local_days(self, zone: ZoneInfo) -> tuple[date, date]:
        """The first and the last local day that the window touches."""
        last = self.end - timedelta(microseconds=1)
        return self.start.astimezone(zone).date(), last.astimezone(zone).date()


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which ``day`` begins in ``zone``, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days(first: date, last: date, zone: ZoneInfo) -> Window:
    """The window of the local days ``first`` to ``last``, both included."""
    return Window(midnight(first, zone), midnight(last + timedelta(days=1), zone))


def missing(wanted: Window, done: Iterable[Window]) -> list[Window]:
    """The parts of ``wanted`` that no window of ``done`` covers, in order.

    >>> a, b, c = (datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2, 3))
    >>> missing(Window(a, c), [Window(a, b)]) == [Window(b, c)]
    True
    """
    gaps, start = [], wanted.start
    for window in sorted(done):
        if window.end <= start or window.start >= wanted.end:
            continue
        if window.start > start:
            gaps.append(Window(start, window.start))
        start = max(start, window.end)
    if start < wanted.end:
        gaps.append(Window(start, wanted.end))
    return gaps


def joined(windows: Iterable[Window]) -> list[Window]:
    """The same time in the fewest windows, in order.

    >>> a, b, c, d = (datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2, 3, 4))
    >>> joined([Window(b, c), Window(a, b), Window(d, d)]) == [Window(a, c), Window(d, d)]
    True
    """
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.start <= found[-1].end:
            last = found.pop()
            window = Window(last.start, max(last.end, window.end))
        found.append(window)
    return found


def covering(wanted: Iterable[date], zone: ZoneInfo, apart: int = 0) -> list[Window]:
    """The fewest windows that hold these local days, in order; ``apart`` days or fewer between two join their windows.

    >>> jan = [date(2024, 1, n) for n in (1, 2, 9)]
    >>> [w.label(ZoneInfo("UTC")) for w in covering(jan, ZoneInfo("UTC"))]
    ['2024-01-01..2024-01-02', '2024-01-09..2024-01-09']
    >>> [w.label(ZoneInfo("UTC")) for w in covering(jan, ZoneInfo("UTC"), apart=6)]
    ['2024-01-01..2024-01-09']
    """
    runs: list[tuple[date, date]] = []
    for day in sorted(set(wanted)):
        if runs and (day - runs[-1][1]).days <= apart + 1:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return [days(first, last, zone) for first, last in runs]


def months(window: Window, zone: ZoneInfo) -> list[Window]:
    """The window cut at the first days of the zone's months."""
    found, start = [], window.start
    while start < window.end:
        local = start.astimezone(zone)
        following = date(local.year + local.month // 12, local.month % 12 + 1, 1)
        end = min(midnight(following, zone), window.end)
        found.append(Window(start, end))
        start = end
    return found


def differing(window: Window, zone: ZoneInfo) -> Generator[Window, bool, list[Window]]:
    """Narrow ``window`` down, by halves at local midnights, to the parts in which two sides do not agree.

    Yields each window whose agreement it needs to know and is sent that, so that it asks nobody itself; returns the
    parts in order. A single day is never cut.
    """
    if (yield window):
        return []
    middle = _middle(window, zone)
    if middle is None:
        return [window]
    earlier = yield from differing(Window(window.start, middle), zone)
    later = yield from differing(Window(middle, window.end), zone)
    return earlier + later


def split(
    window: Window, zone: ZoneInfo, limit: int
) -> Generator[Window, int, list[tuple[Window, int]]]:
    """Cut ``window`` at local midnights until no part holds more than ``limit`` rows.

    Yields each window whose rows it needs to know and is sent the count, so that it asks nobody itself; returns the
    parts in order, each with its rows. A single day is never cut, however full it is, and empty windows are kept: that nothing is there
    is also a fact to record.
    """
    rows = yield window
    if rows <= limit or (middle := _middle(window, zone)) is None:
        return [(window, rows)]
    earlier = yield from split(Window(window.start, middle), zone, limit)
    later = yield from split(Window(middle, window.end), zone, limit)
    return earlier + later


def _middle(window: Window, zone: ZoneInfo) -> datetime | None:
    """A local midnight inside the window near its middle, or None when it has none."""
    half = window.start + (window.end - window.start) / 2
    for day in (half.astimezone(zone).date(), half.astimezone(zone).date() + timedelta(days=1)):
        instant = midnight(day, zone)
        if window.start < instant < window.end:
            return instant
    return None


def local_time(moment: datetime, zone: ZoneInfo | None) -> str:
    """A moment by the tenant's clock, ``2025-10-21 15:00 America/Phoenix``; by UTC where its zone is not known."""
    shown = moment.astimezone(zone or UTC)
    return f"{shown:%Y-%m-%d %H:%M} {zone.key if zone else 'UTC'}"
