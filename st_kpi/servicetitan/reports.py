"""ServiceTitan's Reporting API: which reports a tenant has, what each asks for, and its rows.

Two transports give the same rows: ``/data`` answers at once, and may be gone or too slow; ``/data/query`` answers at once or
with a token to ask by. Their keys differ in case, so keys are read in any. Rows are positional, and their columns are those
that the answer names. One report may be asked for its data once a minute (``turn``), each page being a call.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from st_kpi.errors import EntityUnavailable, MalformedResponse, ReportError, SourceError
from st_kpi.servicetitan.client import ServiceTitan

#: Rows to a page: the most there may be, for each page is a call and a minute.
_PAGE_SIZE = 25_000
_LIST_SIZE = 500
#: No list is as long as that, and no report.
_MOST_PAGES = 200
#: Seconds between two questions whether a report is ready, and after which that is given up.
_ASKS_EVERY, _READY_WITHIN = 5.0, 900.0
#: What a tenant without the one transport answers, or one whose report is too slow for it.
_OTHER_TRANSPORT = frozenset({404, 405, 410, 501, 504})

#: Called before each call for data, one that is made again too, with the id of the report; returns when it may be made.
Turn = Callable[[int], Awaitable[None]]
Value = str | bool | int | Sequence[int]


@dataclass(frozen=True)
class Parameter:
    """What a report asks for; ``dynamic_set`` names the list that its values come from."""

    name: str
    is_required: bool
    dynamic_set: str | None


@dataclass(frozen=True)
class Description:
    """A report as the tenant has it now: names and columns can be edited there at any time."""

    id: int
    category: str
    name: str
    modified_on: str | None
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class ReportData:
    """The columns of a report, by name and by label, and its rows; numbers are exact."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Reports:
    """The reports of one tenant; failures are ``SourceError``s, and ``ReportError``s for what a person has to mend."""

    def __init__(
        self,
        source: ServiceTitan,
        turn: Turn,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._turn = turn
        self._sleep = sleep
        self._answers: dict[str, ReportData] = {}

    async def find(
        self, *, id_: int | None = None, name: str | None = None, category: str | None = None
    ) -> Description:
        """The report of that id, else of that name, in one category or in all.

        Raises ``ReportError`` naming the reports there are, for none of that name and for several.
        """
        listed = await self._listed(category)
        named = (name or "").casefold().strip()
        matches = [
            (where, entry)
            for where, entry in listed
            if (
                entry["id"] == id_ if id_ is not None else entry["name"].casefold().strip() == named
            )
        ]
        if len(matches) != 1:
            raise ReportError(_which(id_, name, category, listed, matches))
        where, entry = matches[0]
        return await self._described(where, int(entry["id"]))

    async def _listed(self, category: str | None) -> list[tuple[str, Mapping[str, Any]]]:
        """Every report of a category, or of all, with its category."""
        if category is not None:
            try:
                reports = await self._list(f"report-category/{category}/reports", _is_named)
                return [(category, report) for report in reports]
            except EntityUnavailable:
                there = await self._list("report-categories", _has_id)
                names = ", ".join(str(entry["id"]) for entry in there)
                raise ReportError(
                    f"ServiceTitan has no category of reports {category!r}; there are {names}."
                ) from None
        listed = []
        for entry in await self._list("report-categories", _has_id):
            reports = await self._list(f"report-category/{entry['id']}/reports", _is_named)
            listed += [(str(entry["id"]), report) for report in reports]
        return listed

    async def _described(self, category: str, id_: int) -> Description:
        answer, response = await self._get(f"report-category/{category}/reports/{id_}", {})
        asked = answer.get("parameters") or []
        if not isinstance(asked, list) or not all(
            isinstance(each, Mapping)
            and isinstance(_folded(each).get("name"), str)
            and isinstance(_folded(each).get("acceptvalues") or {}, Mapping)
            for each in asked
        ):
            raise _malformed(response, "it does not say what the report asks for")
        parameters = tuple(
            Parameter(
                name=str(each["name"]),
                is_required=bool(each.get("isrequired")),
                dynamic_set=_folded(each.get("acceptvalues") or {}).get("dynamicsetid"),
            )
            for each in map(_folded, asked)
        )
        return Description(
            id_, category, str(answer.get("name")), answer.get("modifiedon"), parameters
        )

    async def values(
        self, report: Description, wanted: Mapping[str, Value], days: tuple[date, date]
    ) -> list[dict[str, Any]]:
        """What to ask of a report: its days, and of ``wanted`` what it has a parameter for.

        A text for a parameter with a list of values is the name of one of them, in any case. Raises ``ReportError`` for a
        required parameter that nobody has a value for, and for a name that is not in its list.
        """
        known: dict[str, Value] = {"from": days[0].isoformat(), "to": days[1].isoformat()}
        known["asof"] = known["to"]
        known |= {name.casefold(): value for name, value in wanted.items()}
        asked = []
        for parameter in report.parameters:
            value = known.get(parameter.name.casefold())
            if value is None and parameter.is_required:
                raise ReportError(
                    f"The report {report.name!r} asks for {parameter.name}, and nothing says what to answer: write"
                    f" {parameter.name} under the report's parameters in st-kpi.toml, or use a report without it."
                )
            if value is None:
                continue
            if parameter.dynamic_set and isinstance(value, str):
                value = await self._value_named(parameter, value)
            asked.append({"name": parameter.name, "value": value})
        return asked

    async def _value_named(self, parameter: Parameter, name: str) -> Any:
        """The value that a parameter's list has for a name; numbers differ from tenant to tenant."""
        rows = await self._list(f"dynamic-value-sets/{parameter.dynamic_set}", _is_pair)
        for value, label, *_ in rows:
            if str(label).casefold().strip() == name.casefold().strip():
                return value
        there = ", ".join(str(row[1]) for row in rows)
        raise ReportError(f"The report's {parameter.name} has no value {name!r}; it has {there}.")

    async def data(self, report: Description, values: list[dict[str, Any]]) -> ReportData:
        """Every row of a report; the same question is asked once. Raises ``MalformedResponse`` for an answer that is not whole."""
        question = json.dumps([report.category, report.id, values])
        if question not in self._answers:
            self._answers[question] = await self._asked(report, values)
        return self._answers[question]

    async def _asked(self, report: Description, values: list[dict[str, Any]]) -> ReportData:
        path = f"report-category/{report.category}/reports/{report.id}/data"
        body = {"parameters": values}
        try:
            return await self._at_once(report, path, body)
        except SourceError as error:
            if error.status not in _OTHER_TRANSPORT and not _is_timeout(error):
                raise
            try:
                return await self._when_ready(report, f"{path}/query", body)
            except EntityUnavailable:
                raise error from None

    async def _at_once(self, report: Description, path: str, body: Mapping[str, Any]) -> ReportData:
        """The rows page by page; page and size belong into the query, in the body they are ignored."""
        pages: list[Mapping[str, Any]] = []
        while not pages or pages[-1].get("hasmore"):
            response = await self._call(report, path, len(pages) + 1, body, attempts=4)
            pages.append(_decoded(response))
            if pages[-1].get("hasmore") and not pages[-1].get("data"):
                raise _malformed(response, "an empty page of the report says that there is more")
            if pages[-1].get("hasmore") and len(pages) >= _MOST_PAGES:
                raise _malformed(response, f"{_MOST_PAGES} pages say that there is more")
        return _joined(pages, response)

    async def _when_ready(
        self, report: Description, path: str, body: Mapping[str, Any]
    ) -> ReportData:
        """The rows once the report is made; one that takes too long is taken back."""
        response = await self._call(report, path, 1, body)
        waited, address = 0.0, ""
        while response.status_code == HTTPStatus.ACCEPTED:
            address = address or f"data-queries/{_token(response)}"
            if waited >= _READY_WITHIN:
                await self._ask(report, "DELETE", address)
                raise ReportError(
                    f"The report {report.name!r} was not ready after {_READY_WITHIN / 60:.0f} minutes: ask for fewer days."
                )
            await self._sleep(_ASKS_EVERY)
            waited += _ASKS_EVERY
            response = await self._ask(report, "GET", address)
        answer = _decoded(response)
        if answer.get("hasmore"):
            raise _malformed(response, "the report says that there is more, and gives no page")
        return _joined([answer], response)

    async def _call(
        self,
        report: Description,
        path: str,
        page: int,
        body: Mapping[str, Any],
        *,
        attempts: int | None = None,
    ) -> httpx.Response:
        """A call for data, each attempt in its turn."""
        query = {"page": str(page), "pageSize": str(_PAGE_SIZE)}
        turn = partial(self._turn, report.id)
        return await self._ask(report, "POST", path, query, body, attempts=attempts, turn=turn)

    async def _ask(
        self,
        report: Description,
        method: Any,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        attempts: int | None = None,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> httpx.Response:
        """One answer; while another report of the tenant is being made (409), again after a while."""
        waited = 0.0
        while True:
            try:
                return await self._source.ask(
                    f"report {report.name!r}",
                    method,
                    "reporting",
                    path,
                    query,
                    body,
                    attempts=attempts,
                    turn=turn,
                )
            except SourceError as error:
                if error.status != HTTPStatus.CONFLICT or waited >= _READY_WITHIN:
                    raise
            await self._sleep(_ASKS_EVERY)
            waited += _ASKS_EVERY

    async def _get(
        self, path: str, query: Mapping[str, str]
    ) -> tuple[dict[str, Any], httpx.Response]:
        response = await self._source.ask("reports", "GET", "reporting", path, query)
        return _decoded(response), response

    async def _list(self, path: str, is_one: Callable[[Any], bool]) -> list[Any]:
        """Every entry of a list; the keys of objects are in small letters, the values of a set in their order."""
        entries: list[Any] = []
        page, has_more = 1, True
        while has_more:
            query = {"page": str(page), "pageSize": str(_LIST_SIZE)}
            answer, response = await self._get(path, query)
            new = answer.get("data") or []
            if not isinstance(new, list):
                raise _malformed(response, "it is not a list")
            new = [_folded(each) if isinstance(each, Mapping) else each for each in new]
            if not all(map(is_one, new)):
                raise _malformed(response, "an entry of the list says not what it is")
            entries += new
            page, has_more = page + 1, bool(answer.get("hasmore") and new)
            if has_more and page > _MOST_PAGES:
                raise _malformed(
                    response, f"{_MOST_PAGES} pages of the list say that there is more"
                )
        return entries


def _has_id(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), int | str)


def _is_named(entry: Any) -> bool:
    return _has_id(entry) and str(entry["id"]).isdecimal() and isinstance(entry.get("name"), str)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) > 1


def _which(
    id_: int | None,
    name: str | None,
    category: str | None,
    listed: Sequence[tuple[str, Mapping[str, Any]]],
    matches: Sequence[tuple[str, Mapping[str, Any]]],
) -> str:
    """Why a report was not found, with those that would do."""
    wanted = f"with the id {id_}" if id_ is not None else f"called {name!r}"
    where = f" in the category {category!r}" if category else ""
    shown = matches or listed
    there = "; ".join(f"{c}: {entry['name']!r} ({entry['id']})" for c, entry in shown)
    if matches:
        return f"There are several reports {wanted}{where}: {there}. Name one by its id."
    return f"There is no report {wanted}{where}; there are {there or 'none'}."


def _decoded(response: httpx.Response) -> dict[str, Any]:
    """The object that an answer is, its keys in small letters; numbers are exact."""
    try:
        answer = json.loads(response.content, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise _malformed(response, "it is not JSON") from None
    if not isinstance(answer, dict):
        raise _malformed(response, "it is not an object")
    return _folded(answer)


def _token(response: httpx.Response) -> str:
    """What a report that is being made is asked for by, as a part of an address."""
    token = _decoded(response).get("token")
    if not isinstance(token, str) or not token.strip():
        raise _malformed(response, "it has neither rows nor a token to ask by")
    return quote(token, safe="")


def _folded(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key.casefold(): value for key, value in entry.items()}


def _joined(pages: Sequence[Mapping[str, Any]], response: httpx.Response) -> ReportData:
    """The rows of all pages, whose columns must be the same."""
    columns = []
    for page in pages:
        if not isinstance(page.get("fields"), list) or not isinstance(page.get("data"), list):
            raise _malformed(response, "it has no fields or no data")
        if not all(isinstance(each, Mapping) for each in page["fields"]):
            raise _malformed(response, "a field of it has no name")
        if not all(isinstance(row, list) for row in page["data"]):
            raise _malformed(response, "a row of it is no list of values")
        fields = [_folded(each) for each in page["fields"]]
        columns.append([(str(f.get("name")), str(f.get("label"))) for f in fields])
    if any(each != columns[0] for each in columns):
        raise _malformed(response, "its columns changed from one page to the next")
    rows = tuple(tuple(row) for page in pages for row in page["data"])
    if any(len(row) != len(columns[0]) for row in rows):
        raise _malformed(response, "a row has more or fewer values than there are columns")
    names, labels = zip(*columns[0], strict=True) if columns[0] else ((), ())
    return ReportData(tuple(names), tuple(labels), rows)


def _malformed(response: httpx.Response, what: str) -> MalformedResponse:
    return MalformedResponse(
        f"The answer for the report cannot be used: {what}",
        entity="reports",
        url=str(response.request.url),
        status=response.status_code,
    )


def _is_timeout(error: SourceError) -> bool:
    return error.status is None and "Timeout" in error.message
