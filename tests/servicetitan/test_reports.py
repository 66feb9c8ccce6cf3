"""The Reporting API as it is: found by name, asked by its own description, over both transports, and never half of it."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from st_kpi.errors import MalformedResponse, ReportError, SourceError
from st_kpi.ingest.session import credentials
from st_kpi.sandbox import Company, Faults, create_app, misbehave
from st_kpi.servicetitan import reports as reporting
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.reports import Reports
from tests.conftest import tenant_settings

DAYS = (dt.date(2024, 1, 1), dt.date(2024, 12, 31))
COSTING = {"DateType": "Job Start Date", "IncludeAdjustmentInvoices": True}


class Waits:
    """What was waited for, which takes no time here."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.seconds: list[float] = []
        self.passes: Callable[[float], None] = lambda seconds: None

    async def turn(self, report: int) -> None:
        self.turns.append(report)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.passes(seconds)


@asynccontextmanager
async def opened(transport: httpx.AsyncBaseTransport) -> AsyncIterator[tuple[Reports, Waits]]:
    settings, waits = tenant_settings(), Waits()
    api_url, auth_url = settings.hosts
    async with ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        transport=transport,
        requests_per_second=10_000,
        sleep=waits.sleep,
    ) as source:
        yield Reports(source, waits.turn, sleep=waits.sleep), waits


def tenant(company: Company, *faults: str, **more: Any) -> httpx.ASGITransport:
    app = create_app(company, requests_per_second=100_000, **{"report_seconds": 0, **more})
    return httpx.ASGITransport(misbehave(app, Faults.parse(faults, 1)))


async def costing(reports: Reports) -> reporting.ReportData:
    report = await reports.find(name="job costing", category="operations")
    return await reports.data(report, await reports.values(report, COSTING, DAYS))


async def test_a_report_is_asked_as_its_description_says(company: Company) -> None:
    async with opened(tenant(company)) as (reports, waits):
        report = await reports.find(name=" JOB costing")
        assert (report.category, report.name) == ("operations", "Job Costing")
        assert await reports.find(id_=report.id) == report
        asked = await reports.values(report, COSTING, DAYS)
        assert asked == [
            {"name": "DateType", "value": 7},  # this tenant's number for the start of a job
            {"name": "From", "value": "2024-01-01"},
            {"name": "To", "value": "2024-12-31"},
            {"name": "IncludeAdjustmentInvoices", "value": True},
        ]
        data = await reports.data(report, asked)
        assert data.names[:2] == ("ScheduledDate", "JobBusinessUnit")
        assert data.labels[:2] == ("Scheduled Date", "Job Business Unit")
        assert len(data.rows) > 100
        assert waits.turns == [report.id]
        assert await reports.data(report, asked) is data  # asked once
        assert waits.turns == [report.id]


async def test_what_a_person_has_to_mend(company: Company) -> None:
    async with opened(tenant(company)) as (reports, _):
        with pytest.raises(
            ReportError, match="no category of reports 'sales'; there are operations"
        ):
            await reports.find(name="Leads", category="sales")
        with pytest.raises(ReportError, match=r"no report with the id 5; there are .*'Leads'"):
            await reports.find(id_=5)
        report = await reports.find(name="Job Costing")
        with pytest.raises(ReportError, match="asks for DateType, and nothing says what to answer"):
            await reports.values(report, {}, DAYS)
        with pytest.raises(
            ReportError, match="DateType has no value 'Job Start'; it has Invoice Date"
        ):
            await reports.values(report, {"DateType": "Job Start"}, DAYS)


async def test_every_page_is_a_call_and_a_turn(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tenant(company)) as (reports, _):
        whole = await costing(reports)
    monkeypatch.setattr(reporting, "_PAGE_SIZE", 100)
    async with opened(tenant(company)) as (reports, waits):
        paged = await costing(reports)
    assert paged == whole
    assert len(waits.turns) == -(-len(whole.rows) // 100) > 1


@pytest.mark.parametrize(
    "faults", [["report-async"], ["report-async#404"], ["report-async", "report-slow#3"]]
)
async def test_the_other_transport(company: Company, faults: list[str]) -> None:
    async with opened(tenant(company)) as (reports, _):
        whole = await costing(reports)
    async with opened(tenant(company, *faults)) as (reports, waits):
        assert await costing(reports) == whole
        assert waits.seconds.count(5.0) == (3 if "report-slow#3" in faults else 0)


async def test_one_that_is_never_ready_is_taken_back(company: Company) -> None:
    async with opened(tenant(company, "report-async", "report-slow#1000")) as (reports, waits):
        with pytest.raises(ReportError, match="was not ready after 15 minutes: ask for fewer days"):
            await costing(reports)
        assert sum(waits.seconds) == 900


async def test_a_minute_is_waited_for_as_the_tenant_says(company: Company) -> None:
    now = [0.0]
    app = tenant(company, report_seconds=60, clock=lambda: now[0])
    async with opened(app) as (reports, waits):
        waits.passes = lambda seconds: now.append(now.pop() + seconds)
        report = await reports.find(name="Leads")
        for day in (1, 2):
            asked = await reports.values(report, {}, (dt.date(2024, 5, day),) * 2)
            await reports.data(report, asked)
        assert [round(seconds) for seconds in waits.seconds] == [60]


def answering(data: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """A server with one report, whose data are what a test wants."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/connect/token"):
            return httpx.Response(200, json={"access_token": "t", "expires_in": 900})
        if path.endswith("/reports"):
            listed = [{"id": 7, "name": "Leads"}]
            return httpx.Response(200, json={"hasMore": False, "data": listed})
        if path.endswith("/reports/7"):
            return httpx.Response(200, json={"id": 7, "name": "Leads", "parameters": []})
        return data(request)

    return httpx.MockTransport(answer)


FIELDS = [{"name": "A", "label": "An A"}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "it is not JSON"),
        (b"[" * 10_000, "it is not JSON"),
        (b"[]", "it is not an object"),
        (json.dumps({"hasMore": False, "data": []}).encode(), "it has no fields or no data"),
        (json.dumps({"hasMore": True, "data": [], "fields": FIELDS}).encode(), "an empty page"),
        (json.dumps({"hasMore": False, "data": [[1, 2]], "fields": FIELDS}).encode(), "more or fewer values"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_whole(body: bytes, said: str) -> None:
    transport = answering(lambda request: httpx.Response(200, content=body))
    async with opened(transport) as (reports, _):
        report = await reports.find(name="Leads", category="marketing")
        with pytest.raises(MalformedResponse, match=said):
            await reports.data(report, [])


async def test_numbers_are_exact_and_keys_are_read_in_any_case() -> None:
    body = b'{"HasMore": false, "Fields": [{"Name": "A", "Label": "An A"}], "Data": [[1234.1], [0.10]]}'
    transport = answering(lambda request: httpx.Response(200, content=body))
    async with opened(transport) as (reports, _):
        data = await reports.data(await reports.find(name="Leads", category="x"), [])
        assert [str(row[0]) for row in data.rows] == ["1234.1", "0.10"]


async def test_while_another_report_is_made_it_is_asked_again() -> None:
    calls = 0

    def data(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls < 3:
            return httpx.Response(409, json={"title": "Another query is running"})
        return httpx.Response(200, json={"hasMore": False, "fields": FIELDS, "data": [[1]]})

    async with opened(answering(data)) as (reports, waits):
        found = await reports.data(await reports.find(name="Leads", category="x"), [])
        assert found.rows == ((1,),)
        assert waits.seconds == [5.0, 5.0]


async def test_each_attempt_is_a_call_in_its_turn() -> None:
    asked: list[tuple[str, str]] = []

    def data(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path.rsplit("reports/7/")[-1], request.url.query.decode()))
        if request.url.path.endswith("/data"):
            return httpx.Response(410 if len(asked) > 1 else 500)
        if len(asked) < 4:
            return httpx.Response(503)
        return httpx.Response(200, json={"hasMore": False, "fields": FIELDS, "data": [[1]]})

    async with opened(answering(data)) as (reports, waits):
        report = await reports.find(name="Leads", category="x")
        assert (await reports.data(report, [])).rows == ((1,),)
        assert waits.turns == [7] * 4
    query = "page=1&pageSize=25000"
    assert asked == [("data", query), ("data", query), ("data/query", query), ("data/query", query)]


async def test_lists_are_read_in_any_case() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/connect/token"):
            return httpx.Response(200, json={"access_token": "t", "expires_in": 900})
        if path.endswith("/report-categories"):
            return httpx.Response(200, json={"HasMore": False, "Data": [{"Id": "x"}]})
        if path.endswith("/reports"):
            return httpx.Response(
                200, json={"HasMore": False, "Data": [{"Id": 7, "Name": "Leads"}]}
            )
        return httpx.Response(200, json={"Id": 7, "Name": "Leads", "Parameters": []})

    async with opened(httpx.MockTransport(answer)) as (reports, _):
        report = await reports.find(name="leads")
        assert (report.id, report.category, report.name) == (7, "x", "Leads")


async def test_a_refusal_is_a_sentence() -> None:
    transport = answering(lambda request: httpx.Response(403, json={"title": "No scope"}))
    async with opened(transport) as (reports, _):
        report = await reports.find(name="Leads", category="x")
        with pytest.raises(SourceError, match="The app may not read report 'Leads'"):
            await reports.data(report, [])
