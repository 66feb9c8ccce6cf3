"""What the real API does not have: which day is today at the made-up tenant, and its own books.

They let a client in another process compare what it computed with what the tenant knows.
"""

from __future__ import annotations

from datetime import date

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from st_kpi.sandbox.books import Books
from st_kpi.sandbox.company import Company


def about_routes(company: Company) -> list[Route]:
    """`GET /sandbox` and `GET /sandbox/books?as_of=2025-10-21`; no sign-in, for nothing is secret."""

    def about(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "tenant_id": company.tenant_id,
                "timezone": company.timezone,
                "first_day": company.first_day.isoformat(),
                "today": company.last_day.isoformat(),
            }
        )

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

    return [Route("/sandbox", about), Route("/sandbox/books", books)]
