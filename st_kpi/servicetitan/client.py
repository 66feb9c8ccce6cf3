"""The ServiceTitan client: counts, pages of lists and export feeds, paced, retried and bounded.

async with ServiceTitan(credentials, api_url=..., auth_url=...) as source:
    async for page in source.pages(REGISTRY["jobs"], Created(start, end)):
        spool.write(ndjson(page.records))
"""

import asyncio
import hashlib
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from st_kpi.errors import MalformedResponse, SourceError
from st_kpi.servicetitan import bodies
from st_kpi.servicetitan.auth import ClientCredentials, Credentials
from st_kpi.servicetitan.clock import SourceClock
from st_kpi.servicetitan.failure import brief, to_source_error
from st_kpi.servicetitan.pages import Envelope, Page, parse
from st_kpi.servicetitan.paging import AnswerTooLarge, ListReader, PageSizes, Span, Standstill
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
from st_kpi.servicetitan.retry import Failure, RetryPolicy, too_large, too_slow

__all__ = ["Count", "Created", "Credentials", "Modified", "Page", "ServiceTitan"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: How often a span that smaller ones can replace is asked for, where it comes too slowly, or where a larger one failed.
_TRIES_BEFORE_PARTS = 2
#: How often the same bytes that nobody can read are asked for: who sends them means them.
_TRIES_OF_THE_SAME = 3
#: Waits, in seconds, before a feed that says there is more without moving on is asked again.
_FEED_WAITS = (1.0, 2.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True)
class Count:
    """How many rows the source promises, and its own time when it said so, in UTC."""

    total: int
    server_time: datetime | None


@dataclass(frozen=True)
class _Answer:
    """What the source answered, how many bytes it was, its own time, and when it came."""

    url: str
    envelope: Envelope
    bytes: int
    server_time: datetime | None
    read_at: datetime


@dataclass(frozen=True)
class _GivenUp:
    """How the last attempt failed, and that as an error for a person."""

    failure: Failure
    error: SourceError


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
        self._sizes = PageSizes()
        self._clock = SourceClock()
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
        return _page(await self._get(entity, address), (number - 1) * size)

    def pages(
        self, entity: Entity, window: Filter | None = None, page_size: int = 5000
    ) -> AsyncGenerator[Page, None]:
        """Every page of a list: the first, with the total, then the others as they arrive.

        At most ``max_concurrency`` pages are on their way or waiting to be taken, fewer of heavy ones, so a slow taker
        does not fill the memory. An entity whose order cannot be pinned is read page after page. Of an entity whose pages
        turn out heavy, or too large for the source, smaller ones are asked for from then on.
        """

        async def ask(span: Span) -> Page:
            address = self._list_url(entity, window, span.number, span.size, span.start == 0)
            return _page(await self._get_or_less(entity, address, span), span.start)

        return ListReader(entity, ask, self._sizes, page_size, self._ahead).pages()

    async def export(self, entity: Entity, since: str | date) -> AsyncGenerator[Page, None]:
        """Every page of the export feed from a token, a day or an instant on.

        A page's ``continue_from`` is where to go on once its rows are durable, which is the old
        place when the source names none. A feed that gives nothing and says there is more, at a place where it has been
        already, is asked again a few times with a pause. Raises ``MalformedResponse`` when it still does, and when it
        gives rows and leads back, or nothing new at ever new places.
        """
        if entity.export is None:
            raise ValueError(f"{entity.name} has no export feed")
        token = export_query(since)["from"]
        asked, rows, waits, standstill = {token}, 0, iter(_FEED_WAITS), Standstill(entity)
        while True:
            query = export_query(token)
            address = url(self._api_url, entity.module, self._tenant_id, entity.export, query)
            answer = await self._get(entity, address)
            token = answer.envelope.continue_from or token
            page = _page(answer, rows, token)
            if page.has_more and token in asked:
                await self._wait_for_feed(entity, page, waits)
                continue
            standstill.note(page)
            asked.add(token)
            rows += page.rows
            yield page
            if not page.has_more:
                return

    async def _wait_for_feed(self, entity: Entity, page: Page, waits: Iterator[float]) -> None:
        """Wait before a feed is asked again that has not moved on, or raise ``MalformedResponse``."""
        wait = None if page.rows else next(waits, None)
        if wait is None:
            raise MalformedResponse(
                "The feed promises more but does not say where: it leads back to where it was",
                entity=entity.name,
                url=page.url,
            )
        _log.warning("%s: the feed is empty and promises more; again in %.0f s", entity.name, wait)
        await self._sleep(wait)

    def _list_url(
        self, entity: Entity, window: Filter | None, number: int, size: int, include_total: bool
    ) -> str:
        query = list_query(entity, window, number, size, include_total)
        return url(self._api_url, entity.module, self._tenant_id, entity.path, query)

    async def ask(
        self,
        name: str,
        method: Literal["GET", "POST", "DELETE"],
        module: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        attempts: int | None = None,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> httpx.Response:
        """The answer of an endpoint that is no list of records, tried again as a list is; any status of success.

        ``name`` is what errors and log lines call it, ``body`` is sent as JSON, and ``turn`` is waited for before each
        attempt. Raises ``SourceError``.
        """
        address = url(self._api_url, module, self._tenant_id, path, dict(query or {}))

        async def send() -> httpx.Response:
            if turn:
                await turn()
            return await self._send(address, method, body)

        outcome = await self._try(
            name,
            send,
            lambda response: response if response.is_success else None,
            address,
            lambda failure: attempts or self._retry.attempts,
        )
        if isinstance(outcome, _GivenUp):
            raise outcome.error
        return outcome

    async def _get(self, entity: Entity, address: str) -> _Answer:
        """One answer, tried as often as the policy says."""
        outcome = await self._try_page(entity, address, lambda failure: self._retry.attempts)
        if isinstance(outcome, _Answer):
            return outcome
        raise outcome.error

    async def _get_or_less(self, entity: Entity, address: str, span: Span) -> _Answer:
        """The same of a span that smaller ones can replace; raises ``AnswerTooLarge`` where they may do better."""

        def tries(failure: Failure) -> int:
            soon = span.refusal is not None or (span.size > 1 and too_slow(failure))
            return _TRIES_BEFORE_PARTS if soon else self._retry.attempts

        outcome = await self._try_page(entity, address, tries)
        if isinstance(outcome, _Answer):
            return outcome
        if too_large(outcome.failure):
            _log.warning(
                "%s: %d records at once: %s", entity.name, span.size, brief(outcome.failure)
            )
            raise AnswerTooLarge(outcome.error)
        raise outcome.error

    async def _try_page(
        self, entity: Entity, address: str, tries: Callable[[Failure], int]
    ) -> "_Answer | _GivenUp":
        """A page of records, or how the last attempt failed."""

        def read(response: httpx.Response) -> _Answer | None:
            if response.status_code != 200:
                return None
            envelope = parse(response.content, entity=entity.name, url=address)
            told = self._clock.time(response)
            read_at = self._clock.moment(told)
            return _Answer(address, envelope, len(response.content), told, read_at)

        return await self._try(entity.name, lambda: self._send(address), read, address, tries)

    async def _try(
        self,
        name: str,
        send: Callable[[], Awaitable[httpx.Response]],
        read: Callable[[httpx.Response], T | None],
        address: str,
        tries: Callable[[Failure], int],
    ) -> "T | _GivenUp":
        """What ``read`` makes of an answer, which is None for a status of failure, or how the last attempt failed.

        Each attempt is made with a token that is still good. What comes malformed in the same bytes is not asked for again
        and again.
        """
        malformed = Counter[tuple[str, bytes]]()
        for attempt in itertools.count(1):
            failure: Failure
            response = None
            try:
                response = await send()
                answer = read(response)
                if answer is not None:
                    return answer
                failure = response
            except (httpx.HTTPError, MalformedResponse, TimeoutError) as error:
                failure = error
            wait = self._retry.delay(attempt, failure, self._rng)
            if isinstance(failure, MalformedResponse):
                malformed[_outline(failure, response)] += 1
            settled = max(malformed.values(), default=0) >= _TRIES_OF_THE_SAME
            if wait is None or settled or attempt >= tries(failure):
                return _GivenUp(failure, to_source_error(failure, name, address, attempt))
            _log.warning(
                "%s: attempt %d failed with %s; again in %.1f s",
                name,
                attempt,
                brief(failure),
                wait,
            )
            await self._sleep(wait)
        raise AssertionError("unreachable")

    async def _send(self, address: str, method: str = "GET", body: object = None) -> httpx.Response:
        """The response and its whole body; raises ``TimeoutError`` if that only trickles in."""
        async with self._in_flight:
            request = self._http.build_request(method, address, json=body)
            response = await self._http.send(request, stream=True)
            try:
                async with asyncio.timeout(self._body_timeout):
                    await bodies.read(response, bodies.MOST_BYTES)
            finally:
                await response.aclose()
            return response


def _page(answer: _Answer, start: int, continue_from: str | None = None) -> Page:
    envelope = answer.envelope
    return Page(
        start=start,
        records=envelope.data,
        has_more=envelope.has_more,
        url=answer.url,
        bytes=answer.bytes,
        total=envelope.total_count,
        continue_from=continue_from,
        server_time=answer.server_time,
        read_at=answer.read_at,
    )


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


def _outline(error: MalformedResponse, response: httpx.Response | None) -> tuple[str, bytes]:
    """What tells one malformed answer from another: of a token there is no body to look at, only what was wrong."""
    body = response.content if response is not None else b""
    return error.message, hashlib.sha256(body).digest()
