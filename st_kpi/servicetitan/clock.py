"""The source's clock, as its answers tell it: what was read when is told by one clock, whichever machine read it."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

_log = logging.getLogger(__name__)

#: A clock that is so far ahead of ours tells no time up to which anything has been read.
_AHEAD_AT_MOST = timedelta(hours=1)
#: As fine as a moment is stored.
_TICK = timedelta(microseconds=1)


class SourceClock:
    """The clock of the source behind one client."""

    def __init__(self) -> None:
        self._latest: datetime | None = None
        self._told_of_clocks = False

    def time(self, response: httpx.Response) -> datetime | None:
        """The second that an answer tells, in UTC, unless it is far ahead of ours: what happens until then would never be read."""
        theirs, ours = _server_time(response), datetime.now(UTC)
        if theirs is None or theirs <= ours + _AHEAD_AT_MOST:
            return theirs
        if not self._told_of_clocks:
            self._told_of_clocks = True
            _log.warning(
                "It is %s UTC at ServiceTitan and %s UTC here: one of the clocks is wrong, and nothing counts as read until"
                " theirs",
                f"{theirs:%Y-%m-%d %H:%M}",
                f"{ours:%Y-%m-%d %H:%M}",
            )
        return None

    def moment(self, told: datetime | None) -> datetime:
        """When an answer came that told this second, in UTC: later than all that came before it.

        Answers of one second are told apart in the order in which they came, and one that tells no time is just later
        than the last. Ours stands in only until the first has told one: it may be set back, and what is read afterwards
        must not look older for that.
        """
        if self._latest is None:
            if told is None:
                return datetime.now(UTC)
            self._latest = told
        else:
            self._latest = max(told or self._latest, self._latest + _TICK)
        return self._latest


def _server_time(response: httpx.Response) -> datetime | None:
    """The server's clock in UTC; None when it tells no time of the calendar, which must not be filled from ours."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
