"""From query parameters to rows: the filters are ANDed, the page is a slice of a remembered list."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from st_kpi.sandbox.clock import ticks
from st_kpi.sandbox.company import Company
from st_kpi.sandbox.endpoints import Active, Endpoint, Filter, Kind

MAX_PAGE = 5_000
MAX_IDS = 50
_REMEMBERED = 48
_SORT_ATTRIBUTES = {
    "ModifiedOn": "modified",
    "CreatedOn": "created",
    "Name": "name",
    "Code": "code",
    "Price": "price_cents",
    "Cost": "cost_cents",
}
_STATES = {"activeonly": True, "inactiveonly": False, "all": None}
_ACTIVES = {"true": True, "false": False, "any": None}
_WINDOWS = {
    "createdOnOrAfter": Filter(Kind.FROM, "created"),
    "createdBefore": Filter(Kind.BEFORE, "created"),
    "modifiedOnOrAfter": Filter(Kind.FROM, "modified"),
    "modifiedBefore": Filter(Kind.BEFORE, "modified"),
}


class BadRequest(Exception):
    """A parameter the API answers with 400: its name and what is wrong with it."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")
        self.parameter = parameter
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Paging:
    """Which rows of an answer, and whether their number is told."""

    page: int
    size: int
    include_total: bool

    def envelope(self, rows: Sequence[Any], write: Callable[[Any], Any]) -> dict[str, Any]:
        """The page of these rows, as lists and reports have it."""
        start = (self.page - 1) * self.size
        return {
            "page": self.page,
            "pageSize": self.size,
            "hasMore": start + self.size < len(rows),
            "totalCount": len(rows) if self.include_total else None,
            "data": [write(row) for row in rows[start : start + self.size]],
        }


@dataclass(frozen=True, slots=True)
class Query:
    """A list request, parsed; unknown parameters are gone, as in the real API."""

    active: bool | None
    conditions: tuple[tuple[Filter, Any], ...]
    sort: str | None
    descending: bool
    paging: Paging


def parse_query(endpoint: Endpoint, params: Mapping[str, str]) -> Query:
    """Read the parameters an endpoint knows; raises BadRequest."""
    sort, descending = _parse_sort(endpoint, params)
    known = {**endpoint.filters, **_windows(endpoint)}
    return Query(
        active=_parse_active(endpoint, params),
        conditions=tuple(
            (rule, _parse_value(name, rule.kind, params[name]))
            for name, rule in known.items()
            if params.get(name)
        ),
        sort=sort,
        descending=descending,
        paging=parse_paging(params),
    )


def parse_paging(params: Mapping[str, str], size: int = 50, most: int = MAX_PAGE) -> Paging:
    """Read the page asked for, by default the first of so many rows; raises BadRequest."""
    paging = Paging(
        page=_whole(params, "page", 1),
        size=_whole(params, "pageSize", size),
        include_total=params.get("includeTotal", "").lower() == "true",
    )
    if paging.size > most:
        raise BadRequest("pageSize", f"The maximum page size is {most}.")
    return paging


def _windows(endpoint: Endpoint) -> dict[str, Filter]:
    if endpoint.modified:
        return _WINDOWS
    return {name: rule for name, rule in _WINDOWS.items() if rule.attribute == "created"}


def _whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadRequest(name, f"The value '{text}' is not valid.")
    return int(text)


def _parse_active(endpoint: Endpoint, params: Mapping[str, str]) -> bool | None:
    if endpoint.active is Active.UNKNOWN:
        return None
    if endpoint.active is Active.NEVER:
        return True
    choices = _STATES if endpoint.active is Active.STATE else _ACTIVES
    text = params.get(endpoint.active.value, "")
    if not text:
        return True
    if text.lower() not in choices:
        raise BadRequest(endpoint.active.value, f"The value '{text}' is not valid.")
    return choices[text.lower()]


def _parse_sort(endpoint: Endpoint, params: Mapping[str, str]) -> tuple[str | None, bool]:
    text = params.get("sort", "")
    if text and endpoint.sort is not None:
        if text[0] not in "+-" or text[1:] not in endpoint.sort:
            raise BadRequest("sort", f"Sorting by '{text}' is not supported.")
        return text[1:], text[0] == "-"
    by = params.get("orderBy", "")
    if by and endpoint.order_by:
        fields = {name.lower(): name for name in ("Id", "CreatedOn", "ModifiedOn")}
        if by.lower() not in fields:
            raise BadRequest("orderBy", f"Sorting by '{by}' is not supported.")
        return fields[by.lower()], params.get("orderByDirection", "").lower().startswith("desc")
    return None, False


def _parse_value(name: str, kind: Kind, text: str) -> Any:
    try:
        if kind is Kind.EQUAL:
            return int(text)
        if kind is Kind.ONE_OF:
            values = frozenset(int(part) for part in text.split(","))
            if len(values) > MAX_IDS:
                raise BadRequest(name, f"At most {MAX_IDS} values are allowed.")
            return values
        if kind in (Kind.TEXT, Kind.CONTAINS):
            return text.lower()
        return ticks(text)
    except ValueError as error:
        raise BadRequest(name, f"The value '{text}' is not valid.") from error


_TESTS: dict[Kind, Callable[[Any, Any], bool]] = {
    Kind.EQUAL: lambda have, want: have == want,
    Kind.ONE_OF: lambda have, want: have in want,
    Kind.TEXT: lambda have, want: have.lower() == want,
    Kind.CONTAINS: lambda have, want: want in have.lower(),
    Kind.FROM: lambda have, want: have >= want,
    Kind.BEFORE: lambda have, want: have < want,
    Kind.UNTIL: lambda have, want: have <= want,
    Kind.AFTER: lambda have, want: have > want,
}


class Shelf:
    """The rows of one endpoint, in the orders that requests need, each made once."""

    def __init__(self, endpoint: Endpoint, company: Company) -> None:
        self.endpoint = endpoint
        self.rows = endpoint.rows(company)
        self._key = attrgetter(endpoint.key)
        self._ordered: dict[str, tuple[list[int], list[Any]]] = {}
        self._selected: OrderedDict[Any, list[Any]] = OrderedDict()

    def select(self, query: Query) -> list[Any]:
        """Rows that pass every condition, in the order asked for, or in none in particular."""
        key = (query.active, query.conditions, query.sort, query.descending)
        rows = self._selected.get(key)
        if rows is None:
            rows = self._sorted(self._filtered(query), query)
            self._selected[key] = rows
            if len(self._selected) > _REMEMBERED:
                self._selected.popitem(last=False)
        else:
            self._selected.move_to_end(key)
        return rows

    def changes(self) -> tuple[list[int], list[Any]]:
        """All rows by change time (a row without one counts as never changed), oldest first."""
        return self._by("modified", default=0)

    def _by(self, attribute: str, default: int | None = None) -> tuple[list[int], list[Any]]:
        """Rows that have the attribute, sorted by it then by key, and the sorted values."""
        if attribute not in self._ordered:
            pairs = [
                (default if value is None else value, self._key(row), row)
                for row in self.rows
                if (value := getattr(row, attribute)) is not None or default is not None
            ]
            pairs.sort(key=lambda pair: pair[:2])
            self._ordered[attribute] = (
                [pair[0] for pair in pairs if pair[0] is not None],
                [pair[2] for pair in pairs],
            )
        return self._ordered[attribute]

    def _filtered(self, query: Query) -> list[Any]:
        rows, left = self._narrowed(list(query.conditions))
        if query.active is not None:
            rows = [row for row in rows if row.active is query.active]
        for rule, want in left:
            test, value = _TESTS[rule.kind], attrgetter(rule.attribute)
            rows = [row for row in rows if (have := value(row)) is not None and test(have, want)]
        return rows

    def _narrowed(
        self, conditions: list[tuple[Filter, Any]]
    ) -> tuple[list[Any], list[tuple[Filter, Any]]]:
        """Use the created order to cut out a creation window at once; return what is left to do."""
        used = [
            pair
            for pair in conditions
            if pair[0].attribute == "created" and pair[0].kind in (Kind.FROM, Kind.BEFORE)
        ]
        if not used:
            return self.rows, conditions
        stamps, rows = self._by("created")
        start, end = 0, len(rows)
        for rule, want in used:
            if rule.kind is Kind.FROM:
                start = max(start, bisect_left(stamps, want))
            else:
                end = min(end, bisect_left(stamps, want))
        return rows[start:end], [pair for pair in conditions if pair not in used]

    def _sorted(self, rows: list[Any], query: Query) -> list[Any]:
        if query.sort is None:  # no order is promised, so none that a client could lean on
            return sorted(rows, key=lambda row: self._key(row) * 2_654_435_761 % 4_294_967_296)
        attribute = _SORT_ATTRIBUTES.get(query.sort)
        ordered = sorted(rows, key=self._key, reverse=query.descending)
        if attribute is not None:
            value = attrgetter(attribute)
            ordered.sort(
                key=lambda row: (have is not None, have) if (have := value(row)) else (False, 0),
                reverse=query.descending,
            )
        return ordered
