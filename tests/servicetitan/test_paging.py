"""Lists whose pages are too heavy for us or for the source, and feeds that stand still; no time passes."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable

import httpx
import pytest

from st_kpi.errors import MalformedResponse, SourceError
from st_kpi.servicetitan import paging
from st_kpi.servicetitan.paging import Span
from st_kpi.servicetitan.registry import Entity
from tests.servicetitan.test_client import (
    JOBS,
    TECHNICIANS,
    Server,
    Waits,
    body,
    client,
    feed,
    ids,
    in_turn,
    ok,
    table,
)


def asked(server: Server) -> list[tuple[int, int]]:
    """The spans that were asked for: first row and size."""
    pages = [(int(r.url.params["page"]), int(r.url.params["pageSize"])) for r in server.requests]
    return [((number - 1) * size, size) for number, size in pages]


@pytest.mark.parametrize("entity", [JOBS, TECHNICIANS], ids=["side by side", "one by one"])
async def test_a_list_with_heavy_pages_goes_on_in_smaller_ones(
    entity: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(table(1000))
    monkeypatch.setattr(paging, "PAGE_BYTES", len(body(25)) + 50)
    async with client(server) as source:
        assert sorted(await ids(source.pages(entity, page_size=100))) == list(range(1000))
        first, *others = asked(server)
        assert first == (0, 100)
        assert {size for _, size in others} == {25}
        assert sorted(start for start, _ in others) == list(range(100, 1000, 25))
        # The next list of this entity begins with what the first has taught, another's does not.
        assert len(await ids(source.pages(entity, page_size=100))) == 1000
        assert asked(server)[len(others) + 1] == (0, 25)


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [
        pytest.param(httpx.Response(413), 1, id="too large"),
        pytest.param(httpx.Response(504), 2, id="gateway timeout"),
        pytest.param(httpx.ReadTimeout("slow"), 2, id="no byte in time"),
        pytest.param(httpx.Response(500), 8, id="an error of the server"),
        pytest.param(httpx.RemoteProtocolError("cut"), 8, id="cut off"),
    ],
)
async def test_what_is_too_large_for_the_source_is_asked_for_in_parts(
    refusal: httpx.Response | Exception, tries: int
) -> None:
    def app(request: httpx.Request) -> httpx.Response:
        if int(request.url.params["pageSize"]) > 100:
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        return table(3000)(request)

    server = Server(app)
    async with client(server, max_concurrency=2) as source:
        assert sorted(await ids(source.pages(JOBS, page_size=400))) == list(range(3000))
    spans = Counter(asked(server))
    assert spans[(0, 400)] == tries
    assert spans[(0, 200)] == (1 if tries == 1 else 2)
    assert all(count == 1 for (_, size), count in spans.items() if size <= 100)
    # What the first page taught holds for the others: first 200, soon after 100.
    assert sum(size > 100 for _, size in asked(server)) <= 3 * tries + 4


async def test_an_outage_is_told_by_the_first_error_after_a_bounded_number_of_requests() -> None:
    server = Server(in_turn(httpx.Response(503)))
    async with client(server) as source:
        with pytest.raises(SourceError, match="after 8 attempts") as failed:
            await ids(source.pages(JOBS))
    assert "pageSize=500&" in failed.value.url
    assert len(server.requests) < 30


async def test_after_an_outage_pages_are_half_as_large() -> None:
    answers = itertools.count()

    def app(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if 8 < next(answers) < 24 else table(60_000)(request)

    server = Server(app)
    async with client(server, max_concurrency=1) as source:
        assert sorted(await ids(source.pages(JOBS))) == list(range(60_000))
    assert {size for start, size in asked(server) if start >= 40_000} == {2500}


async def test_the_first_page_of_an_entity_is_small_and_the_others_grow() -> None:
    server = Server(table(20_000))
    async with client(server) as source:
        assert sorted(await ids(source.pages(JOBS))) == list(range(20_000))
        assert sorted(await ids(source.pages(JOBS))) == list(range(20_000))
    first = [(0, 500), (500, 500), *((start, 1000) for start in range(1000, 5000, 1000))]
    rest = [(start, 5000) for start in range(5000, 20_000, 5000)]
    assert sorted(asked(server)) == sorted([*first, *rest, (0, 5000), *rest])


@pytest.mark.parametrize("entity", [JOBS, TECHNICIANS], ids=["side by side", "one by one"])
@pytest.mark.parametrize(
    ("given", "total", "words"),
    [
        pytest.param([], 10**12, "pages in a row were empty", id="nothing of a trillion"),
        pytest.param(itertools.count(), 1, "promised 1 rows, gave", id="rows for ever"),
        pytest.param(itertools.count(), None, "said no number, gave", id="rows and no number"),
        pytest.param([3], 10**12, "50 pages held the same rows", id="one of a trillion"),
        pytest.param([3, 4], 10**12, "50 pages held the same rows", id="two of a trillion"),
    ],
)
async def test_a_list_without_end_is_an_error(
    entity: Entity, given: Iterable[int], total: int | None, words: str
) -> None:
    """Whose pages have one row each, with the ``given`` ids in turn, or none."""
    numbers = itertools.cycle(given) if isinstance(given, list) else given

    def app(request: httpx.Request) -> httpx.Response:
        number = next(iter(numbers), None)
        told = total if request.url.params["page"] == "1" else None
        return ok(body(number is not None, first=number or 0, more=True, total=told))

    server = Server(app)
    async with client(server) as source:
        with pytest.raises(MalformedResponse, match=words):
            await asyncio.wait_for(ids(source.pages(entity)), 60)
    assert len(server.requests) < 1_100


@pytest.mark.parametrize("entity", [JOBS, TECHNICIANS], ids=["side by side", "one by one"])
async def test_a_trillion_rows_end_with_the_page_that_is_the_last(entity: object) -> None:
    server = Server(table(1200, total=10**12))
    async with client(server) as source:
        assert sorted(await ids(source.pages(entity))) == list(range(1200))
    assert len(server.requests) < 20


async def test_a_list_may_grow_while_it_is_read() -> None:
    async with client(Server(table(1500, total=500))) as source:
        assert sorted(await ids(source.pages(JOBS))) == list(range(1500))


@pytest.mark.parametrize("size", [5000, 1000, 10, 7, 1])
def test_every_part_of_a_span_is_a_page_of_its_size(size: int) -> None:
    span = Span(3 * size, size)
    for part in range(1, size + 1):
        if size % part == 0:
            parts = span.parts(part)
            assert [p.start for p in parts] == list(range(span.start, span.end, part))
            assert all((p.number - 1) * p.size == p.start for p in parts)


async def test_a_feed_that_waits_for_its_rows_is_asked_again() -> None:
    server, waits = (
        Server(feed((1, True, "b"), (0, True, "b"), (0, True, "b"), (2, False, "c"))),
        Waits(),
    )
    async with client(server, waits) as source:
        pages = [page async for page in source.export(JOBS, "a")]
    assert [(page.rows, page.continue_from) for page in pages] == [(1, "b"), (2, "c")]
    assert [r.url.params["from"] for r in server.requests] == ["a", "b", "b", "b"]
    assert waits.seconds == [1.0, 2.0]


@pytest.mark.parametrize(
    "tokens", [["a"], ["b", "a"], ["b", "c", "a"], ["b", "c", "d", "b"]], ids="-".join
)
async def test_a_feed_that_leads_back_over_empty_pages_is_a_loop(tokens: list[str]) -> None:
    turn = itertools.cycle(tokens)

    def app(request: httpx.Request) -> httpx.Response:
        return ok(f'{{"hasMore": true, "continueFrom": "{next(turn)}", "data": []}}'.encode())

    server, waits = Server(app), Waits()
    async with client(server, waits) as source:
        with pytest.raises(MalformedResponse, match="leads back"):
            await asyncio.wait_for(ids(source.export(JOBS, "a")), 10)
    assert len(server.requests) < 30
    assert sum(waits.seconds) < 60


async def test_a_feed_with_rows_that_leads_back_is_a_loop() -> None:
    server = Server(feed((1, True, "b"), (1, True, "a")))
    async with client(server) as source:
        with pytest.raises(MalformedResponse, match="leads back"):
            await ids(source.export(JOBS, "a"))
    assert len(server.requests) == 2


async def test_a_feed_of_empty_pages_at_ever_new_places_is_without_end() -> None:
    places = itertools.count()

    def app(request: httpx.Request) -> httpx.Response:
        return ok(f'{{"hasMore": true, "continueFrom": "{next(places)}", "data": []}}'.encode())

    server = Server(app)
    async with client(server) as source:
        with pytest.raises(MalformedResponse, match="50 pages were empty"):
            await asyncio.wait_for(ids(source.export(JOBS, "a")), 10)
    assert len(server.requests) <= 1000


async def test_a_feed_that_repeats_itself_at_ever_new_places_is_without_end() -> None:
    places = itertools.count()

    def app(request: httpx.Request) -> httpx.Response:
        answer = f'{{"hasMore": true, "continueFrom": "{next(places)}", "data": [{{"id": 1}}]}}'
        return ok(answer.encode())

    server = Server(app)
    async with client(server) as source:
        with pytest.raises(MalformedResponse, match="the same rows"):
            await asyncio.wait_for(ids(source.export(JOBS, "a")), 10)
    assert len(server.requests) <= 100
