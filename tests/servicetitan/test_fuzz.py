"""Answers that no honest server gives: the client ends with rows or with an error of its own, soon and after few requests."""

import asyncio
import itertools
import json
from collections.abc import Coroutine
from contextlib import suppress
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st_kpi.errors import StKpiError
from st_kpi.servicetitan.reports import Reports
from tests.servicetitan.test_client import JOBS, TECHNICIANS, Waits, client

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "12", "-1", "null", "true", "NaN", "\ud800", "a\nb", 10**12, -1, 0, 0.5]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "data", "fields", "label", "parameters", "hasMore"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = [
    "hasMore",
    "totalCount",
    "continueFrom",
    "data",
    "title",
    "traceId",
    "errors",
    "access_token",
    "expires_in",
    "error",
    "fields",
    "token",
    "parameters",
    "name",
    "id",
]


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


ENVELOPES = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=8).map(encoded)
HONEST = st.fixed_dictionaries(
    {
        "hasMore": st.booleans(),
        "totalCount": st.sampled_from([None, 0, 1, 10**12, "3"]),
        "continueFrom": st.sampled_from([None, "", "a", "b"]),
        "data": st.lists(st.fixed_dictionaries({"id": st.integers(0, 5)}), max_size=3),
        "access_token": st.just("t"),
    }
).map(encoded)
ODD = st.sampled_from(
    [
        b"",
        b"null",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"<html>",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000,
        b'{"hasMore": true, "hasMore": false, "data": []}',
        b'{"hasMore": false, "data": [1]}',
        b"9" * 5_000,
    ]
)
BODIES = HONEST | ENVELOPES | ODD | JSON.map(encoded) | st.binary(max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "Content-Encoding", "Content-Type", "Location"]),
    st.sampled_from(
        [
            "Tue, 02 Jan 2024 12:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 -1400",
            "Mon, 01 Jan 1900 00:00:00 +9999",
            "0",
            "17",
            "1000000000",
            "9" * 400,
            "-1",
            "1e3",
            "gzip",
            "gzip, gzip",
            "br",
            "https://evil.example/",
            "",
            "\u00b2",
        ]
    ),
    max_size=3,
)
STATUSES = st.sampled_from(
    [200] * 8 + [202, 204, 206, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503]
)
ANSWERS = st.lists(st.tuples(STATUSES, HEADERS, BODIES), min_size=1, max_size=4)
Answers = list[tuple[int, dict[str, str], bytes]]


class Absurd:
    """Gives these answers in turn, over and over; a token first, for else nothing more is asked."""

    def __init__(self, answers: Answers, honest_token: bool) -> None:
        self._answers = itertools.cycle(answers)
        self._honest_token = honest_token
        self.requests = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self._honest_token and request.url.path == "/connect/token":
            return httpx.Response(200, json={"access_token": "t"})
        status, headers, content = next(self._answers)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(content))


async def ask(answers: Answers, honest_token: bool, what: str) -> None:
    server, waits = Absurd(answers, honest_token), Waits()
    async with client(server, waits) as source:

        async def turn(report: int) -> None:
            await asyncio.sleep(0)

        async def report() -> None:
            reports = Reports(source, turn, sleep=waits)
            found = await reports.find(name="a", category="a")
            values = await reports.values(found, {}, (date(2024, 1, 1), date(2024, 1, 7)))
            await reports.data(found, values)

        async def read(pages: Any) -> None:
            async for _ in pages:
                pass

        asked: dict[str, Coroutine[Any, Any, Any]] = {
            "count": source.count(JOBS),
            "list": read(source.pages(JOBS)),
            "list one by one": read(source.pages(TECHNICIANS)),
            "feed": read(source.export(JOBS, "a")),
            "report": report(),
        }
        wanted = asked.pop(what)
        for other in asked.values():
            other.close()
        with suppress(StKpiError):
            await asyncio.wait_for(wanted, _HANGS)
    assert server.requests < 3_000
    assert all(0 <= seconds <= 3_600 for seconds in waits.seconds)


#: Seconds after which it hangs: a thousand pages of one row take half a second, and minutes where others use the machine.
_HANGS = 300
WHAT = ["count", "list", "list one by one", "feed", "report"]
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("what", WHAT)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(answers=ANSWERS, honest_token=st.sampled_from([True, True, True, False]))
def test_no_answer_ends_in_a_traceback(what: str, answers: Answers, honest_token: bool) -> None:
    asyncio.run(ask(answers, honest_token, what))


@pytest.mark.slow
@pytest.mark.parametrize("what", WHAT)
@settings(max_examples=3_000, deadline=None, suppress_health_check=QUIET)
@given(answers=ANSWERS, honest_token=st.sampled_from([True, True, True, False]))
def test_no_answer_of_thousands_does(what: str, answers: Answers, honest_token: bool) -> None:
    asyncio.run(ask(answers, honest_token, what))
