"""One warehouse into another: from a laptop's file to the cloud and back, so that nobody fetches years twice.

What a build makes from other tables for itself alone is left out; the first build in the new place makes it anew.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from st_kpi.columns import Columns, RawTable
from st_kpi.errors import ConfigurationError, WarehouseError
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import STATEMENT_STATES

#: Without rows here nothing counts as loaded, so they come last: a copy that was stopped is begun anew.
_LAST = ("st_ops.watermarks", "st_ops.chunks")


@dataclass(frozen=True)
class Copied:
    """A table that was copied, and how many rows it has on both sides."""

    table: str
    rows: int


def copy(
    source: Warehouse,
    target: Warehouse,
    layout: Sequence[RawTable] = (),
    done: Callable[[Copied], None] = lambda copied: None,
) -> list[Copied]:
    """Copy every table, and count the rows of each on both sides.

    Of the raw tables, those in ``layout`` are laid out as the target does it. ``done`` is called after each table.
    Raises ``ConfigurationError`` for a source without loaded rows or a target that has some, ``WarehouseError`` naming
    the table whose rows are not all there afterwards.
    """
    if not _loaded(source):
        raise ConfigurationError("There is nothing to copy: the source holds no loaded rows.")
    target.ensure(layout)
    if _loaded(target):
        raise ConfigurationError(
            "The target already holds loaded rows, which a copy would replace: name an empty one."
        )
    copied = []
    with target.spool() as spool:
        tables = source.tables()
        for table in _in_order(set(tables)):
            rows = _copy_table(source, target, table, tables[table], spool)
            copied.append(Copied(table, rows))
            done(copied[-1])
    return copied


def _in_order(tables: set[str]) -> list[str]:
    return [*sorted(tables - {STATEMENT_STATES, *_LAST}), *_LAST]


def _copy_table(
    source: Warehouse, target: Warehouse, table: str, columns: Columns, spool: Path
) -> int:
    before = _count(source, table)
    if before or _count(target, table):
        folder = spool / table
        folder.mkdir()
        try:
            target.load(table, columns, source.export(table, columns, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    elif not target.table_exists(table):
        target.write_table(table, columns, ())
    after = _count(target, table)
    if before != after:
        raise WarehouseError(
            f"{table} has {before:,} rows and its copy {after:,}: the copy is not complete."
            " Was a run writing to the source meanwhile? Run the same command again."
        )
    return before


def _loaded(warehouse: Warehouse) -> bool:
    return _count(warehouse, "st_ops.chunks") > 0


def _count(warehouse: Warehouse, table: str) -> int:
    if not warehouse.table_exists(table):
        return 0
    return int(warehouse.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"])
