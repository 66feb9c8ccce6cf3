"""When things happen: request times with growth and seasons, visit times, ends of visits."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from st_kpi.sandbox.clock import DAY, HOUR, MINUTE, SECOND, midnight
from st_kpi.sandbox.reference import NOW, OPENING, UTC_OFFSET

_SEASON = (0.8, 0.9, 1.1, 1.2, 1.2, 1.0, 0.85, 0.85, 1.05, 1.2, 1.0, 0.75)
_WEEKDAY = (1.15, 1.1, 1.0, 1.0, 0.95, 0.4, 0.18)
# Fraction of a second with 0 to 7 digits, as server-made stamps come.
FRACTIONS = (
    0,
    5_000_000,
    2_500_000,
    1_230_000,
    4_567_000,
    8_912_300,
    3_141_590,
    7_654_321,
)


def request_times(rng: Random, count: int, first: date, last: date) -> list[int]:
    """Sorted instants at which jobs are booked, UTC, within the tenant's local days."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    weights = [
        (1 + 0.35 * (day.year - first.year + day.month / 12))
        * _SEASON[day.month - 1]
        * _WEEKDAY[day.weekday()]
        for day in days
    ]
    starts = [midnight(day) + UTC_OFFSET for day in days]
    times = [
        start + second * SECOND + FRACTIONS[int(rng.random() * 8)]
        for start, second in zip(
            rng.choices(starts, weights, k=count), _seconds_of_day(rng, count), strict=True
        )
    ]
    latest = NOW - 2 * HOUR
    return sorted(time if time < latest else latest - (time - latest) // 12 for time in times)


def _seconds_of_day(rng: Random, count: int) -> list[int]:
    """Local seconds: office hours into the evening, and one in eighty beside midnight."""
    random = rng.random
    seconds = [25_200 + int((random() + random()) * 25_200) for _ in range(count)]
    for n in range(0, count, 80):
        near = int(random() * 1800)
        seconds[n] = near if random() < 0.5 else 86_399 - near
    return seconds


def local_midnight(instant: int) -> int:
    """The start of the local day of an instant."""
    return (instant - UTC_OFFSET) // DAY * DAY + UTC_OFFSET


def visit_start(rng: Random, after: int, lead_days: int) -> int:
    """A visit `lead_days` local days later, on the half hour between 08:00 and 17:30."""
    start = local_midnight(after) + lead_days * DAY
    start += 8 * HOUR + int(rng.random() * 20) * 30 * MINUTE
    return start if start > after else start + DAY


def crew_start(rng: Random, after: int, lead_days: int) -> int:
    """The start of painting: 07:00 local, or a night shift that straddles the UTC day and week."""
    draw = rng.random()
    hour = 7 if draw < 0.9 else 23 if draw < 0.93 else 9 if draw < 0.97 else 17
    start = local_midnight(after) + lead_days * DAY + hour * HOUR
    return start if start > after else start + DAY


def visit_end(rng: Random, start: int) -> int:
    """When a sales visit was closed: usually within hours, sometimes around local midnight."""
    draw = rng.random()
    if draw < 0.97:
        return start + (45 + int(rng.random() * 110)) * MINUTE
    edge = local_midnight(start) + DAY
    return edge - MINUTE if draw < 0.985 else edge + int(rng.random() * 30) * MINUTE


def sale_time(rng: Random, visited: int) -> int:
    """When an estimate sells: on the spot, within two weeks, or weeks later."""
    draw = rng.random()
    if draw < 0.52:
        return visited - int(rng.random() * 20) * MINUTE
    days = 1 + int(rng.random() * 13) if draw < 0.86 else 15 + int(rng.random() * 75)
    sold = local_midnight(visited) + days * DAY + int(rng.random() * 64_800 + 18_000) * SECOND
    if rng.random() < 0.05:
        sold = local_midnight(sold) + (DAY - SECOND if rng.random() < 0.5 else 0)
    return sold


def later(rng: Random, instant: int, days: float) -> int:
    """A server stamp up to `days` after an instant, never beyond the tenant's now."""
    stamp = instant + int(rng.random() * days * 86_400) * SECOND
    stamp += FRACTIONS[int(rng.random() * 8)]
    return min(NOW, max(OPENING, stamp))


def touched(rng: Random, instant: int, days: float) -> int:
    """When a row was last changed; one in twenty-five is changed again much later."""
    return later(rng, instant, days + 500 if rng.random() < 0.04 else days)
