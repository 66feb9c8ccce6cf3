"""Instants of the sandbox: whole numbers of 100 ns since 1970-01-01 UTC, as fine as the API writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND = 10_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
QUARTER = 15 * MINUTE

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,7}))?(Z|z|[+-]\d\d:\d\d)?"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_LABEL = date(2015, 1, 1).toordinal() - _EPOCH_DAY
_DAY_LABELS = [
    date.fromordinal(_EPOCH_DAY + day).isoformat() + "T"
    for day in range(_FIRST_LABEL, _FIRST_LABEL + 20 * 366)
]
_LABELS = len(_DAY_LABELS)
_ENDINGS = {0: "Z"}
_SECOND_LABELS = [
    f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(86_400)
]


def ticks(text: str) -> int:
    """Parse an ISO-8601 instant with up to seven fraction digits; no offset means UTC.

    Raises ValueError for anything else, which the endpoints answer with 400.
    """
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a date: {text}")
    head, fraction, zone = match.groups()
    moment = datetime.fromisoformat(head + (zone or "").upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + int((fraction or "").ljust(7, "0"))


def iso(instant: int) -> str:
    """Write an instant as the API does: `Z`, and no more fraction digits than it needs."""
    second = instant // SECOND
    try:
        ending = _ENDINGS[instant % SECOND]
    except KeyError:  # few fractions occur, so each is spelled once
        text = f".{instant % SECOND:07d}".rstrip("0") + "Z"
        ending = _ENDINGS[instant % SECOND] = text
    day = second // 86_400 - _FIRST_LABEL
    if 0 <= day < _LABELS:
        return _DAY_LABELS[day] + _SECOND_LABELS[second % 86_400] + ending
    label = date.fromordinal(_EPOCH_DAY + second // 86_400).isoformat()
    return f"{label}T{_SECOND_LABELS[second % 86_400]}{ending}"


def iso_or_none(instant: int | None) -> str | None:
    """As `iso`, passing None through."""
    return None if instant is None else iso(instant)


def midnight(day: date) -> int:
    """The instant 00:00:00Z of a calendar date."""
    return (day.toordinal() - _EPOCH_DAY) * DAY


def calendar_date(instant: int) -> date:
    """The UTC calendar date of an instant."""
    return date.fromordinal(_EPOCH_DAY + instant // DAY)


class LocalDays:
    """Local dates of one IANA zone, remembered per quarter of an hour.

    Every offset in use is a multiple of 15 minutes, so one look-up serves the whole quarter.
    """

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._known: dict[int, date] = {}

    def __call__(self, instant: int) -> date:
        quarter = instant // QUARTER
        day = self._known.get(quarter)
        if day is None:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)
            day = self._known[quarter] = moment.astimezone(self._zone).date()
        return day

    def start(self, day: date) -> int:
        """The first instant of a local day."""
        begin = datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)
        since = begin - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * SECOND


def monday(day: date) -> date:
    """The Monday that names the week of a day."""
    return day - timedelta(days=day.weekday())
