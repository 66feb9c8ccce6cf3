"""The Reporting API: categories, descriptions, dynamic sets, and data at one call a minute a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from st_kpi.sandbox.clock import iso
from st_kpi.sandbox.problem import Problem, json_answer
from st_kpi.sandbox.query import BadRequest, parse_paging
from st_kpi.sandbox.reference import OPENING
from st_kpi.sandbox.reports.asking import parameters_of
from st_kpi.sandbox.reports.catalogue import CATEGORIES, DATE_SET, DATE_TYPES, UNIT_SET
from st_kpi.sandbox.reports.desk import Reports
from st_kpi.sandbox.reports.shown import Shown
from st_kpi.sandbox.reports.table import Field, Parameter, Report
from st_kpi.sandbox.wire.base import Record

PAGE, MOST = 1_000, 25_000
Check = Callable[[Request], Response | None]


class _Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, title: str | None = None, seconds: int = 0) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.headers = {"Retry-After": str(seconds)} if seconds else None


def report_routes(reports: Reports, check: Check, problem: Problem) -> list[Route]:
    """The routes of this module, each behind the tenant's gate."""
    api = _Api(reports)
    base = "/reporting/v2/tenant/{tenant}/"
    listed = base + "report-category/{category}/reports"
    one = listed + "/{report}"
    query = base + "data-queries/{token}"

    def route(path: str, answer: Callable[[Request], Any], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            refusal = check(request)
            if refusal is not None:
                return refusal
            try:
                response: Response = await answer(request)
            except BadRequest as bad:
                return problem(400, bad.problem, errors={bad.parameter: [bad.problem]})
            except _Refused as no:
                return problem(no.status, no.title, headers=no.headers)
            return response

        return Route(path, endpoint, methods=[method])

    return [
        route(base + "report-categories", api.categories),
        route(listed, api.listed),
        route(one, api.described),
        route(one + "/data", api.data, "POST"),
        route(one + "/data/query", api.query, "POST"),
        route(query, api.fetched),
        route(query, api.canceled, "DELETE"),
        route(base + "dynamic-value-sets/{set}", api.dynamic_set),
    ]


class _Api:
    """An answer per endpoint; what is refused is raised."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def categories(self, request: Request) -> Response:
        return _page(request, [{"id": key, "name": name} for key, name in CATEGORIES.items()])

    async def listed(self, request: Request) -> Response:
        category = request.path_params["category"]
        if category not in CATEGORIES:
            raise _Refused(404)
        found = [report for report in self._reports.there() if report.category == category]
        return _page(request, [self._head(report) for report in found])

    async def described(self, request: Request) -> Response:
        report = self._asked_for(request)
        fields = self._reports.fields(report)
        changed = fields != report.fields
        return json_answer(
            {
                **self._head(report),
                "modifiedOn": iso(self._reports.company.now if changed else OPENING),
                "parameters": [_parameter(parameter) for parameter in report.parameters],
                "fields": [{**_field(field), "dataType": field.kind.data_type} for field in fields],
            }
        )

    async def dynamic_set(self, request: Request) -> Response:
        sets: dict[str, list[Any]] = {
            DATE_SET: [[value, name] for value, name in DATE_TYPES.items()],
            UNIT_SET: [[unit.id, unit.name] for unit in self._reports.company.business_units],
        }
        values = sets.get(request.path_params["set"])
        if values is None:
            raise _Refused(404)
        return _page(request, values, {"fields": _SET_FIELDS})

    async def data(self, request: Request) -> Response:
        report = self._asked_for(request)
        gone = self._reports.fault("report-async", report)
        if gone is not None:
            raise _Refused(int(gone), "This endpoint is deprecated. Use data/query instead.")
        paging = parse_paging(request.query_params, PAGE, MOST)
        shown = await self._called(request, report)
        write = self._reports.writer.row
        page = paging.envelope(shown.rows, lambda row: write(row, shown.fields))
        return json_answer({**page, "fields": [_field(field) for field in shown.fields]})

    async def query(self, request: Request) -> Response:
        report = self._asked_for(request)
        if self._reports.fault("report-async", report) is None:
            raise _Refused(404)
        if self._reports.queries.busy:
            raise _Refused(409, "Another report data query is in progress.")
        shown = await self._called(request, report)
        polls = self._reports.fault("report-slow", report)
        if polls is None:
            return self._whole(shown)
        token = self._reports.queries.start(shown, int(polls))
        return json_answer({"status": "NotStarted", "token": token}, 202)

    async def fetched(self, request: Request) -> Response:
        token = request.path_params["token"]
        try:
            shown = self._reports.queries.poll(token)
        except KeyError as error:
            raise _Refused(404) from error
        if shown is None:
            return json_answer({"status": "InProgress", "token": token}, 202)
        return self._whole(shown)

    async def canceled(self, request: Request) -> Response:
        try:
            self._reports.queries.cancel(request.path_params["token"])
        except KeyError as error:
            raise _Refused(404) from error
        return Response(status_code=204)

    def _asked_for(self, request: Request) -> Report:
        category, number = request.path_params["category"], request.path_params["report"]
        for report in self._reports.there():
            if report.category == category and str(self._reports.id(report)) == number:
                return report
        raise _Refused(404)

    async def _called(self, request: Request, report: Report) -> Shown:
        try:
            given = parameters_of(orjson.loads(await request.body()))
        except orjson.JSONDecodeError as error:
            raise BadRequest("", "The body is not valid JSON.") from error
        shown = self._reports.run(report, given)
        seconds = self._reports.wait(report)
        if seconds:
            title = f"Rate limit is exceeded. Try again in {seconds} seconds."
            raise _Refused(429, title, seconds)
        return shown

    def _whole(self, shown: Shown) -> Response:
        """All rows in one piece, with the other spelling of the names."""
        write = self._reports.writer.row
        return json_answer(
            {
                "Fields": [{"Name": field.name, "Label": field.label} for field in shown.fields],
                "Data": [write(row, shown.fields) for row in shown.rows],
                "HasMore": False,
                "TotalCount": len(shown.rows),
                "TimeZone": self._reports.company.timezone,
            }
        )

    def _head(self, report: Report) -> Record:
        return {
            "id": self._reports.id(report),
            "name": report.name,
            "description": report.description,
        }


def _page(request: Request, rows: list[Any], more: Mapping[str, Any] | None = None) -> Response:
    page = parse_paging(request.query_params).envelope(rows, lambda row: row)
    return json_answer({**page, **(more or {})})


def _parameter(parameter: Parameter) -> Record:
    accepted = {"fields": _SET_FIELDS, "dynamicSetId": parameter.dynamic_set, "values": None}
    return {
        "name": parameter.name,
        "label": parameter.label,
        "dataType": parameter.data_type,
        "isArray": parameter.array,
        "isRequired": parameter.required,
        "acceptValues": accepted if parameter.dynamic_set else None,
    }


_SET_FIELDS = [{"name": "Value", "label": "Value"}, {"name": "Name", "label": "Name"}]


def _field(field: Field) -> Record:
    return {"name": field.name, "label": field.label}
