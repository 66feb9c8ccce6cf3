"""How a table is brought to what its SELECT returns now: only the rows that differ are written.

Rows have no identity here, so equal ones are told by their number: ``before`` and ``after`` in a table
of differences. A row that changed is one that was removed and one that was added.
"""

from collections.abc import Collection, Mapping

from st_kpi.kpis.incremental.keys import KeySlice
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import differences_of


def compare(old: str, new: str, columns: Collection[str]) -> str:
    """A SELECT of the rows whose number differs between two SELECTs of the same columns."""
    listed = ", ".join(f"`{name}`" for name in columns)
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
    *,
    key_slice: KeySlice | None = None,
    where: str = "TRUE",
) -> bool:
    """Bring ``table`` to what ``select`` returns now, or a slice of it; returns whether any row changed.

    Rows that ``where`` does not hold for are not touched. The differences stay until the end of the build.
    """
    if key_slice:
        where, select = key_slice.condition, key_slice.of(select)
    differences = differences_of(table)
    old = f"SELECT * FROM {table} WHERE {where}"
    warehouse.replace_table(differences, compare(old, select, columns), params)
    return warehouse.apply_differences(table, columns, differences)
