"""A report as it is answered, and how the API writes its values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.sandbox.clock import SECOND
from st_kpi.sandbox.reports.table import Field, Kind, Report, Row, Value


@dataclass(frozen=True, slots=True)
class Shown:
    """A report as it is answered: its columns and finished rows."""

    report: Report
    fields: tuple[Field, ...]
    rows: list[Row]


class Writer:
    """Values as JSON: whole money without a fraction, days as local midnights with their offset."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def row(self, row: Row, fields: tuple[Field, ...]) -> list[Any]:
        """The values of a row in the order of the fields."""
        return [self.value(field.of(row), field.kind) for field in fields]

    def local(self, instant: int) -> datetime:
        """An instant on the tenant's clocks, to the second."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant // SECOND)
        return moment.astimezone(self._zone)

    def value(self, value: Value, kind: Kind) -> Any:
        """One value of that kind."""
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=self._zone).isoformat()
        if kind in (Kind.MONEY, Kind.AVERAGE) and isinstance(value, int):
            return value / 100 if value % 100 else value // 100
        if kind is Kind.INSTANT and isinstance(value, int):
            return self.local(value).isoformat()
        return value
