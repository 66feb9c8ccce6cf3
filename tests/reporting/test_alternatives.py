"""Other readings of a KPI beside it: their numbers, where they stand, and what they do not touch."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from st_kpi.cli.render_weekly import as_csv, as_json, weekly_table
from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.reporting import published
from st_kpi.reporting.alternatives import beside
from st_kpi.reporting.published import ALL, Published

pytestmark = pytest.mark.long

MONDAY = dt.date(2025, 1, 6)
WEDNESDAY = dt.date(2025, 1, 8)
PROJECT = inspect()


def shown(tenant: Any, kpi: str | None = None, weeks: int = 1) -> Published:
    """The last weeks as they are shown with alternatives, under the settings of the build."""
    settings = tenant.settings()
    numbers = published.read(tenant.warehouse, kpi=kpi, weeks=weeks)
    return beside(tenant.warehouse, numbers, PROJECT, settings)


def value(
    numbers: Published, name: str, rollup: str = ALL, week: dt.date = MONDAY
) -> Decimal | None:
    (kpi,) = [k for k in numbers.kpis if k.name == name]
    return numbers.value(kpi, week, rollup)


def test_leads_by_customers_are_counted_anew_in_each_period(worked_weeks: Any) -> None:
    worked_weeks.add(
        {
            "jobs": [
                {
                    "id": 801,
                    "customer_id": 1,
                    "business_unit_id": 3,
                    "job_type_id": 11,
                    "created_on": "2025-01-07 18:00",
                }
            ]
        }
    )
    worked_weeks.build(WEDNESDAY)
    numbers = shown(worked_weeks, "leads")
    assert [k.name for k in numbers.kpis] == ["leads", "leads/by_customers"]
    assert value(numbers, "leads", "East") == 5
    assert value(numbers, "leads/by_customers", "East") == 4
    assert value(numbers, "leads/by_customers", "West") == 1
    assert value(numbers, "leads/by_customers") == 4  # C1 asked in both: rollups do not add up


def test_produced_of_completed_jobs_only(worked_weeks: Any) -> None:
    worked_weeks.build(WEDNESDAY)
    numbers = shown(worked_weeks, "produced")
    assert value(numbers, "produced", "East") == 4900
    assert value(numbers, "produced/completed_only", "East") == value(
        numbers, "produced/completed_only"
    )
    assert value(numbers, "produced/completed_only") == 1400  # without P2 (Scheduled) and P4 (Hold)


def test_margin_under_other_settings(worked_weeks: Any) -> None:
    receipt = {"id": 700, "job_id": 101, "receipt_amount": 100, "tax_amount": 8}
    worked_weeks.add({"receipts": [receipt]})
    worked_weeks.edit(
        {
            "purchase_orders": [
                {"id": order["id"], "tax": 10} for order in worked_weeks.rows["purchase_orders"]
            ]
        }
    )
    worked_weeks.build(WEDNESDAY)
    numbers = shown(worked_weeks, "gpm")
    assert value(numbers, "gpm", "East") == Decimal("0.533673469")
    receipts = numbers.cells["gpm/receipts", MONDAY, "East"]
    assert (
        receipts.numerator == 2615 + 130 + 300 - 125 - 100
    )  # the bill of P1 and the order of P2 make way
    before_tax = numbers.cells["gpm/before_tax", MONDAY, ALL]
    assert (before_tax.numerator, before_tax.denominator) == (
        2615 + 11 + 10,
        4900,
    )  # of the bill, of the order
    assert before_tax.value == round(before_tax.numerator / 4900, 9)


@pytest.mark.parametrize(
    ("setting", "alternative", "kpi"),
    [
        ({"future_bookings_excludes": []}, "future_bookings/all_families", "future_bookings"),
        ({"ar_skip_unstarted": False}, "outstanding_ar/with_unstarted", "outstanding_ar"),
        ({"cost_source": "receipts"}, "gpm/receipts", "gpm"),
        ({"include_tax": False}, "gpm/before_tax", "gpm"),
    ],
)
def test_an_alternative_is_the_kpi_of_a_build_with_those_settings(
    worked_weeks: Any, setting: dict[str, Any], alternative: str, kpi: str
) -> None:
    worked_weeks.build(WEDNESDAY)
    other = shown(worked_weeks, kpi)
    worked_weeks.build(WEDNESDAY, full=True, **setting)
    built = shown(worked_weeks, kpi)
    for rollup in built.rollups:
        assert value(other, alternative, rollup) == value(built, kpi, rollup)


def test_the_published_numbers_stay_and_every_format_has_both(worked_weeks: Any) -> None:
    worked_weeks.build(WEDNESDAY)
    plain = published.read(worked_weeks.warehouse, weeks=2)
    numbers = shown(worked_weeks, weeks=2)
    named = [k.name for k in numbers.kpis]
    assert [n for n in named if "/" not in n] == [k.name for k in plain.kpis]
    assert {n for n in named if "/" in n} == {
        f"{kpi}/{a.name}" for kpi, card in PROJECT.cards.items() for a in card.alternatives
    }
    assert {key: numbers.cells[key] for key in plain.cells} == plain.cells
    assert "leads/by_customers,2025-01-06,East,4,,4" in as_csv(numbers)
    assert "leads/by_customers" in as_json(numbers)
    assert "customers" not in weekly_table(plain)
    assert "customers" in weekly_table(numbers)
    assert "customers" in weekly_table(shown(worked_weeks, "leads"))


def test_sql_that_the_lint_refuses_is_not_asked(worked_weeks: Any, tmp_path: Path) -> None:
    worked_weeks.build(WEDNESDAY)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "a.sql").write_text("SELECT 1", encoding="utf-8")
    numbers = published.read(worked_weeks.warehouse, weeks=1)
    with pytest.raises(SqlError, match=r"a\.sql:1: statement"):
        beside(
            worked_weeks.warehouse,
            numbers,
            replace(inspect(tmp_path / "sql")),
            worked_weeks.settings(),
        )
