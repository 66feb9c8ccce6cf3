"""A client that asks for reports as a program would: by name and category, and without waiting."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from st_kpi.sandbox import Company, Faults, create_app, misbehave
from tests.sandbox.conftest import Client

CATEGORY = {
    "Job Costing": "operations",
    "Future Bookings": "operations",
    "Leads": "marketing",
    "Sold Estimates": "operations",
    "Business Unit Sales": "operations",
    "Collections": "accounting",
    "Receivables by Location": "accounting",
}


class Reader(Client):
    """Asks for data by the name of a report; a row is a dict of its fields."""

    async def path(self, name: str) -> str:
        category = CATEGORY[name]
        listed = await self.ok(f"reporting:report-category/{category}/reports")
        number = next(row["id"] for row in listed["data"] if row["name"] == name)
        return f"reporting:report-category/{category}/reports/{number}"

    async def date_type(self, name: str) -> int:
        values = (await self.ok("reporting:dynamic-value-sets/job-date-filter-type"))["data"]
        return next(number for number, label in values if label == name)

    async def post(
        self,
        path: str,
        parameters: dict[str, Any],
        more: dict[str, Any] | None = None,
        **query: Any,
    ) -> httpx.Response:
        given = [{"name": name, "value": value} for name, value in parameters.items()]
        body = {"parameters": given, **(more or {})}
        return await self.http.post(self.url(path), params=query, json=body)

    async def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = await self.post(await self.path(name) + "/data", parameters, pageSize=25_000)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert not body["hasMore"]
        names = [field["name"] for field in body["fields"]]
        return [dict(zip(names, row, strict=True)) for row in body["data"]]


@pytest.fixture
async def reader(company: Company) -> AsyncIterator[Reader]:
    app = create_app(company, requests_per_second=100_000, report_seconds=0)
    one = Reader(app, company.tenant_id)
    await one.sign_in()
    yield one
    await one.http.aclose()


Meet = Callable[..., Awaitable[Reader]]


@pytest.fixture
async def meet(company: Company) -> AsyncIterator[Meet]:
    """A client of a tenant whose reports have faults."""
    async with AsyncExitStack() as stack:

        async def meet(*faults: str, seed: int = 1) -> Reader:
            app = create_app(company, requests_per_second=100_000, report_seconds=0)
            client = Reader(misbehave(app, Faults.parse(faults, seed)), company.tenant_id)
            await stack.enter_async_context(client.http)
            await client.sign_in()
            return client

        yield meet
