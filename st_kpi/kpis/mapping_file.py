"""A mapping file as people make them: by hand, with Excel, in whatever country.

Commas, semicolons or tabs; UTF-8, UTF-16 or the encoding of an old Windows; a byte order mark or none; empty columns at the
end; dates as a computer, an American or a German writes them; ids in quotes. What is wrong is a ``MappingError`` with file,
line and reason, and of a whole file all of them are told at once (``all_at_once``).
"""

import codecs
import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from st_kpi.errors import MappingError

_SEPARATORS = (",", ";", "\t")
#: Begins a line, or the name of a column, that is for people alone.
COMMENT = "#"
_AMERICAN = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})")
_GERMAN = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})")
#: An id as a spreadsheet keeps it from becoming a number, ``="123"`` or ``'123``.
_QUOTED_ID = re.compile(r"""[='"]*(\d+)['"]*""")


class Problems:
    """What is wrong with a file, collected line by line."""

    def __init__(self) -> None:
        self.found: list[MappingError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep a ``MappingError`` of the block for later; what follows in the block is left out."""
        try:
            yield
        except MappingError as error:
            self.found += [error, *error.others]


@contextmanager
def all_at_once() -> Iterator[Problems]:
    """Raise one ``MappingError`` at the end that tells of all that were noted, in the order of the lines."""
    problems = Problems()
    with problems.noted():
        yield problems
    if problems.found:
        first, *others = sorted(problems.found, key=lambda e: (str(e.file), e.line))
        raise MappingError(first.file, first.line, first.reason, tuple(others))


def rows(
    file: Path, columns: tuple[str, ...], problems: Problems
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Trimmed cells by column with their line; lines that are empty or begin with ``# `` are skipped."""
    text, _ = decoded(file)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator(text))
    try:
        header = _header(next(reader, []), columns, file)
        for cells in reader:
            values = [cell.strip() for cell in cells]
            # A unit may be called "#1 Heating": only a space after it makes a note.
            if not any(values) or values[0].split(" ")[0] == COMMENT:
                continue
            with problems.noted():
                _check_width(values, len(header), file, reader.line_num)
                padded = values + [""] * (len(header) - len(values))
                yield reader.line_num, {n: v for n, v in zip(header, padded, strict=False) if n}
    except csv.Error as error:
        raise MappingError(file, reader.line_num, f"The line is not CSV: {error}.") from None


def day(text: str, column: str, file: Path, line: int) -> dt.date | None:
    """A day as 2025-01-31, 1/31/2025 or 31.1.2025; None for an empty cell."""
    if not text:
        return None
    try:
        if match := _AMERICAN.fullmatch(text) or _GERMAN.fullmatch(text):
            return dt.date(*(int(match[part]) for part in ("year", "month", "day")))
        return dt.date.fromisoformat(text)
    except ValueError:
        raise MappingError(
            file, line, f"{column} {text!r} is not a date such as 2025-01-31 or 1/31/2025."
        ) from None


def plain_id(label: str) -> str:
    """The label, without what a spreadsheet has put around it where it is an id."""
    match = _QUOTED_ID.fullmatch(label)
    return match[1] if match else label


def folded(text: str) -> str:
    """A name by which it is known: in any case, with any white space between its words."""
    return " ".join(text.casefold().split())


def decoded(file: Path) -> tuple[str, str]:
    """The text of a file, and the encoding of what is added at its end; raises ``MappingError``."""
    try:
        return decode(file.read_bytes())
    except OSError:
        raise MappingError(file, 1, "There is no such file, or it cannot be read.") from None


def decode(content: bytes) -> tuple[str, str]:
    """The text of a file's content and its encoding: what a byte order mark says, UTF-8, or that of an old Windows."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if content.startswith(mark):
            return content.removeprefix(mark).decode(encoding, errors="replace"), encoding
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        # Excel's plain "CSV"; five bytes mean nothing there, and a name with one then matches nothing.
        return content.decode("cp1252", errors="replace"), "cp1252"


def separator(text: str) -> str:
    """The one that the first line has most of."""
    first = text.partition("\n")[0]
    return max(_SEPARATORS, key=first.count)


def _header(cells: list[str], columns: tuple[str, ...], file: Path) -> list[str]:
    """The names of the columns, empty for those of people alone and for empty ones at the end."""
    header = [cell.strip().lower() for cell in cells]
    while header and not header[-1]:
        header.pop()
    header = ["" if name.startswith(COMMENT) else name for name in header]
    known = f"the columns are {', '.join(columns)}, and others begin with {COMMENT}"
    for number, name in enumerate(header):
        if name and name in header[:number]:
            raise MappingError(file, 1, f"The column {name!r} stands twice in the header.")
        if name and name not in columns:
            raise MappingError(file, 1, f"Unknown column {name!r}; {known}.")
    for name in columns:
        if name not in header:
            raise MappingError(file, 1, f"The column {name!r} is missing; {known}.")
    return header


def _check_width(cells: list[str], width: int, file: Path, line: int) -> None:
    if any(cells[width:]):
        raise MappingError(file, line, f"The line has {len(cells)} cells, the header {width}.")
