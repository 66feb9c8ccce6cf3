"""What is left of a report's rows once it is asked, and how the API writes their values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.sandbox.clock import SECOND
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Asked, Field, Kind, Report, Row, Value


@dataclass(frozen=True, slots=True)
class Shown:
    """A report as it is answered: its columns and finished rows."""

    report: Report
    fields: tuple[Field, ...]
    rows: list[Row]


def show(report: Report, asked: Asked, ledger: Ledger) -> Shown:
    """The rows a report has for what is asked."""
    rows = [row for row in report.rows(ledger, asked) if not row.left_out and chosen(row, asked)]
    for row in rows:
        if not asked.adjustments:
            add(row, "adjustments")
    return Shown(report, report.fields, report.finish(ledger, rows))


def chosen(row: Row, asked: Asked) -> bool:
    """Whether a row is within the days and units asked for."""
    day = row.days.get(asked.date_type)
    if day is None or not asked.first <= day <= asked.last:
        return False
    return asked.units is None or row.unit_id in asked.units


def add(row: Row, reading: str) -> bool:
    """Change a row's values to another reading; True if that makes a difference."""
    changes = row.other.get(reading, {})
    for name, cents in changes.items():
        value = row.values[name]
        assert isinstance(value, int)
        row.values[name] = value + cents
    return any(changes.values())


class Writer:
    """Values as JSON: whole money without a fraction, days as local midnights with their offset."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def row(self, row: Row, fields: tuple[Field, ...]) -> list[Any]:
        """The values of a row in the order of the fields."""
        return [self._value(row.values.get(field.name), field.kind) for field in fields]

    def local(self, instant: int) -> datetime:
        """An instant on the tenant's clocks, to the second."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant // SECOND)
        return moment.astimezone(self._zone)

    def _value(self, value: Value, kind: Kind) -> Any:
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=self._zone).isoformat()
        if kind is Kind.MONEY and isinstance(value, int):
            return value / 100 if value % 100 else value // 100
        if kind is Kind.INSTANT and isinstance(value, int):
            return self.local(value).isoformat()
        return value
