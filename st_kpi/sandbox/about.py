"""What the real API does not have: which day it is at the made-up tenant, its books, and a day passing.

They let a client in another process compare what it computed with what the tenant knows, see how it
called, and let time go by. No sign-in, for nothing is secret.

- `GET /sandbox`: the tenant, its first and its present day, counters of calls and faults so far, and
  in `report_differences` the rows in which the last answers of reports differ, by fault and report.
- `GET /sandbox/mappings`: the two mapping files as the company would write them.
- `GET /sandbox/books?as_of=2025-10-21`: every weekly KPI.
- `GET /sandbox/report-download?report=Leads&...`: a report as the office downloads it, see
  `reports.download`.
- `POST /sandbox/live?changes=2000&seed=1`: a day of changes; how many rows became what. With
  `until=2025-10-23T12:00:00Z` not a day but a stretch, with `renames=false` units keep their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from st_kpi.sandbox.books import Books
from st_kpi.sandbox.clock import iso, ticks
from st_kpi.sandbox.company import Company
from st_kpi.sandbox.life.day import live
from st_kpi.sandbox.mapping_files import mapping_files


def about_routes(company: Company, counters: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """The routes of this module; `counters` are told beside the tenant."""

    def about(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "tenant_id": company.tenant_id,
                "timezone": company.timezone,
                "first_day": company.first_day.isoformat(),
                "today": company.last_day.isoformat(),
                "now": iso(company.now),
                **counters(),
            }
        )

    def mappings(request: Request) -> JSONResponse:
        return JSONResponse(mapping_files(company))

    def books(request: Request) -> JSONResponse:
        try:
            as_of = date.fromisoformat(request.query_params.get("as_of", ""))
        except ValueError:
            return JSONResponse({"title": "as_of is not a day such as 2025-10-21"}, 400)
        cells = Books(company).weekly(as_of)
        return JSONResponse(
            [
                {
                    "kpi": kpi,
                    "week_start": week.isoformat(),
                    "rollup": rollup,
                    "numerator": str(cell.numerator),
                    "denominator": None if cell.denominator is None else str(cell.denominator),
                }
                for (kpi, week, rollup), cell in cells.items()
            ]
        )

    async def pass_time(request: Request) -> JSONResponse:
        # Not in a thread: no page may be read while rows change.
        try:
            return JSONResponse(_pass_time(company, request.query_params))
        except ValueError as error:
            return JSONResponse({"title": str(error)}, 400)

    return [
        Route("/sandbox", about),
        Route("/sandbox/mappings", mappings),
        Route("/sandbox/books", books),
        Route("/sandbox/live", pass_time, methods=["POST"]),
    ]


def _pass_time(company: Company, params: Mapping[str, str]) -> dict[str, Any]:
    """Let time pass as the parameters say; raises ValueError."""
    diary = live(
        company,
        Random(f"{params.get('seed', '1')}:life"),
        int(params.get("changes", "2000")),
        until=ticks(params["until"]) if "until" in params else None,
        renames=params.get("renames", "true") != "false",
    )
    return {"since": iso(diary.since), "until": iso(diary.until), "rows": diary.counts()}
