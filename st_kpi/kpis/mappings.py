"""The two mapping files that a person edits: the rollup of a unit, the family of a job type.

Both are CSV in UTF-8 with a header. A row names its unit or type by id or by name (trimmed, any
case). A file is read and checked whole before anything is written; what is wrong is a
``MappingError`` with file, line and reason.
"""

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from st_kpi.columns import ColumnType
from st_kpi.errors import MappingError
from st_kpi.parameters import FAMILIES

#: What a business unit does; one that is ``BOTH`` counts wherever either does.
ROLES = ("SALES", "PRODUCTION", "BOTH")

#: What stands beside the rollups where numbers are shown: the sum over all of them (of a ratio, of its numerators over
#: that of its denominators), and what belongs to no unit.
ALL = "All"
UNASSIGNED = "(unassigned)"

UNIT_TABLE = "st_staging.business_unit_mapping"
UNIT_COLUMNS = (
    ("tenant_id", ColumnType.INT64),
    ("business_unit_id", ColumnType.INT64),
    ("rollup", ColumnType.STRING),
    ("role", ColumnType.STRING),
    ("valid_from", ColumnType.DATE),
    ("valid_to", ColumnType.DATE),
)
TYPE_TABLE = "st_staging.job_type_mapping"
TYPE_COLUMNS = (
    ("tenant_id", ColumnType.INT64),
    ("job_type_id", ColumnType.INT64),
    ("family", ColumnType.STRING),
)


@dataclass(frozen=True)
class SourceRecord:
    """A business unit or job type of the source, by which rows of a mapping are recognised.

    One that records name and the source does not list any more has an empty name.
    """

    tenant_id: int
    id: int
    name: str


@dataclass(frozen=True)
class UnitRow:
    """Rollup and role of one unit over a stretch of days, both ends included; None is open."""

    tenant_id: int
    business_unit_id: int
    rollup: str
    role: str
    valid_from: dt.date | None
    valid_to: dt.date | None


@dataclass(frozen=True)
class TypeRow:
    """Family of one job type."""

    tenant_id: int
    job_type_id: int
    family: str


@dataclass(frozen=True)
class Mappings:
    """Both files, read, checked and resolved to ids."""

    units: tuple[UnitRow, ...]
    types: tuple[TypeRow, ...]


def read_mappings(
    folder: Path, *, units: Sequence[SourceRecord], types: Sequence[SourceRecord]
) -> Mappings:
    """Read both files of ``folder`` against the units and types the source has; raises ``MappingError``."""
    return Mappings(
        units=read_units(folder / "business_units.csv", units),
        types=read_types(folder / "job_types.csv", types),
    )


def read_units(file: Path, records: Sequence[SourceRecord]) -> tuple[UnitRow, ...]:
    """Rows of ``business_units.csv``; a unit has at most one rollup on any day.

    Rollups are one whatever their case, in the spelling that the file has first.
    """
    rows: list[tuple[int, UnitRow]] = []
    spellings: dict[str, str] = {}
    for line, cells in _rows(file, ("business_unit", "rollup", "role", "valid_from", "valid_to")):
        role = _one_of(cells["role"].upper(), ROLES, "role", file, line)
        rollup = spellings.setdefault(
            _folded(cells["rollup"]), _rollup(cells["rollup"], file, line)
        )
        start = _date(cells["valid_from"], "valid_from", file, line)
        end = _date(cells["valid_to"], "valid_to", file, line)
        if start and end and end < start:
            raise MappingError(file, line, f"valid_to {end} lies before valid_from {start}.")
        for unit in _find(cells["business_unit"], records, "business unit", file, line):
            row = UnitRow(unit.tenant_id, unit.id, rollup, role, start, end)
            _refuse_overlap(row, unit, rows, file, line)
            rows.append((line, row))
    return tuple(row for _, row in rows)


def read_types(file: Path, records: Sequence[SourceRecord]) -> tuple[TypeRow, ...]:
    """Rows of ``job_types.csv``; a type has one family."""
    rows: dict[tuple[int, int], tuple[int, TypeRow]] = {}
    for line, cells in _rows(file, ("job_type", "family")):
        family = _one_of(cells["family"].lower(), FAMILIES, "family", file, line)
        for kind in _find(cells["job_type"], records, "job type", file, line):
            key = (kind.tenant_id, kind.id)
            if key in rows:
                raise MappingError(
                    file,
                    line,
                    f"The job type {kind.name!r} ({kind.id}) is mapped on line {rows[key][0]} already.",
                )
            rows[key] = (line, TypeRow(kind.tenant_id, kind.id, family))
    return tuple(row for _, row in rows.values())


def _rows(file: Path, columns: tuple[str, ...]) -> list[tuple[int, Mapping[str, str]]]:
    """Trimmed cells by column with their line; lines without a word are skipped."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    rows: list[tuple[int, Mapping[str, str]]] = []
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        _check_header(header, columns, file)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise MappingError(
                    file,
                    reader.line_num,
                    f"The line has {len(cells)} cells, the header {len(header)}.",
                )
            values = [cell.strip() for cell in cells]
            rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise MappingError(file, reader.line_num, f"The line is not CSV: {error}.") from None
    return rows


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")  # spreadsheets write a byte order mark
    except OSError:
        raise MappingError(file, 1, "There is no such file, or it cannot be read.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MappingError(file, line, "The file is not UTF-8: save it as CSV UTF-8.") from None


def _check_header(header: list[str], columns: tuple[str, ...], file: Path) -> None:
    if len(set(header)) < len(header):
        raise MappingError(file, 1, "A column stands twice in the header.")
    for name in header:
        if name not in columns:
            raise MappingError(
                file, 1, f"Unknown column {name!r}; the columns are {', '.join(columns)}."
            )
    for name in columns:
        if name not in header:
            raise MappingError(
                file, 1, f"The column {name!r} is missing; the columns are {', '.join(columns)}."
            )


def _find(
    label: str, records: Sequence[SourceRecord], what: str, file: Path, line: int
) -> list[SourceRecord]:
    """What a cell names: an exact id, else every row of that name (names need not be unique)."""
    if not label:
        raise MappingError(file, line, f"The {what} is empty.")
    by_id = [r for r in records if label == str(r.id)]
    matches = by_id or [r for r in records if _folded(r.name) == _folded(label)]
    if not matches:
        raise MappingError(file, line, f"No {what} in ServiceTitan has the id or name {label!r}.")
    return matches


def _folded(name: str) -> str:
    return name.strip().casefold()


def _rollup(name: str, file: Path, line: int) -> str:
    if not name:
        raise MappingError(file, line, "The rollup is empty.")
    if _folded(name) in (_folded(ALL), _folded(UNASSIGNED)):
        raise MappingError(
            file,
            line,
            f"A rollup cannot be called {name!r}: {ALL!r} stands for all of them, {UNASSIGNED!r} for what belongs"
            " to none. Give it another name.",
        )
    return name


def _one_of(value: str, allowed: tuple[str, ...], what: str, file: Path, line: int) -> str:
    if value not in allowed:
        raise MappingError(
            file, line, f"Unknown {what} {value!r}; it is one of {', '.join(allowed)}."
        )
    return value


def _date(text: str, column: str, file: Path, line: int) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise MappingError(
            file, line, f"{column} {text!r} is not a date such as 2025-01-31."
        ) from None


def _refuse_overlap(
    row: UnitRow, unit: SourceRecord, rows: list[tuple[int, UnitRow]], file: Path, line: int
) -> None:
    for other_line, other in rows:
        same = (other.tenant_id, other.business_unit_id) == (row.tenant_id, row.business_unit_id)
        if same and _starts(row) <= _ends(other) and _starts(other) <= _ends(row):
            day = max(_starts(row), _starts(other))
            when = "for all days" if day == dt.date.min else f"on {day}"
            raise MappingError(
                file,
                line,
                f"The unit {unit.name!r} ({unit.id}) is mapped {when} by line {other_line} already.",
            )


def _starts(row: UnitRow) -> dt.date:
    return row.valid_from or dt.date.min


def _ends(row: UnitRow) -> dt.date:
    return row.valid_to or dt.date.max
