"""What the Reporting API asks of a client: descriptions, parameters, pages, one call a minute."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from st_kpi.sandbox import Company, create_app, generate_company
from tests.sandbox.reports.conftest import CATEGORY, Reader

YEAR = {"From": "2024-01-01", "To": "2024-12-31"}
WELL_KNOWN = {0: "Invoice Date", 1: "Job Completion Date"}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def every_report(reader: Reader) -> dict[str, str]:
    """The path of every report by its name, found through the categories."""
    found = {}
    for category in (await reader.ok("reporting:report-categories"))["data"]:
        path = f"reporting:report-category/{category['id']}/reports"
        for report in (await reader.ok(path))["data"]:
            found[report["name"]] = f"{path}/{report['id']}"
    return found


async def given(reader: Reader, description: dict[str, Any]) -> dict[str, Any]:
    """Values for the required parameters of a report."""
    values = {**YEAR, "AsOf": "2025-10-21", "DateType": await reader.date_type("Job Start Date")}
    return {
        parameter["name"]: values[parameter["name"]]
        for parameter in description["parameters"]
        if parameter["isRequired"]
    }


async def test_reports_are_found_by_category(reader: Reader) -> None:
    found = await every_report(reader)
    assert set(found) == set(CATEGORY)
    assert (await reader.get("reporting:report-category/sales/reports")).status_code == 404
    number = found["Leads"].rpartition("/")[2]
    elsewhere = await reader.get(f"reporting:report-category/accounting/reports/{number}")
    assert elsewhere.status_code == 404


async def test_data_have_the_columns_of_the_description(reader: Reader) -> None:
    for path in (await every_report(reader)).values():
        description = await reader.ok(path)
        answer = await reader.post(path + "/data", await given(reader, description))
        body = answer.json()
        told = [{"name": f["name"], "label": f["label"]} for f in description["fields"]]
        assert body["fields"] == told
        assert body["data"]
        assert {len(row) for row in body["data"]} == {len(told)}


async def test_date_types_have_numbers_of_their_own(reader: Reader) -> None:
    values = dict((await reader.ok("reporting:dynamic-value-sets/job-date-filter-type"))["data"])
    assert values.items() >= WELL_KNOWN.items()
    others = set(values.values()) - set(WELL_KNOWN.values())
    assert others >= {"Job Start Date", "Job Creation Date"}
    assert set(values) != set(range(len(values)))
    assert (await reader.get("reporting:dynamic-value-sets/technicians")).status_code == 404


async def test_units_are_listed_by_number_and_name(reader: Reader, company: Company) -> None:
    values = (await reader.ok("reporting:dynamic-value-sets/business-units"))["data"]
    assert values == [[unit.id, unit.name] for unit in company.business_units]


async def test_each_date_type_dates_by_another_day(reader: Reader) -> None:
    sets = {}
    for name in ("Invoice Date", "Job Completion Date", "Job Start Date", "Job Creation Date"):
        number = await reader.date_type(name)
        rows = await reader.rows("Job Costing", DateType=number, From="2024-04-01", To="2024-06-30")
        sets[name] = {row["JobNumber"] for row in rows}
        if name == "Job Completion Date":
            assert {row["JobStatus"] for row in rows} == {"Completed"}
    assert len(set(map(frozenset, sets.values()))) == 4


async def test_both_days_are_included_and_local(reader: Reader) -> None:
    rows = await reader.rows("Leads", **YEAR)
    days = {datetime.fromisoformat(row["CreatedDate"]) for row in rows}
    assert {day.utcoffset() for day in days} == {timedelta(hours=-7)}
    assert {day.time().isoformat() for day in days} == {"00:00:00"}
    one = max(days).date()
    same = await reader.rows("Leads", From=one.isoformat(), To=f"{one.isoformat()}T00:00:00-07:00")
    assert same == [row for row in rows if row["CreatedDate"].startswith(one.isoformat())]
    assert same


async def test_sales_have_their_local_time(reader: Reader) -> None:
    rows = await reader.rows("Sold Estimates", **YEAR)
    moments = [datetime.fromisoformat(row["SoldOn"]) for row in rows]
    assert {moment.utcoffset() for moment in moments} == {timedelta(hours=-7)}
    assert all(moment.date().year == 2024 for moment in moments)
    assert any(moment.hour for moment in moments)


async def test_money_is_whole_where_it_can_be(reader: Reader) -> None:
    rows = await reader.rows("Collections", From="2020-01-01", To="2025-12-31")
    assert {type(row["Amount"]) for row in rows} == {int, float}


async def test_units_narrow_the_rows(reader: Reader, company: Company) -> None:
    one, two = company.business_units[0], company.business_units[2]
    rows = await reader.rows("Leads", **YEAR, BusinessUnitId=[one.id, two.id])
    assert {row["JobBusinessUnit"] for row in rows} == {one.name, two.name}
    assert rows != await reader.rows("Leads", **YEAR)


async def test_adjustments_are_left_out_unless_asked_for(reader: Reader, company: Company) -> None:
    number = await reader.date_type("Job Start Date")
    dates = {"DateType": number, "From": "2020-01-01", "To": "2026-12-31"}
    without = await reader.rows("Job Costing", **dates)
    within = await reader.rows("Job Costing", **dates, IncludeAdjustmentInvoices=True)
    adjusted = {
        str(bill.job_id)
        for bill in company.invoices
        if bill.adjustment_to_id and bill.active and bill.subtotal_cents
    }
    plain = {row["JobNumber"]: row["Subtotal"] for row in without}
    differ = {row["JobNumber"] for row in within if row["Subtotal"] != plain[row["JobNumber"]]}
    assert differ
    assert differ <= adjusted


async def test_pages_are_asked_for_in_the_query_alone(reader: Reader) -> None:
    path = await reader.path("Leads") + "/data"
    whole = (await reader.post(path, YEAR)).json()
    assert (whole["page"], whole["pageSize"], whole["hasMore"]) == (1, 1000, False)
    assert whole["totalCount"] is None
    body = {"page": 2, "pageSize": 7, "includeTotal": True}
    assert (await reader.post(path, YEAR, body)).json() == whole
    first = (await reader.post(path, YEAR, pageSize=7, includeTotal="true")).json()
    second = (await reader.post(path, YEAR, page=2, pageSize=7)).json()
    assert first["hasMore"]
    assert first["totalCount"] == len(whole["data"])
    assert first["data"] + second["data"] == whole["data"][:14]


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a page of no rows": (YEAR, {"pageSize": 0}, "The value '0' is not valid."),
    "a page too big": (YEAR, {"pageSize": 25_001}, "The maximum page size is 25000."),
    "a missing day": ({"From": "2024-01-01"}, {}, "Parameter 'To' is required."),
    "an unknown name": ({**YEAR, "Until": "2025"}, {}, "Report has no parameter 'Until'."),
    "no day": (
        {**YEAR, "To": "1/31/2024"},
        {},
        "The value '1/31/2024' of parameter 'To' is not valid.",
    ),
    "no unit": (
        {**YEAR, "BusinessUnitId": ["PHX"]},
        {},
        "The value '['PHX']' of parameter 'BusinessUnitId' is not valid.",
    ),
}


@pytest.mark.parametrize(("parameters", "query", "said"), WRONG.values(), ids=WRONG)
async def test_a_wrong_request_is_refused_by_name(
    reader: Reader, parameters: dict[str, Any], query: dict[str, Any], said: str
) -> None:
    answer = await reader.post(await reader.path("Leads") + "/data", parameters, **query)
    assert answer.status_code == 400
    assert answer.json()["title"] == said


async def test_a_date_type_must_be_one_of_the_set(reader: Reader) -> None:
    path = await reader.path("Job Costing") + "/data"
    for number in (99, 7.5, "7", True):
        answer = await reader.post(path, {**YEAR, "DateType": number})
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == ["DateType"]


@pytest.mark.parametrize("body", ["", "[]", '{"parameters": {}}', '{"parameters": [{"value": 1}]}'])
async def test_a_body_without_parameters_is_refused(reader: Reader, body: str) -> None:
    url = reader.url(await reader.path("Leads") + "/data")
    assert (await reader.http.post(url, content=body)).status_code == 400


@pytest.fixture
async def waiting(company: Company) -> AsyncIterator[tuple[Reader, Clock]]:
    """A client of a tenant that lets a report be called once a minute, and its clock."""
    clock = Clock()
    app = create_app(company, requests_per_second=100_000, clock=clock)
    one = Reader(app, company.tenant_id)
    await one.sign_in()
    yield one, clock
    await one.http.aclose()


async def test_a_report_is_called_once_a_minute(waiting: tuple[Reader, Clock]) -> None:
    reader, clock = waiting
    path = await reader.path("Leads") + "/data"
    assert (await reader.post(path, {})).status_code == 400  # costs nothing
    assert (await reader.post(path, YEAR)).status_code == 200
    clock.now = 17.5
    refused = await reader.post(path, YEAR, page=2)
    assert refused.status_code == 429
    assert refused.json()["title"] == "Rate limit is exceeded. Try again in 43 seconds."
    assert refused.headers["Retry-After"] == "43"
    other = await reader.post(await reader.path("Sold Estimates") + "/data", YEAR)
    assert other.status_code == 200
    clock.now = 60.0
    assert (await reader.post(path, YEAR)).status_code == 200


async def test_the_gate_is_before_reports_too(reader: Reader) -> None:
    path = await reader.path("Leads") + "/data"
    del reader.http.headers["ST-App-Key"]
    assert (await reader.post(path, YEAR)).status_code == 403
    del reader.http.headers["Authorization"]
    assert (await reader.post(path, YEAR)).status_code == 401


async def test_reports_follow_the_company() -> None:
    own = generate_company(seed=7, scale=0.003)
    reader = Reader(create_app(own, requests_per_second=100_000, report_seconds=0), own.tenant_id)
    await reader.sign_in()
    day = {"From": "2020-01-01", "To": own.last_day.isoformat()}
    before = await reader.rows("Leads", **day)
    gone = next(job for job in own.jobs if str(job.id) == before[0]["JobNumber"])
    gone.active = False
    own.touch()
    assert await reader.rows("Leads", **day) == before[1:]
    await reader.http.aclose()
