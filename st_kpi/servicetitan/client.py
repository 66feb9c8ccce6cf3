"""The ServiceTitan client: counts, pages of lists and export feeds, paced, retried and bounded.

async with ServiceTitan(credentials, api_url=..., auth_url=...) as source:
    async for page in source.pages(REGISTRY["jobs"], Created(start, end)):
        spool.write(page.ndjson())
"""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from st_kpi.errors import MalformedResponse
from st_kpi.servicetitan.auth import ClientCredentials, Credentials
from st_kpi.servicetitan.failure import brief, to_source_error
from st_kpi.servicetitan.pages import Envelope, Page, parse
from st_kpi.servicetitan.query import (
    Created,
    Filter,
    Modified,
    export_query,
    list_query,
    url,
)
from st_kpi.servicetitan.rate import Limiter, RollingWindow
from st_kpi.servicetitan.registry import Entity
from st_kpi.servicetitan.retry import Failure, RetryPolicy

__all__ = ["Count", "Created", "Credentials", "Modified", "Page", "ServiceTitan"]

_log = logging.getLogger(__name__)

#: A list page without rows that promises more is odd but not the end; so many in a row are a loop.
_EMPTY_PAGES = 20


@dataclass(frozen=True)
class Count:
    """How many rows the source promises, and its own time when it said so, in UTC."""

    total: int
    server_time: datetime | None


class _Metered(httpx.AsyncBaseTransport):
    """Takes a slot of the limiter for each request on the wire, also the second one after a 401.

    Token requests are not counted by the API. A transport returns when the headers are there, so
    the slot is not held while the body comes.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, limiter: Limiter, free: str) -> None:
        self._inner = inner
        self.limiter = limiter
        self._free = httpx.URL(free)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url == self._free:
            return await self._inner.handle_async_request(request)
        async with self.limiter.slot():
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class ServiceTitan:
    """One tenant's API; failures are ``SourceError``s that name entity, URL, status and traceId.

    ``timeout`` is in seconds without a byte; a body may take three times as long in all.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        api_url: str,
        auth_url: str,
        requests_per_second: int = 60,
        max_concurrency: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = 100.0,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._tenant_id = credentials.tenant_id
        self._api_url = api_url
        self._ahead = max_concurrency
        self._body_timeout = 3 * timeout
        self._retry = retry or RetryPolicy()
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._in_flight = asyncio.Semaphore(max_concurrency)
        auth = ClientCredentials(credentials, auth_url)
        inner = transport or _network(api_url, max_concurrency)
        self._metered = _Metered(inner, RollingWindow(requests_per_second), auth.token_url)
        self._http = httpx.AsyncClient(
            auth=auth,
            transport=self._metered,
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout), pool=None),
            follow_redirects=False,  # a redirect leads to another host, which must not get the keys
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    def share(self, allowance: Callable[[Limiter], Limiter]) -> None:
        """Pace requests from now on by what ``allowance`` makes of the limiter that is in force."""
        self._metered.limiter = allowance(self._metered.limiter)

    async def count(self, entity: Entity, window: Filter | None = None) -> Count:
        """How many rows the source promises for a window."""
        first = await self.page(entity, window, 1, 1, include_total=True)
        if first.total is None:
            address = self._list_url(entity, window, 1, 1, True)
            raise MalformedResponse(
                "The answer has no totalCount, though it was asked for",
                entity=entity.name,
                url=address,
            )
        return Count(first.total, first.server_time)

    async def page(
        self,
        entity: Entity,
        window: Filter | None,
        number: int,
        size: int = 5000,
        *,
        include_total: bool = False,
    ) -> Page:
        """One page of a list, in the order that the registry pins; pages count from 1."""
        address = self._list_url(entity, window, number, size, include_total)
        envelope, server_time = await self._get(entity, address)
        return Page(
            number=number,
            records=envelope.data,
            has_more=envelope.has_more,
            total=envelope.total_count,
            server_time=server_time,
        )

    async def pages(
        self, entity: Entity, window: Filter | None = None, page_size: int = 5000
    ) -> AsyncGenerator[Page, None]:
        """Every page of a list: the first, with the total, then the others as they arrive.

        At most ``max_concurrency`` pages are on their way or waiting to be
        taken, so a slow taker does not fill the memory. An entity whose order cannot be pinned is
        read page after page.
        """
        first = await self.page(entity, window, 1, page_size, include_total=True)
        yield first
        last = first
        if first.has_more and first.total is not None and entity.sort:
            numbers = iter(range(2, -(-first.total // page_size) + 1))
            others = self._side_by_side(entity, window, page_size, numbers)
            async with aclosing(others):  # so that leaving early stops the requests at once
                async for page in others:
                    last = max(last, page, key=lambda p: p.number)
                    yield page
        # The total may be wrong or have grown: only hasMore ends a list.
        empty = 0
        while last.has_more:
            last = await self.page(entity, window, last.number + 1, page_size)
            empty = 0 if last.rows else empty + 1
            if empty == _EMPTY_PAGES:
                raise MalformedResponse(
                    f"{empty} pages in a row were empty and promised more",
                    entity=entity.name,
                    url=self._list_url(entity, window, last.number, page_size, False),
                )
            yield last

    async def export(self, entity: Entity, since: str | date) -> AsyncGenerator[Page, None]:
        """Every page of the export feed from a token, a day or an instant on.

        A page's ``continue_from`` is where to go on once its rows are durable, which is the old
        place when the source names none. Raises ``MalformedResponse`` when the feed promises more
        but does not advance.
        """
        if entity.export is None:
            raise ValueError(f"{entity.name} has no export feed")
        token = export_query(since)["from"]
        for number in itertools.count(1):
            query = export_query(token)
            address = url(self._api_url, entity.module, self._tenant_id, entity.export, query)
            envelope, server_time = await self._get(entity, address)
            following = envelope.continue_from or token
            if envelope.has_more and following == token:
                raise MalformedResponse(
                    "The feed promises more but does not say where", entity=entity.name, url=address
                )
            token = following
            yield Page(
                number=number,
                records=envelope.data,
                has_more=envelope.has_more,
                continue_from=token,
                server_time=server_time,
            )
            if not envelope.has_more:
                return

    async def _side_by_side(
        self,
        entity: Entity,
        window: Filter | None,
        size: int,
        numbers: Iterator[int],
    ) -> AsyncGenerator[Page, None]:
        running: set[asyncio.Task[Page]] = set()

        def top_up() -> None:
            for number in itertools.islice(numbers, self._ahead - len(running)):
                running.add(asyncio.create_task(self.page(entity, window, number, size)))

        top_up()
        try:
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                task = done.pop()
                running.discard(task)
                page = task.result()
                top_up()
                yield page
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _list_url(
        self, entity: Entity, window: Filter | None, number: int, size: int, include_total: bool
    ) -> str:
        query = list_query(entity, window, number, size, include_total)
        return url(self._api_url, entity.module, self._tenant_id, entity.path, query)

    async def _get(self, entity: Entity, address: str) -> tuple[Envelope, datetime | None]:
        """One answer, tried as often as the policy says, each time with a token still good."""
        for attempt in itertools.count(1):
            failure: Failure
            try:
                response = await self._send(address)
                if response.status_code == 200:
                    envelope = parse(response.content, entity=entity.name, url=address)
                    return envelope, _server_time(response)
                failure = response
            except (httpx.HTTPError, MalformedResponse, TimeoutError) as error:
                failure = error
            wait = self._retry.delay(attempt, failure, self._rng)
            if wait is None:
                raise to_source_error(failure, entity, address, attempt)
            _log.warning(
                "%s: attempt %d failed with %s; again in %.1f s",
                entity.name,
                attempt,
                brief(failure),
                wait,
            )
            await self._sleep(wait)
        raise AssertionError("unreachable")

    async def _send(self, address: str) -> httpx.Response:
        """The response and its whole body; raises ``TimeoutError`` if that only trickles in."""
        async with self._in_flight:
            request = self._http.build_request("GET", address)
            response = await self._http.send(request, stream=True)
            try:
                async with asyncio.timeout(self._body_timeout):
                    await response.aread()
            finally:
                await response.aclose()
            return response


def _network(api_url: str, connections: int) -> httpx.AsyncHTTPTransport:
    """The real transport; httpx reads no proxy settings for a transport that it is given."""
    parts, proxies = urlsplit(api_url), getproxies()
    bypass = proxy_bypass(parts.hostname or "")
    return httpx.AsyncHTTPTransport(
        proxy=None if bypass else proxies.get(parts.scheme, proxies.get("all")),
        limits=httpx.Limits(
            max_connections=connections + 1,
            max_keepalive_connections=connections + 1,
            # Under the five seconds after which common servers close: a request must not meet a
            # closing connection.
            keepalive_expiry=4.0,
        ),
    )


def _server_time(response: httpx.Response) -> datetime | None:
    """The server's clock in UTC; None when it does not tell, which must not be filled from ours."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None
