"""How the rows behind the numbers are written: only those that differ, and each difference is kept.

A build computes a KPI's rows beside the stored ones, finds which are gone and which came (equal rows
by their number), and changes just those. ``st_staging.changed_contributions`` holds the differences
of the build under way, ``before`` and ``after`` being the number of equal rows, for
``st_kpi.kpis.history.attribution`` to tell their causes.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

from st_kpi.columns import ColumnType
from st_kpi.kpis.definitions.cards import Kind
from st_kpi.kpis.definitions.lint import CONTRIBUTION_COLUMNS
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.incremental.compare import apply, compare
from st_kpi.kpis.incremental.keys import Part
from st_kpi.warehouse.base import Warehouse

COLUMNS: dict[str, ColumnType] = {
    "tenant_id": ColumnType.INT64,
    "kpi": ColumnType.STRING,
    **CONTRIBUTION_COLUMNS,
}
CHANGED = "st_staging.changed_contributions"
CHANGED_COLUMNS = (*COLUMNS.items(), ("before", ColumnType.INT64), ("after", ColumnType.INT64))

_COUNTED = "st_staging.counted"
_LISTED = ", ".join(COLUMNS)


def contributions_select(statement: Statement) -> str:
    """The SELECT of one KPI's contributions with the KPI's name and fixed types around it."""
    columns = [f"CAST(counted.{n} AS {t}) AS {n}" for n, t in CONTRIBUTION_COLUMNS.items()]
    columns.insert(1, f"'{statement.kpi}' AS kpi")
    listed = ",\n  ".join(columns)
    return f"SELECT\n  {listed}\nFROM (\n{statement.sql}\n) AS counted"


def begin(warehouse: Warehouse) -> None:
    """Forget the differences of an earlier build."""
    warehouse.write_table(CHANGED, CHANGED_COLUMNS, [])


def end(warehouse: Warehouse) -> None:
    """Give back the room of what only the build under way needed."""
    for table in (CHANGED, _COUNTED):
        warehouse.write_table(table, CHANGED_COLUMNS, [])


def write(
    warehouse: Warehouse,
    statement: Statement,
    kind: Kind,
    params: Mapping[str, object],
    measured_before: dt.date | None,
    part: Part | None,
    *,
    first: bool,
) -> bool:
    """Bring one KPI's stored rows to what its SQL returns now; returns whether any row changed.

    Of a snapshot only the rows of ``@as_of`` are written. They are compared with those of the day
    that stood for the week until now (``measured_before``), as if both had the same date. Of another
    KPI, ``part`` says which rows can have changed. Before the ``first`` build there is nothing to
    compare with.
    """
    assert statement.kpi is not None
    kpi = f"kpi = '{statement.kpi}'"
    select = contributions_select(statement)
    snapshot = kind is Kind.SNAPSHOT
    if first:
        where = f"{kpi} AND on_date = @as_of" if snapshot else kpi
        warehouse.replace_rows(CONTRIBUTIONS, where, select, params)
        return True
    if snapshot:
        _write_snapshot(warehouse, statement.kpi, select, params, measured_before)
        return True
    where = kpi
    if part:
        select, where = part.of(select), f"{kpi} AND {part.condition}"
        params = {**params, **part.params}
    stored = f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE {where}"
    _compare(warehouse, stored, select, params)
    return apply(warehouse, CONTRIBUTIONS, COLUMNS, CHANGED, kpi)


def remove_unknown(warehouse: Warehouse, kpis: Iterable[str]) -> bool:
    """Take out the rows of KPIs whose folder is gone; returns whether there were any."""
    if not warehouse.table_exists(CONTRIBUTIONS):
        return False
    stored = warehouse.query(f"SELECT DISTINCT kpi FROM {CONTRIBUTIONS}")
    gone = sorted({row["kpi"] for row in stored} - set(kpis))
    for kpi in gone:
        where = f"kpi = '{kpi}'"
        rows = f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE"
        _compare(warehouse, f"{rows} {where}", f"{rows} FALSE", {})
        apply(warehouse, CONTRIBUTIONS, COLUMNS, CHANGED, where)
    return bool(gone)


def _write_snapshot(
    warehouse: Warehouse,
    kpi: str,
    select: str,
    params: Mapping[str, object],
    measured_before: dt.date | None,
) -> None:
    warehouse.replace_table(_COUNTED, select, params)
    counted = f"SELECT {_LISTED} FROM {_COUNTED}"
    listed = ", ".join("@as_of AS on_date" if name == "on_date" else name for name in COLUMNS)
    where = f"kpi = '{kpi}' AND on_date = @measured_before" if measured_before else "FALSE"
    used = {**params, "measured_before": measured_before}
    _compare(warehouse, f"SELECT {listed} FROM {CONTRIBUTIONS} WHERE {where}", counted, used)
    day = f"kpi = '{kpi}' AND on_date = @as_of"
    warehouse.replace_rows(CONTRIBUTIONS, day, counted, params)


def _compare(warehouse: Warehouse, old: str, new: str, params: Mapping[str, object]) -> None:
    """Note the rows whose number differs between two SELECTs of one KPI's rows."""
    listed = ", ".join(name for name, _ in CHANGED_COLUMNS)
    warehouse.execute(f"INSERT INTO {CHANGED} ({listed}) {compare(old, new, COLUMNS)}", params)
