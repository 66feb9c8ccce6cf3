"""The ASGI app: the real API's paths, sign-in, paging, filters, feeds, limits and errors."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from st_kpi.sandbox.about import about_routes
from st_kpi.sandbox.clock import SECOND, ticks
from st_kpi.sandbox.company import Company, SandboxCredentials
from st_kpi.sandbox.endpoints import ENDPOINTS, Endpoint
from st_kpi.sandbox.problem import Problem, json_answer
from st_kpi.sandbox.query import BadRequest, Query, Shelf, parse_query
from st_kpi.sandbox.reports.api import report_routes
from st_kpi.sandbox.reports.desk import Reports
from st_kpi.sandbox.reports.download import download_routes
from st_kpi.sandbox.tokens import SCOPES, TokenDesk, continuation, parse_continuation
from st_kpi.sandbox.wire.accounting import invoice_item
from st_kpi.sandbox.wire.base import Names, Record

EXPORT_PAGE = 5_000
COUNTERS = (
    "requests",
    "rate_limited",
    "max_requests_in_a_second",
    "unauthorized",
    "not_found",
    "tokens_issued",
)


class Limiter:
    """At most so many calls in any rolling second; also counts what arrived, for tests."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._arrived: deque[float] = deque()
        self._accepted: deque[float] = deque()
        self.peak = 0

    def admit(self) -> bool:
        """Count a call; False when it is one too many."""
        now = self._clock()
        for times in (self._arrived, self._accepted):
            while times and times[0] <= now - 1.0:
                times.popleft()
        self._arrived.append(now)
        self.peak = max(self.peak, len(self._arrived))
        if len(self._accepted) >= self._per_second:
            return False
        self._accepted.append(now)
        return True


class Tenant:
    """The company behind the endpoints, with what is remembered about it between requests."""

    def __init__(self, company: Company, feed_page: int = EXPORT_PAGE) -> None:
        self.company = company
        self._feed_page = feed_page
        self._version = company.version
        self._names: Names | None = None
        self._shelves: dict[str, Shelf] = {}
        self._items: list[Any] | None = None

    def _forget_if_changed(self) -> None:
        if self._version != self.company.version:
            self._version, self._names, self._items = self.company.version, None, None
            self._shelves.clear()

    def page(self, endpoint: Endpoint, query: Query) -> Any:
        """One page of a list endpoint."""
        self._forget_if_changed()
        rows = self._shelf(endpoint).select(query)
        page = query.paging.envelope(rows, lambda row: endpoint.write(row, self.names))
        return page["data"] if endpoint.bare else page

    def feed(self, endpoint: Endpoint, params: Mapping[str, str]) -> Record:
        """One page of an export feed: every row, deleted or not, by change time."""
        self._forget_if_changed()
        stamps, rows = self._shelf(endpoint).changes()
        if endpoint.path == "appointments" and params.get("active", "").lower() in _ONLY:
            wanted = params["active"].lower() == "true"
            kept = [n for n, row in enumerate(rows) if row.active is wanted]
            stamps, rows = [stamps[n] for n in kept], [rows[n] for n in kept]
        name, key = f"{endpoint.module}/{endpoint.export}", endpoint.key
        start, last = _resume(name, params.get("from", ""), stamps, rows, key)
        taken = rows[start : start + self._feed_page]
        if taken:
            last = (stamps[start + len(taken) - 1], getattr(taken[-1], key))
        data = [endpoint.write(row, self.names) for row in taken]
        if endpoint.export_adds_active:
            for record, row in zip(data, taken, strict=True):
                record["active"] = row.active
        return {
            "hasMore": start + len(taken) < len(rows),
            "continueFrom": continuation(name, *last),
            "data": data,
        }

    def item_feed(self, params: Mapping[str, str]) -> Record:
        """The export of invoice items, which has no list endpoint."""
        self._forget_if_changed()
        if self._items is None:
            pairs = [
                (bill.modified or bill.created, item.id, (item, bill, order))
                for bill in self.company.invoices
                for order, item in enumerate(bill.items)
            ]
            self._items = sorted(pairs, key=lambda pair: pair[:2])
        keys = [pair[:2] for pair in self._items]
        name = "accounting/export/invoice-items"
        last = _position(name, params.get("from", ""))
        start = bisect_right(keys, last)
        taken = self._items[start : start + self._feed_page]
        if taken:
            last = taken[-1][:2]
        return {
            "hasMore": start + len(taken) < len(keys),
            "continueFrom": continuation(name, *last),
            "data": [invoice_item(row, self.names) for *_, row in taken],
        }

    @property
    def names(self) -> Names:
        """Names by id, gathered once."""
        if self._names is None:
            self._names = Names(self.company)
        return self._names

    def _shelf(self, endpoint: Endpoint) -> Shelf:
        path = f"{endpoint.module}/{endpoint.path}"
        if path not in self._shelves:
            self._shelves[path] = Shelf(endpoint, self.company)
        return self._shelves[path]


_ONLY = ("true", "false")


def _position(feed: str, text: str) -> tuple[int, int]:
    """The last position already read: from a token, from just before a date, or the beginning."""
    if not text:
        return (-1, -1)
    known = parse_continuation(feed, text)
    if known is not None:
        return known
    try:
        return (ticks(text), -1)
    except ValueError as error:
        raise BadRequest("from", "The continuation token or date is not valid.") from error


def _resume(
    feed: str, text: str, stamps: list[int], rows: list[Any], key: str
) -> tuple[int, tuple[int, int]]:
    last = _position(feed, text)
    start = bisect_left(stamps, last[0])
    while start < len(rows) and (stamps[start], getattr(rows[start], key)) <= last:
        start += 1
    return start, last


class Gate:
    """Sign-in, keys, tenant and rate limit in front of every endpoint, with counters for tests."""

    def __init__(
        self, app: Starlette, tenant_id: int, limiter: Limiter, desk: TokenDesk, problem: Problem
    ) -> None:
        self.app = app
        self.tenant_id = str(tenant_id)
        self.limiter = limiter
        self.desk = desk
        self.problem = problem

    def check(self, request: Request) -> Response | None:
        """None to go on, else the refusal."""
        state = self.app.state
        state.requests += 1
        admitted = self.limiter.admit()
        state.max_requests_in_a_second = self.limiter.peak
        if not admitted:
            state.rate_limited += 1
            title = "Rate limit is exceeded. Try again in 1 seconds."
            return self.problem(429, title, headers={"Retry-After": "1"})
        if not self.desk.valid(request.headers.get("authorization", "")):
            state.unauthorized += 1
            return self.problem(401)
        if request.headers.get("st-app-key") != SandboxCredentials.APP_KEY:
            return self.problem(403)
        if request.path_params.get("tenant") != self.tenant_id:
            return self.problem(403)
        return None


class Dated:
    """Puts the tenant's own clock on every answer: a second after its last change, not the machine's now.

    A client takes it for the time up to which it has read, and what happens next at the tenant is later.
    """

    def __init__(self, app: ASGIApp, company: Company) -> None:
        self._app = app
        self._company = company

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = formatdate(self._company.now // SECOND + 1, usegmt=True)
                message["headers"] = [*message["headers"], (b"date", now.encode())]
            await send(message)

        await self._app(scope, receive, dated)


def create_app(
    company: Company,
    *,
    requests_per_second: int = 60,
    token_seconds: int = 900,
    report_seconds: float = 60.0,
    feed_page: int = EXPORT_PAGE,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The tenant as an ASGI app; `clock` is only for tests of expiry and limits.

    `report_seconds` must pass between two calls for the data of one report; `feed_page` is how many rows a page of an export feed holds, which no client can ask for.

    Example: `httpx.AsyncClient(transport=httpx.ASGITransport(create_app(company)))`.
    """
    app = Starlette(middleware=[Middleware(Dated, company)])
    tenant, problem = Tenant(company, feed_page), Problem()
    desk = TokenDesk(token_seconds, clock)
    gate = Gate(app, company.tenant_id, Limiter(requests_per_second, clock), desk, problem)
    for counter in COUNTERS:
        setattr(app.state, counter, 0)
    app.state.company = company
    app.state.faults = Counter()  # filled by whoever makes this app misbehave
    app.state.reports = Reports(company, report_seconds, clock, app.state.faults)

    def guarded(answer: Callable[[Mapping[str, str]], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            refusal = gate.check(request)
            if refusal is not None:
                return refusal
            try:
                return json_answer(answer(request.query_params))
            except BadRequest as bad:
                return problem(400, errors={bad.parameter: [bad.problem]})

        return endpoint

    async def token(request: Request) -> Response:
        return await _sign_in(request, app, desk, problem)

    async def missing(request: Request) -> Response:
        app.state.not_found += 1
        return problem(404)

    app.router.routes += [Route("/connect/token", token, methods=["POST"])]
    app.router.routes += about_routes(
        company,
        lambda: {
            **{name: getattr(app.state, name) for name in (*COUNTERS, "faults")},
            "report_differences": app.state.reports.differences.told,
        },
    )
    for entry in ENDPOINTS:
        base = f"/{entry.module}/v2/tenant/{{tenant}}/"
        app.router.routes.append(Route(base + entry.path, guarded(_lister(tenant, entry))))
        for feed in filter(None, (entry.export, entry.older_export)):
            app.router.routes.append(Route(base + feed, guarded(_feeder(tenant, entry))))
    app.router.routes += download_routes(app.state.reports)
    app.router.routes += report_routes(app.state.reports, gate.check, problem)
    items = Route("/accounting/v2/tenant/{tenant}/export/invoice-items", guarded(tenant.item_feed))
    everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.router.routes += [items, Route("/{path:path}", missing, methods=everything)]
    return app


def _lister(tenant: Tenant, endpoint: Endpoint) -> Callable[[Mapping[str, str]], Any]:
    return lambda params: tenant.page(endpoint, parse_query(endpoint, params))


def _feeder(tenant: Tenant, endpoint: Endpoint) -> Callable[[Mapping[str, str]], Any]:
    return lambda params: tenant.feed(endpoint, params)


async def _sign_in(request: Request, app: Starlette, desk: TokenDesk, problem: Problem) -> Response:
    """Client credentials as a form; anything else is a 400, wrong credentials too."""
    if "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
        return problem(400, errors={"": ["The request must be form-urlencoded."]})
    form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
    if form.get("grant_type") != "client_credentials":
        return json_answer({"error": "unsupported_grant_type"}, 400)
    if (form.get("client_id"), form.get("client_secret")) != (
        SandboxCredentials.CLIENT_ID,
        SandboxCredentials.CLIENT_SECRET,
    ):
        return json_answer({"error": "invalid_client"}, 400)
    token = desk.issue()
    app.state.tokens_issued = desk.issued
    return json_answer(
        {
            "access_token": token,
            "expires_in": desk.seconds,
            "token_type": "Bearer",
            "scope": SCOPES,
        }
    )
