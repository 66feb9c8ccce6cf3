"""A tenant that misbehaves: an ASGI wrapper around the well-behaved one.

    app = misbehave(create_app(company), Faults.parse(["server-error=0.1", "feed-unsorted"], seed=3))

Every request reaches the inner app first, so that its limits and counters see also those that then
fail. What the inner app refused (limit, sign-in, bad parameter) is passed on as it is; a good answer
may be edited, replaced, cut or held back. Only lists, feeds and the token endpoint are concerned; a
fault of an answer reaches the token endpoint when its path says `connect/token`. What is wrong inside
a report is handed to the reports themselves, whose rows are dated and summed only there. How often each
fault occurred is counted in `app.state.faults`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from st_kpi.sandbox.faults.names import CATALOGUE, Fault, Faults, described
from st_kpi.sandbox.faults.pages import FEED_FAULTS, MOVES, SAME_PLACE, FeedFaults, move_rows
from st_kpi.sandbox.faults.records import RECORD_FAULTS, hit, huge_ids, with_long_text
from st_kpi.sandbox.problem import Problem
from st_kpi.sandbox.wire.base import Record

__all__ = ["CATALOGUE", "Fault", "Faults", "Misbehaving", "described", "misbehave"]

Sleep = Callable[[float], Awaitable[None]]
_TOKEN = "connect/token"
_PIECES = 10
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>upstream</body></html>"


@dataclass(slots=True)
class _Request:
    """What faults look at: `jpm/export/jobs` and the like, the query, the access token."""

    path: str
    query: dict[str, str]
    token: str

    @property
    def start(self) -> str:
        return self.query.get("from", "")

    @property
    def has_records(self) -> bool:
        """Reports have rows without names, which other faults are about."""
        return self.path != _TOKEN and not self.path.startswith("reporting/")

    @property
    def is_feed(self) -> bool:
        return "export" in self.path.split("/")


@dataclass(slots=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def carrying(self, body: bytes) -> _Answer:
        """The same answer with another body, and a length that fits it."""
        headers = [pair for pair in self.headers if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        return replace(self, headers=headers, body=body)


def misbehave(app: Starlette, faults: Faults, *, sleep: Sleep = asyncio.sleep) -> Misbehaving:
    """The app of a tenant with faults; `sleep` is what hanging and slow answers wait with."""
    return Misbehaving(app, faults, sleep)


class Misbehaving:
    """See the module; each fault draws from a random generator of its own."""

    def __init__(self, app: Starlette, faults: Faults, sleep: Sleep) -> None:
        self.app = app
        self.state = app.state
        self._seed = faults.seed
        app.state.reports.differences.plant(faults)
        self._sleep = sleep
        self._problem = Problem()
        self._faults = [
            (fault, Random(f"{faults.seed}:{n}:{fault.name}"))
            for n, fault in enumerate(faults.faults)
        ]
        self._feeds = FeedFaults(faults.seed)
        self._used: set[str] = set()
        self._dead: set[str] = set()
        self._refused: set[Fault] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or fail it."""
        request = _read(scope)
        if request is None:
            await self.app(scope, receive, send)
            return
        answer = await self._inner(scope, request, receive)
        delivery: tuple[Fault, _Answer] | None = None
        if answer.status == 200:
            answer = self._edited(request, self._denied(request, answer))
            answer, delivery = self._failed(request, answer)
        if delivery is None:
            await _send(send, answer, answer.body)
        else:
            await self._deliver(*delivery, receive, send)

    async def _inner(self, scope: Scope, request: _Request, receive: Receive) -> _Answer:
        """The well-behaved answer, whole."""
        if request.start.endswith(SAME_PLACE):
            plain = {**request.query, "from": request.start.rstrip(SAME_PLACE)}
            scope = {**scope, "query_string": urlencode(plain).encode()}
        answer = _Answer(500)

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, receive, keep)
        return answer

    def _matching(self, request: _Request) -> list[tuple[Fault, Random]]:
        if request.path == _TOKEN:
            return [
                (fault, rng)
                for fault, rng in self._faults
                if fault.name.startswith("token-refused") or (fault.path and fault.path in _TOKEN)
            ]
        return [
            (fault, rng)
            for fault, rng in self._faults
            if fault.path in request.path and not fault.name.startswith("token-refused")
        ]

    def _count(self, fault: Fault, times: int = 1) -> None:
        if times:
            self.state.faults[fault.name] += times

    # Access

    def _denied(self, request: _Request, answer: _Answer) -> _Answer:
        """Refusals of a token, an endpoint or a page."""
        if request.token in self._dead:
            return self._error(401, "Unauthorized")
        for fault, rng in self._matching(request):
            refusal = self._refusal(fault, rng, request)
            if refusal is not None:
                self._count(fault)
                return refusal
        self._used.add(request.token)
        return answer

    def _refusal(self, fault: Fault, rng: Random, request: _Request) -> _Answer | None:
        if fault.name == "page-fails":
            fails = request.query.get("page", "1") == fault.detail and not request.is_feed
            return self._error(500, "An unexpected error occurred.") if fails else None
        if fault.name not in _REFUSALS or rng.random() >= fault.share:
            return None
        if fault.name == "token-dies":
            if request.token not in self._used:  # a new one works at least once
                return None
            self._dead.add(request.token)
            return self._error(401, "Unauthorized")
        if fault.name == "token-refused-once":
            if fault in self._refused:
                return None
            self._refused.add(fault)
        if fault.name.startswith("token-refused"):
            return self._no_token(int(fault.detail))
        if fault.name == "forbidden":
            return self._error(403, "Scope validation failed")
        return self._error(404, "Not found")

    def _no_token(self, status: int) -> _Answer:
        if status == 400:
            body = orjson.dumps({"error": "invalid_client"})
            return _of(Response(body, 400, media_type="application/json"))
        return self._error(status, "Try again later.", {"Retry-After": "1"})

    def _error(self, status: int, title: str, headers: dict[str, str] | None = None) -> _Answer:
        return _of(self._problem(status, title, headers=headers))

    # Records and pages

    def _edited(self, request: _Request, answer: _Answer) -> _Answer:
        """The answer with faults in its records and pages; parsed only when there is one."""
        faults = [pair for pair in self._matching(request) if pair[0].name in _EDITS]
        if not faults or answer.status != 200 or not request.has_records:
            return answer
        body = before = orjson.loads(answer.body)
        for fault, rng in faults:
            if fault.name in MOVES:
                moved = move_rows(fault, rng, self.state.company, request.path, body)
                self._count(fault, int(moved))
            elif fault.name not in FEED_FAULTS:
                body = self._with_records(body, self._spoilt(fault, rng, _records(body)))
            elif request.is_feed:
                page = self._feeds.edit(fault, rng, request.path, request.start, body)
                self._count(fault, int(page != body))
                body = page
        return answer if body is before else answer.carrying(_encode(body))

    def _spoilt(self, fault: Fault, rng: Random, records: list[Record]) -> list[Record]:
        if fault.name == "huge-record":
            if not records or rng.random() >= fault.share:
                return records
            self._count(fault)
            return [with_long_text(records[0], int(fault.detail)), *records[1:]]
        if fault.name == "huge-ids":
            spoilt = [huge_ids(record, self._seed, fault) for record in records]
        else:
            edit = RECORD_FAULTS[fault.name]
            spoilt = [
                edit(record, fault) if hit(self._seed, fault, record) else record
                for record in records
            ]
        self._count(fault, sum(a != b for a, b in zip(spoilt, records, strict=True)))
        return spoilt

    def _with_records(self, body: Any, records: list[Record]) -> Any:
        return records if isinstance(body, list) else {**body, "data": records}

    # Answers

    def _failed(
        self, request: _Request, answer: _Answer
    ) -> tuple[_Answer, tuple[Fault, _Answer] | None]:
        """The first fault drawn decides; every fault draws, so that each has its own sequence."""
        drawn = [
            fault
            for fault, rng in self._matching(request)
            if fault.name in _FAILURES and rng.random() < fault.share
        ]
        if not drawn or answer.status != 200:
            return answer, None
        fault = drawn[0]
        self._count(fault)
        if fault.name in _DELIVERIES:
            return answer, (fault, answer)
        return self._failure(fault, answer), None

    def _failure(self, fault: Fault, answer: _Answer) -> _Answer:
        if fault.name == "truncated-json":
            return answer.carrying(answer.body[: len(answer.body) // 2])
        if fault.name == "cut-between-records":
            return answer.carrying(_up_to_a_comma(answer.body))
        if fault.name == "bad-gateway":
            return _of(Response(_HTML, 502, media_type="text/html"))
        if fault.name == "unavailable":
            return _of(Response(b"", 503))
        if fault.name == "server-error":
            return self._error(500, "An unexpected error occurred.")
        title = f"Rate limit is exceeded. Try again in {fault.detail} seconds."
        told = {"Retry-After": fault.detail} if fault.name == "rate-limit" else None
        return self._error(429, title, told)

    async def _deliver(self, fault: Fault, answer: _Answer, receive: Receive, send: Send) -> None:
        if fault.name == "cut-connection":
            # The server closes the connection of an app that returns before the body is complete.
            await _send(send, answer, answer.body[: len(answer.body) // 2], more=True)
        elif fault.name == "hang":
            if await self._wait(receive, float(fault.detail)):
                await _send(send, answer, answer.body)
        else:
            await self._trickle(answer, float(fault.detail), receive, send)

    async def _trickle(self, answer: _Answer, seconds: float, receive: Receive, send: Send) -> None:
        size = len(answer.body) // _PIECES + 1
        await _send(send, answer, b"", more=True)
        for start in range(0, _PIECES * size, size):
            if not await self._wait(receive, seconds / _PIECES):
                return
            piece = answer.body[start : start + size]
            last = start == (_PIECES - 1) * size
            await send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def _wait(self, receive: Receive, seconds: float) -> bool:
        """Let time pass; False as soon as the client has gone."""
        nap = asyncio.ensure_future(self._sleep(seconds))
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            await asyncio.wait({nap, gone}, return_when=asyncio.FIRST_COMPLETED)
            return not gone.done()
        finally:
            nap.cancel()
            gone.cancel()
            await asyncio.gather(nap, gone, return_exceptions=True)


_REFUSALS = frozenset(
    {"token-dies", "token-refused", "token-refused-once", "missing-endpoint", "forbidden"}
)
_EDITS = frozenset({*RECORD_FAULTS, *FEED_FAULTS, *MOVES, "huge-ids", "huge-record"})
_DELIVERIES = frozenset({"cut-connection", "hang", "slow"})
_FAILURES = _DELIVERIES | {
    "rate-limit",
    "rate-limit-in-words",
    "server-error",
    "bad-gateway",
    "unavailable",
    "truncated-json",
    "cut-between-records",
}


def _read(scope: Scope) -> _Request | None:
    """The request as faults see it; None when it is none of their business."""
    if scope["type"] != "http":
        return None
    module, *rest = scope["path"].strip("/").split("/")
    headers = dict(scope["headers"])
    token = headers.get(b"authorization", b"").decode("latin-1")
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    if [module, *rest] == _TOKEN.split("/"):
        return _Request(_TOKEN, query, "")
    if rest[:2] != ["v2", "tenant"]:
        return None
    return _Request("/".join([module, *rest[3:]]), query, token)


def _of(response: Response) -> _Answer:
    return _Answer(response.status_code, list(response.raw_headers), bytes(response.body))


def _records(body: Any) -> list[Record]:
    records: list[Record] = body if isinstance(body, list) else body.get("data", [])
    return records


def _encode(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # half a surrogate pair can only be written as an escape
        return json.dumps(body, separators=(",", ":")).encode()


def _up_to_a_comma(body: bytes) -> bytes:
    """The first half of the records and the comma after them; the body itself without records."""
    parsed = orjson.loads(body)
    records = _records(parsed)
    if not records:
        return body
    kept = b"".join(_encode(record) + b"," for record in records[: len(records) // 2 or 1])
    if isinstance(parsed, list):
        return b"[" + kept
    head = {name: value for name, value in parsed.items() if name != "data"}
    return orjson.dumps(head)[:-1] + b',"data":[' + kept


async def _send(send: Send, answer: _Answer, body: bytes, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
