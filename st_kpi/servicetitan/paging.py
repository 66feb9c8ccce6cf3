"""Reading a list to its end: side by side where its order is pinned, in pages that source and memory can bear.

What is asked for is a span of rows. Every span's size divides the place where it starts, so that a list can go on in smaller
pages or in larger ones: ``pageSize`` changes, and ``page`` with it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import gcd

from st_kpi.errors import MalformedResponse, SourceError
from st_kpi.servicetitan.pages import Page
from st_kpi.servicetitan.registry import Entity

#: What a page should weigh at most, in bytes.
PAGE_BYTES = 10_000_000
#: What pages of one list may weigh that are on their way or wait to be taken, in bytes.
_LIST_BYTES = 20_000_000
#: Records that are asked for at first where nobody knows yet what one weighs.
_FIRST = 500
#: A page without rows that promises more is odd but not the end; so many in a row are a loop.
_EMPTY_PAGES = 20
#: So many pages that have come before, though each is at another place, are a loop too.
_PAGES_REPEATED = 49
#: A list may grow while it is read. One that has given twice what it promised, and so many rows more, is a loop.
_GROWTH = 1_000


class AnswerTooLarge(Exception):
    """An answer that was refused, cut off or not finished in time, maybe for its size; ``error`` says how."""

    def __init__(self, error: SourceError) -> None:
        super().__init__(str(error))
        self.error = error


class PageSizes:
    """How many records of each entity are asked for at once, by what its pages have weighed and what was refused."""

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._limits: dict[str, int] = {}

    def at(self, entity: Entity, start: int, most: int) -> int:
        """The size of the page that begins at ``start``: of the divisors of ``most`` and ``start`` the largest that is allowed."""
        weight = self._weights.get(entity.name)
        fitting = _FIRST if weight is None else PAGE_BYTES // weight
        return _divisor(gcd(most, start), min(fitting, self._limits.get(entity.name, most)))

    def weigh(self, entity: Entity, page: Page) -> None:
        """Note what the page weighs; of several the heaviest counts."""
        if page.rows:
            weight = -(-page.bytes // page.rows)
            self._weights[entity.name] = max(weight, self._weights.get(entity.name, 1))

    def refused(self, entity: Entity, size: int) -> None:
        """Note that ``size`` records were too many for the source."""
        self._limits[entity.name] = min(
            _divisor(size, size // 2), self._limits.get(entity.name, size)
        )


@dataclass
class _Refusal:
    """The answer that a span was a part of, and how it failed; ``learned`` once a part of it has come."""

    size: int
    error: SourceError
    learned: bool = False


@dataclass(frozen=True)
class Span:
    """``size`` rows of a list from ``start`` on, which counts from 0 and is a multiple of the size."""

    start: int
    size: int
    refusal: _Refusal | None = field(default=None, repr=False)

    @property
    def number(self) -> int:
        """Which page this is in pages of its size, from 1."""
        return self.start // self.size + 1

    @property
    def end(self) -> int:
        return self.start + self.size

    def parts(self, size: int) -> "list[Span]":
        """The span in spans of a size that divides its own."""
        return [
            replace(self, start=start, size=size) for start in range(self.start, self.end, size)
        ]


#: Asks for a span; raises ``AnswerTooLarge`` where a smaller one may do better.
Ask = Callable[[Span], Awaitable[Page]]


class ListReader:
    """Reads one list of an entity once, in pages of at most ``most`` records."""

    def __init__(self, entity: Entity, ask: Ask, sizes: PageSizes, most: int, ahead: int) -> None:
        self._entity = entity
        self._ask = ask
        self._sizes = sizes
        self._most = most
        self._ahead = ahead
        self._next = 0
        self._last: tuple[Span, Page] | None = None
        self._total: int | None = None
        self._heaviest = 1
        self._rows = 0
        self._empty = 0
        self._standstill = Standstill(entity)

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Every page, the first one first, the others as they arrive; leaving early stops the requests at once."""
        async with aclosing(self._read(1, 1)) as pages:
            async for page in pages:
                yield page
        if self._more() and self._total is not None and self._entity.sort:
            async with aclosing(self._read(self._total, self._ahead)) as pages:
                async for page in pages:
                    yield page
        # The total may be wrong or have grown: only hasMore ends a list.
        while self._more():
            async with aclosing(self._read(self._next + 1, 1)) as pages:
                async for page in pages:
                    yield page

    def _require_end(self, page: Page) -> None:
        """Raise ``MalformedResponse`` for a list that goes on without giving anything, or far beyond its promise."""
        promised = self._total or 0
        if self._empty >= _EMPTY_PAGES:
            endless = f"{self._empty} pages in a row were empty and promised more"
        elif self._rows > 2 * promised + _GROWTH:
            said = "said no number" if self._total is None else f"promised {promised:,} rows"
            endless = f"The list {said}, gave {self._rows:,} and says that there are more"
        else:
            return
        raise MalformedResponse(endless, entity=self._entity.name, url=page.url)

    def _more(self) -> bool:
        return self._last is not None and self._last[1].has_more

    def _over(self) -> bool:
        """True once a page has said that none follows it, whatever the list promised."""
        return self._last is not None and not self._last[1].has_more

    async def _read(self, end: int, ahead: int) -> AsyncGenerator[Page, None]:
        """The pages up to row ``end`` as they arrive; what cannot be had whole comes in parts."""
        parts = deque[Span]()
        running: dict[asyncio.Task[Page], Span] = {}

        def top_up() -> None:
            while len(running) < min(ahead, max(1, _LIST_BYTES // self._heaviest)):
                if not parts and (self._next >= end or self._over()):
                    return
                span = parts.popleft() if parts else self._take()
                running[asyncio.ensure_future(self._ask(span))] = span

        top_up()
        try:
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                task = done.pop()
                span = running.pop(task)
                try:
                    page = task.result()
                except AnswerTooLarge as refused:
                    parts.extendleft(reversed(self._halves(span, refused.error)))
                    top_up()
                    continue
                self._note(span, page)
                if page.has_more:
                    self._require_end(page)
                    self._standstill.note(page)
                top_up()
                yield page
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _take(self) -> Span:
        """The span that follows those taken so far."""
        span = Span(self._next, self._sizes.at(self._entity, self._next, self._most))
        self._next = span.end
        return span

    def _halves(self, span: Span, error: SourceError) -> list[Span]:
        """The parts to ask for instead; raises the error of the first whole where no part is smaller."""
        refusal = span.refusal or _Refusal(span.size, error)
        if span.size == 1:
            raise refusal.error
        return [
            replace(part, refusal=refusal)
            for part in span.parts(_divisor(span.size, span.size // 2))
        ]

    def _note(self, span: Span, page: Page) -> None:
        """Remember what the page says of the list and of the size of pages."""
        if span.start == 0:
            self._total = page.total
        if self._last is None or span.start > self._last[0].start:
            self._last = (span, page)
        self._rows += page.rows
        self._empty = 0 if page.rows else self._empty + 1
        self._heaviest = max(self._heaviest, page.bytes)
        self._sizes.weigh(self._entity, page)
        if span.refusal is not None and not span.refusal.learned:
            span.refusal.learned = True
            self._sizes.refused(self._entity, span.refusal.size)


class Standstill:
    """Watches a list or a feed for giving, at ever new places, pages that it has given before."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._seen: set[int] = set()
        self._repeated = 0

    def note(self, page: Page) -> None:
        """Raise ``MalformedResponse`` for the last of too many pages that came before and promise more."""
        ends = (bytes(record) for record in (*page.records[:1], *page.records[-1:]))
        outline = hash((page.rows, *ends))
        self._repeated += outline in self._seen
        self._seen.add(outline)
        if page.has_more and self._repeated >= _PAGES_REPEATED:
            alike = "held the same rows as earlier ones" if page.rows else "were empty"
            raise MalformedResponse(
                f"{self._repeated + 1} pages {alike} and promised more",
                entity=self._entity.name,
                url=page.url,
            )


def _divisor(size: int, at_most: int) -> int:
    """The largest divisor of ``size`` that is no larger than ``at_most``, and 1 at least."""
    return next(part for part in range(max(1, min(size, at_most)), 0, -1) if size % part == 0)
