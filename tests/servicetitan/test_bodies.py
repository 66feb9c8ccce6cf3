"""Bodies that are longer than anything that was asked for, or cannot be unpacked."""

import gzip
import zlib
from collections.abc import Iterator

import httpx
import pytest

from st_kpi.errors import SourceError
from st_kpi.servicetitan import bodies
from tests.servicetitan.test_client import JOBS, NOW, Server, Waits, body, client, in_turn, ok


def packed(content: bytes, status: int = 200, encoding: str = "gzip") -> httpx.Response:
    headers = {"Content-Encoding": encoding, "Date": NOW}

    def parts() -> Iterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            for part in parts():
                yield part

    return httpx.Response(status, headers=headers, stream=Stream())


async def test_a_body_that_unpacks_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 1_000_000)
    bomb = gzip.compress(b'{"data": [' + b" " * 50_000_000)
    server, waits = Server(lambda request: packed(bomb)), Waits()
    async with client(server, waits) as source:
        with pytest.raises(
            SourceError, match="longer than 1,000,000 bytes, decompressed"
        ) as failed:
            await source.page(JOBS, None, 1)
    assert failed.value.entity == "jobs"
    assert len(server.requests) == 1
    assert waits.seconds == []


async def test_a_page_beyond_the_ceiling_is_asked_for_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 3_000)

    def app(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params["pageSize"])
        first = (int(request.url.params["page"]) - 1) * size
        return ok(body(size, first=first, more=first + size < 1000, total=1000))

    async with client(Server(app)) as source:
        rows = sum([page.rows async for page in source.pages(JOBS, page_size=500)])
    assert rows == 1000


async def test_layers_of_compression_are_not_unpacked() -> None:
    twice = gzip.compress(gzip.compress(body()))
    async with client(Server(lambda request: packed(twice, encoding="gzip, gzip"))) as source:
        with pytest.raises(SourceError, match="compressed more than once"):
            await source.page(JOBS, None, 1)


@pytest.mark.parametrize(
    "content",
    [b"no gzip at all", zlib.compress(b"x")[:-3], gzip.compress(b" " * 3_000_000)],
    ids=["not packed", "another packing", "a bomb"],
)
async def test_an_error_whose_body_cannot_be_unpacked_keeps_its_status(content: bytes) -> None:
    answers = [packed(content, 503), packed(content, 503), ok()]
    server, waits = Server(in_turn(*answers)), Waits()
    async with client(server, waits) as source:
        assert (await source.page(JOBS, None, 1)).rows == 1
    assert len(server.requests) == 3
    async with client(Server(lambda request: packed(content, 404))) as source:
        with pytest.raises(SourceError) as failed:
            await source.page(JOBS, None, 1)
    assert failed.value.status == 404


async def test_an_endless_token_is_not_read_to_its_end() -> None:
    bomb = gzip.compress(b'{"access_token": "' + b"x" * 50_000_000)

    async def app(request: httpx.Request) -> httpx.Response:
        return packed(bomb)

    async with client(app) as source:
        with pytest.raises(SourceError, match="longer than 1,000,000 bytes"):
            await source.page(JOBS, None, 1)
