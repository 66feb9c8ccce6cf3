"""The two mapping files that a person edits: the rollup of a unit, the family of a job type.

Both are CSV with a header, see ``mapping_file``. A row names its unit or type by id or by name (in any case and spacing).
Both files are read and checked whole before anything is written; what is wrong is one ``MappingError`` with file, line and
reason of each fault, and the names nearest to one that matches nothing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from st_kpi.columns import ColumnType
from st_kpi.errors import MappingError
from st_kpi.kpis.mapping_file import all_at_once, day, folded, plain_id, rows
from st_kpi.parameters import FAMILIES

#: The role of a unit that does not count: it has no rollup and leaves every number.
NONE = "NONE"
#: What a business unit does; one that is ``BOTH`` counts wherever either does.
ROLES = ("SALES", "PRODUCTION", "BOTH", NONE)

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

    One that records name and the source does not list any more has an empty name, and is not ``active``.
    """

    tenant_id: int
    id: int
    name: str
    active: bool = True


@dataclass(frozen=True)
class UnitRow:
    """Rollup and role of one unit over a stretch of days, both ends included; None is open.

    One whose role is ``NONE`` has no rollup.
    """

    tenant_id: int
    business_unit_id: int
    rollup: str | None
    role: str
    valid_from: dt.date | None
    valid_to: dt.date | None
    #: Where the file says so.
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class TypeRow:
    """Family of one job type."""

    tenant_id: int
    job_type_id: int
    family: str
    #: Where the file says so.
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Mappings:
    """Both files, read, checked and resolved to ids."""

    units: tuple[UnitRow, ...]
    types: tuple[TypeRow, ...]


def read_mappings(
    folder: Path, *, units: Sequence[SourceRecord], types: Sequence[SourceRecord]
) -> Mappings:
    """Read both files of ``folder`` against the units and types the source has; raises ``MappingError``, for all lines at once."""
    with all_at_once() as problems:
        of_units: tuple[UnitRow, ...] = ()
        of_types: tuple[TypeRow, ...] = ()
        with problems.noted():
            of_units = read_units(folder / "business_units.csv", units)
        with problems.noted():
            of_types = read_types(folder / "job_types.csv", types)
    return Mappings(of_units, of_types)


def read_units(file: Path, records: Sequence[SourceRecord]) -> tuple[UnitRow, ...]:
    """Rows of ``business_units.csv``; a unit has at most one rollup on any day.

    Rollups are one whatever their case, in the spelling that the file has first.
    """
    read: list[tuple[int, UnitRow]] = []
    spellings: dict[str, str] = {}
    with all_at_once() as problems:
        columns = ("business_unit", "rollup", "role", "valid_from", "valid_to")
        for line, cells in rows(file, columns, problems):
            with problems.noted():
                for unit, row in _unit_rows(cells, records, spellings, file, line):
                    _refuse_overlap(row, unit, read, file, line)
                    read.append((line, row))
    return tuple(row for _, row in read)


def read_types(file: Path, records: Sequence[SourceRecord]) -> tuple[TypeRow, ...]:
    """Rows of ``job_types.csv``; a type has one family."""
    read: dict[tuple[int, int], tuple[int, TypeRow]] = {}
    with all_at_once() as problems:
        for line, cells in rows(file, ("job_type", "family"), problems):
            with problems.noted():
                family = _one_of(cells["family"].lower(), FAMILIES, "family", file, line)
                for kind in _find(cells["job_type"], records, "job type", file, line):
                    key = (kind.tenant_id, kind.id)
                    if key in read:
                        raise MappingError(
                            file,
                            line,
                            f"The job type {kind.name!r} ({kind.id}) is mapped on line {read[key][0]} already.",
                        )
                    read[key] = (line, TypeRow(kind.tenant_id, kind.id, family, line))
    return tuple(row for _, row in read.values())


def _unit_rows(
    cells: Mapping[str, str],
    records: Sequence[SourceRecord],
    spellings: dict[str, str],
    file: Path,
    line: int,
) -> list[tuple[SourceRecord, UnitRow]]:
    """What one line says of each unit it names; ``spellings`` are the rollups met so far."""
    role = _one_of(cells["role"].upper(), ROLES, "role", file, line)
    rollup = _rollup(cells["rollup"], role, file, line)
    if rollup is not None:
        rollup = spellings.setdefault(folded(rollup), rollup)
    start = day(cells["valid_from"], "valid_from", file, line)
    end = day(cells["valid_to"], "valid_to", file, line)
    if start and end and end < start:
        raise MappingError(file, line, f"valid_to {end} lies before valid_from {start}.")
    units = _find(cells["business_unit"], records, "business unit", file, line)
    return [
        (unit, UnitRow(unit.tenant_id, unit.id, rollup, role, start, end, line)) for unit in units
    ]


def _find(
    label: str, records: Sequence[SourceRecord], what: str, file: Path, line: int
) -> list[SourceRecord]:
    """What a cell names: an exact id, else every row of that name (names need not be unique)."""
    if not label:
        raise MappingError(file, line, f"The {what} is empty.")
    by_id = [r for r in records if plain_id(label) == str(r.id)]
    matches = by_id or [r for r in records if folded(r.name) == folded(label)]
    if not matches:
        near = _nearest(label, [r.name for r in records])
        raise MappingError(
            file, line, f"No {what} in ServiceTitan has the id or name {label!r}{near}."
        )
    return matches


def _nearest(label: str, names: Sequence[str]) -> str:
    """The names that look most like it, for the end of a sentence; nothing where none does."""
    known = {folded(name): name.strip() for name in names}
    near = get_close_matches(folded(label), known, n=3, cutoff=0.5)
    return f"; nearest: {', '.join(repr(known[name]) for name in near)}" if near else ""


def _rollup(name: str, role: str, file: Path, line: int) -> str | None:
    """The cell of the rollup; None where the unit counts in none."""
    if role == NONE:
        if name:
            raise MappingError(
                file,
                line,
                f"A unit of the role {NONE} counts in no rollup, and this line names {name!r}: leave its cell empty, or"
                f" give the unit one of the roles {', '.join(r for r in ROLES if r != NONE)}.",
            )
        return None
    if not name:
        raise MappingError(
            file,
            line,
            f"The rollup is empty: name one, or give the unit the role {NONE} if it does not count.",
        )
    if folded(name) in (folded(ALL), folded(UNASSIGNED)):
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
