"""Each KPI beside the made-up tenant's report of it: equal as it is, and with planted differences exactly those."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from st_kpi.errors import ReportError
from st_kpi.reporting import published
from st_kpi.reporting.reconcile.compare import Verdict
from st_kpi.reporting.reconcile.result import Reconciliation
from tests.reporting.reconcile.conftest import Office

TEN = (
    "leads",
    "total_booked",
    "produced",
    "gpm",
    "collected",
    "estimates",
    "success_rate",
    "future_bookings",
    "warranty_pct",
    "outstanding_ar",
)
WEEK = dt.date(2025, 9, 1)
#: Of the snapshots the week of the last build.
LAST = dt.date(2025, 10, 20)


def week_of(kpi: str) -> dt.date:
    return LAST if kpi in ("future_bookings", "outstanding_ar") else WEEK


def residuals_are_the_gap(result: Reconciliation) -> bool:
    sums = {
        part: sum((result.residuals(line)[part] for line in result.lines), Decimal(0))
        for part in result.gap
    }
    return sums == result.gap


def keys(result: Reconciliation, *verdicts: Verdict) -> set[str]:
    return {line.key for line in result.lines if line.verdict in verdicts}


def differing(result: Reconciliation) -> set[str]:
    return keys(result, *(verdict for verdict in Verdict if verdict is not Verdict.MATCHED))


@pytest.mark.parametrize("kpi", TEN)
async def test_each_kpi_is_its_report_row_by_row(office: Office, kpi: str) -> None:
    week = week_of(kpi)
    result, _ = await office.pull(kpi, week)
    assert result.agrees
    assert result.verdicts[Verdict.MATCHED] > 3
    assert set(result.gap.values()) == {0}
    shown = published.read(office.warehouse, kpi=kpi, week=week, rollup="All")
    (described,) = shown.kpis
    ours = result.value(result.here)
    assert ours is not None
    assert round(ours, 9) == round(shown.value(described, week, "All") or 0, 9)


@pytest.mark.parametrize(
    ("fault", "verdicts"),
    [
        ("report-row-missing=0.3", [Verdict.ONLY_HERE]),
        ("report-amount-off=0.3", [Verdict.AMOUNT_DIFFERS]),
        ("report-row-twice=0.3", [Verdict.COUNTED_TWICE]),
        ("report-other-unit=0.7", [Verdict.OTHER_UNIT]),
        ("report-other-week=0.3", [Verdict.OTHER_WEEK, Verdict.ONLY_HERE]),
    ],
)
async def test_what_is_planted_is_found_and_nothing_else(
    office: Office, fault: str, verdicts: list[Verdict]
) -> None:
    result, planted = await office.pull("gpm", WEEK, fault)
    (rows,) = planted.values()
    units = {row["key"]: row["unit"] for row in rows}
    counted = {key for key, unit in units.items() if unit.endswith("Production")}
    assert differing(result) == keys(result, *verdicts) == counted != set()
    assert residuals_are_the_gap(result)
    assert set(result.verdicts) == {Verdict.MATCHED, *verdicts}


async def test_a_report_without_a_row_is_a_report(office: Office) -> None:
    result, _ = await office.pull("produced", WEEK, "report-row-missing=1")
    assert set(result.verdicts) == {Verdict.ONLY_HERE}
    assert result.there == {"value": 0}
    assert residuals_are_the_gap(result)


async def test_rows_that_nobody_has_here(office: Office) -> None:
    result, planted = await office.pull("gpm", WEEK, "report-row-extra=0.5")
    extra = {f"9{row['key']}" for row in planted["report-row-extra"]}
    assert set() != differing(result) == keys(result, Verdict.ONLY_THERE) <= extra
    assert {line.cause for line in result.lines if line.key in extra} == {"not known here"}
    assert residuals_are_the_gap(result)


async def test_an_amount_is_off_in_its_component(office: Office) -> None:
    result, planted = await office.pull("gpm", WEEK, "report-amount-off=0.3#LaborPay")
    assert planted["report-amount-off"]
    off = [line for line in result.lines if line.verdict is Verdict.AMOUNT_DIFFERS]
    assert {line.differing for line in off} == {("labour_pay",)}
    assert {line.residual("labour_pay") for line in off} == {Decimal("12.34")}
    assert result.gap == {"denominator": 0, "numerator": -Decimal("12.34") * len(off)}


async def test_a_row_of_another_week_says_by_which_date(office: Office) -> None:
    result, _ = await office.pull("produced", WEEK, "report-other-week=0.5")
    moved = [line for line in result.lines if line.verdict is Verdict.OTHER_WEEK]
    assert moved
    for line in moved:
        assert line.day_there is not None
        assert line.cause is not None
        week_before = line.day_there - dt.timedelta(days=7)
        assert line.cause == f"there on {line.day_there}, here on {week_before}"


async def test_a_report_by_completion_is_found_out(office: Office, tmp_path: Path) -> None:
    """The office had chosen another date: jobs are in other weeks, and the reading says which date it is."""
    file = await office.download(
        tmp_path / "r.csv", report="Job Costing", DateType="Job Completion Date",
        From=str(WEEK), To=str(WEEK + dt.timedelta(days=6)), IncludeAdjustmentInvoices="true",
        format="csv", style="office",
    )  # fmt: skip
    (result,) = office.compare("produced", file, WEEK)
    assert not result.agrees
    assert result.better_readings[0].name == "dated by the completion of the job"
    moved = [line.cause or "" for line in result.lines if line.verdict is Verdict.OTHER_WEEK]
    assert moved
    assert all(c.startswith("the report goes by the completion of the job") for c in moved)


@pytest.mark.parametrize(
    ("kpi", "fault", "reading"),
    [
        ("gpm", "report-orders-only", "cost_source = purchase_orders"),
        ("gpm", "report-no-adjustments", "without adjustment invoices"),
        ("produced", "report-no-adjustments", "without adjustment invoices"),
        ("produced", "report-with-tax", "invoices with tax"),
    ],
)
async def test_the_reading_that_a_report_goes_by_is_named(
    office: Office, kpi: str, fault: str, reading: str
) -> None:
    week = dt.date(2025, 8, 4)
    result, planted = await office.pull(kpi, week, fault)
    (rows,) = planted.values()
    units = {row["key"]: row["unit"] for row in rows}
    counted = {key for key, unit in units.items() if unit.endswith("Production")}
    assert set() != differing(result) <= counted
    best = result.better_readings[0]
    assert (best.name, best.gained) == (reading, frozenset(differing(result)))
    assert best.agreeing == len({line.key for line in result.lines})
    assert residuals_are_the_gap(result)


@pytest.mark.parametrize(
    ("kpi", "fault", "cause"),
    [
        ("leads", "report-test-customer", "test customer"),
        (
            "future_bookings",
            "report-excluded-family",
            "job family 'excluded' is excluded by future_bookings_excludes",
        ),
    ],
)
async def test_rows_that_the_office_filters_out(
    office: Office, kpi: str, fault: str, cause: str
) -> None:
    for week in [week_of(kpi), *(LAST - dt.timedelta(weeks=n) for n in range(1, 40))]:
        if kpi == "future_bookings" and week != LAST:
            continue
        result, planted = await office.pull(kpi, week, fault)
        if planted.get(fault):
            break
    assert planted[fault]
    told = {row["key"] for row in planted[fault]}
    set_aside = {rule for rule in result.aside if rule.startswith("of a job family")}
    if set_aside:
        assert differing(result) == set()
        assert result.agrees
    else:
        assert differing(result) == keys(result, Verdict.ONLY_THERE) == told
        assert {line.cause for line in result.lines if line.key in told} == {cause}


@pytest.mark.parametrize("kpi", ["total_booked", "leads", "collected", "outstanding_ar"])
@pytest.mark.parametrize("fault", ["report-row-missing", "report-amount-off", "report-other-unit"])
async def test_other_kinds_of_reports_too(office: Office, kpi: str, fault: str) -> None:
    result, planted = await office.pull(kpi, week_of(kpi), f"{fault}=0.4")
    told = {str(row["key"]) for row in planted.get(fault, [])}
    assert differing(result) <= told
    assert residuals_are_the_gap(result)
    if kpi != "leads" or fault != "report-amount-off":  # leads have no amount
        assert differing(result)


async def test_of_sums_without_rows_the_units_that_differ_are_named(office: Office) -> None:
    result, planted = await office.pull("success_rate", WEEK, "report-row-missing=0.3")
    units = {row["key"] for row in planted["report-row-missing"]}
    assert set() != differing(result) <= units
    assert {line.unit for line in result.lines} == {line.key for line in result.lines}


async def test_one_rollup_alone(office: Office) -> None:
    whole, _ = await office.pull("gpm", WEEK, "report-amount-off=0.5")
    rollups = published.rollups_of(office.warehouse, office.company.tenant_id, None)
    parts = [
        (await office.pull("gpm", WEEK, "report-amount-off=0.5", rollup=rollup))[0]
        for rollup in rollups
        if rollup != "All"
    ]
    for part, gap in whole.gap.items():
        assert sum((each.gap[part] for each in parts), Decimal(0)) == gap != 0
    assert all(residuals_are_the_gap(each) for each in parts)


async def test_another_unit_of_another_rollup_is_told_from_both_sides(office: Office) -> None:
    whole, _planted = await office.pull("produced", WEEK, "report-other-unit=0.5")
    moved = [line for line in whole.lines if line.verdict is Verdict.OTHER_UNIT and line.here]
    assert moved
    rollup = next(row.rollup for row in published_rows(office, moved[0].key))
    part, _ = await office.pull("produced", WEEK, "report-other-unit=0.5", rollup=rollup)
    line = next(each for each in part.lines if each.key == moved[0].key)
    assert line.verdict is Verdict.OTHER_UNIT
    assert line.cause is not None
    assert line.cause.startswith("there under '")
    assert "of the rollup" in line.cause


def published_rows(office: Office, key: str):  # type: ignore[no-untyped-def]
    from st_kpi.reporting.explain import explain

    rows = explain(office.warehouse, "produced", week=WEEK).rows
    return [row for row in rows if row.job_number == key]


async def test_a_report_of_another_tenant(office: Office) -> None:
    with pytest.raises(ReportError, match="it is of another tenant, or the data are not loaded"):
        await office.pull("gpm", WEEK, "report-other-tenant")


async def test_changed_columns_are_named(office: Office) -> None:
    for fault in ("report-column-dropped#LaborPay", "report-column-renamed#LaborPay"):
        with pytest.raises(ReportError, match=r"has no column labour_pay \(LaborPay or Labor Pay"):
            await office.pull("gpm", WEEK, fault)
        result, _ = await office.pull("produced", WEEK, fault)
        assert result.agrees  # which does not need it


async def test_a_report_that_is_gone_names_those_that_would_do(office: Office) -> None:
    with pytest.raises(ReportError, match="There is no report called 'Job Costing'") as error:
        await office.pull("gpm", WEEK, "report-gone@Job Costing")
    assert "'Business Unit Sales'" in str(error.value)
    with pytest.raises(ReportError, match="There are several reports called 'Job Costing'"):
        await office.pull("gpm", WEEK, "report-copied@Job Costing")
    with pytest.raises(ReportError, match=r"operations: 'Job Costing \(edited\)'"):
        await office.pull("gpm", WEEK, "report-renamed@Job Costing")


async def test_the_other_transport_gives_the_same(office: Office) -> None:
    one, _ = await office.pull("gpm", WEEK)
    for faults in (["report-async"], ["report-async#404", "report-slow#3"]):
        other, _ = await office.pull("gpm", WEEK, *faults)
        assert other.lines == one.lines
