"""Faults of pages: feeds that repeat, shuffle and hide, lists whose rows move while they are read."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from st_kpi.sandbox.company import Company
from st_kpi.sandbox.endpoints import ENDPOINTS, Active, Endpoint
from st_kpi.sandbox.faults.names import Fault
from st_kpi.sandbox.faults.records import hit
from st_kpi.sandbox.wire.base import Record

#: Ends a continuation token that was handed out with an empty page; no real token contains it.
SAME_PLACE = "~"
_BY_PATH = {f"{entry.module}/{entry.path}": entry for entry in ENDPOINTS}


class FeedFaults:
    """Edits the pages of feeds; remembers the last row of each for the next page."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._last: dict[str, tuple[str, Record]] = {}

    def edit(self, fault: Fault, rng: Random, path: str, start: str, page: Record) -> Record:
        """The page with one fault; `start` is the `from` it was asked with."""
        if fault.name == "feed-hides-rows":
            kept = [row for row in page["data"] if not hit(self._seed, fault, row)]
            return {**page, "data": kept}
        if fault.name == "feed-duplicates":
            twice = [
                again
                for row in page["data"]
                for again in [row] * (1 + (rng.random() < fault.share))
            ]
            return {**page, "data": twice}
        if fault.name == "feed-repeats-last-row":
            return self._repeated(fault, rng, path, start, page)
        if rng.random() >= fault.share:
            return page
        if fault.name == "feed-unsorted":
            return {**page, "data": rng.sample(page["data"], len(page["data"]))}
        if fault.name == "feed-ends-in-null" and not page["hasMore"]:
            return {**page, "continueFrom": None}
        if fault.name == "feed-empty-page" and not start.endswith(SAME_PLACE):
            return {"hasMore": True, "continueFrom": start + SAME_PLACE, "data": []}
        return page

    def _repeated(self, fault: Fault, rng: Random, path: str, start: str, page: Record) -> Record:
        token, row = self._last.get(path, ("", {}))
        repeat = rng.random() < fault.share and row and start.rstrip(SAME_PLACE) == token
        if page["data"]:
            self._last[path] = (page["continueFrom"], page["data"][-1])
        return {**page, "data": [row, *page["data"]]} if repeat else page


FEED_FAULTS = frozenset(
    {
        "feed-hides-rows",
        "feed-duplicates",
        "feed-repeats-last-row",
        "feed-unsorted",
        "feed-ends-in-null",
        "feed-empty-page",
    }
)
MOVES = frozenset({"row-removed", "row-inserted"})


def move_rows(fault: Fault, rng: Random, company: Company, path: str, page: Any) -> bool:
    """Change the company behind a page just answered, when more pages follow; True if it was.

    The total stays honest, since the rows really come and go. A row is deleted the way its list
    hides deleted rows. A new one is a copy of the page's first with a free id just below, and so it
    sorts before it by id. After a page of one row nothing moves: that is how clients ask for a total.
    """
    endpoint = _BY_PATH.get(path)
    if endpoint is None or endpoint.key != "id" or not isinstance(page, dict):
        return False
    if not page["hasMore"] or page["pageSize"] == 1 or rng.random() >= fault.share:
        return False
    removes = fault.name == "row-removed"
    chosen = page["data"][int(rng.random() * len(page["data"])) if removes else 0]["id"]
    rows = endpoint.rows(company)
    place = next((n for n, row in enumerate(rows) if row.id == chosen), None)
    if place is None:
        return False
    company.now += 1
    if removes:
        _delete(endpoint, company, rows, place)
    else:
        taken = {row.id for row in rows}
        free = next(key for key in range(chosen - 1, 0, -1) if key not in taken)
        rows.append(replace(rows[place], id=free, modified=company.now))
    company.touch()
    return True


def _delete(endpoint: Endpoint, company: Company, rows: list[Any], place: int) -> None:
    if endpoint.active is Active.NEVER:
        rows[place].active, rows[place].modified = False, company.now
    else:
        del rows[place]
