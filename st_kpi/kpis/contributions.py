"""How the rows behind the numbers are written: only those that differ, and each difference is kept.

A build computes a KPI's rows beside the stored ones, finds which were removed and which added (equal rows
by their number), and changes just those. ``st_staging.changed_contributions`` holds the differences
of the build under way, ``before`` and ``after`` being the number of equal rows, for
``st_kpi.kpis.history.attribution`` to tell their causes.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

from st_kpi.kpis.definitions.cards import Aggregation
from st_kpi.kpis.definitions.columns import (
    CHANGED_COLUMNS,
    CHANGED_CONTRIBUTIONS,
    CONTRIBUTION_COLUMNS,
    STORED_COLUMNS,
)
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.incremental.compare import apply, compare
from st_kpi.kpis.incremental.keys import KeySlice
from st_kpi.warehouse.base import Warehouse

#: The rows of a snapshot, counted before they are compared.
COUNTED = "st_staging.counted"
_LISTED = ", ".join(STORED_COLUMNS)
_LOG = "st_kpi.contribution_changes"


def contributions_select(statement: Statement) -> str:
    """The SELECT of one KPI's contributions with the KPI's name and fixed types around it."""
    columns = [f"CAST(counted.{n} AS {t}) AS {n}" for n, t in CONTRIBUTION_COLUMNS.items()]
    columns.insert(1, f"'{statement.kpi}' AS kpi")
    listed = ",\n  ".join(columns)
    return f"SELECT\n  {listed}\nFROM (\n{statement.sql}\n) AS counted"


def begin(warehouse: Warehouse) -> None:
    """Forget the differences of an earlier build."""
    warehouse.write_table(CHANGED_CONTRIBUTIONS, CHANGED_COLUMNS, [])


def end(warehouse: Warehouse) -> None:
    """Give back the room of what only the build under way needed."""
    for table in (CHANGED_CONTRIBUTIONS, COUNTED):
        warehouse.write_table(table, CHANGED_COLUMNS, [])


def lack_component(warehouse: Warehouse) -> bool:
    """Whether the stored rows are those of an older version, without the column ``component``."""
    if not warehouse.table_exists(CONTRIBUTIONS):
        return False
    rows = warehouse.query(f"SELECT * FROM {CONTRIBUTIONS} LIMIT 1")
    return not rows or "component" not in rows[0]


def add_component(warehouse: Warehouse) -> None:
    """Give the rows of an older version their ``component``, in the table and in the log.

    Until then the reason of a cost named it. Without this the next build would take every cost for changed.
    """
    listed = ", ".join(name for name in STORED_COLUMNS if name != "component")
    component = "REGEXP_EXTRACT(reason, r'cost: ([a-z_]+)')"
    warehouse.replace_table(
        CONTRIBUTIONS, f"SELECT {listed}, {component} AS component FROM {CONTRIBUTIONS}"
    )
    warehouse.execute(f"UPDATE {_LOG} SET component = {component} WHERE component IS NULL")


def write(
    warehouse: Warehouse,
    statement: Statement,
    kind: Aggregation,
    params: Mapping[str, object],
    measured_before: dt.date | None,
    key_slice: KeySlice | None,
    *,
    first: bool,
) -> bool:
    """Bring one KPI's stored rows to what its SQL returns now; returns whether any row changed.

    Of a snapshot only the rows of ``@as_of`` are written. They are compared with those of the day
    that stood for the week until now (``measured_before``), as if both had the same date. Of another
    KPI, ``key_slice`` says which rows can have changed. Before the ``first`` build there is nothing to
    compare with.
    """
    assert statement.kpi is not None
    kpi = f"kpi = '{statement.kpi}'"
    select = contributions_select(statement)
    snapshot = kind is Aggregation.SNAPSHOT
    if first:
        where = f"{kpi} AND on_date = @as_of" if snapshot else kpi
        warehouse.replace_rows(CONTRIBUTIONS, where, select, params)
        return True
    if snapshot:
        _write_snapshot(warehouse, statement.kpi, select, params, measured_before)
        return True
    where = kpi
    if key_slice:
        select, where = key_slice.of(select), f"{kpi} AND {key_slice.condition}"
        params = {**params, **key_slice.params}
    stored = f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE {where}"
    _compare(warehouse, stored, select, params)
    return apply(warehouse, CONTRIBUTIONS, STORED_COLUMNS, CHANGED_CONTRIBUTIONS, kpi)


def remove_unknown(warehouse: Warehouse, kpis: Iterable[str]) -> bool:
    """Take out the rows of KPIs whose folder is gone; returns whether there were any."""
    if not warehouse.table_exists(CONTRIBUTIONS):
        return False
    stored = warehouse.query(f"SELECT DISTINCT kpi FROM {CONTRIBUTIONS}")
    unknown = sorted({row["kpi"] for row in stored} - set(kpis))
    for kpi in unknown:
        where = f"kpi = '{kpi}'"
        rows = f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE"
        _compare(warehouse, f"{rows} {where}", f"{rows} FALSE", {})
        apply(warehouse, CONTRIBUTIONS, STORED_COLUMNS, CHANGED_CONTRIBUTIONS, where)
    return bool(unknown)


def _write_snapshot(
    warehouse: Warehouse,
    kpi: str,
    select: str,
    params: Mapping[str, object],
    measured_before: dt.date | None,
) -> None:
    warehouse.replace_table(COUNTED, select, params)
    counted = f"SELECT {_LISTED} FROM {COUNTED}"
    listed = ", ".join(
        "@as_of AS on_date" if name == "on_date" else name for name in STORED_COLUMNS
    )
    where = f"kpi = '{kpi}' AND on_date = @measured_before" if measured_before else "FALSE"
    used = {**params, "measured_before": measured_before}
    _compare(warehouse, f"SELECT {listed} FROM {CONTRIBUTIONS} WHERE {where}", counted, used)
    day = f"kpi = '{kpi}' AND on_date = @as_of"
    warehouse.replace_rows(CONTRIBUTIONS, day, counted, params)


def _compare(warehouse: Warehouse, old: str, new: str, params: Mapping[str, object]) -> None:
    """Note the rows whose number differs between two SELECTs of one KPI's rows."""
    listed = ", ".join(name for name, _ in CHANGED_COLUMNS)
    differences = compare(old, new, STORED_COLUMNS)
    warehouse.execute(f"INSERT INTO {CHANGED_CONTRIBUTIONS} ({listed}) {differences}", params)
