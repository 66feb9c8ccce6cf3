"""One record stops nobody: an empty date, a unit that no list has, and a unit that does both."""

import datetime as dt
from typing import Any

import pytest

from st_kpi.errors import CheckFailed, MappingError
from st_kpi.kpis.build import BuildResult
from st_kpi.kpis.checks import CheckResult
from st_kpi.reporting import published
from tests.support.field import MONDAY, UNITS, WEEK
from tests.support.raw_rows import Tenant

#: How .NET writes a date that is none; in a zone west of Greenwich its local day has no name.
EMPTY = "0001-01-01 00:00"


def broken(result: BuildResult, name: str) -> CheckResult:
    (check,) = (c for c in result.checks if c.name == name)
    return check


@pytest.mark.parametrize("zone", ["America/Phoenix", "Pacific/Auckland"])
def test_an_empty_date_is_none_and_said(small: Tenant, zone: str) -> None:
    jobs = [
        {"id": 301, "business_unit_id": 2, "job_type_id": 21, "job_status": "Completed",
         "created_on": "2025-01-09 18:00", "completed_on": EMPTY},
        {"id": 302, "business_unit_id": 1, "job_type_id": 11, "job_status": "Scheduled", "created_on": EMPTY},
    ]  # fmt: skip
    small.add(
        {
            "jobs": jobs,
            "appointments": [{"id": 2, "job_id": 301, "start": EMPTY, "created_on": EMPTY}],
            "invoices": [{"id": 1002, "job_id": 301, "business_unit_id": 2, "sub_total": 70}],
            "estimates": [{"id": 2, "job_id": 201, "status_name": "Sold", "sold_on": EMPTY, "subtotal": 9}],
            "payments": [{"id": 2, "date": EMPTY, "total": 5, "unapplied_amount": 5}],
        }
    )  # fmt: skip
    result = small.build(MONDAY, timezone=zone)
    assert broken(result, "empty_dates").detail == "; ".join(
        f"tenant_id 1, field {field}, empty_dates 1, first_id {first}"
        for field, first in (
            ("appointments.start", 2),
            ("estimates.sold_on", 2),
            ("jobs.completed_on", 301),
            ("jobs.created_on", 302),
            ("payments.date", 2),
        )
    )
    assert broken(result, "sold_estimates_without_day").failed_rows == 1
    assert broken(result, "payments_without_day").failed_rows == 1
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1070
    assert small.weekly("total_booked")[WEEK, "East"]["value"] == 5000
    assert small.weekly("leads")[WEEK, "East"]["value"] == 1
    days = small.query("SELECT MIN(on_date) AS first FROM st_kpi.contributions")
    assert days[0]["first"] in (WEEK, WEEK + dt.timedelta(1))


def test_a_table_of_empty_dates_alone_is_no_error(small: Tenant) -> None:
    """From the year 1 no year can be taken away."""
    for row in (*small.rows["jobs"], *small.rows["appointments"]):
        row["created_on"] = EMPTY
    assert broken(small.build(MONDAY), "literals_required").passed


def test_the_unit_0_is_no_unit(small: Tenant) -> None:
    small.add(
        {
            "jobs": [{"id": 301, "business_unit_id": 0, "job_type_id": 0, "created_on": "2025-01-08 18:00"}],
            "invoices": [{"id": 1002, "job_id": 301, "business_unit_id": 0, "sub_total": 70, "balance": 70}],
            "credit_memos": [{"id": 1, "business_unit_id": 0, "balance": 3}],
        }
    )  # fmt: skip
    result = small.build(MONDAY)
    assert broken(result, "unmapped_units").passed
    assert broken(result, "unmapped_job_types").passed
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1000


def gone(unit: int = 77, job_type: int = 99) -> dict[str, list[dict[str, Any]]]:
    """A job of a unit and a type that ServiceTitan's lists do not have."""
    job = {"id": 301, "business_unit_id": unit, "job_type_id": job_type, "job_status": "Completed"}
    return {
        "jobs": [job | {"created_on": "2025-01-08 18:00"}],
        "invoices": [
            {"id": 1002, "job_id": 301, "business_unit_id": unit, "location_id": 1, "sub_total": 70, "balance": 70}
        ],
    }  # fmt: skip


def test_a_unit_that_no_list_has_is_mapped_by_its_id(small: Tenant) -> None:
    small.add(gone())
    with pytest.raises(CheckFailed, match="business_unit_id 77, business_unit None, amount 140"):
        small.build(MONDAY)
    small.map(UNITS + "77,East,PRODUCTION,,2025-01-12\n77,West,PRODUCTION,2025-01-13,\n")
    small.build(MONDAY)
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1070
    assert small.weekly("outstanding_ar")[MONDAY, "West"]["value"] == 70


def test_a_job_type_that_no_list_has_is_mapped_by_its_id(small: Tenant) -> None:
    small.add(gone(unit=2))
    assert not broken(small.build(MONDAY), "unmapped_job_types").passed
    small.map(types="job_type,family\nRES-EXT,production\n99,warranty\n")
    assert broken(small.build(MONDAY), "unmapped_job_types").passed
    small.build(MONDAY, produced_excludes=["warranty"])
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1000


def test_an_id_that_nothing_names_is_refused_as_before(small: Tenant) -> None:
    small.map(UNITS + "77,East,PRODUCTION,,\n")
    with pytest.raises(MappingError, match="has the id or name '77'"):
        small.build(MONDAY)


def test_a_unit_that_sells_and_produces_counts_for_both(small: Tenant) -> None:
    small.map("business_unit,rollup,role,valid_from,valid_to\nEast Sales,East,BOTH,,\nEast Production,East,both,,\n")  # fmt: skip
    small.add(
        {
            "invoices": [{"id": 1002, "job_id": 201, "business_unit_id": 1, "location_id": 1, "sub_total": 70,
                          "balance": 70}],
            "appointments": [{"id": 2, "job_id": 201, "start": "2025-01-08 18:00"}],
            "estimates": [{"id": 2, "job_id": 101, "status_name": "Sold", "sold_on": "2025-01-08 18:00", "subtotal": 9}],
            "payments": [{"id": 2, "date": "2025-01-09 18:00", "business_unit_id": 1, "total": 5, "unapplied_amount": 5,
                          "customer_id": 1}],
        }
    )  # fmt: skip
    small.build(MONDAY)
    values = {
        kpi: row[WEEK, "East"]["value"]
        for kpi in ("leads", "estimates", "estimates_scheduled", "total_booked", "produced")
        if (row := small.weekly(kpi))
    }
    assert values == {
        "leads": 1,
        "estimates": 1,
        "estimates_scheduled": 1,
        "total_booked": 5009,
        "produced": 1070,
    }
    assert small.weekly("success_rate")[WEEK, "East"]["denominator"] == 2
    assert small.weekly("outstanding_ar")[MONDAY, "East"]["value"] == 400 + 70 - 5
    assert {row["role"] for row in small.query("SELECT role FROM st_kpi.kpi_weekly")} >= {"BOTH"}
    shown = published.read(small.warehouse, rollup="East", kpi="produced")
    assert shown.value(shown.kpis[0], WEEK, "East") == 1070
