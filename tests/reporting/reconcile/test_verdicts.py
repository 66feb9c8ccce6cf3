"""What a report may not be said to show: rows of several things under one key, of several weeks, of units that change."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.cli.render_reconciliation import reconciliation_table
from st_kpi.errors import ReportError, RunFailed
from st_kpi.reporting.reconcile.compare import Verdict
from st_kpi.reporting.reconcile.result import Reconciliation
from tests.reporting.reconcile.test_causes import COSTS, RIGHT, compared, line
from tests.support.field import MONDAY
from tests.support.field import WEEK as SMALL_WEEK
from tests.support.raw_rows import Tenant

WEEK, TUESDAY = dt.date(2025, 1, 6), dt.date(2025, 1, 14)
PAID = "Invoice #,Invoice Business Unit,Payment Date,Amount\n"
OWED = "Location ID,Business Unit,Balance\n"


@pytest.fixture
def weeks(worked_weeks: Tenant) -> Tenant:
    worked_weeks.build(TUESDAY)
    return worked_weeks


def of_small(
    tenant: Tenant, kpi: str, text: str, week: dt.date | None = SMALL_WEEK, **more: Any
) -> Reconciliation:
    (result,) = compared(tenant, kpi, text=text, week=week, **more)
    return result


def told(result: Reconciliation) -> list[tuple[str, str | None, Verdict, str | None]]:
    return [(each.key, each.unit, each.verdict, each.cause) for each in result.lines]


# --- Rows without a day in a report of several weeks ----------------------------------------------------------------


def test_an_undated_row_is_of_the_week_that_it_has_here(weeks: Tenant) -> None:
    """Job 105 is of the Friday before, and would else be charged to the week that is asked for."""
    text = COSTS + "\n".join(
        [*RIGHT.values(), "105,East Production,,RES-EXT,700,0,0,0,0", *_others()]
    )
    (result,) = compared(weeks, "produced", text=text)
    assert result.agrees
    assert result.aside["on other days"].rows == 2


def test_an_undated_row_that_nobody_knows_is_of_any_week(weeks: Tenant) -> None:
    text = COSTS + "\n".join(
        [*RIGHT.values(), "999,East Production,,RES-EXT,7,0,0,0,0", *_others()]
    )
    with pytest.raises(ReportError, match="line 9 has no day, and none is known here"):
        compared(weeks, "produced", text=text)


def test_an_undated_row_of_a_report_of_this_week_is_of_this_week(weeks: Tenant) -> None:
    text = COSTS + "\n".join([*RIGHT.values(), "999,East Production,,RES-EXT,7,0,0,0,0"])
    (result,) = compared(weeks, "produced", text=text)
    assert line(result, "999").verdict is Verdict.ONLY_THERE


def _others() -> list[str]:
    """A row that makes a report one of several weeks, of a job that is not there."""
    return ["105,East Production,1/17/2025,RES-EXT,0,0,0,0,0"]


def test_a_report_without_days_is_compared_in_every_week_it_says(weeks: Tenant) -> None:
    rows = [*RIGHT.values(), "105,East Production,1/3/2025,RES-EXT,700,0,0,0,0"]
    undated = [",".join(p for i, p in enumerate(row.split(",")) if i != 2) for row in rows]
    heading = COSTS.replace("Scheduled Date,", "")
    text = "12/23/2024 - 1/15/2025\n" + heading + "\n".join(undated)
    results = compared(weeks, "produced", text=text, week=None)
    assert [(str(r.week_start), r.agrees) for r in results] == [
        ("2024-12-23", True),
        ("2024-12-30", True),
        ("2025-01-06", True),
    ]
    said = reconciliation_table(results)
    assert (
        "Not compared: report.csv is of 2024-12-23 to 2025-01-15, not all of 2025-01-13 to 2025-01-19"
        in said
    )


# --- Several things under one key --------------------------------------------------------------------------------


@pytest.fixture
def paid(small: Tenant) -> Tenant:
    """Invoice 1001 was paid 600 on January 9, and 100 and 50 on the 14th."""
    small.add(
        {
            "payments": [
                {"id": 2, "date": "2025-01-14 18:00", "total": 150, "unapplied_amount": 0, "customer_id": 1}
            ],
            "payment_applications": [
                {"payment_id": 2, "line": 1, "id": 2, "applied_to": 1001, "applied_amount": 100},
                {"payment_id": 2, "line": 2, "id": 3, "applied_to": 1001, "applied_amount": 50},
            ],
        }
    )  # fmt: skip
    small.build(MONDAY)
    return small


def test_a_payment_that_is_missing_there_is_not_the_one_of_another_week(paid: Tenant) -> None:
    text = (
        PAID
        + "1001,East Production,1/14/2025,100\n1001,East Production,1/14/2025,50\n1001,East Production,1/6/2025,0\n"
    )
    result = of_small(paid, "collected", text)
    assert told(result) == [("1001", "East Production", Verdict.AMOUNT_DIFFERS, None)]
    assert "1 of them have no cause that is known." in reconciliation_table([result])


def test_a_payment_of_another_week_has_its_amount(paid: Tenant) -> None:
    text = PAID + "1001,East Production,1/8/2025,600\n1001,East Production,1/9/2025,150\n"
    result = of_small(paid, "collected", text)
    assert told(result) == [
        ("1001", "East Production", Verdict.OTHER_WEEK, "here on 2025-01-14"),
    ]
    text = PAID + "1001,East Production,1/15/2025,600\n1001,East Production,1/14/2025,150\n"
    results = compared(paid, "collected", text="1/6/2025 - 1/19/2025\n" + text, week=None)
    assert [told(result) for result in results] == [
        [("1001", "East Production", Verdict.OTHER_WEEK, "there on 2025-01-15")],
        [("1001", "East Production", Verdict.OTHER_WEEK, "here on 2025-01-09")],
    ]


def test_two_payments_that_say_the_same_may_be_two(paid: Tenant) -> None:
    text = PAID + "1001,East Production,1/9/2025,600\n" * 2
    assert told(of_small(paid, "collected", text)) == [
        ("1001", "East Production", Verdict.AMOUNT_DIFFERS, None)
    ]


# --- Other units, and what is too small ---------------------------------------------------------------------------


@pytest.fixture
def owing(small: Tenant) -> Tenant:
    """Location 1 owes 400 in East and 300 in West."""
    small.map(
        "business_unit,rollup,role,valid_from,valid_to\nEast Sales,East,SALES,,\nEast Production,East,PRODUCTION,,\n"
        "West Production,West,PRODUCTION,,\n"
    )
    small.add(
        {
            "business_units": [{"id": 3, "name": "West Production"}],
            "invoices": [
                {"id": 1002, "job_id": 101, "business_unit_id": 3, "customer_id": 1, "location_id": 1,
                 "sub_total": 300, "total": 300, "balance": 300},
            ],
        }
    )  # fmt: skip
    small.build(MONDAY)
    return small


def test_a_unit_that_is_missing_there_is_not_another_unit(owing: Tenant) -> None:
    result = of_small(owing, "outstanding_ar", OWED + "1,East Production,400\n", MONDAY)
    assert told(result) == [
        ("1", "East Production", Verdict.MATCHED, None),
        ("1", "West Production", Verdict.ONLY_HERE, None),
    ]
    assert "1 of them have no cause that is known." in reconciliation_table([result])
    # 300 are under another unit there, 70 are something else.
    text = OWED + "1,East Production,400\n1,East Sales,{}\n"
    aside = of_small(owing, "outstanding_ar", text.format(300), MONDAY)
    assert told(aside)[1][2:] == (Verdict.OTHER_UNIT, "there under 'East Sales', which is SALES")
    assert (
        told(of_small(owing, "outstanding_ar", text.format(70), MONDAY))[1][2] is Verdict.ONLY_HERE
    )


def test_what_is_under_another_unit_there_is_told_from_both_sides(owing: Tenant) -> None:
    result = of_small(
        owing, "outstanding_ar", OWED + "1,East Production,400\n1,North,300\n", MONDAY
    )
    assert told(result) == [
        ("1", "East Production", Verdict.MATCHED, None),
        ("1", "North", Verdict.OTHER_UNIT, "here under 'West Production'"),
        ("1", "West Production", Verdict.OTHER_UNIT, "there under 'North'"),
    ]
    other = of_small(owing, "outstanding_ar", OWED + "1,East Production,400\n1,North,299\n", MONDAY)
    assert [each[2:] for each in told(other)[1:]] == [
        (Verdict.ONLY_THERE, None),
        (Verdict.ONLY_HERE, None),
    ]
    assert "1 of 1 rows differ" in reconciliation_table([other])


def test_the_minimum_is_that_of_what_counts(owing: Tenant) -> None:
    """As ours: what a location has in a SALES unit does not lift it above the minimum, or push it below."""
    rows = "1,East Production,400\n1,West Production,300\n1,East Sales,-695\n2,East Sales,500\n2,East Production,4\n"
    result = of_small(owing, "outstanding_ar", OWED + rows, MONDAY)
    assert result.agrees
    assert {rule: aside.rows for rule, aside in result.aside.items()} == {
        "below ar_minimum": 1,
        "in units that are SALES": 2,
    }
    # Of one rollup the whole location is what is large enough.
    owing.build(MONDAY, ar_minimum=Decimal("350"))
    part = of_small(
        owing, "outstanding_ar", OWED + rows, MONDAY, rollup="West", ar_minimum=Decimal("350")
    )
    assert part.agrees
    assert part.here == {"value": 300}


def test_a_location_has_no_unit_of_its_own(owing: Tenant) -> None:
    owing.add({"locations": [{"id": 5, "customer_id": 1}]})
    owing.build(MONDAY)
    rows = "1,East Production,400\n1,West Production,300\n5,East Production,90\n"
    result = of_small(owing, "outstanding_ar", OWED + rows, MONDAY)
    assert (line(result, "5").verdict, line(result, "5").cause) == (Verdict.ONLY_THERE, None)


# --- Readings ------------------------------------------------------------------------------------------------------


def test_rows_that_a_reading_would_add_are_counted(small: Tenant) -> None:
    """Dated by creation all jobs of the week are here: two of 32 would agree, and not two of two."""
    for number in range(300, 330):
        small.add(
            {
                "jobs": [{"id": number, "business_unit_id": 2, "job_type_id": 21, "customer_id": 1,
                          "location_id": 1, "job_status": "Completed", "first_appointment_id": number,
                          "created_on": "2025-01-07 18:00", "completed_on": "2025-01-15 22:00"}],
                "appointments": [{"id": number, "job_id": number, "status": "Done", "start": "2025-01-15 16:00"}],
                "invoices": [{"id": 10_000 + number, "job_id": number, "business_unit_id": 2, "customer_id": 1,
                              "location_id": 1, "sub_total": 10, "total": 10, "balance": 0}],
            }
        )  # fmt: skip
    small.build(MONDAY)
    text = "Job #,Business Unit,Scheduled Date,Subtotal\n101,East Production,1/8/2025,1000\n300,East Production,1/7/2025,10\n"
    result = of_small(small, "produced", text)
    (reading,) = [r for r in result.readings if r.name == "dated by the creation of the job"]
    assert (reading.keys, reading.differing, reading.agreeing) == (31, 29, 2)
    assert result.differing == 1
    assert reading not in result.better_readings
    assert "would agree" not in reconciliation_table([result])


def test_a_reading_that_drops_our_row_does_not_agree_with_a_zero(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY)
    rows = {"108": "108,East Production,1/10/2025,Window/Solar Washing,0,0,0,0,0"}
    (result,) = compared(worked_weeks, "produced", rows=rows)
    dropping = next(r for r in result.readings if r.name == "produced_excludes = ['excluded']")
    assert "108" not in dropping.gained
    assert dropping.differing == result.differing == 1
    assert line(result, "108").cause is None


# --- Sums by unit, families and estimates without a job ------------------------------------------------------------


SOLD = "Name,Total Sales\n"


def test_a_unit_is_known_in_any_case(small: Tenant) -> None:
    small.build(MONDAY)
    result = of_small(small, "total_booked", SOLD + "EAST  sales,5000\n")
    assert told(result) == [("East Sales", "East Sales", Verdict.MATCHED, None)]


def test_a_unit_whose_mapping_changes_within_the_week(small: Tenant) -> None:
    small.map(
        "business_unit,rollup,role,valid_from,valid_to\nEast Sales,West,SALES,,2025-01-07\n"
        "East Sales,East,SALES,2025-01-08,\nEast Production,East,PRODUCTION,,\n"
    )
    small.add(
        {"estimates": [{"id": 2, "job_id": 201, "status_name": "Sold", "sold_on": "2025-01-06 18:00", "subtotal": 70}]}
    )  # fmt: skip
    small.build(MONDAY)
    whole = of_small(small, "total_booked", SOLD + "East Sales,5070\n")
    assert whole.agrees
    east = of_small(small, "total_booked", SOLD + "East Sales,5070\n", rollup="East")
    assert told(east) == [
        (
            "East Sales",
            "East Sales",
            Verdict.AMOUNT_DIFFERS,
            "its mapping changes within the week, on 2025-01-08",
        )
    ]
    assert east.gap == {"value": 70}


@pytest.mark.parametrize("job_type", ["", "Windows (old name)"])
def test_a_job_type_that_the_report_does_not_tell_is_ours(
    worked_weeks: Tenant, job_type: str
) -> None:
    worked_weeks.build(TUESDAY, produced_excludes=["excluded"])
    rows = {"108": f"108,East Production,1/10/2025,{job_type},200,60,0,0,0"}
    (result,) = compared(worked_weeks, "produced", rows=rows, produced_excludes=["excluded"])
    assert result.agrees
    assert result.aside["of a job family in produced_excludes"].rows == 1


def test_an_estimate_that_belongs_to_no_job(small: Tenant) -> None:
    small.add(
        {"estimates": [{"id": 2, "business_unit_id": 1, "status_name": "Sold", "sold_on": "2025-01-08 18:00", "subtotal": 70}]}
    )  # fmt: skip
    small.build(MONDAY)
    text = "Estimate #,Job Business Unit,Estimate Business Unit,Sold On,Status,Subtotal\n"
    text += "1,East Sales,East Production,1/8/2025,Sold,5000\n2,East Sales,East Sales,1/8/2025,Sold,70\n"
    result = of_small(small, "total_booked", text)
    assert told(result) == [
        ("1", "East Sales", Verdict.MATCHED, None),
        ("2", "East Sales", Verdict.ONLY_THERE, "belongs to no job"),
    ]


def test_rows_that_are_not_the_published_number_are_not_compared(weeks: Tenant) -> None:
    weeks.warehouse.execute(
        "UPDATE st_kpi.kpi_weekly SET numerator = numerator + 1 WHERE kpi = 'produced'"
    )
    with pytest.raises(RunFailed, match="do not add up to the published number"):
        compared(weeks, "produced")
