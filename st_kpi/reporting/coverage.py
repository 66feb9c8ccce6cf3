"""What the mapping files cover: the jobs and the money that hang on each of their lines, and on none.

Read from the loaded rows without a build. A job, its invoices and its sold estimates count on the days on which a build
dates them, but that of a job's work is told by the appointment that it names; what is still open counts today.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from st_kpi.errors import NothingLoaded
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.kpis.loaded import require_loaded
from st_kpi.kpis.mappings import SourceRecord, TypeRow, UnitRow
from st_kpi.kpis.reference import mappings_for, units_and_types
from st_kpi.warehouse.base import Warehouse

#: What hangs on a line: a number of jobs, and money in the tenant's currency.
AMOUNTS = ("jobs", "sold", "billed", "paid", "open")


class Note(StrEnum):
    """What a person should know of a row."""

    UNMAPPED = "unmapped"
    BY_NAME = "estimate by its name"
    LEFT_OUT = "left out on purpose"
    UNUSED = "unused"
    AMBIGUOUS = "ambiguous"
    RETIRED = "retired"


@dataclass(frozen=True)
class Row:
    """What hangs on a business unit or job type under one line of its file, or under none.

    Where a unit has lines and something hangs on days that none of them covers, the days are the first and the last of
    these. A unit or type that ServiceTitan does not list any more has an empty name.
    """

    file: str
    line: int | None
    tenant_id: int
    id: int
    name: str
    rollup: str | None
    role: str | None
    family: str | None
    valid_from: date | None
    valid_to: date | None
    amounts: Mapping[str, Decimal]
    is_used: bool
    notes: tuple[Note, ...]

    @property
    def is_missing(self) -> bool:
        """Whether it has jobs or money, and no line."""
        return self.is_used and Note.UNMAPPED in self.notes


@dataclass(frozen=True)
class Coverage:
    """Both files of ``folder``: what each line covers, in their order, then what has none."""

    folder: Path
    units: tuple[Row, ...]
    types: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Units, then job types."""
        return (*self.units, *self.types)

    @property
    def is_complete(self) -> bool:
        """Whether everything that has jobs or money is mapped."""
        return not any(row.is_missing for row in self.rows)

    def says(self) -> list[str]:
        """What a person should do about it, a sentence each."""
        sentences = []
        for rows in (self.units, self.types):
            missing = sorted({row.name or str(row.id) for row in rows if row.is_missing})
            if missing:
                file = self.folder / rows[0].file
                sentences.append(f"{file} needs a line for {', '.join(missing)}.")
            sentences += [self._doubt(same) for same in _ambiguous(rows)]
        if not any(row.amounts["jobs"] for row in self.rows):
            sentences.append(
                "No job is loaded, so what hangs on each is not known yet: run `st-kpi backfill`."
            )
        elif self.is_complete:
            sentences.append("Everything that has jobs or money is mapped.")
        return sentences

    def _doubt(self, same: Sequence[Row]) -> str:
        first = same[0]
        ids = ", ".join(str(row.id) for row in same)
        return (
            f"{self.folder / first.file}:{first.line}: {first.name!r} is the name of {len(same)}, and the line means them"
            f" all. Where that is wrong, write a line for each id: {ids}."
        )


def _ambiguous(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows of one line that names several units or types."""
    lines: dict[tuple[int, int | None], list[Row]] = {}
    for row in rows:
        if Note.AMBIGUOUS in row.notes:
            lines.setdefault((row.tenant_id, row.line), []).append(row)
    return list(lines.values())


_UNITS, _TYPES = "business_units.csv", "job_types.csv"
_Key = tuple[int, int]
_Line = UnitRow | TypeRow
#: A sum of records, as the warehouse gives it: ``on_date``, ``what`` and ``amount``.
_Hanging = Mapping[str, Any]


def read(
    warehouse: Warehouse, folder: Path | None, *, tenant_id: int | None, timezone: str, today: date
) -> Coverage:
    """Compare the files of ``folder``, by default those of the made-up company, with the loaded rows of a tenant, or of all.

    ``today`` is the tenant's. Raises ``ConfigurationError`` without a folder for any other tenant, ``MappingError`` for files that cannot be used, ``NothingLoaded`` where no units and
    types are loaded.
    """
    require_loaded(warehouse, ("business_units", "job_types"))
    samples = default_root() / "mappings"
    units, types = units_and_types(warehouse)
    mappings = mappings_for(folder, samples, units, types)
    units = [unit for unit in units if tenant_id in (None, unit.tenant_id)]
    types = [kind for kind in types if tenant_id in (None, kind.tenant_id)]
    if not units:
        raise NothingLoaded(
            f"No business unit of tenant {tenant_id} is loaded: run `st-kpi backfill`, or check ST_KPI_TENANT_ID."
        )
    dated = {row.business_unit_id for row in mappings.units if row.valid_from or row.valid_to}
    hanging = warehouse.query(_hanging(dated), {"timezone": timezone, "today": today})
    return Coverage(
        folder or samples,
        _rows(_UNITS, units, mappings.units, _grouped(hanging, "business_unit_id")),
        _rows(_TYPES, types, mappings.types, _grouped(hanging, "job_type_id")),
    )


def _grouped(hanging: Iterable[_Hanging], by: str) -> dict[_Key, list[_Hanging]]:
    groups: dict[_Key, list[_Hanging]] = {}
    for one in hanging:
        groups.setdefault((one["tenant_id"], one[by]), []).append(one)
    return groups


def _rows(
    file: str,
    records: Sequence[SourceRecord],
    lines: Sequence[_Line],
    hanging: Mapping[_Key, list[_Hanging]],
) -> tuple[Row, ...]:
    """The lines in their order, then what has none, that with most jobs first."""
    of_record: dict[_Key, list[_Line]] = {}
    for line in lines:
        of_record.setdefault(_key(line), []).append(line)
    named = Counter((line.tenant_id, line.line) for line in lines)
    rows = []
    for record in records:
        key = (record.tenant_id, record.id)
        of_it, mine = hanging.get(key, []), of_record.get(key, [])
        for line in mine:
            covered = [one for one in of_it if _covers(line, one["on_date"])]
            ambiguous = [Note.AMBIGUOUS] * (named[line.tenant_id, line.line] > 1)
            # Before anything is loaded nothing is known to be unused.
            unused = [Note.UNUSED] * (bool(hanging) and not covered)
            left_out = [Note.LEFT_OUT] * (not _counts(line))
            rows.append(_row(file, record, line, covered, [*ambiguous, *left_out, *unused]))
        rest = [one for one in of_it if not any(_covers(line, one["on_date"]) for line in mine)]
        if rest or not mine:
            # A build takes a type for an estimate whose name says so.
            by_name = file == _TYPES and "estimate" in record.name.lower()
            note = Note.BY_NAME if by_name else Note.UNMAPPED
            rows.append(_row(file, record, None, rest, [note]))
    rows.sort(key=lambda row: (row.line is None, row.line or -row.amounts["jobs"], row.id))
    return tuple(rows)


def _key(line: _Line) -> _Key:
    if isinstance(line, UnitRow):
        return line.tenant_id, line.business_unit_id
    return line.tenant_id, line.job_type_id


def _counts(line: _Line) -> bool:
    """Whether a line says that the unit or type counts anywhere."""
    return line.role != "NONE" if isinstance(line, UnitRow) else line.family != "none"


def _covers(line: _Line, day: date | None) -> bool:
    """Whether a line holds on a day; what has no day is not asked."""
    if day is None or isinstance(line, TypeRow):
        return True
    return (line.valid_from or date.min) <= day <= (line.valid_to or date.max)


def _row(
    file: str,
    record: SourceRecord,
    line: _Line | None,
    hanging: Sequence[_Hanging],
    notes: Sequence[Note],
) -> Row:
    amounts = dict.fromkeys(AMOUNTS, Decimal(0))
    for one in hanging:
        amounts[one["what"]] += one["amount"]
    days = [one["on_date"] for one in hanging if one["on_date"] and file == _UNITS]
    return Row(
        file=file,
        line=line.line if line else None,
        tenant_id=record.tenant_id,
        id=record.id,
        name=record.name.strip(),
        rollup=getattr(line, "rollup", None),
        role=getattr(line, "role", None),
        family=getattr(line, "family", None),
        valid_from=getattr(line, "valid_from", None) if line else min(days, default=None),
        valid_to=getattr(line, "valid_to", None) if line else max(days, default=None),
        amounts=amounts,
        is_used=bool(hanging),
        notes=(*notes, *[Note.RETIRED] * (not record.active)),
    )


def _hanging(dated: Collection[int]) -> str:
    """All jobs and money by unit, job type and, for the units of which a line is ``dated``, day.

    The days of other units would only be added up again: there are thousands.
    """
    day = "CAST(NULL AS DATE)"
    if dated:
        day = f"IF(business_unit_id IN ({', '.join(map(str, sorted(dated)))}), on_date, {day})"
    return (
        f"WITH job AS ({_JOBS}), invoice AS ({_INVOICES}), hanging AS ({_AMOUNTS}), placed AS ("
        "SELECT tenant_id, NULLIF(business_unit_id, 0) AS business_unit_id,"
        f" NULLIF(job_type_id, 0) AS job_type_id, {day} AS on_date, what, amount"
        " FROM hanging WHERE amount <> 0)"
        " SELECT tenant_id, business_unit_id, job_type_id, on_date, what, SUM(amount) AS amount"
        " FROM placed GROUP BY tenant_id, business_unit_id, job_type_id, on_date, what"
    )


def _day_of(column: str, zone: str = "@timezone") -> str:
    """The tenant's day of a time; an empty one is written as the year 1."""
    return f"DATE(IF({column} >= TIMESTAMP '1900-01-01 00:00:00+00', {column}, NULL), {zone})"


_JOBS = f"""
SELECT job.tenant_id, job.id, job.business_unit_id, job.job_type_id, COALESCE(job.active, TRUE) AS active,
  COALESCE({_day_of("first_one.start")}, {_day_of("job.completed_on")}, {_day_of("job.created_on")}) AS on_date
FROM st_raw.jobs AS job
LEFT JOIN st_raw.appointments AS first_one
  ON first_one.tenant_id = job.tenant_id AND first_one.id = job.first_appointment_id
"""

_INVOICES = f"""
SELECT invoice.tenant_id, invoice.id, invoice.business_unit_id, job.business_unit_id AS unit_of_job, job.job_type_id,
  COALESCE(job.on_date, {_day_of("invoice.invoice_date")}) AS on_date, invoice.sub_total, invoice.balance
FROM st_raw.invoices AS invoice
LEFT JOIN job ON job.tenant_id = invoice.tenant_id AND job.id = invoice.job_id
WHERE COALESCE(invoice.active, TRUE) AND COALESCE(job.active, TRUE)
"""

_AMOUNTS = f"""
SELECT tenant_id, business_unit_id, job_type_id, on_date, 'jobs' AS what, CAST(1 AS NUMERIC) AS amount
FROM job WHERE active
UNION ALL
SELECT estimate.tenant_id, COALESCE(job.business_unit_id, estimate.business_unit_id), job.job_type_id,
  {_day_of("estimate.sold_on")}, 'sold', estimate.subtotal
FROM st_raw.estimates AS estimate
LEFT JOIN job ON job.tenant_id = estimate.tenant_id AND job.id = estimate.job_id
WHERE COALESCE(estimate.active, TRUE) AND estimate.status_name = 'Sold' AND COALESCE(job.active, TRUE)
UNION ALL
SELECT tenant_id, COALESCE(unit_of_job, business_unit_id), job_type_id, on_date, 'billed', sub_total FROM invoice
UNION ALL
SELECT tenant_id, business_unit_id, job_type_id, @today, 'open', balance FROM invoice
UNION ALL
SELECT line.tenant_id, invoice.business_unit_id, job.job_type_id,
  IF(payment.date = TIMESTAMP_TRUNC(payment.date, DAY), {_day_of("payment.date", "'UTC'")}, {_day_of("payment.date")}),
  'paid', line.applied_amount
FROM st_raw.payment_applications AS line
JOIN st_raw.payments AS payment ON payment.tenant_id = line.tenant_id AND payment.id = line.payment_id
LEFT JOIN st_raw.invoices AS invoice ON invoice.tenant_id = line.tenant_id AND invoice.id = line.applied_to
LEFT JOIN job ON job.tenant_id = invoice.tenant_id AND job.id = invoice.job_id
WHERE COALESCE(payment.active, TRUE) AND COALESCE(line.active, TRUE)
UNION ALL
SELECT tenant_id, business_unit_id, NULL, @today, 'open', -unapplied_amount FROM st_raw.payments
WHERE COALESCE(active, TRUE)
UNION ALL
SELECT tenant_id, business_unit_id, NULL, @today, 'open', -balance FROM st_raw.credit_memos
WHERE COALESCE(active, TRUE)
"""
