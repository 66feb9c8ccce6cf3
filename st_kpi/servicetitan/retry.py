"""Whether to try again, and when: pure decisions on what came back.

- 429: the server's own wait, from ``Retry-After``, else from the title, else a minute
- 500, 502, 503, 504, timeouts, cut connections, broken bodies: exponential backoff with full jitter
- everything else: never, and nothing that asks for a wait of more than an hour
"""

import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from st_kpi.errors import MalformedResponse
from st_kpi.servicetitan.bodies import BodyTooLarge
from st_kpi.servicetitan.pages import problem

#: What one attempt can end with, other than a page.
Failure = httpx.Response | Exception

_TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
_TRANSIENT_ERRORS = (httpx.TransportError, httpx.DecodingError, MalformedResponse, TimeoutError)
_OURS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)  # wrong before anything was sent
_SETTLED = (*_OURS, BodyTooLarge)  # the same if asked again
#: The longest wait that is granted, in seconds; who asks for more is not asked again in this run.
_LONGEST_WAIT = 3600.0
_IN_TITLE = re.compile(r"try again in (\d+(?:\.\d+)?) second", re.IGNORECASE)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try; all times in seconds.

    ``attempts`` counts the first one too. With the defaults a request that always fails gives up
    after two minutes of waiting at most, unless the server itself asks for longer waits, of an hour at most each.
    """

    attempts: int = 8
    base: float = 1.0
    cap: float = 60.0
    rate_limit_wait: float = 60.0

    def delay(self, attempt: int, failure: Failure, rng: random.Random) -> float | None:
        """Seconds to wait after attempt number ``attempt`` (from 1) failed, or None to give up."""
        if attempt >= self.attempts:
            return None
        if isinstance(failure, httpx.HTTPStatusError):
            failure = failure.response
        if isinstance(failure, httpx.Response):
            return self._after_status(attempt, failure, rng)
        if isinstance(failure, _SETTLED):
            return None
        return self._backoff(attempt, rng) if isinstance(failure, _TRANSIENT_ERRORS) else None

    def _after_status(
        self, attempt: int, response: httpx.Response, rng: random.Random
    ) -> float | None:
        asked = asked_wait(response)
        if asked is not None and asked > _LONGEST_WAIT:
            return None
        if response.status_code == 429:
            return max(self.rate_limit_wait if asked is None else asked, self.base)
        if response.status_code in _TRANSIENT_STATUSES:
            return max(asked or 0.0, self._backoff(attempt, rng))
        return None

    def _backoff(self, attempt: int, rng: random.Random) -> float:
        return float(rng.uniform(0, min(self.cap, self.base * 2 ** (attempt - 1))))


def asked_wait(failure: Failure) -> float | None:
    """The seconds that an answer asks to wait for, in its header or its title; None where it does not."""
    if isinstance(failure, httpx.HTTPStatusError):
        failure = failure.response
    if not isinstance(failure, httpx.Response):
        return None
    if failure.status_code == 429 or failure.status_code in _TRANSIENT_STATUSES:
        asked = _retry_after(failure)
        return _wait_in_title(failure) if asked is None else asked
    return None


def asks_too_much(failure: Failure) -> bool:
    """True where the wait that an answer asks for is longer than any run should last."""
    return (asked_wait(failure) or 0.0) > _LONGEST_WAIT


def too_slow(failure: Failure) -> bool:
    """True where an answer was not finished in time, which asking again alone seldom mends."""
    if isinstance(failure, httpx.Response):
        return failure.status_code == 504
    return isinstance(failure, httpx.ReadTimeout | TimeoutError)


def too_large(failure: Failure) -> bool:
    """True where less might be had: the answer was refused for its size, failed on the way, or came too slowly."""
    if asks_too_much(failure):
        return False
    if isinstance(failure, httpx.Response):
        return failure.status_code == 413 or failure.status_code in _TRANSIENT_STATUSES
    if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.HTTPStatusError):
        return False
    return isinstance(failure, _TRANSIENT_ERRORS) and not isinstance(failure, _OURS)


def _retry_after(response: httpx.Response) -> float | None:
    """The header in seconds; a date counts from the server's ``Date``, never from our clock."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, (until - parsedate_to_datetime(response.headers["Date"])).total_seconds())
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _wait_in_title(response: httpx.Response) -> float | None:
    found = _IN_TITLE.search(problem(response.content).title or "")
    return float(found[1]) if found else None
