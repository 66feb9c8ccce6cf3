"""How a table is brought to what its SELECT returns now: only the rows that differ are written.

Rows have no identity here, so equal ones are told by their number: ``before`` and ``after`` in a table
of differences. A row that changed is one that was removed and one that was added.
"""

from collections.abc import Collection, Mapping

from st_kpi.columns import ColumnType
from st_kpi.kpis.incremental.keys import KeySlice
from st_kpi.warehouse.base import Warehouse

DIFFERENCES = "st_staging.changed_rows"


def compare(old: str, new: str, columns: Collection[str]) -> str:
    """A SELECT of the rows whose number differs between two SELECTs of the same columns."""
    listed = _listed(columns)
    # HAVING knows the columns of the SELECT by the same names, and they are sums already.
    return (
        f"SELECT {listed}, CAST(SUM(before) AS INT64) AS before, CAST(SUM(after) AS INT64) AS after"
        f" FROM (SELECT {listed}, 1 AS before, 0 AS after FROM (\n{old}\n) AS old_rows"
        f" UNION ALL SELECT {listed}, 0 AS before, 1 AS after FROM (\n{new}\n) AS new_rows) AS both_states"
        f" GROUP BY {listed} HAVING SUM(both_states.before) <> SUM(both_states.after)"
    )


def update(
    warehouse: Warehouse,
    table: str,
    columns: Collection[str],
    select: str,
    params: Mapping[str, object],
    key_slice: KeySlice | None,
) -> bool:
    """Bring ``table`` to what ``select`` returns now, or a slice of it; returns whether any row changed.

    The differences stand in ``DIFFERENCES`` until the next update.
    """
    old = f"SELECT * FROM {table}"
    if key_slice:
        old, select = f"{old} WHERE {key_slice.condition}", key_slice.of(select)
        params = {**params, **key_slice.params}
    warehouse.replace_table(DIFFERENCES, compare(old, select, columns), params)
    return apply(warehouse, table, columns, DIFFERENCES)


def clear(warehouse: Warehouse) -> None:
    """Give back the room of the last update's differences."""
    warehouse.write_table(DIFFERENCES, [("before", ColumnType.INT64)], [])


def apply(
    warehouse: Warehouse,
    table: str,
    columns: Collection[str],
    differences: str,
    where: str = "TRUE",
) -> bool:
    """Make the rows of ``table`` what the differences say; returns whether there were any.

    ``where`` is a condition on both, for a table of differences that holds those of several statements.
    """
    if not warehouse.query(f"SELECT 1 AS one FROM {differences} WHERE {where} LIMIT 1"):
        return False
    same = " AND ".join(f"changed.`{c}` IS NOT DISTINCT FROM stored.`{c}`" for c in columns)
    listed = _listed(columns)
    warehouse.execute(
        f"DELETE FROM {table} AS stored WHERE {where} AND EXISTS"
        f" (SELECT 1 FROM {differences} AS changed WHERE changed.before > 0 AND {same})"
    )
    warehouse.execute(
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {differences}"
        f" CROSS JOIN UNNEST(GENERATE_ARRAY(1, after)) AS nth WHERE {where} AND after > 0"
    )
    return True


def _listed(columns: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
