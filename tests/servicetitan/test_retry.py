"""What is tried again, and after how long."""

import random

import httpx
import pytest

from st_kpi.errors import AuthenticationError, MalformedResponse
from st_kpi.servicetitan.failure import to_source_error
from st_kpi.servicetitan.retry import Failure, RetryPolicy, too_large

POLICY = RetryPolicy()
NOON = {"Date": "Tue, 02 Jan 2024 12:00:00 GMT"}
REQUEST = httpx.Request("GET", "https://api.servicetitan.io")


class Most(random.Random):
    """Draws the upper end of every range, so that the cap of the jitter shows."""

    def uniform(self, a: float, b: float) -> float:
        return b


def after(failure: Failure, attempt: int = 1, policy: RetryPolicy = POLICY) -> float | None:
    return policy.delay(attempt, failure, Most())


def throttled(title: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(429, headers=named, json={"title": title, "traceId": "t"})


TITLE = "Rate limit is exceeded. Try again in 23 seconds."


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        pytest.param(throttled(Retry_After="17"), 17, id="header in seconds"),
        pytest.param(
            throttled(Retry_After="Tue, 02 Jan 2024 12:01:30 GMT", **NOON), 90, id="header as date"
        ),
        pytest.param(
            throttled(Retry_After="Tue, 02 Jan 2024 11:59:00 GMT", **NOON), 1, id="date in the past"
        ),
        pytest.param(
            throttled(TITLE, Retry_After="Tue, 02 Jan 2024 12:01:30 GMT"),
            23,
            id="a date without the server's own time is not read",
        ),
        pytest.param(throttled(TITLE, Retry_After="17"), 17, id="header before title"),
        pytest.param(throttled(TITLE), 23, id="title"),
        pytest.param(throttled(TITLE, Retry_After="soon"), 23, id="title for an odd header"),
        pytest.param(throttled("try again in 1 second"), 1, id="one second"),
        pytest.param(throttled("Too many"), 60, id="neither"),
        pytest.param(httpx.Response(429, content=b"<html>"), 60, id="HTML"),
        pytest.param(throttled(Retry_After="0"), 1, id="never at once"),
        pytest.param(throttled(Retry_After="3600"), 3600, id="an hour"),
    ],
)
def test_a_rate_limit_is_waited_out(response: httpx.Response, seconds: float) -> None:
    assert after(response) == seconds


@pytest.mark.parametrize(
    "failure",
    [
        *(pytest.param(httpx.Response(n), id=str(n)) for n in (500, 502, 503, 504)),
        pytest.param(httpx.Response(502, content=b"<html>Bad gateway</html>"), id="502 as HTML"),
        pytest.param(httpx.ConnectTimeout(""), id="connect timeout"),
        pytest.param(httpx.ReadTimeout(""), id="read timeout"),
        pytest.param(httpx.ConnectError(""), id="no connection"),
        pytest.param(httpx.ReadError(""), id="reset while reading"),
        pytest.param(httpx.RemoteProtocolError(""), id="cut in mid-body"),
        pytest.param(httpx.DecodingError(""), id="broken gzip"),
        pytest.param(TimeoutError(), id="a body that trickles"),
        pytest.param(MalformedResponse("cut", url="u"), id="truncated JSON"),
        pytest.param(
            httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(503)),
            id="503 from the token endpoint",
        ),
    ],
)
def test_what_may_pass_is_tried_again(failure: Failure) -> None:
    assert after(failure) == 1


@pytest.mark.parametrize(
    "failure",
    [
        *(pytest.param(httpx.Response(n), id=str(n)) for n in (302, 400, 401, 403, 404, 409)),
        pytest.param(httpx.Response(501), id="501"),
        pytest.param(httpx.UnsupportedProtocol(""), id="an address that is none"),
        pytest.param(httpx.LocalProtocolError(""), id="a header that cannot be sent"),
        pytest.param(AuthenticationError("no", url="u"), id="refused credentials"),
        pytest.param(
            httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(404)),
            id="no token endpoint there",
        ),
    ],
)
def test_what_will_not_pass_is_not(failure: Failure) -> None:
    assert after(failure) is None


def test_the_wait_doubles_up_to_the_cap() -> None:
    waits = [after(httpx.Response(500), attempt) for attempt in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, None]


def test_the_wait_is_drawn_from_the_whole_range() -> None:
    rng = random.Random(1)
    waits = [POLICY.delay(5, httpx.Response(500), rng) for _ in range(1000)]
    drawn = [wait for wait in waits if wait is not None]
    assert len(drawn) == 1000
    assert min(drawn) < 1
    assert max(drawn) > 15
    assert sum(drawn) / 1000 == pytest.approx(8, abs=0.5)


def test_an_unavailable_server_may_ask_for_a_longer_wait() -> None:
    assert after(httpx.Response(503, headers={"Retry-After": "30"})) == 30


@pytest.mark.parametrize("failure", [httpx.ReadError(""), throttled(TITLE)], ids=["error", "429"])
def test_the_last_attempt_is_the_last(failure: Failure) -> None:
    assert after(failure, attempt=3, policy=RetryPolicy(attempts=3)) is None


BEYOND_AN_HOUR = {
    "header": throttled(Retry_After="1000000000"),
    "more digits than a float": throttled(Retry_After="9" * 400),
    "date": throttled(Retry_After="Thu, 31 Dec 9999 23:59:59 GMT", **NOON),
    "title": throttled("Rate limit is exceeded. Try again in 1000000000 seconds."),
    "503": httpx.Response(503, headers={"Retry-After": "1000000000"}),
    "503, date": httpx.Response(
        503, headers={"Retry-After": "Wed, 03 Jan 2024 12:00:00 GMT"} | NOON
    ),
}


@pytest.mark.parametrize("response", BEYOND_AN_HOUR.values(), ids=BEYOND_AN_HOUR)
def test_a_wait_of_more_than_an_hour_is_not_granted(response: httpx.Response) -> None:
    assert after(response) is None
    assert not too_large(response)  # asking for less would be asking at once
    error = to_source_error(response, "jobs", "https://api", 1)
    assert "asks for a wait of" in str(error)
    assert error.status == response.status_code


def test_the_wait_that_was_asked_for_is_told() -> None:
    error = to_source_error(BEYOND_AN_HOUR["header"], "jobs", "https://api", 1)
    assert "a wait of 1,000,000,000 seconds" in str(error)
