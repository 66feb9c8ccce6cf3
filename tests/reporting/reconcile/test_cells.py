"""Amounts and days as offices, spreadsheets and programs write them."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from st_kpi.reporting.reconcile.cells import amount, day, days_in

PHOENIX = ZoneInfo("America/Phoenix")
D = dt.date(2025, 10, 20)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("$1,234.50", "1234.50"),
        ("(250.00)", "-250"),
        ("($1,250.00)", "-1250"),
        ("-$250.00", "-250"),
        ("250.00-", "-250"),
        ("\u2212250.00", "-250"),
        ("53.37%", "0.5337"),
        ("1.234,50", "1234.50"),
        ("1.234.567,89", "1234567.89"),
        ("1 234,50", "1234.50"),
        ("1\u202f234,50 €", "1234.50"),
        ("1'234.50", "1234.50"),
        ("12,5", "12.5"),
        ("1,234", "1234"),
        ("1,234,567", "1234567"),
        ("0.123", "0.123"),
        ("1234.567", "1234.567"),
        (".5", "0.5"),
        ("USD 5.00", "5"),
        ("", "0"),
        (None, "0"),
        ("-", "0"),
        ("\u2014", "0"),
        (17, "17"),
        (0.1, "0.1"),
        (Decimal("3.25"), "3.25"),
    ],
)
def test_amounts(cell: Any, value: str) -> None:
    assert amount(cell) == Decimal(value)


@pytest.mark.parametrize(
    "cell",
    ["abc", "1e5", "1.2.3", "1,23,4", "1,234,50", "12/31/2025", "#REF!", float("nan"), "1.234"],
)
def test_what_is_no_amount_is_refused(cell: Any) -> None:
    with pytest.raises(ValueError, match=r"is no amount|may be a thousand times as much"):
        amount(cell)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("10/20/2025", D),
        ("10/20/25", D),
        ("20.10.2025", D),
        ("2025-10-20", D),
        ("2025-10-20T00:00:00-07:00", D),
        ("2025-10-21T06:59:00Z", D),
        ("10/20/2025 8:15 AM", D),
        (dt.datetime(2025, 10, 20, 23, 59), D),
        (dt.datetime(2025, 10, 21, 6, 59, tzinfo=dt.UTC), D),
        (D, D),
        ("", None),
        (None, None),
    ],
)
def test_days(cell: Any, value: dt.date | None) -> None:
    assert day(cell, PHOENIX) == value


@pytest.mark.parametrize("cell", ["13/13/2025", "yesterday", "2025-02-30"])
def test_what_is_no_day_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"is no day|must be in|out of range"):
        day(cell, PHOENIX)


def test_days_in_a_title() -> None:
    assert days_in("Dates: 10/20/2025 - 10/26/2025") == [D, D + dt.timedelta(days=6)]
    assert days_in("Call 602-555-0100, part 99/99/2025") == []
