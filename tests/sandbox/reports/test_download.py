"""Files as the office downloads them say the same as the API does, in clothes."""

import csv
from datetime import datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from st_kpi.sandbox import Company
from tests.sandbox.reports.conftest import Meet, Reader

YEAR = {"From": "2024-01-01", "To": "2024-12-31"}
COSTING = {
    "report": "Job Costing",
    "DateType": "Job Start Date",
    "IncludeAdjustmentInvoices": "true",
    **YEAR,
}
ENCODINGS = {
    "office": ("utf-8-sig", ",", b"\xef\xbb\xbf"),
    "semicolons": ("utf-8", ";", b""),
    "windows": ("cp1252", ",", b""),
    "utf16": ("utf-16", "\t", b"\xff\xfe"),
}
Lines = list[list[str]]


async def download(reader: Reader, **params: Any) -> httpx.Response:
    answer = await reader.http.get("/sandbox/report-download", params=params)
    assert answer.status_code == 200, answer.text
    return answer


def lines_of(content: bytes, style: str = "office") -> Lines:
    encoding, separator, _ = ENCODINGS[style]
    return list(csv.reader(StringIO(content.decode(encoding), newline=""), delimiter=separator))


def number(text: str) -> Decimal:
    """A number out of its clothes."""
    sign = -1 if text.startswith("(") else 1
    return sign * Decimal(text.strip("($)%").replace(",", ""))


async def costing(reader: Reader) -> list[dict[str, Any]]:
    number = await reader.date_type("Job Start Date")
    return await reader.rows("Job Costing", **YEAR, DateType=number, IncludeAdjustmentInvoices=True)


async def test_a_file_has_titles_labels_and_a_total(reader: Reader) -> None:
    answer = await download(reader, **COSTING)
    assert answer.headers["content-disposition"] == 'attachment; filename="Job Costing.csv"'
    lines = lines_of(answer.content)
    assert lines[:4] == [
        ["Job Costing"],
        ["Dates: 1/1/2024 - 12/31/2024 (Job Start Date)"],
        ["Business Units: All"],
        [],
    ]
    described = await reader.ok(await reader.path("Job Costing"))
    assert lines[4] == [field["label"] for field in described["fields"]]
    rows = await costing(reader)
    assert len(lines) == 5 + len(rows) + 1
    total = dict(zip(lines[4], lines[-1], strict=True))
    assert lines[-1][0] == "Total"
    revenue = sum(Decimal(str(row["Subtotal"])) for row in rows)
    assert number(total["Jobs Subtotal"]) == revenue
    assert total["Jobs Gross Margin %"] == total["Job #"] == ""


async def test_values_are_dressed(reader: Reader) -> None:
    lines = lines_of((await download(reader, **COSTING)).content)[5:-1]
    rows = await costing(reader)
    for line, row in zip(lines, rows, strict=True):
        day = row["ScheduledDate"] and datetime.fromisoformat(row["ScheduledDate"])
        assert line[0] == (f"{day.month}/{day.day}/{day.year}" if day else "")
        assert line[6] == row["JobNumber"]
        for column in (7, 8, 9, 10, 11, 12):
            assert number(line[column]) == Decimal(str(list(row.values())[column]))
        assert line[13] == f"{row['GrossMarginPercentage']:.2%}"
    texts = {text for line in lines for text in line}
    assert any(text.startswith("$") and "," in text for text in texts)
    assert any(text.startswith("(") for text in texts)


@pytest.mark.parametrize("style", ENCODINGS)
async def test_styles_differ_in_separator_and_encoding_alone(reader: Reader, style: str) -> None:
    leads = {"report": "Leads", "From": "2020-01-01", "To": "2025-12-31"}
    body = (await download(reader, **leads, style=style)).content
    assert body.startswith(ENCODINGS[style][2])
    office = lines_of((await download(reader, **leads)).content)
    if style == "windows":  # it has no Japanese
        office = [[t.encode("cp1252", "replace").decode("cp1252") for t in line] for line in office]
    assert lines_of(body, style) == office
    assert any("\u00eb" in text for line in office for text in line)


async def test_the_plain_style_has_names_and_values_of_the_api(reader: Reader) -> None:
    body = (await download(reader, report="Sold Estimates", **YEAR, style="plain")).content
    rows = await reader.rows("Sold Estimates", **YEAR)
    assert list(csv.DictReader(StringIO(body.decode(), newline=""))) == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]


async def test_a_workbook_has_cells_of_their_kind(reader: Reader) -> None:
    body = (await download(reader, **COSTING, format="xlsx")).content
    cells = list(load_workbook(BytesIO(body)).active.values)
    lines = lines_of((await download(reader, **COSTING)).content)
    assert [row[0] for row in cells[:4]] == [line[0] if line else None for line in lines[:4]]
    assert [str(text) for text in cells[4]] == lines[4]
    rows = await costing(reader)
    assert len(cells) == len(lines)
    for line, row in zip(cells[5:-1], rows, strict=True):
        day = row["ScheduledDate"]
        assert line[0] == (datetime.fromisoformat(day).replace(tzinfo=None) if day else None)
        assert list(line[7:14]) == pytest.approx(list(row.values())[7:14])
    assert cells[-1][0] == "Total"


async def test_a_workbook_may_hold_texts(reader: Reader) -> None:
    params = {**COSTING, "style": "semicolons"}
    body = (await download(reader, **params, format="xlsx")).content
    lines = lines_of((await download(reader, **params)).content, "semicolons")
    cells = [[text or "" for text in row] for row in load_workbook(BytesIO(body)).active.values]
    assert cells[4:] == lines[4:]


async def test_a_file_is_narrowed_to_units(reader: Reader, company: Company) -> None:
    ids = [company.business_units[0].id, company.business_units[2].id]
    lines = lines_of((await download(reader, report="Leads", **YEAR, BusinessUnitId=ids)).content)
    assert lines[2] == [f"Business Units: {ids[0]}, {ids[1]}"]
    assert {line[1] for line in lines[5:-1]} == {
        company.business_units[0].name,
        company.business_units[2].name,
    }


async def test_averages_are_not_added_up(reader: Reader) -> None:
    lines = lines_of((await download(reader, report="Business Unit Sales", **YEAR)).content)
    total = dict(zip(lines[4], lines[-1], strict=True))
    assert total["Closed Average Sale"] == total["Close Rate"] == ""
    assert number(total["Closed Opportunities"]) == sum(number(line[3]) for line in lines[5:-1])


async def test_receivables_are_as_of_a_day(reader: Reader) -> None:
    day = {"report": "Receivables by Location", "AsOf": "2025-10-21"}
    lines = lines_of((await download(reader, **day)).content)
    assert lines[1] == ["Dates: 10/21/2025"]
    assert number(lines[-1][6]) == sum(number(line[6]) for line in lines[5:-1]) > 0


async def test_a_file_has_the_planted_differences_too(reader: Reader, meet: Meet) -> None:
    other = await meet("report-row-missing=0.3")
    before = lines_of((await download(reader, **COSTING)).content)
    after = lines_of((await download(other, **COSTING)).content)
    about = (await other.http.get("/sandbox")).json()["report_differences"]
    gone = {row["key"] for row in about["report-row-missing"]["Job Costing"]}
    assert {line[6] for line in before[5:-1]} - {line[6] for line in after[5:-1]} == gone != set()


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no report": ({}, "report '' is none of: Job Costing, "),
    "a style": ({**COSTING, "style": "loud"}, "style 'loud' is none of: office, "),
    "a form": ({**COSTING, "format": "pdf"}, "format 'pdf' is none of: csv, xlsx."),
    "a date type": (
        {**COSTING, "DateType": "Someday"},
        "The value 'Someday' of parameter 'DateType'",
    ),
    "a day": ({**COSTING, "To": "2024-13-01"}, "The value '2024-13-01' of parameter 'To'"),
}


@pytest.mark.parametrize(("params", "said"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_downloaded_is_said(
    reader: Reader, params: dict[str, str], said: str
) -> None:
    answer = await reader.http.get("/sandbox/report-download", params=params)
    assert answer.status_code == 400
    assert answer.json()["title"].startswith(said)
