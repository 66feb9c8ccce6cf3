"""Drafts of the two mapping files: a line per unit and job type, with a guess and what was not sure of it.

A file that is there is a person's: only lines for what it does not name yet are added at its end, in its own encoding,
separator and columns.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from st_kpi.files import replace_file
from st_kpi.kpis.guesses import JobKind, Unit, guess_kinds, guess_units
from st_kpi.kpis.mapping_file import decoded, separator
from st_kpi.kpis.mappings import SourceRecord, read_types, read_units

_UNIT_COLUMNS = ("business_unit", "# name", "rollup", "role", "valid_from", "valid_to")
_TYPE_COLUMNS = ("job_type", "# name", "family")
_FOR_PEOPLE = ("# active", "# jobs", "# billed", "# not sure")

#: A file of one tenant alone is drafted.
_ANY_TENANT = 0

Row = TypeVar("Row")


@dataclass(frozen=True)
class Activity:
    """What hangs on a unit or type: jobs, and what was billed for them in the tenant's currency."""

    jobs: int = 0
    billed: Decimal = Decimal(0)


#: By id; None before anything is loaded.
Activities = Mapping[int, Activity] | None


@dataclass(frozen=True)
class Draft:
    """What was written: how many lines, of them those not sure; and whether the file was there before."""

    file: Path
    lines: int
    unsure: int
    was_there: bool


def draft_units(folder: Path, units: Sequence[Unit], known: Activities) -> Draft:
    """Write ``business_units.csv``; raises ``MappingError`` for one that is there and cannot be used."""
    file = folder / "business_units.csv"
    named = {row.business_unit_id for row in _there(file, read_units, units)}
    lines = [
        {
            "business_unit": str(unit.id),
            "# name": _on_a_line(unit.name),
            "rollup": guess.rollup,
            "role": guess.role,
            **_for_people(unit, known, guess.doubt),
        }
        for unit, guess in zip(units, guess_units(units), strict=True)
        if unit.id not in named
    ]
    lines.sort(
        key=lambda line: (
            line["# active"] == "no",
            line["rollup"].casefold(),
            line["role"][0] != "S",
        )
    )
    return _write(file, (*_UNIT_COLUMNS, *_FOR_PEOPLE), lines)


def draft_types(folder: Path, kinds: Sequence[JobKind], known: Activities) -> Draft:
    """Write ``job_types.csv``; raises ``MappingError`` for one that is there and cannot be used."""
    file = folder / "job_types.csv"
    named = {row.job_type_id for row in _there(file, read_types, kinds)}
    lines = [
        {
            "job_type": str(kind.id),
            "# name": _on_a_line(kind.name),
            "family": guess.family,
            **_for_people(kind, known, guess.doubt),
        }
        for kind, guess in zip(kinds, guess_kinds(kinds), strict=True)
        if kind.id not in named
    ]
    lines.sort(
        key=lambda line: (line["# active"] == "no", line["family"], line["# name"].casefold())
    )
    return _write(file, (*_TYPE_COLUMNS, *_FOR_PEOPLE), lines)


def _there(
    file: Path,
    read: Callable[[Path, Sequence[SourceRecord]], Iterable[Row]],
    listed: Sequence[Unit] | Sequence[JobKind],
) -> Iterable[Row]:
    """What the file says already."""
    if not file.exists():
        return ()
    return read(file, [SourceRecord(_ANY_TENANT, one.id, one.name) for one in listed])


def _on_a_line(name: str) -> str:
    return " ".join(name.splitlines())


def _for_people(one: Unit | JobKind, known: Activities, doubt: str) -> dict[str, str]:
    hanging = None if known is None else known.get(one.id, Activity())
    return {
        "# active": "yes" if one.active else "no",
        "# jobs": "" if hanging is None else str(hanging.jobs),
        "# billed": "" if hanging is None else f"{hanging.billed:.2f}",
        "# not sure": doubt,
    }


def _write(file: Path, columns: Sequence[str], lines: Sequence[Mapping[str, str]]) -> Draft:
    was_there = file.exists()
    draft = Draft(file, len(lines), sum(bool(line["# not sure"]) for line in lines), was_there)
    if not was_there:
        # With the mark by which Excel knows UTF-8.
        text = _csv([list(columns)], ",", "\n") + _csv(_cells(columns, lines), ",", "\n")
        replace_file(file, text.encode("utf-8-sig", errors="replace"))
    elif lines:
        before, encoding = decoded(file)
        end = "\r\n" if "\r\n" in before else "\n"
        by = separator(before)
        header = [
            cell.strip().lower()
            for cell in next(csv.reader([before.partition("\n")[0]], delimiter=by))
        ]
        gap = "" if before.endswith("\n") else end
        # Names alone may have signs that the file cannot hold, and they are for people.
        added = (gap + _csv(_cells(header, lines), by, end)).encode(encoding, errors="replace")
        replace_file(file, file.read_bytes() + added)
    return draft


def _cells(columns: Sequence[str], lines: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """Each line in these columns; where none has the names, a note says them before it."""
    cells = []
    for line in lines:
        if "# name" not in columns:
            cells.append([f"# {line['# name']}"])
        cells.append([line.get(column, "") for column in columns])
    return cells


def _csv(rows: Iterable[Sequence[str]], by: str, end: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=by, lineterminator=end).writerows(rows)
    return text.getvalue()
