"""Why a row differs, on rows that a test writes out: the weeks of kpis.md beside reports made by hand."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from st_kpi.cli.render_reconciliation import (
    reconciliation_csv,
    reconciliation_json,
    reconciliation_table,
)
from st_kpi.errors import ConfigurationError, NothingLoaded, ReportError
from st_kpi.reporting.reconcile.compare import Line, Verdict
from st_kpi.reporting.reconcile.downloaded import read_download
from st_kpi.reporting.reconcile.reconcile import reconcile
from st_kpi.reporting.reconcile.result import Reconciliation
from tests.support.field import read_until
from tests.support.raw_rows import Tenant
from tests.support.reports import KINDS, PROJECT

PHOENIX = ZoneInfo("America/Phoenix")
WEEK = dt.date(2025, 1, 6)
TUESDAY = dt.date(2025, 1, 14)
COSTS = "Job #,Business Unit,Scheduled Date,Job Type,Subtotal,Labor Pay,Payroll Adjustments,Materials + Equip. + PO/Bill Costs,Returns\n"
#: P1 to P8 of kpis.md as ServiceTitan's report has them.
RIGHT = {
    "101": "101,East Production,1/6/2025,RES-EXT,800,250,50,145,-20",
    "102": "102,East Production,1/8/2025,RES-INT,3000,1200,0,300,0",
    "103": "103,East Production,1/7/2025,RES-EXT,0,0,0,0,0",
    "104": "104,East Production,1/9/2025,RES-EXT,500,0,0,0,0",
    "106": "106,East Production,1/10/2025,RES-EXT,400,150,0,0,0",
    "107": "107,East Production,1/7/2025,Warranty,0,0,150,0,0",
    "108": "108,East Production,1/10/2025,Window/Solar Washing,200,60,0,0,0",
}


def compared(
    tenant: Tenant,
    kpi: str = "gpm",
    *,
    rows: dict[str, str] | None = None,
    text: str | None = None,
    week: dt.date | None = WEEK,
    rollup: str = "All",
    **settings: Any,
) -> list[Reconciliation]:
    """``RIGHT`` with other rows beside our number."""
    lines = {**RIGHT, **(rows or {})}
    file = tenant.folder / "report.csv"
    file.write_text(text or COSTS + "\n".join(line for line in lines.values() if line) + "\n")
    chosen = tenant.settings(**settings)
    report, source = read_download(file, kpi, KINDS, renamed={}, zone=PHOENIX)
    return reconcile(
        tenant.warehouse, kpi, report, source, PROJECT, chosen, week=week, rollup=rollup
    )


def line(result: Reconciliation, key: str) -> Line:
    return next(each for each in result.lines if each.key == key)


@pytest.fixture
def weeks(worked_weeks: Tenant) -> Tenant:
    read_until(worked_weeks, dt.datetime(2025, 1, 14, 19, tzinfo=dt.UTC))
    worked_weeks.build(TUESDAY)
    return worked_weeks


def test_the_worked_example_is_its_report(weeks: Tenant) -> None:
    (result,) = compared(weeks)
    assert result.agrees
    assert result.verdicts == {Verdict.MATCHED: 7}
    assert result.value(result.here) == Decimal("0.533673469")
    (warranty,) = compared(weeks, "warranty_pct")
    assert warranty.agrees
    assert (warranty.there["numerator"], warranty.there["denominator"]) == (150, 4900)


@pytest.mark.parametrize(
    ("edit", "row", "cause"),
    [
        ({"jobs": [{"id": 104, "active": False}]}, None, "inactive or deleted here"),
        ({"jobs": [{"id": 104, "business_unit_id": 5}]}, "104,East Production,1/9/2025,RES-EXT,500,0,0,0,0", None),
        ({"jobs": [{"id": 104, "business_unit_id": 3}]}, None, "its unit here, 'West Sales', is SALES"),
        ({"jobs": [{"id": 104, "business_unit_id": None}]}, None, "has no business unit here"),
    ],
)  # fmt: skip
def test_a_row_that_is_only_there(
    worked_weeks: Tenant, edit: dict[str, Any], row: str | None, cause: str | None
) -> None:
    worked_weeks.edit(edit)
    worked_weeks.build(TUESDAY)
    (result,) = compared(worked_weeks, "produced")
    found = [each for each in result.lines if each.key == "104"]
    if cause is None:
        assert {each.verdict for each in found} == {Verdict.OTHER_UNIT}
        assert found[0].cause == "here under 'Z-DO NOT USE East'"
        assert result.gap == {"value": 0}
    else:
        assert [(each.verdict, each.cause) for each in found] == [(Verdict.ONLY_THERE, cause)]
        assert result.gap == {"value": 500}


def test_a_unit_that_nobody_mapped(worked_weeks: Tenant) -> None:
    worked_weeks.add({"business_units": [{"id": 6, "name": "North"}]})
    worked_weeks.add(
        {
            "jobs": [
                {
                    "id": 109,
                    "business_unit_id": 6,
                    "job_type_id": 21,
                    "created_on": "2025-01-08 18:00",
                }
            ]
        }
    )
    worked_weeks.build(TUESDAY)
    (result,) = compared(worked_weeks, rows={"109": "109,North,1/8/2025,RES-EXT,70,0,0,0,0"})
    assert (line(result, "109").verdict, line(result, "109").cause) == (
        Verdict.ONLY_THERE,
        "its unit 'North' is not mapped",
    )


def test_a_unit_and_a_type_that_do_not_count_are_set_aside(worked_weeks: Tenant) -> None:
    worked_weeks.map(
        "business_unit,rollup,role,valid_from,valid_to\nEast Sales,East,SALES,,\nWest Sales,West,SALES,,\n"
        "East Production,East,PRODUCTION,,\nZ-DO NOT USE East,East,PRODUCTION,,\nWest Production,,NONE,,\n",
        "job_type,family\nRES-EXT,production\nRES-INT,production\nWarranty,warranty\nTouchup,warranty\n"
        "Window/Solar Washing,none\nPM Inspection,excluded\nSafety Inspection,excluded\n",
    )
    worked_weeks.build(TUESDAY)
    rows = {"900": "900,West Production,1/8/2025,RES-EXT,70,0,0,0,0"}
    (result,) = compared(worked_weeks, "produced", rows=rows)
    assert result.agrees
    assert {rule: aside.rows for rule, aside in result.aside.items()} == {
        "in units that do not count": 1,
        "of a job type that does not count": 1,
    }


def test_what_a_setting_leaves_out_is_set_aside(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY, produced_excludes=["excluded"])
    (result,) = compared(worked_weeks, produced_excludes=["excluded"])
    assert result.agrees
    assert result.aside["of a job family in produced_excludes"].amounts["revenue"] == 200
    # Of a report without the column the cause is ours to find, and the reading says what would mend it.
    text = "Job #,Business Unit,Scheduled Date,Subtotal\n" + "".join(
        ",".join(row.split(",")[i] for i in (0, 1, 2, 4)) + "\n" for row in RIGHT.values()
    )
    (result,) = compared(worked_weeks, "produced", text=text, produced_excludes=["excluded"])
    assert result.agrees
    assert list(result.aside) == ["of a job family in produced_excludes"]


def test_what_changed_since_the_report_was_pulled(worked_weeks: Tenant) -> None:
    worked_weeks.edit({"jobs": [{"id": 102, "modified_on": "2099-01-01 00:00"}]})
    worked_weeks.build(TUESDAY)
    (result,) = compared(
        worked_weeks, rows={"102": "102,East Production,1/8/2025,RES-INT,2000,1200,0,300,0"}
    )
    assert (line(result, "102").verdict, line(result, "102").cause) == (
        Verdict.AMOUNT_DIFFERS,
        "changed since the report was pulled",
    )
    assert line(result, "102").differing == ("revenue",)


def test_tax_and_adjustments_in_one_row(worked_weeks: Tenant) -> None:
    invoices = {row.get("job_id"): row["id"] for row in worked_weeks.rows["invoices"]}
    worked_weeks.edit({"invoices": [{"id": invoices[102], "sales_tax": 240}]})
    worked_weeks.build(TUESDAY)
    rows = {
        "102": "102,East Production,1/8/2025,RES-INT,3240,1200,0,300,0",
        "101": "101,East Production,1/6/2025,RES-EXT,1000,250,50,145,-20",
    }
    (result,) = compared(worked_weeks, rows=rows)
    assert line(result, "102").cause == "the report's revenue is with tax"
    assert line(result, "101").cause == "the report leaves adjustment invoices out"
    assert result.gap == {"denominator": 440, "numerator": 440}


def test_other_weeks_units_and_twins(weeks: Tenant) -> None:
    rows = {
        "105": "105,East Production,1/7/2025,RES-EXT,700,0,0,0,0",  # here on the Friday before
        "106": "106,East Sales,1/10/2025,RES-EXT,400,150,0,0,0",
        "102": RIGHT["102"] + "\n" + RIGHT["102"],
        "104": "",
        "999": "999,East Production,1/7/2025,RES-EXT,1,0,0,0,0",
    }
    (result,) = compared(weeks, "produced", rows=rows)
    verdicts = {each.key: (each.verdict, each.cause) for each in result.lines}
    assert verdicts == {
        "101": (Verdict.MATCHED, None),
        "102": (Verdict.COUNTED_TWICE, None),
        "103": (Verdict.MATCHED, None),
        "104": (Verdict.ONLY_HERE, None),
        "105": (Verdict.OTHER_WEEK, "there on 2025-01-07, here on 2025-01-03"),
        "106": (Verdict.OTHER_UNIT, "there under 'East Sales', which is SALES"),
        "107": (Verdict.MATCHED, None),
        "108": (Verdict.MATCHED, None),
        "999": (Verdict.ONLY_THERE, "not known here"),
    }
    assert result.gap == {"value": Decimal(700 + 3000 - 500 - 400 + 1)}
    assert sum(result.residuals(each)["value"] for each in result.lines) == result.gap["value"]


@pytest.mark.parametrize(
    ("until", "cause"),
    [
        (None, "not loaded yet"),
        ("2025-01-12 19:00", "not loaded yet: newer than our data"),
        ("2025-01-14 19:00", "not known here"),
    ],
)
def test_a_row_after_the_data_is_not_loaded_yet(
    worked_weeks: Tenant, until: str | None, cause: str
) -> None:
    if until:
        read_until(worked_weeks, dt.datetime.fromisoformat(f"{until}+00:00"))
    worked_weeks.build(TUESDAY)
    row = "999,East Production,1/12/2025,RES-EXT,1,0,0,0,0"
    (result,) = compared(worked_weeks, "produced", rows={"999": row})
    assert line(result, "999").cause == cause


def test_which_setting_a_tenant_goes_by(worked_weeks: Tenant) -> None:
    worked_weeks.add(
        {"receipts": [{"id": 700, "job_id": 102, "receipt_amount": 280, "tax_amount": 8}]}
    )
    worked_weeks.build(TUESDAY)
    rows = {
        "101": "101,East Production,1/6/2025,RES-EXT,800,250,50,140,-20",
        "102": "102,East Production,1/8/2025,RES-INT,3000,1200,0,280,0",
    }
    (result,) = compared(worked_weeks, rows=rows)
    best = result.better_readings[0]
    assert (best.name, best.agreeing, best.gained) == (
        "cost_source = receipts",
        7,
        frozenset({"101", "102"}),
    )
    assert line(result, "101").cause == "would agree with cost_source = receipts"
    assert "With cost_source = receipts, 7 of 7 rows would agree, now 5." in reconciliation_table(
        [result]
    )
    (now,) = compared(worked_weeks, rows=rows, cost_source="receipts")
    assert now.here == result.here, "settings are those of the build: what is stored is compared"


def test_several_weeks_at_once(weeks: Tenant) -> None:
    rows = {"105": "105,East Production,1/3/2025,RES-EXT,700,0,0,0,0"}
    results = compared(weeks, "produced", rows=rows, week=None)
    assert [(r.week_start, r.agrees) for r in results] == [
        (dt.date(2024, 12, 30), True),
        (WEEK, True),
    ]
    text = reconciliation_table(results)
    assert "2 weeks, those of 2024-12-30 to 2025-01-06" in text
    assert "All 8 rows match: $ Produced is the report's, to the cent." in text


@pytest.mark.parametrize(
    ("text", "week", "said"),
    [
        (None, dt.date(2025, 1, 13), "has rows of 2025-01-06 to 2025-01-10, and none of 2025-01-13 to 2025-01-19"),
        ("Dates: 1/1/2025 - 1/8/2025\n" + COSTS + RIGHT["101"], WEEK, "is of 2025-01-01 to 2025-01-08, not all of 2025-01-06 to 2025-01-12: pull it for 01/06/2025 to 01/12/2025"),
        (COSTS + "105,East Production,1/3/2025,RES-EXT,700,0,0,0,0\n" + RIGHT["101"], WEEK, "has rows of 2025-01-03 to 2025-01-06, which is not all of"),
        (COSTS + "7777,North,1/6/2025,RES-EXT,1,0,0,0,0", WEEK, "Nothing in report.csv is known here, such as the JobNumber in line 2: it is of another tenant"),
        ("Job #,Business Unit,Subtotal\n101,East Production,1", None, "does not say of which days it is"),
    ],
)  # fmt: skip
def test_a_report_of_other_days_or_of_another_tenant(
    weeks: Tenant, text: str | None, week: dt.date | None, said: str
) -> None:
    with pytest.raises(ReportError) as error:
        compared(weeks, "produced", text=text, week=week)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_before_the_first_build(worked_weeks: Tenant) -> None:
    with pytest.raises(NothingLoaded):
        compared(worked_weeks)


def test_what_does_not_exist(weeks: Tenant) -> None:
    with pytest.raises(ConfigurationError, match="There is no rollup 'North'"):
        compared(weeks, rollup="North")
    with pytest.raises(ConfigurationError, match="There is no week of 2031-01-06"):
        compared(weeks, week=dt.date(2031, 1, 6))


def test_how_it_looks(weeks: Tenant) -> None:
    rows = {"104": "104,East Production,1/9/2025,RES-EXT,500,75,0,0,0", "106": ""}
    (result,) = compared(weeks, rows=rows, rollup="east")
    text = reconciliation_table([result])
    assert "G.P.M of East, the week of 2025-01-06, beside report.csv" in text
    assert (
        "2 of 7 rows differ; their residuals add up to the gap, -400 (denominator), -325 (numerator)."
        in text
    )
    assert "2 of them have no cause that is known." in text
    assert "104  East Production  labour_pay" in text
    csv = reconciliation_csv([result]).splitlines()
    assert csv[0].startswith("week_start,row_key,business_unit,verdict,measure,there,here,residual")
    assert "2025-01-06,104,East Production,amount differs,labour_pay,75,,75,," in "\n".join(csv)
    assert '"value_here": "0.533673469"' in reconciliation_json([result])


def test_an_undated_row_of_several_weeks_is_never_passed_over(weeks: Tenant) -> None:
    rows = {
        "105": "105,East Production,1/3/2025,RES-EXT,700,0,0,0,0",
        "999": "999,East Production,,RES-EXT,12345,0,0,0,0",
    }
    with pytest.raises(ReportError, match="has no day, and none is known here"):
        compared(weeks, "produced", rows=rows, week=None)


def test_a_subtotal_does_not_end_the_report(weeks: Tenant) -> None:
    text = COSTS + RIGHT["101"] + "\nTotal East,,,,800\n" + RIGHT["102"] + "\n"
    with pytest.raises(ReportError, match="line 3 is a total with rows below it"):
        compared(weeks, "produced", text=text)
