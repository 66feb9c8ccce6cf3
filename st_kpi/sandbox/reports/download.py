"""Reports as the office downloads them: for eyes, with titles above, a total below, and dressed-up numbers.

`GET /sandbox/report-download?report=Job Costing&From=2025-10-13&To=2025-10-19&DateType=Job Start Date`
gives a CSV, with `format=xlsx` a workbook. Parameters are those of the report, the date type by its
name, units by `BusinessUnitId=1001&BusinessUnitId=1011`. `style` is one of `STYLES`. No sign-in and no
limit: a person clicks it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from st_kpi.sandbox.query import BadRequest
from st_kpi.sandbox.reports.catalogue import DATE_SET, DATE_TYPES
from st_kpi.sandbox.reports.desk import Reports
from st_kpi.sandbox.reports.shown import Shown
from st_kpi.sandbox.reports.table import Field, Kind, Parameter, Report, Row, Value

_SUMMED = (Kind.MONEY, Kind.COUNT)
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FORMATS = {
    Kind.MONEY: '"$"#,##0.00;(#,##0.00)',
    Kind.AVERAGE: '"$"#,##0.00;(#,##0.00)',
    Kind.FRACTION: "0.00%",
    Kind.DAY: "m/d/yyyy",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How a file is written. `dressed` has titles, labels, a total and numbers for eyes.

    A workbook has no separator and no encoding; its cells are texts where `typed` is false.
    """

    separator: str = ","
    encoding: str = "utf-8"
    dressed: bool = True
    typed: bool = False


STYLES = {
    "office": Style(encoding="utf-8-sig", typed=True),
    "semicolons": Style(separator=";"),
    "windows": Style(encoding="cp1252"),
    "utf16": Style(separator="\t", encoding="utf-16"),
    "plain": Style(dressed=False, typed=True),
}


def download_routes(reports: Reports) -> list[Route]:
    """The route of this module."""

    def download(request: Request) -> Response:
        try:
            return _answer(reports, request.query_params)
        except BadRequest as bad:
            return JSONResponse({"title": bad.problem}, 400)

    return [Route("/sandbox/report-download", download)]


def _answer(reports: Reports, params: QueryParams) -> Response:
    by_name = {report.name: report for report in reports.there()}
    report = by_name[_one_of(params, "report", by_name)]
    style = STYLES[_one_of(params, "style", STYLES, "office")]
    form = _one_of(params, "format", ("csv", "xlsx"), "csv")
    given = {
        parameter.name: _given(parameter, params.getlist(parameter.name))
        for parameter in report.parameters
        if parameter.name in params
    }
    lines = _Lines(reports, reports.run(report, given), style)
    title = _titles(report, params) if style.dressed else []
    body = _workbook(title, lines, style) if form == "xlsx" else _csv(title, lines, style)
    return Response(
        body,
        media_type=_WORKBOOK if form == "xlsx" else "text/csv",
        headers={"Content-Disposition": f'attachment; filename="{report.name}.{form}"'},
    )


def _one_of(params: QueryParams, name: str, choices: Any, default: str = "") -> str:
    text = params.get(name, default)
    if text not in choices:
        raise BadRequest(name, f"{name} {text!r} is none of: {', '.join(choices)}.")
    return text


def _given(parameter: Parameter, texts: list[str]) -> Any:
    """The value of a parameter as a program would send it."""
    if parameter.dynamic_set == DATE_SET:
        return next((number for number, name in DATE_TYPES.items() if name == texts[0]), texts[0])
    if parameter.array:
        return [int(text) if text.isdecimal() else text for text in texts]
    return texts[0] == "true" if parameter.data_type == "Boolean" else texts[0]


def _titles(report: Report, params: QueryParams) -> list[str]:
    days = [params[name] for name in ("From", "To", "AsOf") if name in params]
    shown = " - ".join(_american(date.fromisoformat(day[:10])) for day in days)
    units = ", ".join(params.getlist("BusinessUnitId")) or "All"
    kind = f" ({params['DateType']})" if "DateType" in params else ""
    return [report.name, f"Dates: {shown}{kind}", f"Business Units: {units}"]


class _Lines:
    """The header, the rows and the total of a report, as texts or as cells of a workbook."""

    def __init__(self, reports: Reports, shown: Shown, style: Style) -> None:
        self.fields = shown.fields
        self.header = [field.label if style.dressed else field.name for field in shown.fields]
        self._reports = reports
        self._rows = shown.rows
        self._dressed = style.dressed

    def texts(self) -> list[list[str]]:
        """Every line below the header."""
        write = self._dressed_text if self._dressed else self._plain_text
        return self._lines(write)

    def cells(self) -> list[list[Any]]:
        """The same as values of a workbook, which knows no zones."""
        return self._lines(self._cell)

    def _lines(self, write: Callable[[Value, Kind], Any]) -> list[list[Any]]:
        lines = [[write(field.of(row), field.kind) for field in self.fields] for row in self._rows]
        if self._dressed:
            sums = [_sum(field, self._rows) for field in self.fields]
            pairs = zip(sums, self.fields, strict=True)
            total = ["" if cents is None else write(cents, field.kind) for cents, field in pairs]
            lines.append(["Total", *total[1:]])
        return lines

    def _plain_text(self, value: Value, kind: Kind) -> str:
        written = self._reports.writer.value(value, kind)
        return "" if written is None else str(written)

    def _dressed_text(self, value: Value, kind: Kind) -> str:
        if isinstance(value, date):
            return _american(value)
        if kind in (Kind.MONEY, Kind.AVERAGE) and isinstance(value, int):
            dollars = Decimal(abs(value)).scaleb(-2)
            return f"({dollars:,.2f})" if value < 0 else f"${dollars:,.2f}"
        if kind is Kind.FRACTION and isinstance(value, int | float):
            return f"{value:.2%}"
        return self._plain_text(value, kind)

    def _cell(self, value: Value, kind: Kind) -> Any:
        if kind in (Kind.DAY, Kind.FRACTION):
            return value
        return self._reports.writer.value(value, kind)


def _sum(field: Field, rows: list[Row]) -> int | None:
    """The total of a column that has one."""
    values = [field.of(row) for row in rows]
    if field.kind not in _SUMMED or any(isinstance(value, str) for value in values):
        return None
    return sum(value for value in values if isinstance(value, int))


def _american(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"


def _csv(titles: list[str], lines: _Lines, style: Style) -> bytes:
    out = StringIO()
    writer = csv.writer(out, delimiter=style.separator)
    if titles:
        writer.writerows([[title] for title in titles])
        writer.writerow([])
    writer.writerow(lines.header)
    writer.writerows(lines.texts())
    return out.getvalue().encode(style.encoding, "replace")


def _workbook(titles: list[str], lines: _Lines, style: Style) -> bytes:
    book = Workbook(write_only=False)
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for title in titles:
        sheet.append([title])
    if titles:
        sheet.append([])
    sheet.append(lines.header)
    top = sheet.max_row
    for line in lines.cells() if style.typed else lines.texts():
        sheet.append(line)
    for n, field in enumerate(lines.fields, start=1):
        if style.typed and field.kind in _FORMATS:
            for (cell,) in sheet.iter_rows(min_row=top + 1, min_col=n, max_col=n):
                cell.number_format = _FORMATS[field.kind]
    out = BytesIO()
    book.save(out)
    return out.getvalue()
