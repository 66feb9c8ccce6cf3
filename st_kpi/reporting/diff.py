"""Why the weekly numbers of two builds differ: each changed value with causes that add up to its change.

Every build writes its own changes by cause (``st_kpi.kpis.history.attribution``), so two builds that are not
neighbours are compared by adding up what lies between them, and the causes are those found while the
source rows were as the build met them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from st_kpi.kpis import build_log
from st_kpi.kpis.build_log import Build
from st_kpi.kpis.definitions.statements import history_statement
from st_kpi.kpis.history.statements import KPI_CHANGES, complete
from st_kpi.reporting import published
from st_kpi.reporting.published import Kpi
from st_kpi.reporting.reconciled import Reconciled, reconciled
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class CauseAmount:
    """How much of a change has this cause, and how many source rows took part in it."""

    cause: str
    amount: Decimal
    source_rows: int


@dataclass(frozen=True)
class Change:
    """One weekly value that is not as it was: ``after - before`` is the sum of the causes, exactly."""

    kpi: Kpi
    week_start: date
    rollup: str
    role: str | None
    part: str
    before: Decimal
    after: Decimal
    causes: tuple[CauseAmount, ...]

    @property
    def change(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True)
class MappingChange:
    """A business unit whose lines in the mapping are not as they were: each a rollup, a role and its days."""

    business_unit: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """Everything that changed after build ``start`` up to build ``to``, and the mapping where that is why."""

    start: Build
    to: Build
    changes: tuple[Change, ...]
    mapping: tuple[MappingChange, ...] = ()
    #: What had been compared with ServiceTitan's reports of the numbers that changed.
    reconciled: tuple[Reconciled, ...] = ()


def diff(
    warehouse: Warehouse,
    *,
    start: str | None = None,
    to: str | None = None,
    kpi: str | None = None,
    tenant_id: int | None = None,
) -> Diff:
    """Compare two builds, by run id or number; by default the one before the last with the last.

    Usage: ``diff(warehouse, kpi="leads").changes``. A value without rows counts as zero. Raises
    ``NothingLoaded`` with fewer than two builds, ``ConfigurationError`` naming what there is for a
    build or KPI that does not exist.
    """
    published.require_build(warehouse)
    first, last = build_log.pair(warehouse, start, to)
    tenant = published.tenant_of(warehouse, tenant_id)
    kpis = {k.name: k for k in published.kpis_of(warehouse, kpi)}
    rows = warehouse.query(
        _CHANGES, {"tenant_id": tenant, "after": first.number, "until": last.number}
    )
    cells: dict[_Cell, list[CauseAmount]] = {}
    for r in rows:
        cause = CauseAmount(r["cause"], r["amount"], int(r["source_rows"]))
        cells.setdefault(_cell(r), []).append(cause)
    values = _values(warehouse, tenant, last)
    changes = []
    for cell, causes in cells.items():
        total = sum((c.amount for c in causes), Decimal(0))
        if cell[0] in kpis and total:
            after = values.get(cell, Decimal(0))
            effective = tuple(c for c in causes if c.amount)
            changes.append(Change(kpis[cell[0]], *cell[1:], after - total, after, effective))
    order = list(kpis)
    changes.sort(key=lambda c: (order.index(c.kpi.name), c.week_start, c.rollup, c.part))
    found = {cause.cause for change in changes for cause in change.causes}
    return Diff(
        start=first,
        to=last,
        changes=tuple(changes),
        mapping=_mapping(warehouse, tenant, first, last) if found & _BY_MAPPING else (),
        reconciled=_reconciled(warehouse, tenant, changes, last),
    )


#: Causes that a line of the mapping files brings about.
_BY_MAPPING = {"remapped", "unmapped"}


def _mapping(
    warehouse: Warehouse, tenant: int, first: Build, last: Build
) -> tuple[MappingChange, ...]:
    """The units whose lines changed between two builds; what came and went in between is no change."""
    rows = warehouse.query(
        _MAPPING, {"tenant_id": tenant, "after": first.number, "until": last.number}
    )
    lines: dict[str, tuple[list[str], list[str]]] = {}
    for r in rows:
        before, after = lines.setdefault(r["business_unit"], ([], []))
        place = f"{r['rollup_name'] or 'no rollup'}, {r['role']}"
        if r["valid_from"].year > _OPEN[0]:
            place += f" from {r['valid_from']}"
        if r["valid_to"].year < _OPEN[1]:
            place += f" to {r['valid_to']}"
        (after if r["copies"] > 0 else before).append(place)
    return tuple(
        MappingChange(unit, tuple(before), tuple(after)) for unit, (before, after) in lines.items()
    )


def _reconciled(
    warehouse: Warehouse, tenant: int, changes: Sequence[Change], last: Build
) -> tuple[Reconciled, ...]:
    """The comparisons of numbers that changed, made before the build that changed them last."""
    if not changes:
        return ()
    weeks = [change.week_start for change in changes]
    changed = {(change.kpi.name, change.week_start) for change in changes}
    rollups = {*(change.rollup for change in changes), published.ALL}
    return tuple(
        each
        for each in reconciled(warehouse, tenant, min(weeks), max(weeks))
        if (each.kpi, each.week_start) in changed
        and each.rollup in rollups
        and each.build < last.number
    )


#: KPI, week, rollup, role and part: what has one weekly value.
_Cell = tuple[str, date, str, str | None, str]


def _cell(row: Mapping[str, Any]) -> _Cell:
    return row["kpi"], row["week_start"], row["rollup_name"], row["role"], row["part"]


def _values(warehouse: Warehouse, tenant: int, build: Build) -> dict[_Cell, Decimal]:
    """Every weekly value as build ``build`` left it: today's less what changed after it."""
    select = complete(_VALUES, {"weekly_parts": history_statement("weekly_parts")})
    rows = warehouse.query(select, {"tenant_id": tenant, "until": build.number})
    return {_cell(r): r["amount"] for r in rows}


_CHANGES = f"""
SELECT kpi, week_start, `rollup` AS rollup_name, role, part, cause,
  SUM(amount) AS amount, SUM(source_rows) AS source_rows
FROM {KPI_CHANGES}
WHERE tenant_id = @tenant_id AND build > @after AND build <= @until
GROUP BY kpi, week_start, `rollup`, role, part, cause
ORDER BY cause
"""

#: The years in which a line without a first or a last day begins and ends.
_OPEN = (1900, 9999)

_MAPPING = """
SELECT COALESCE(unit.name, CAST(changed.business_unit_id AS STRING)) AS business_unit, changed.`rollup` AS rollup_name,
  changed.role, changed.valid_from, changed.valid_to, SUM(changed.copies) AS copies
FROM st_ops.mapping_changes AS changed
LEFT JOIN st_raw.business_units AS unit
  ON unit.tenant_id = changed.tenant_id AND unit.id = changed.business_unit_id
WHERE changed.tenant_id = @tenant_id AND changed.build > @after AND changed.build <= @until
GROUP BY business_unit, rollup_name, changed.role, changed.valid_from, changed.valid_to
HAVING SUM(changed.copies) <> 0
ORDER BY business_unit, changed.valid_from
"""

_VALUES = f"""
SELECT kpi, week_start, `rollup` AS rollup_name, role, part, SUM(amount) AS amount
FROM (
  SELECT kpi, week_start, `rollup`, role, part, amount
  FROM st_staging.weekly_parts
  WHERE tenant_id = @tenant_id
  UNION ALL
  SELECT kpi, week_start, `rollup`, role, part, -amount AS amount
  FROM {KPI_CHANGES}
  WHERE tenant_id = @tenant_id AND build > @until
) AS parts
GROUP BY kpi, week_start, `rollup`, role, part
"""
