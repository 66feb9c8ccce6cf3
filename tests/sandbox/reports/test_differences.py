"""What is planted is there, is told, and is all that differs."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.sandbox import Company
from tests.sandbox.reports.conftest import Meet, Reader

YEAR = {"From": "2024-01-01", "To": "2024-12-31"}
Row = dict[str, Any]


async def costing(reader: Reader, name: str = "Job Costing") -> dict[str, Row]:
    """The rows of a year by job."""
    rows = await reader.rows(
        name,
        **YEAR,
        DateType=await reader.date_type("Job Start Date"),
        IncludeAdjustmentInvoices=True,
    )
    by_job = {row["JobNumber"]: row for row in rows}
    assert len(by_job) == len(rows)
    return by_job


async def told(reader: Reader, fault: str, report: str = "Job Costing") -> set[str]:
    """The keys that the tenant says it touched, each told once and counted."""
    about = (await reader.http.get("/sandbox")).json()
    listed = [row["key"] for row in about["report_differences"][fault][report]]
    assert len(set(listed)) == len(listed) == about["faults"][fault]
    return set(listed)


def changed(before: dict[str, Row], after: dict[str, Row]) -> dict[str, set[str]]:
    """The columns in which rows of both differ, by key."""
    both = before.keys() & after.keys()
    differ = {key: {n for n in before[key] if before[key][n] != after[key][n]} for key in both}
    return {key: names for key, names in differ.items() if names}


async def test_missing_rows(reader: Reader, meet: Meet) -> None:
    other = await meet("report-row-missing=0.2")
    before, after = await costing(reader), await costing(other)
    assert await told(other, "report-row-missing") == before.keys() - after.keys() != set()
    assert after.keys() <= before.keys()
    assert changed(before, after) == {}
    again = await costing(await meet("report-row-missing=0.2"))
    assert again == after
    assert await costing(await meet("report-row-missing=0.2", seed=2)) != after


async def test_extra_rows(reader: Reader, meet: Meet, company: Company) -> None:
    other = await meet("report-row-extra=0.2")
    before, after = await costing(reader), await costing(other)
    more = after.keys() - before.keys()
    assert {f"9{key}" for key in await told(other, "report-row-extra")} == more != set()
    assert before.keys() <= after.keys()
    assert not more & {str(job.id) for job in company.jobs}


@pytest.mark.parametrize("detail", ["", "#LaborPay"])
async def test_amounts_off(reader: Reader, meet: Meet, detail: str) -> None:
    other = await meet(f"report-amount-off=0.2{detail}")
    before, after = await costing(reader), await costing(other)
    name = detail.lstrip("#") or "Subtotal"
    differ = changed(before, after)
    assert differ.keys() == await told(other, "report-amount-off") != set()
    for key, names in differ.items():
        off = Decimal(str(after[key][name])) - Decimal(str(before[key][name]))
        assert off == Decimal("12.34")
        assert names <= {name, "GrossMarginPercentage", "TotalCosts"}
        assert ("TotalCosts" in names) == (name == "LaborPay")


async def test_another_week(reader: Reader, meet: Meet) -> None:
    other = await meet("report-other-week=0.2")
    before, after = await costing(reader), await costing(other)
    differ = changed(before, after)
    assert all(names == {"ScheduledDate"} for names in differ.values() if names)
    for key in differ:
        one, two = (datetime.fromisoformat(rows[key]["ScheduledDate"]) for rows in (before, after))
        assert two - one == timedelta(days=7)
    moved_over_the_edge = before.keys() ^ after.keys()
    keys = await told(other, "report-other-week")
    undated = {key for key in keys if not (before.get(key) or after[key])["ScheduledDate"]}
    assert differ.keys() | moved_over_the_edge | undated == keys


async def test_sales_of_another_week_keep_their_time(reader: Reader, meet: Meet) -> None:
    other = await meet("report-other-week=0.5@Sold Estimates")
    before = {
        row["EstimateId"]: row["SoldOn"] for row in await reader.rows("Sold Estimates", **YEAR)
    }
    after = {row["EstimateId"]: row["SoldOn"] for row in await other.rows("Sold Estimates", **YEAR)}
    moved = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    assert moved
    for key in moved:
        one, two = datetime.fromisoformat(before[key]), datetime.fromisoformat(after[key])
        assert two - one == timedelta(days=7)
    assert await costing(other) == await costing(reader)  # the path kept it to one report


async def test_another_unit(reader: Reader, meet: Meet, company: Company) -> None:
    other = await meet("report-other-unit=0.2")
    before, after = await costing(reader), await costing(other)
    differ = changed(before, after)
    assert differ.keys() == await told(other, "report-other-unit") != set()
    assert set(map(frozenset, differ.values())) == {frozenset({"JobBusinessUnit"})}
    units = {unit.name: unit for unit in company.business_units}
    for key in differ:
        one, two = (units[rows[key]["JobBusinessUnit"]] for rows in (before, after))
        assert one.role == two.role
        assert one.rollup != two.rollup


async def test_rows_twice(reader: Reader, meet: Meet) -> None:
    other = await meet("report-row-twice=0.2")
    before, after = await reader.rows("Leads", **YEAR), await other.rows("Leads", **YEAR)
    times = Counter(row["JobNumber"] for row in after)
    assert (
        {key for key, n in times.items() if n == 2}
        == (await told(other, "report-row-twice", "Leads"))
        != set()
    )
    assert times.keys() == {row["JobNumber"] for row in before}
    assert max(times.values()) == 2


async def test_a_test_customer(reader: Reader, meet: Meet) -> None:
    all_days = {"From": "2020-01-01", "To": "2025-12-31"}
    other = await meet("report-test-customer")
    before = {row["JobNumber"] for row in await reader.rows("Leads", **all_days)}
    after = {row["JobNumber"]: row for row in await other.rows("Leads", **all_days)}
    more = after.keys() - before
    assert more == await told(other, "report-test-customer", "Leads") != set()
    assert all("test" in after[key]["CustomerName"].lower() for key in more)


async def test_an_excluded_family(reader: Reader, meet: Meet) -> None:
    other = await meet("report-excluded-family")
    before, after = [await costing(one, "Future Bookings") for one in (reader, other)]
    more = after.keys() - before.keys()
    assert more == await told(other, "report-excluded-family", "Future Bookings") != set()
    kinds = {"PM Inspection", "Safety Inspection", "Window/Solar Washing"}
    assert {after[key]["JobType"] for key in more} == kinds


async def test_tax(reader: Reader, meet: Meet, company: Company) -> None:
    other = await meet("report-with-tax")
    before, after = await costing(reader), await costing(other)
    differ = changed(before, after)
    assert differ.keys() == await told(other, "report-with-tax") != set()
    tax: Counter[str] = Counter()
    for bill in company.invoices:
        if bill.active:
            tax[str(bill.job_id)] += bill.tax_cents
    for key in differ:
        more = Decimal(str(after[key]["Subtotal"])) - Decimal(str(before[key]["Subtotal"]))
        assert more * 100 == tax[key] > 0


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        ("report-orders-only", "MaterialEquipmentPurchaseOrderCosts"),
        ("report-no-adjustments", "Subtotal"),
    ],
)
async def test_another_reading(reader: Reader, meet: Meet, fault: str, column: str) -> None:
    other = await meet(fault)
    before, after = await costing(reader), await costing(other)
    differ = changed(before, after)
    assert differ.keys() == await told(other, fault) != set()
    assert len(differ) < len(before)
    assert all(column in names for names in differ.values())
    if fault == "report-no-adjustments":
        plain = await reader.rows(
            "Job Costing", **YEAR, DateType=await reader.date_type("Job Start Date")
        )
        assert after == {row["JobNumber"]: row for row in plain}


async def test_a_row_meets_one_difference_at_most(meet: Meet) -> None:
    names = ("report-row-missing", "report-amount-off", "report-other-unit", "report-row-extra")
    other = await meet(*(f"{name}=0.5" for name in names))
    await costing(other)
    about = (await other.http.get("/sandbox")).json()["report_differences"]
    keys = [row["key"] for name in names for row in about[name]["Job Costing"]]
    assert len(keys) == len(set(keys))
    assert all(about[name]["Job Costing"] for name in names)


async def test_sums_per_unit_have_the_differences_of_what_they_sum(
    reader: Reader, meet: Meet
) -> None:
    other = await meet("report-amount-off=0.3@Business Unit Sales")
    before = {row["Name"]: row for row in await reader.rows("Business Unit Sales", **YEAR)}
    after = {row["Name"]: row for row in await other.rows("Business Unit Sales", **YEAR)}
    about = (await other.http.get("/sandbox")).json()["report_differences"]
    hits = Counter(row["unit"] for row in about["report-amount-off"]["Business Unit Sales"])
    assert hits
    for name, row in after.items():
        off = Decimal(str(row["TotalSales"])) - Decimal(str(before[name]["TotalSales"]))
        assert off == hits[name] * Decimal("12.34")


async def test_money_received_and_owed_can_be_off_too(reader: Reader, meet: Meet) -> None:
    other = await meet("report-row-missing=0.2")
    day = {"AsOf": "2025-10-21"}
    for name, asked in (("Collections", YEAR), ("Receivables by Location", day)):
        before, after = await reader.rows(name, **asked), await other.rows(name, **asked)
        listed = (await other.http.get("/sandbox")).json()["report_differences"]
        missing = len(listed["report-row-missing"][name])
        assert len(after) == len(before) - missing < len(before)


async def test_nothing_of_another_tenant_is_known_here(
    reader: Reader, meet: Meet, company: Company
) -> None:
    other = await meet("report-other-tenant")
    before, after = await costing(reader), await costing(other)
    assert len(before) == len(after)
    assert before.keys() & after.keys() == set()
    assert await told(other, "report-other-tenant") == before.keys()
    units = {unit.name for unit in company.business_units}
    assert {row["JobBusinessUnit"] for row in after.values()} & units == set()


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("report-column-renamed", {"Subtotal", "SubtotalNew"}),
        ("report-column-renamed#LaborPay", {"LaborPay", "LaborPayNew"}),
        ("report-column-dropped", {"Subtotal"}),
        ("report-column-dropped#JobNumber", {"JobNumber"}),
    ],
)
async def test_columns_change(reader: Reader, meet: Meet, fault: str, names: set[str]) -> None:
    path = await reader.path("Job Costing")
    other = await meet(fault)
    asked = {**YEAR, "DateType": 1}
    shown = []
    for one in (reader, other):
        told = await one.ok(path)
        data = (await one.post(path + "/data", asked)).json()
        columns = [field["name"] for field in data["fields"]]
        assert columns == [field["name"] for field in told["fields"]]
        shown.append((columns, told["modifiedOn"], data["data"]))
    (before, then, rows), (after, since, others) = shown
    assert set(before) ^ set(after) == names
    assert since > then
    if "renamed" in fault:
        assert rows == others


async def test_a_report_is_gone(reader: Reader, meet: Meet) -> None:
    path = await reader.path("Leads")
    other = await meet("report-gone@Leads")
    assert (await other.get(path)).status_code == 404
    assert (await other.post(path + "/data", YEAR)).status_code == 404
    listed = await other.ok("reporting:report-category/marketing/reports")
    assert listed["data"] == []
    assert await costing(other) == await costing(reader)


@pytest.mark.parametrize(
    "fault", ["unknown-field", "number-as-word", "feed-duplicates", "huge-ids"]
)
async def test_faults_of_records_leave_reports_alone(
    reader: Reader, meet: Meet, fault: str
) -> None:
    other = await meet(f"{fault}=1")
    assert await other.rows("Leads", **YEAR) == await reader.rows("Leads", **YEAR)


async def test_faults_of_answers_reach_reports(meet: Meet) -> None:
    other = await meet("cut-between-records=1@/data")
    answer = await other.post(await other.path("Leads") + "/data", YEAR)
    assert answer.status_code == 200
    assert answer.text.endswith("],")


async def test_a_report_is_renamed_and_keeps_its_number(reader: Reader, meet: Meet) -> None:
    path = await reader.path("Leads")
    other = await meet("report-renamed@Leads")
    assert (await other.ok(path))["name"] == "Leads (edited)"
    listed = await other.ok("reporting:report-category/marketing/reports")
    assert [row["name"] for row in listed["data"]] == ["Leads (edited)"]
    answers = [(await one.post(path + "/data", YEAR)).json() for one in (reader, other)]
    assert answers[0] == answers[1]


async def test_a_copy_has_the_same_name_and_rows(meet: Meet) -> None:
    other = await meet("report-copied@Leads")
    path = "reporting:report-category/marketing/reports"
    one, two = (await other.ok(path))["data"]
    assert one["name"] == two["name"] == "Leads"
    assert one["id"] != two["id"]
    data = [(await other.post(f"{path}/{row['id']}/data", YEAR)).json() for row in (one, two)]
    assert data[0] == data[1]


async def test_extra_money_that_was_not_applied_has_no_number_either(meet: Meet) -> None:
    other = await meet("report-row-extra=1@Collections")
    rows = await other.rows("Collections", From="2020-01-01", To="2025-12-31")
    loose = [row for row in rows if row["InvoiceNumber"] is None]
    assert loose
    assert len(loose) % 2 == 0
    assert all(str(row["InvoiceNumber"]).isdecimal() for row in rows if row not in loose)
