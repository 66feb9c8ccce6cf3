"""The header and the rows of a report, found by the names of its columns; and what stands above and below them."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.errors import ReportError
from st_kpi.kpis.definitions.reports import ROWS, ReportKind
from st_kpi.reporting.reconcile import cells
from st_kpi.reporting.reconcile.sheets import Line, Sheet

_PULLED = re.compile(r"\b(?:run|pulled|printed|exported|generated|downloaded|created)\b", re.I)


@dataclass(frozen=True)
class ReportRow:
    """One row of a report: what it is about, and its amounts by measure; what the report does not say is None."""

    line: int
    key: str
    unit: str | None
    day: dt.date | None
    job_type: str | None
    status: str | None
    amounts: Mapping[str, Decimal]

    @property
    def net(self) -> Decimal:
        """Its amounts together, whatever they measure."""
        return sum(self.amounts.values(), Decimal(0))


@dataclass(frozen=True)
class Report:
    """The rows of a report of a known kind. ``has`` are the columns that it has.

    ``period`` is the range of days that it says it is of, ``pulled_on`` the day it says it was made on.
    """

    kind_name: str
    kind: ReportKind
    rows: tuple[ReportRow, ...]
    has: frozenset[str]
    period: tuple[dt.date, dt.date] | None = None
    pulled_on: dt.date | None = None


@dataclass(frozen=True)
class _Header:
    """A line that may be the header of a report of ``kind``: where its columns are, and which are not there."""

    kind_name: str
    kind: ReportKind
    sheet: Sheet
    at: int
    places: Mapping[str, int]
    missing: tuple[str, ...] = field(default=())

    @property
    def line(self) -> Line:
        return self.sheet.lines[self.at]


def find_report(
    sheets: Sequence[Sheet],
    kinds: Mapping[str, ReportKind],
    kpi: str,
    *,
    renamed: Mapping[str, str],
    zone: ZoneInfo,
    source: str,
) -> Report:
    """The report that is in one of ``sheets``, of one of the kinds that can check ``kpi``.

    ``renamed`` has the heading of columns that are called otherwise in this report. Raises ``ReportError`` naming
    ``source``, the line and the column for one without a header, with two, with a cell that cannot be read, or whose
    own total is not the sum of its rows.
    """
    header = _header(sheets, kinds, kpi, renamed, source)
    above = header.sheet.lines[: header.at]
    reader = _Rows(header, kpi, zone, source)
    rows = tuple(reader.read(header.sheet.lines[header.at + 1 :]))
    return Report(
        header.kind_name,
        header.kind,
        rows,
        frozenset(header.places),
        _period(above),
        _pulled(above),
    )


def _header(
    sheets: Sequence[Sheet],
    kinds: Mapping[str, ReportKind],
    kpi: str,
    renamed: Mapping[str, str],
    source: str,
) -> _Header:
    checkers = {name: kind for name, kind in kinds.items() if kpi in kind.kpis}
    candidates = [
        found
        for sheet in sheets
        for at in range(len(sheet.lines))
        for name, kind in checkers.items()
        if (found := _as_header(sheet, at, name, kind, kpi, renamed)).places
    ]
    whole = [header for header in candidates if not header.missing]
    if not whole:
        raise ReportError(_no_header(candidates, checkers, kpi, source))
    most = max(len(header.places) for header in whole)
    best = [header for header in whole if len(header.places) == most]
    # A file with one column is the same by every separator.
    first = best[0]
    others = [header for header in best if (header.sheet, header.at) != (first.sheet, first.at)]
    if others and len(first.places) > 1:
        raise ReportError(
            f"{source} has two headers, on line {first.line.number} of {first.sheet.name} and on line"
            f" {others[0].line.number} of {others[0].sheet.name}: leave one report in it."
        )
    return first


def _as_header(
    sheet: Sheet,
    at: int,
    name: str,
    kind: ReportKind,
    kpi: str,
    renamed: Mapping[str, str],
) -> _Header:
    """The line as a header: the columns whose names it has."""
    line = sheet.lines[at].cells
    headings = {_folded(c): n for n, c in reversed([*enumerate(line)]) if _may_be_heading(c)}
    places = {}
    for column, names in kind.columns.items():
        wanted = (renamed[column],) if column in renamed else names
        place = next((headings[_folded(n)] for n in wanted if _folded(n) in headings), None)
        if place is not None:
            places[column] = place
    missing = tuple(column for column in kind.needed(kpi) if column not in places)
    return _Header(name, kind, sheet, at, places, missing)


def _no_header(
    candidates: Sequence[_Header], kinds: Mapping[str, ReportKind], kpi: str, source: str
) -> str:
    """Why no line is a header: which column is missing where most are there, else what a report would have."""
    nearest = max(candidates, key=lambda h: len(h.places), default=None)
    if nearest is None or len(nearest.places) < 2:
        listed = "; ".join(
            f"{kind.title}: {', '.join(kind.columns[column][0] for column in kind.needed(kpi))}"
            for kind in kinds.values()
        )
        return f"{source} is no report that {kpi} can be compared with. Such reports have the columns: {listed}."
    column = nearest.missing[0]
    headings = ", ".join(str(cell) for cell in nearest.line.cells if cell)
    return (
        f"{source} has no column {column} ({' or '.join(nearest.kind.columns[column])}); line {nearest.line.number} has:"
        f' {headings}. If it was renamed, say so: --column {column}="..."'
    )


class _Rows:
    """Lines below a header, read as rows; the report's own total is compared with them."""

    def __init__(self, header: _Header, kpi: str, zone: ZoneInfo, source: str) -> None:
        self.places, self.kind, self.zone, self.source = header.places, header.kind, zone, source
        self.measures = [name for name in header.kind.kpis[kpi].measures if name != ROWS]

    def read(self, lines: Sequence[Line]) -> list[ReportRow]:
        """The rows, without empty keys and the total."""
        rows: list[ReportRow] = []
        for line in lines:
            if self._is_total(line, last=line is lines[-1]):
                self._compare_total(line, rows)
                if line is not lines[-1]:
                    raise ReportError(
                        f"{self._at(line)} is a total with rows below it: save the report without subtotals, or leave only it in"
                        " the file."
                    )
                break
            key = self._text(line, self.kind.key)
            if key is None and not self.kind.key_may_be_empty:
                column = self.kind.columns[self.kind.key][0]
                raise ReportError(
                    f"{self._at(line)} has no {column}: a row without it cannot be compared."
                )
            rows.append(self._row(line, key or ""))
        return rows

    def _row(self, line: Line, key: str) -> ReportRow:
        return ReportRow(
            line.number,
            key,
            self._text(line, "business_unit"),
            self._read(line, "day", lambda cell: cells.day(cell, self.zone)),
            self._text(line, "job_type"),
            self._text(line, "status"),
            {name: self._read(line, name, cells.amount) for name in self.measures}
            or {ROWS: Decimal(1)},
        )

    def _is_total(self, line: Line, *, last: bool) -> bool:
        """Whether the line is the total below: it begins with that word, or is the last and names nothing."""
        first = next((str(cell) for cell in line.cells if cell not in (None, "")), "")
        if re.match(r"(?:grand\s+|report\s+)?totals?\b", first, re.I):
            return True
        named = [self._text(line, column) for column in self.places if column not in self.measures]
        return last and not any(named)

    def _compare_total(self, line: Line, rows: Sequence[ReportRow]) -> None:
        """Raise ``ReportError`` where the report's own total is not the sum of its rows, to a cent for each of them."""
        for name in self.measures:
            if self._text(line, name) is None:
                continue
            total = self._read(line, name, cells.amount)
            summed = sum((row.amounts[name] for row in rows), Decimal(0))
            if abs(total - summed) > Decimal("0.01") * max(len(rows), 1):
                raise ReportError(
                    f"{self._at(line)} says that {self.kind.columns[name][0]} is {total:,} in total, and the rows above"
                    f" add up to {summed:,}: the file is not the whole report."
                )

    def _text(self, line: Line, column: str) -> str | None:
        place = self.places.get(column)
        cell = line.cells[place] if place is not None and place < len(line.cells) else None
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)  # a job number that a spreadsheet took for an amount
        return str(cell) if cell not in (None, "") else None

    def _read(self, line: Line, column: str, reader: Any) -> Any:
        place = self.places.get(column)
        cell = line.cells[place] if place is not None and place < len(line.cells) else None
        try:
            return reader(cell)
        except ValueError as error:
            raise ReportError(
                f"{self._at(line)}, {self.kind.columns[column][0]}: {error}."
            ) from None

    def _at(self, line: Line) -> str:
        return f"{self.source}, line {line.number}"


def _period(above: Sequence[Line]) -> tuple[dt.date, dt.date] | None:
    """The range of days in the lines above the header: two in one line, or in the lines that begin with From and To."""
    ends: dict[str, dt.date] = {}
    for line in above:
        text = " ".join(str(cell) for cell in line.cells if cell is not None)
        days = cells.days_in(text)
        if len(days) == 2 and days[0] <= days[1]:
            return days[0], days[1]
        label = text.strip().casefold()
        for word in ("from", "to"):
            if len(days) == 1 and label.startswith(word):
                ends[word] = days[0]
    return (ends["from"], ends["to"]) if len(ends) == 2 else None


def _pulled(above: Sequence[Line]) -> dt.date | None:
    """The day in the line that says when the report was made."""
    for line in above:
        text = " ".join(str(cell) for cell in line.cells if cell is not None)
        days = cells.days_in(text)
        if len(days) == 1 and _PULLED.search(text):
            return days[0]
    return None


def _may_be_heading(cell: Any) -> bool:
    """Whether a cell begins as headings do; most of a long report does not."""
    return isinstance(cell, str) and cell[:1].isalpha()


@lru_cache(maxsize=10_000)
def _folded(heading: str) -> str:
    """A heading by which a column is known: in any case, whatever the spacing."""
    return "".join(heading.casefold().split())
