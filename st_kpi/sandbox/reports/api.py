"""The Reporting API: categories, descriptions, dynamic sets, and data at one call a minute a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from st_kpi.sandbox.clock import iso
from st_kpi.sandbox.company import Company
from st_kpi.sandbox.problem import Problem, json_answer
from st_kpi.sandbox.query import BadRequest, parse_paging
from st_kpi.sandbox.reference import OPENING
from st_kpi.sandbox.reports.asking import asked, parameters_of
from st_kpi.sandbox.reports.catalogue import (
    CATEGORIES,
    DATE_SET,
    DATE_TYPES,
    REPORTS,
    UNIT_SET,
    report_id,
)
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.shown import Shown, Writer, show
from st_kpi.sandbox.reports.table import Field, Parameter, Report
from st_kpi.sandbox.wire.base import Record

PAGE, MOST = 1_000, 25_000
Check = Callable[[Request], Response | None]


class Reports:
    """The reports of one tenant, with what is remembered between requests."""

    def __init__(self, company: Company, seconds: float, clock: Callable[[], float]) -> None:
        self.company = company
        self.writer = Writer(company.timezone)
        self._seconds = seconds
        self._clock = clock
        self._called: dict[int, float] = {}
        self._ledger: tuple[int, Ledger] | None = None

    @property
    def ledger(self) -> Ledger:
        """The books as they are now, drawn up once until the company changes."""
        if self._ledger is None or self._ledger[0] != self.company.version:
            self._ledger = self.company.version, Ledger(self.company)
        return self._ledger[1]

    def of(self, category: str) -> list[Report]:
        """The reports of a category."""
        return [report for report in REPORTS if report.category == category]

    def find(self, category: str, number: str) -> Report | None:
        """The report of that number in that category."""
        for report in self.of(category):
            if str(report_id(self.company, report)) == number:
                return report
        return None

    def wait(self, report: Report) -> int:
        """Seconds until the report may be called again; 0 counts as a call."""
        now = self._clock()
        last = self._called.get(report.number)
        if last is not None and now - last < self._seconds:
            return math.ceil(self._seconds - (now - last))
        self._called[report.number] = now
        return 0

    def run(self, report: Report, body: bytes) -> Shown:
        """What the report shows for the parameters of a body; raises BadRequest."""
        try:
            given = parameters_of(orjson.loads(body))
        except orjson.JSONDecodeError as error:
            raise BadRequest("", "The body is not valid JSON.") from error
        return show(report, asked(report, given), self.ledger)


def report_routes(reports: Reports, check: Check, problem: Problem) -> list[Route]:
    """The routes of this module, each behind the tenant's gate."""
    company = reports.company
    base = "/reporting/v2/tenant/{tenant}/"
    one = base + "report-category/{category}/reports/{report}"

    async def categories(request: Request) -> Response:
        names = [{"id": key, "name": name} for key, name in CATEGORIES.items()]
        return _page(request, names)

    async def listed(request: Request) -> Response:
        category = request.path_params["category"]
        if category not in CATEGORIES:
            return problem(404)
        found = reports.of(category)
        return _page(request, [_head(company, report) for report in found])

    async def described(request: Request) -> Response:
        report = reports.find(request.path_params["category"], request.path_params["report"])
        return problem(404) if report is None else json_answer(_description(company, report))

    async def dynamic_set(request: Request) -> Response:
        values = _dynamic_sets(company).get(request.path_params["set"])
        if values is None:
            return problem(404)
        return _page(request, values, {"fields": _SET_FIELDS})

    async def data(request: Request) -> Response:
        report = reports.find(request.path_params["category"], request.path_params["report"])
        if report is None:
            return problem(404)
        paging = parse_paging(request.query_params, PAGE, MOST)
        shown = reports.run(report, await request.body())
        seconds = reports.wait(report)
        if seconds:
            title = f"Rate limit is exceeded. Try again in {seconds} seconds."
            return problem(429, title, headers={"Retry-After": str(seconds)})
        page = paging.envelope(shown.rows, lambda row: reports.writer.row(row, shown.fields))
        return json_answer({**page, "fields": [_field(field) for field in shown.fields]})

    def guarded(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            refusal = check(request)
            if refusal is not None:
                return refusal
            try:
                response: Response = await answer(request)
            except BadRequest as bad:
                return problem(400, bad.problem, errors={bad.parameter: [bad.problem]})
            return response

        return endpoint

    return [
        Route(base + "report-categories", guarded(categories)),
        Route(base + "report-category/{category}/reports", guarded(listed)),
        Route(one, guarded(described)),
        Route(one + "/data", guarded(data), methods=["POST"]),
        Route(base + "dynamic-value-sets/{set}", guarded(dynamic_set)),
    ]


def _page(request: Request, rows: list[Any], more: Mapping[str, Any] | None = None) -> Response:
    page = parse_paging(request.query_params).envelope(rows, lambda row: row)
    return json_answer({**page, **(more or {})})


def _head(company: Company, report: Report) -> Record:
    return {
        "id": report_id(company, report),
        "name": report.name,
        "description": report.description,
    }


def _description(company: Company, report: Report) -> Record:
    return {
        **_head(company, report),
        "modifiedOn": iso(OPENING),
        "parameters": [_parameter(parameter) for parameter in report.parameters],
        "fields": [{**_field(field), "dataType": field.kind.data_type} for field in report.fields],
    }


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


def _dynamic_sets(company: Company) -> dict[str, list[Any]]:
    return {
        DATE_SET: [[value, name] for value, name in DATE_TYPES.items()],
        UNIT_SET: [[unit.id, unit.name] for unit in company.business_units],
    }
