"""The client against small servers that are passed in as its transport; no time passes."""

import asyncio
import gzip
import json
import logging
import pickle
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from st_kpi.errors import (
    AuthenticationError,
    EntityUnavailable,
    MalformedResponse,
    RateLimited,
    SourceError,
)
from st_kpi.servicetitan.client import Created, Credentials, Modified, Page, ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.retry import RetryPolicy

JOBS = REGISTRY["jobs"]
TECHNICIANS = REGISTRY["technicians"]
NOW = "Tue, 02 Jan 2024 12:00:00 GMT"

Answer = httpx.Response | Exception
App = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class Waits:
    """A sleep that only notes how long it was to be."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Server:
    """Gives out tokens ``token-1``, ``token-2`` ... and hands every other request to ``app``."""

    def __init__(self, app: Callable[[httpx.Request], Any]) -> None:
        self.app = app
        self.tokens = 0
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path == "/connect/token":
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}"})
        self.requests.append(request)
        answer: Any = self.app(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return answer


def client(server: App, waits: Waits | None = None, **options: Any) -> ServiceTitan:
    return ServiceTitan(
        Credentials(7, "planted-id", SecretStr("planted-secret"), SecretStr("planted-key")),
        api_url="https://api.servicetitan.io",
        auth_url="https://auth.servicetitan.io",
        transport=httpx.MockTransport(server),
        sleep=waits or Waits(),
        rng=random.Random(1),
        **{"requests_per_second": 10_000} | options,
    )


def body(rows: int = 1, *, first: int = 0, more: bool = False, total: int | None = None) -> bytes:
    data = [{"id": first + n} for n in range(rows)]
    return json.dumps({"hasMore": more, "totalCount": total, "data": data}).encode()


def ok(content: bytes | None = None) -> httpx.Response:
    return httpx.Response(
        200, headers={"Date": NOW}, content=body() if content is None else content
    )


def in_turn(*answers: Answer) -> Callable[[httpx.Request], Answer]:
    """Each answer once, the last for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def table(rows: int, *, total: int | None = -1) -> Callable[[httpx.Request], httpx.Response]:
    """A list of ``rows`` records; ``total`` may claim something else."""

    def app(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        size, number = int(query["pageSize"]), int(query["page"])
        first = (number - 1) * size
        here = max(0, min(size, rows - first))
        claimed = (rows if total == -1 else total) if "includeTotal" in query else None
        return ok(body(here, first=first, more=first + size < rows, total=claimed))

    return app


async def ids(pages: AsyncIterator[Page]) -> list[int]:
    return [json.loads(bytes(r))["id"] async for page in pages for r in page.records]


# Requests


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        pytest.param(None, "", id="all of it"),
        pytest.param(
            Created(datetime(2024, 1, 1, 7, tzinfo=UTC), datetime(2024, 2, 1, 7, tzinfo=UTC)),
            "&createdOnOrAfter=2024-01-01T07:00:00Z&createdBefore=2024-02-01T07:00:00Z",
            id="created",
        ),
        pytest.param(
            Modified(datetime(2024, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=-7)))),
            "&modifiedOnOrAfter=2024-01-01T07:00:00Z",
            id="modified, in UTC",
        ),
    ],
)
async def test_the_list_request_on_the_wire(window: Created | None, expected: str) -> None:
    server = Server(in_turn(ok()))
    async with client(server) as source:
        await source.page(JOBS, window, 3, 500)
    [request] = server.requests
    assert request.url.raw_path.decode() == (
        f"/jpm/v2/tenant/7/jobs?page=3&pageSize=500&sort=%2BId{expected}"
    )
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["ST-App-Key"] == "planted-key"
    assert "gzip" in request.headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("entity", "parameter"),
    [("invoices", "activeState=All"), ("technicians", "active=Any"), ("estimates", "active=Any")],
)
async def test_rows_of_every_state_are_asked_for(entity: str, parameter: str) -> None:
    server = Server(in_turn(ok(body(total=1))))
    async with client(server) as source:
        await source.count(REGISTRY[entity])
        await source.page(REGISTRY[entity], None, 1)
    assert all(parameter in str(request.url) for request in server.requests)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (datetime(2024, 1, 1), None, "no time zone"),
        (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), "before its start"),
    ],
    ids=["naive", "reversed"],
)
def test_a_window_that_is_none_is_refused(
    start: datetime, end: datetime | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Created(start, end)


async def test_an_entity_that_is_read_whole_takes_no_window() -> None:
    async with client(Server(in_turn(ok()))) as source:
        with pytest.raises(ValueError, match="read whole"):
            await source.count(TECHNICIANS, Created(datetime(2024, 1, 1, tzinfo=UTC)))


async def test_count_gives_the_total_and_the_servers_time() -> None:
    server = Server(table(161_332))
    async with client(server) as source:
        count = await source.count(JOBS)
    assert count.total == 161_332
    assert count.server_time == datetime(2024, 1, 2, 12, tzinfo=UTC)
    assert dict(server.requests[0].url.params) == {
        "page": "1",
        "pageSize": "1",
        "includeTotal": "true",
        "sort": "+Id",
    }


async def test_a_server_that_does_not_tell_the_time_is_not_guessed_for() -> None:
    server = Server(in_turn(httpx.Response(200, content=body(total=1))))
    async with client(server) as source:
        assert (await source.count(JOBS)).server_time is None


async def test_a_count_without_a_total_is_malformed() -> None:
    async with client(Server(in_turn(ok()))) as source:
        with pytest.raises(MalformedResponse, match="no totalCount"):
            await source.count(JOBS)


async def test_a_compressed_page() -> None:
    packed = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(body(3))
    )
    async with client(Server(in_turn(packed))) as source:
        assert (await source.page(JOBS, None, 1)).rows == 3


# Paging


@pytest.mark.parametrize("entity", [JOBS, TECHNICIANS], ids=["side by side", "one by one"])
@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 100, 101])
async def test_every_row_is_read_once(entity: Any, rows: int) -> None:
    server = Server(table(rows))
    async with client(server) as source:
        found = await ids(source.pages(entity, page_size=10))
    assert sorted(found) == list(range(rows))
    assert len(server.requests) == max(1, -(-rows // 10))
    assert ["includeTotal" in r.url.params for r in server.requests].count(True) == 1


@pytest.mark.parametrize(
    "total",
    [
        pytest.param(25, id="fewer than there are"),
        pytest.param(100, id="more than there are"),
        pytest.param(0, id="none"),
        pytest.param(None, id="no total"),
    ],
)
async def test_has_more_decides_and_not_the_total(total: int | None) -> None:
    async with client(Server(table(52, total=total))) as source:
        assert sorted(await ids(source.pages(JOBS, page_size=10))) == list(range(52))


async def test_a_short_page_is_not_the_last() -> None:
    app = in_turn(ok(body(10, more=True)), ok(body(3, first=10, more=True)), ok(body(2, first=13)))
    async with client(Server(app)) as source:
        assert await ids(source.pages(TECHNICIANS, page_size=10)) == list(range(15))


async def test_an_endless_list_of_empty_pages_ends_with_an_error() -> None:
    async with client(Server(in_turn(ok(body(0, more=True))))) as source:
        with pytest.raises(MalformedResponse, match="promised more"):
            await ids(source.pages(JOBS))


async def test_requests_are_bounded_and_a_slow_taker_does_not_fill_the_memory() -> None:
    under_way = most = served = 0

    async def app(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most, served
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        served += 1
        return table(400)(request)

    async with client(Server(app), max_concurrency=4) as source:
        taken = 0
        async for _ in source.pages(JOBS, page_size=10):
            taken += 1
            await asyncio.sleep(0.003)
            assert served - taken <= 4
    assert (most, taken) == (4, 40)


async def test_entities_whose_order_cannot_be_pinned_are_read_one_by_one() -> None:
    server = Server(table(50))
    async with client(server) as source:
        assert await ids(source.pages(TECHNICIANS, page_size=10)) == list(range(50))
    assert all("sort" not in r.url.params for r in server.requests)


async def test_a_page_that_fails_stops_the_others() -> None:
    never = asyncio.Event()
    stopped = 0

    async def app(request: httpx.Request) -> httpx.Response:
        nonlocal stopped
        number = request.url.params["page"]
        if number == "3":
            return httpx.Response(400, json={"title": "No such page", "traceId": "abc"})
        if number != "1":
            try:
                await never.wait()
            finally:
                stopped += 1
        return table(60)(request)

    async with client(Server(app), max_concurrency=4) as source:
        with pytest.raises(SourceError, match="No such page"):
            await ids(source.pages(JOBS, page_size=10))
        assert stopped == 3
        # The client is as usable as before.
        assert (await source.page(JOBS, None, 1, 10)).rows == 10


async def test_leaving_early_leaves_nothing_running() -> None:
    async with client(Server(table(1000))) as source:
        async with aclosing(source.pages(JOBS, page_size=10)) as pages:
            async for page in pages:
                if page.start == 20:
                    break
        assert asyncio.all_tasks() == {asyncio.current_task()}


# Export feeds


def feed(*pages: tuple[int, bool, str | None]) -> Callable[[httpx.Request], Answer]:
    return in_turn(
        *(
            ok(
                json.dumps(
                    {
                        "hasMore": more,
                        "continueFrom": token,
                        "data": [{"id": n} for n in range(rows)],
                    }
                ).encode()
            )
            for rows, more, token in pages
        )
    )


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        pytest.param("a+b/c=", "from=a%2Bb%2Fc%3D", id="token"),
        pytest.param(date(2020, 1, 1), "from=2020-01-01", id="day"),
        pytest.param(
            datetime(2020, 1, 1, 7, 0, 0, 1000, tzinfo=UTC),
            "from=2020-01-01T07:00:00.001000Z",
            id="instant",
        ),
    ],
)
async def test_the_export_request_on_the_wire(since: str | date, sent: str) -> None:
    server = Server(feed((1, False, "next")))
    async with client(server) as source:
        assert [page.continue_from async for page in source.export(JOBS, since)] == ["next"]
    assert server.requests[0].url.raw_path.decode() == f"/jpm/v2/tenant/7/export/jobs?{sent}"


async def test_an_empty_export_page_is_not_the_end() -> None:
    server = Server(feed((2, True, "b"), (0, True, "c"), (1, False, "d")))
    async with client(server) as source:
        pages = [page async for page in source.export(JOBS, "a")]
    assert [(p.start, p.rows, p.continue_from) for p in pages] == [
        (0, 2, "b"),
        (2, 0, "c"),
        (2, 1, "d"),
    ]
    assert [r.url.params["from"] for r in server.requests] == ["a", "b", "c"]


async def test_the_old_token_is_kept_when_the_feed_gives_none() -> None:
    async with client(Server(feed((1, True, "b"), (0, False, None)))) as source:
        assert [p.continue_from async for p in source.export(JOBS, "a")] == ["b", "b"]


@pytest.mark.parametrize("token", [None, "a"])
async def test_a_feed_that_does_not_advance_is_an_error(token: str | None) -> None:
    async with client(Server(feed((1, True, token)))) as source:
        with pytest.raises(MalformedResponse, match="does not say where"):
            await ids(source.export(JOBS, "a"))


async def test_an_entity_without_a_feed() -> None:
    async with client(Server(table(1))) as source:
        with pytest.raises(ValueError, match="no export feed"):
            await ids(source.export(REGISTRY["receipts"], "a"))


# Tokens


async def test_fifty_concurrent_requests_share_one_token() -> None:
    server = Server(table(1))
    async with client(server, max_concurrency=50) as source:
        await asyncio.gather(*(source.page(JOBS, None, 1) for _ in range(50)))
    assert server.tokens == 1
    assert len(server.requests) == 50


async def test_a_token_that_dies_is_renewed_once_for_all() -> None:
    def app(request: httpx.Request) -> httpx.Response:
        dead = request.headers["Authorization"] == "Bearer token-1"
        return httpx.Response(401) if dead else ok()

    server = Server(app)
    async with client(server, max_concurrency=20) as source:
        pages = await asyncio.gather(*(source.page(JOBS, None, 1) for _ in range(20)))
    assert len(pages) == 20
    assert server.tokens == 2


async def test_a_new_token_that_is_refused_is_an_authentication_error() -> None:
    server = Server(in_turn(httpx.Response(401)))
    async with client(server) as source:
        with pytest.raises(AuthenticationError, match=r"ST_KPI_APP_KEY.*production") as refused:
            await source.count(JOBS)
    assert (server.tokens, len(server.requests)) == (2, 2)
    assert refused.value.entity == "jobs"


async def test_the_token_endpoint_is_tried_again_too() -> None:
    broken: list[Answer] = [
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.Response(200, content=b"{"),
    ]

    async def app(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/connect/token" and broken:
            answer = broken.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return await server(request)

    server, waits = Server(table(1)), Waits()
    async with client(app, waits) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1
    assert len(waits.seconds) == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(404, SourceError), (429, RateLimited), (500, SourceError)]
)
async def test_a_token_endpoint_that_stays_broken(status: int, kind: type[SourceError]) -> None:
    async def app(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=b"<html>")

    async with client(app) as source:
        with pytest.raises(kind, match="No token") as failed:
            await source.count(JOBS)
    assert failed.value.url == "https://auth.servicetitan.io/connect/token"
    assert (failed.value.status, failed.value.entity) == (status, None)


# Failures


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(httpx.Response(502, html="<h1>Bad gateway</h1>"), id="502 as HTML"),
        pytest.param(httpx.Response(500, json={"title": "x"}), id="500"),
        pytest.param(ok(body()[:-9]), id="truncated JSON with 200"),
        pytest.param(httpx.Response(200, html="<h1>Maintenance</h1>"), id="HTML with 200"),
        pytest.param(httpx.RemoteProtocolError("cut"), id="cut connection"),
        pytest.param(httpx.ReadTimeout("hangs"), id="timeout"),
        pytest.param(
            httpx.Response(
                200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"x")
            ),
            id="broken gzip",
        ),
    ],
)
async def test_what_may_pass_is_tried_again(failure: Answer) -> None:
    waits = Waits()
    async with client(Server(in_turn(failure, failure, ok())), waits) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1
    assert len(waits.seconds) == 2


DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.mark.parametrize(
    "content",
    [b"<html>", b'{"hasMore": false, "data": [{"a": ' + DEEP + b"}]}", body()[:-9]],
    ids=["HTML", "deep", "cut off"],
)
async def test_the_same_malformed_bytes_are_not_asked_for_again_and_again(content: bytes) -> None:
    server = Server(in_turn(ok(content)))
    async with client(server) as source:
        with pytest.raises(MalformedResponse) as failed:
            await source.page(JOBS, None, 1)
    assert failed.value.entity == "jobs"
    assert len(server.requests) == 3


async def test_malformed_answers_that_differ_are_asked_for_again() -> None:
    answers = [ok(b"<html>" + bytes([letter])) for letter in b"abcdefg"]
    async with client(Server(in_turn(*answers, ok()))) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1


async def test_a_token_that_is_none_is_not_asked_for_again_and_again() -> None:
    asked = 0

    async def app(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json={"access_token": "a\nb"})

    async with client(app) as source:
        with pytest.raises(MalformedResponse, match="no header can carry"):
            await source.page(JOBS, None, 1)
    assert asked == 3


async def test_an_error_of_ten_thousand_levels_is_an_error_of_the_server() -> None:
    server = Server(in_turn(*[httpx.Response(503, content=DEEP)] * 2, ok()))
    async with client(server) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "date_",
    [
        "Fri, 31 Dec 9999 23:59:59 -1400",
        "Tue, 02 Jan 2024 12:00:00 +9999",
        "Tue, 02 Jan 99999999999999999999 12:00:00 GMT",
        "yesterday",
        "",
    ],
)
async def test_a_date_outside_of_the_calendar_is_none(date_: str) -> None:
    answer = httpx.Response(200, headers={"Date": date_}, content=body())
    async with client(Server(in_turn(answer))) as source:
        assert (await source.page(JOBS, None, 1)).server_time is None


@pytest.mark.parametrize("at", ["/jpm/v2/tenant/7/jobs", "/connect/token"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_carries_no_secret_to_another_host(at: str, status: int) -> None:
    hosts: list[str] = []

    async def app(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        if request.url.path == at:
            return httpx.Response(status, headers={"Location": "https://evil.example/steal"})
        return httpx.Response(200, json={"access_token": "one"})

    async with client(app) as source:
        with pytest.raises(SourceError, match=f"status {status}"):
            await source.page(JOBS, None, 1)
    assert set(hosts) <= {"api.servicetitan.io", "auth.servicetitan.io"}
    assert len(hosts) <= 2


async def test_a_clock_far_ahead_is_said_once_and_is_no_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def dated(ahead: timedelta) -> httpx.Response:
        theirs = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        return httpx.Response(200, headers={"Date": theirs}, content=body())

    async with client(Server(in_turn(dated(timedelta(minutes=5))))) as source:
        assert (await source.page(JOBS, None, 1)).server_time is not None
    assert caplog.text == ""
    async with client(Server(in_turn(dated(timedelta(days=400))))) as source:
        assert (await source.page(JOBS, None, 1)).server_time is None
        assert (await source.page(JOBS, None, 2)).server_time is None
    assert caplog.text.count("one of the clocks is wrong") == 1


async def test_a_rate_limit_is_waited_out() -> None:
    title = {"title": "Rate limit is exceeded. Try again in 23 seconds."}
    answers = [
        httpx.Response(429, headers={"Retry-After": "17"}),
        httpx.Response(429, json=title),
        httpx.Response(429, html="<h1>Slow down</h1>"),
    ]
    waits = Waits()
    async with client(Server(in_turn(*answers, ok())), waits) as source:
        await source.page(JOBS, None, 1)
    assert waits.seconds == [17, 23, 60]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        pytest.param(httpx.Response(403), EntityUnavailable, "scope", id="403"),
        pytest.param(httpx.Response(404), EntityUnavailable, "unavailable", id="404"),
        pytest.param(httpx.Response(429), RateLimited, "after 3 attempts", id="429"),
        pytest.param(httpx.Response(503), SourceError, "after 3 attempts", id="503"),
        pytest.param(
            httpx.Response(400, json={"title": "Wrong", "errors": {"sort": ["planted"]}}),
            SourceError,
            r"Wrong \[sort\]",
            id="400",
        ),
        pytest.param(httpx.Response(302), SourceError, "status 302", id="redirect"),
        pytest.param(ok(body()[:-9]), MalformedResponse, "not a page", id="truncated"),
        pytest.param(httpx.ConnectError("no route"), SourceError, "no route", id="no connection"),
        pytest.param(
            httpx.RemoteProtocolError("illegal status line: planted"),
            SourceError,
            "RemoteProtocolError",
            id="no HTTP",
        ),
    ],
)
async def test_what_stays_broken_is_explained(
    answer: Answer, kind: type[SourceError], words: str
) -> None:
    async with client(Server(in_turn(answer)), retry=RetryPolicy(attempts=3)) as source:
        with pytest.raises(kind, match=words) as failed:
            await source.page(JOBS, None, 1)
    error = failed.value
    assert type(error) is kind
    assert error.entity == "jobs"
    assert error.url.endswith("/jpm/v2/tenant/7/jobs?page=1&pageSize=5000&sort=%2BId")
    assert error.url in str(error)
    assert "planted" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


async def test_the_trace_id_is_kept_even_in_another_process() -> None:
    answer = httpx.Response(400, json={"title": "Wrong", "traceId": "abc-1", "status": 400})
    async with client(Server(in_turn(answer))) as source:
        with pytest.raises(SourceError, match="traceId abc-1") as failed:
            await source.page(JOBS, None, 1)
    copy = pickle.loads(pickle.dumps(failed.value))
    assert str(copy) == str(failed.value)
    assert (copy.entity, copy.status, copy.trace_id) == ("jobs", 400, "abc-1")


async def test_a_body_that_only_trickles_in_is_given_up() -> None:
    class Trickle(httpx.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.01)
                yield b" "

        async def aclose(self) -> None:
            self.closed = True

    stream = Trickle()
    slow = httpx.Response(200, stream=stream)
    async with client(Server(in_turn(slow, ok())), timeout=0.02) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1
    assert stream.closed


async def test_the_logs_hold_no_secret_and_no_body(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="st_kpi")
    answers: list[Answer] = [
        httpx.Response(500, json={"title": "planted", "traceId": "abc-1"}),
        ok(b'{"data":[{"name":"planted'),
        httpx.RemoteProtocolError("planted"),
        ok(),
    ]
    async with client(Server(in_turn(*answers))) as source:
        await source.page(JOBS, None, 1)
    assert "jobs: attempt 1 failed with status 500, traceId abc-1" in caplog.text
    assert len(caplog.records) == 3
    assert "planted" not in caplog.text


# Pace


class Ledger:
    """A limiter that only counts how often it is asked."""

    taken = held = 0

    def slot(self) -> "Ledger":
        return self

    async def __aenter__(self) -> None:
        self.taken += 1
        self.held += 1

    async def __aexit__(self, *error: object) -> None:
        self.held -= 1


async def test_every_request_takes_a_slot_but_those_for_tokens() -> None:
    ledger = Ledger()
    answers = in_turn(httpx.Response(401), httpx.Response(500), httpx.ReadError("cut"), ok())
    server = Server(answers)
    async with client(server) as source:
        source.share(lambda own: ledger)
        await source.page(JOBS, None, 1)
    assert server.tokens == 2
    assert ledger.taken == len(server.requests) == 4
    assert ledger.held == 0


async def test_the_slot_is_held_until_the_headers_and_not_during_the_body() -> None:
    ledger = Ledger()
    held: list[tuple[str, int]] = []

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            held.append(("body", ledger.held))
            yield body()

    def app(request: httpx.Request) -> httpx.Response:
        held.append(("headers", ledger.held))
        return httpx.Response(200, stream=Body())

    async with client(Server(app)) as source:
        source.share(lambda own: ledger)
        await source.page(JOBS, None, 1)
    assert held == [("headers", 1), ("body", 0)]


async def test_a_cancelled_request_gives_everything_back() -> None:
    never = asyncio.Event()
    calls = 0

    async def app(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls <= 5:
            await never.wait()
        return ok()

    ledger = Ledger()
    async with client(Server(app), max_concurrency=2) as source:
        source.share(lambda own: ledger)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await source.page(JOBS, None, 1)
        assert ledger.held == 0
        pages = await asyncio.gather(*(source.page(JOBS, None, 1) for _ in range(4)))
    assert len(pages) == 4
