"""A report as the office downloads it: the cells of a CSV file or of an XLSX workbook, line by line.

Nothing is known yet of what a line means. A CSV file may have any separator and encoding, so it is read in each way
that it can be, and whoever looks for the header takes the way in which there is one.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st_kpi.errors import ReportError
from st_kpi.kpis.mapping_file import decode

_SEPARATORS = (",", ";", "\t", "|")
#: How the files begin that are workbooks with a password, and those of Excel before 2007.
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Line:
    """The cells of one line, texts trimmed; ``number`` is the line or row in the file, from 1."""

    number: int
    cells: tuple[Any, ...]

    @property
    def is_empty(self) -> bool:
        return all(cell in (None, "") for cell in self.cells)


@dataclass(frozen=True)
class Sheet:
    """One way to read a file: a worksheet, or a CSV file by one separator. Empty lines are left out."""

    name: str
    lines: tuple[Line, ...]


def read_sheets(file: Path) -> list[Sheet]:
    """Every way to read ``file``; raises ``ReportError`` for one that cannot be read at all or has nothing in it."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ReportError(
            f"{file} cannot be read: {error.strerror or 'no such file'}. Name the file that the report was saved to."
        ) from None
    if content.startswith(_COMPOUND_FILE):
        raise ReportError(
            f"{file} is protected by a password, or of Excel before 2007: save it as XLSX without a password, or as CSV."
        )
    sheets = _workbook(file, content) if content.startswith(_ZIP) else _csv(file, content)
    filled = [sheet for sheet in sheets if sheet.lines]
    if not filled:
        raise ReportError(f"{file} is empty: there is no line in it.")
    return filled


def _workbook(file: Path, content: bytes) -> list[Sheet]:
    # A second to import, and only workbooks need it.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        # What formulas came to, not the formulas.
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError):
        raise ReportError(
            f"{file} is no workbook that can be read: save the report as XLSX or CSV again."
        ) from None
    sheets = []
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what wrote the file may have got them wrong
        rows = sheet.iter_rows(values_only=True)
        sheets.append(Sheet(sheet.title, tuple(_lines(enumerate(rows, 1)))))
    return sheets


def _csv(file: Path, content: bytes) -> list[Sheet]:
    text, _ = decode(content)
    if "\0" in text:
        raise ReportError(f"{file} is neither CSV nor XLSX: download the report as one of them.")
    present = [separator for separator in _SEPARATORS if separator in text] or [","]
    return [Sheet(f"separated by {s!r}", tuple(_lines(_split(text, s)))) for s in present]


def _split(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error:
        return  # a field longer than any report has: not in this way


def _lines(rows: Iterator[tuple[int, Any]]) -> Iterator[Line]:
    for number, cells in rows:
        line = Line(number, tuple(c.strip() if isinstance(c, str) else c for c in cells))
        if not line.is_empty:
            yield line
