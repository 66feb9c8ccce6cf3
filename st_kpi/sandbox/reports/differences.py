"""Known differences hidden in reports, by the faults a tenant was asked to have.

A row is hit by the seed and its key alone, so that it is the same one in each answer. A row meets at
most one difference, the first that fits it in the order of `_EDITS`, so that each is found for what it
is. Which rows they were in the last answer of a report is told, by the key and unit they had before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from st_kpi.sandbox.clock import DAY
from st_kpi.sandbox.faults.names import Fault, Faults
from st_kpi.sandbox.faults.records import chance
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Asked, Field, Kind, Report, Row, Value

OFF_CENTS = 12_34
_READINGS = {
    "report-with-tax": "tax",
    "report-orders-only": "orders",
    "report-no-adjustments": "adjustments",
}
_HIDDEN = {"report-test-customer": "test", "report-excluded-family": "family"}


class Differences:
    """The planted differences of one tenant's reports; there are none until `plant`."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._faults: tuple[Fault, ...] = ()
        self._seed = 0
        #: By fault and by report: key and unit of the rows that the last answer differs in.
        self.told: dict[str, dict[str, list[dict[str, Value]]]] = {}

    def plant(self, faults: Faults) -> None:
        """Have those of the faults that are about reports."""
        self._faults = tuple(f for f in faults.faults if f.name.startswith("report-"))
        self._seed = faults.seed

    def of(self, name: str, report: Report, path: str) -> Fault | None:
        """The fault of that name, if the report has it; `path` is the report's address."""
        for fault in self._faults:
            if fault.name == name and (fault.path in path or fault.path in report.name):
                return fault
        return None

    def met(self, name: str, report: Report, path: str) -> Fault | None:
        """As `of`, and it counts as having occurred."""
        fault = self.of(name, report, path)
        if fault is not None:
            self._counts[name] += 1
        return fault

    def rows(
        self,
        report: Report,
        path: str,
        rows: Iterable[Row],
        asked: Asked,
        ledger: Ledger,
    ) -> list[Row]:
        """The rows of a report with its differences, before anything was chosen of them."""
        faults = [fault for name in _EDITS if (fault := self.of(name, report, path)) is not None]
        touched: dict[str, list[Row]] = {fault.name: [] for fault in faults}
        out: list[Row] = []
        for row in rows:
            for fault in faults:
                if chance(self._seed, fault.name, row.key) >= fault.share:
                    continue
                after = _EDITS[fault.name](_copy(row), _Case(fault, report, asked, ledger))
                if after is not None:
                    if any(each.shown(asked) for each in (row, *after)):
                        touched[fault.name].append(row)
                    out += after
                    break
            else:
                out.append(row)
        for name, befores in touched.items():
            self._told(name, report, befores)
        return out

    def _told(self, fault: str, report: Report, rows: list[Row]) -> None:
        self._counts[fault] += len(rows)
        self.told.setdefault(fault, {})[report.name] = [
            {
                "key": row.values.get(report.key_field) or row.key,
                "unit": row.values.get(report.unit_field),
            }
            for row in rows
        ]

    def finished(self, report: Report, path: str, rows: list[Row]) -> list[Row]:
        """The finished rows, of another tenant where that is asked for."""
        if self.of("report-other-tenant", report, path) is None:
            return rows
        self._told("report-other-tenant", report, rows)
        return [_of_another_tenant(row, report) for row in rows]

    def fields(self, report: Report, path: str) -> tuple[Field, ...]:
        """The columns, one of them renamed or dropped."""
        dropped = self.met("report-column-dropped", report, path)
        renamed = self.met("report-column-renamed", report, path)
        fields = report.fields
        if dropped is not None:
            fields = tuple(f for f in fields if f.name != _column(dropped, report))
        if renamed is not None:
            fields = tuple(
                replace(f, name=f"{f.name}New", label=f"New {f.label}", source=f.name)
                if f.name == _column(renamed, report)
                else f
                for f in fields
            )
        return fields


@dataclass(frozen=True, slots=True)
class _Case:
    """What an edit may look at besides the row."""

    fault: Fault
    report: Report
    asked: Asked
    ledger: Ledger


#: What stands for a row, or None where the fault does not fit it. The row is a copy.
_Edit = Callable[[Row, _Case], list[Row] | None]


def _missing(row: Row, case: _Case) -> list[Row]:
    return []


def _extra(row: Row, case: _Case) -> list[Row]:
    """The row, and one like it with a number that nothing has."""
    more = _copy(row)
    _renumber(more, case.report, "9")
    return [row, more]


def _amount_off(row: Row, case: _Case) -> list[Row] | None:
    name = next(
        (
            field.name
            for field in case.report.fields
            if field.kind is Kind.MONEY and field.name in row.values
            if case.fault.detail in ("", field.name)
        ),
        None,
    )
    if name is None:
        return None
    row.add({name: OFF_CENTS})
    return [row]


def _other_week(row: Row, case: _Case) -> list[Row] | None:
    if not case.report.between_days:
        return None
    row.days = {name: day + timedelta(days=7) for name, day in row.days.items()}
    for column in case.report.fields:
        value = row.values.get(column.name)
        if isinstance(value, date):
            row.values[column.name] = value + timedelta(days=7)
        elif column.kind is Kind.INSTANT and isinstance(value, int):
            row.values[column.name] = value + 7 * DAY
    return [row]


def _other_unit(row: Row, case: _Case) -> list[Row] | None:
    unit = case.ledger.books.unit(row.unit_id)
    if unit is None:
        return None
    like = [u for u in case.ledger.company.business_units if u.role == unit.role and u.active]
    others = [u for u in like if u.rollup != unit.rollup]
    if not others:
        return None
    other = next((u for u in others if u.id > unit.id), others[0])
    row.unit_id = other.id
    row.values[case.report.unit_field] = other.name
    return [row]


def _twice(row: Row, case: _Case) -> list[Row]:
    return [row, _copy(row)]


def _revealed(row: Row, case: _Case) -> list[Row] | None:
    if row.left_out != _HIDDEN[case.fault.name]:
        return None
    row.left_out = ""
    return [row]


def _read_otherwise(row: Row, case: _Case) -> list[Row] | None:
    reading = _READINGS[case.fault.name]
    changes = row.other.get(reading, {})
    if not any(changes.values()) or (reading == "adjustments" and not case.asked.adjustments):
        return None
    row.add(changes)
    return [row]


_EDITS: dict[str, _Edit] = {
    **dict.fromkeys(_HIDDEN, _revealed),
    "report-row-missing": _missing,
    "report-row-extra": _extra,
    "report-row-twice": _twice,
    "report-amount-off": _amount_off,
    "report-other-week": _other_week,
    "report-other-unit": _other_unit,
    **dict.fromkeys(_READINGS, _read_otherwise),
}


def _copy(row: Row) -> Row:
    return replace(row, values=dict(row.values))


def _column(fault: Fault, report: Report) -> str:
    """The column asked for, or the first of money, or the last."""
    money = [field.name for field in report.fields if field.kind is Kind.MONEY]
    return fault.detail or [*money, report.fields[-1].name][0]


def _renumber(row: Row, report: Report, before: str) -> None:
    """Another number, where the row has one; a unit is none."""
    number = row.values.get(report.key_field)
    if number is not None and report.key_field != report.unit_field:
        row.values[report.key_field] = f"{before}{number}"


def _of_another_tenant(row: Row, report: Report) -> Row:
    other = _copy(row)
    _renumber(other, report, "77")
    other.values[report.unit_field] = f"Lakeside {row.values.get(report.unit_field)}"
    return other
