"""The table of rollups and KPIs as an Excel workbook, a sheet per week that can be opened."""

from io import BytesIO

from openpyxl import Workbook
from openpyxl.cell import Cell, MergedCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from st_kpi.reporting.published import ALL, Kpi
from st_kpi.reporting.weekly_report.numbers import Numbers

_FORMATS = {"percent": "0.00%", "money": "#,##0.00", "count": "#,##0"}


def workbook(numbers: Numbers) -> bytes:
    """The newest week first; numbers are numbers, a ratio the fraction that it is, and text is never a formula."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for week in reversed(numbers.weeks_opened):
        sheet = book.create_sheet(f"Week of {week}")
        _head(sheet, numbers.published.kpis)
        for line, rollup in enumerate(numbers.rollups, 2):
            _text(sheet, line, 1, "All rollups" if rollup == ALL else rollup)
            for column, kpi in enumerate(numbers.published.kpis, 2):
                value = numbers.published.value(kpi, week, rollup)
                if value is not None:
                    cell = sheet.cell(line, column, value)
                    cell.number_format = _FORMATS[kpi.unit]
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def _head(sheet: Worksheet, kpis: tuple[Kpi, ...]) -> None:
    for column, title in enumerate(("Rollup", *(kpi.title for kpi in kpis)), 1):
        _text(sheet, 1, column, title).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(column)].width = max(12, len(title) + 2)
    sheet.freeze_panes = "B2"


def _text(sheet: Worksheet, row: int, column: int, text: str) -> Cell | MergedCell:
    cell = sheet.cell(row, column)
    cell.value = text
    cell.data_type = "s"  # a name that begins with = is a name
    return cell
