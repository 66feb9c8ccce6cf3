"""A report is found in whatever file the office has saved it to, and what is no report is one sentence."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from st_kpi.errors import ConfigurationError, ReportError
from st_kpi.reporting.reconcile.downloaded import read_download
from st_kpi.reporting.reconcile.table import Report
from tests.reporting.reconcile.conftest import Office
from tests.support.reports import KINDS

PHOENIX = ZoneInfo("America/Phoenix")
HEAD = "Job #,Job Business Unit,Scheduled Date,Jobs Subtotal,Job Status\n"
ROWS = (
    "101,East Production,10/20/2025,$1.00,Completed\n102,East Production,10/21/2025,(2.50),Hold\n"
)


def read(file: Path, kpi: str = "produced", **renamed: str) -> Report:
    report, _ = read_download(file, kpi, KINDS, renamed=renamed, zone=PHOENIX)
    return report


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.csv"


def saved(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.write_bytes(text.encode(encoding))
    return file


def test_titles_above_and_a_total_below(file: Path) -> None:
    text = (
        "Job Costing\nDates: 10/20/2025 - 10/26/2025\nRun on 10/28/2025 9:00 AM\n\n"
        + HEAD
        + ROWS
        + "Total,,,($1.50),\n"
    )
    report = read(saved(file, text))
    assert [(row.key, row.amounts["revenue"]) for row in report.rows] == [
        ("101", Decimal("1.00")),
        ("102", Decimal("-2.50")),
    ]
    assert report.period == (dt.date(2025, 10, 20), dt.date(2025, 10, 26))
    assert report.pulled_on == dt.date(2025, 10, 28)
    assert [row.line for row in report.rows] == [6, 7]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_separator_and_encoding(file: Path, separator: str, encoding: str) -> None:
    text = (HEAD + ROWS).replace(",", separator).replace("East", "Grünau")
    report = read(saved(file, text, encoding))
    assert {row.unit for row in report.rows} == {"Grünau Production"}
    assert len(report.rows) == 2


def test_columns_are_known_in_any_case_and_spacing_or_by_the_user(file: Path) -> None:
    saved(file, "JOB#,job  business unit,Net Sales\n101,East,5\n")
    with pytest.raises(ReportError) as error:
        read(file)
    assert "has no column revenue (Subtotal or Jobs Subtotal" in str(error.value)
    assert "line 1 has: JOB#, job  business unit, Net Sales" in str(error.value)
    assert '--column revenue="..."' in str(error.value)
    (row,) = read(file, revenue="net sales").rows
    assert (row.key, row.amounts) == ("101", {"revenue": Decimal(5)})
    with pytest.raises(ConfigurationError, match="--column total: a report for produced has"):
        read(file, total="net sales")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n , \n", "is empty"),
        ("Dear all,\nhere are the numbers\n", "is no report that produced can be compared with"),
        (HEAD, "has no rows"),
        (HEAD + ROWS + "\n" + HEAD + ROWS, "has two headers, on line 1"),
        (HEAD + "101,East,10/20/2025,lots,Hold\n", "line 2, Subtotal: 'lots' is no amount"),
        (HEAD + "101,East,someday,1,Hold\n", "line 2, ScheduledDate: 'someday' is no day"),
        (HEAD + ",East,10/20/2025,1,Hold\n" + ROWS, "line 2 has no JobNumber"),
        (
            HEAD + ROWS + "Total,,,$99.00,\n",
            "Subtotal is 99.00 in total, and the rows above add up to -1.50",
        ),
        ("PK\x03\x04 nothing", "is no workbook that can be read"),
        ("\x00\x01\x02", "is neither CSV nor XLSX"),
    ],
)
def test_what_is_no_report_is_one_sentence(file: Path, text: str, said: str) -> None:
    with pytest.raises(ReportError) as error:
        read(saved(file, text))
    assert said in str(error.value)
    assert str(error.value).count("\n") == 0


def test_a_workbook_with_a_password(file: Path) -> None:
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    with pytest.raises(ReportError, match="protected by a password, or of Excel before 2007"):
        read(file)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for place in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ReportError, match="cannot be read"):
            read(place)


def test_a_workbook_of_several_sheets(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Notes"])
    sheet = book.create_sheet("Report")
    sheet.append(["Job #", "Job Business Unit", "Scheduled Date", "Jobs Subtotal"])
    sheet.append([101.0, "East Production", dt.datetime(2025, 10, 20), 12.5])
    sheet.append(["Total", None, None, 12.5])
    book.save(tmp_path / "r.xlsx")
    (row,) = read(tmp_path / "r.xlsx").rows
    assert (row.key, row.day, row.amounts["revenue"]) == (
        "101",
        dt.date(2025, 10, 20),
        Decimal("12.5"),
    )


def test_a_kpi_without_a_report(file: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="No report can be compared with estimates_scheduled"
    ):
        read(saved(file, HEAD), "estimates_scheduled")


@pytest.mark.parametrize("style", ["office", "semicolons", "windows", "utf16", "plain"])
@pytest.mark.parametrize("format", ["csv", "xlsx"])
async def test_the_downloads_of_the_made_up_tenant(
    office: Office, tmp_path: Path, style: str, format: str
) -> None:
    days = {"From": "2025-09-01", "To": "2025-09-07", "DateType": "Job Start Date"}
    file = await office.download(
        tmp_path / f"r.{format}", report="Job Costing", format=format, style=style,
        IncludeAdjustmentInvoices="true", **days,
    )  # fmt: skip
    (result,) = office.compare("gpm", file, dt.date(2025, 9, 1))
    assert result.agrees
    assert len(result.lines) > 3


async def test_every_kind_of_download(office: Office, tmp_path: Path) -> None:
    for kpi, report in (
        ("leads", "Leads"),
        ("total_booked", "Sold Estimates"),
        ("success_rate", "Business Unit Sales"),
        ("estimates", "Business Unit Sales"),
        ("collected", "Collections"),
    ):
        file = await office.download(
            tmp_path / "r.csv", report=report, format="csv", style="office",
            From="2025-09-01", To="2025-09-07",
        )  # fmt: skip
        (result,) = office.compare(kpi, file)
        assert result.agrees, kpi
        assert result.week_start == dt.date(2025, 9, 1)
