"""How the statements of ``kpi_sql/history`` run: in an order that Python names, each as its header says."""

from collections.abc import Iterable, Mapping

from st_kpi.kpis.definitions.inline import filling, inlined
from st_kpi.kpis.definitions.statements import HistoryUse, Statement
from st_kpi.warehouse.base import Warehouse

KPI_CHANGES = "st_kpi.kpi_changes"
CONTRIBUTION_CHANGES = "st_kpi.contribution_changes"
MAPPING_CHANGES = "st_ops.mapping_changes"


def run(
    warehouse: Warehouse,
    history: Mapping[str, Statement],
    names: Iterable[str],
    params: Mapping[str, object],
) -> None:
    """Run the statements of these names in this order, of all that ``history`` has."""
    for name in names:
        statement = history[name]
        assert statement.table is not None
        listed = ", ".join(f"`{column}`" for column in statement.tree.named_selects)
        select = complete(f"SELECT {listed} FROM (\n{statement.sql}\n) AS selected", history)
        if statement.history is HistoryUse.REPLACE:
            warehouse.replace_table(statement.table, select, params)
        else:
            warehouse.execute(f"INSERT INTO {statement.table} ({listed})\n{select}", params)


def complete(select: str, history: Mapping[str, Statement]) -> str:
    """``select`` with the statements that only stand in front of others, where it reads them."""
    inline = [s for s in history.values() if s.history is HistoryUse.INLINE]
    return inlined(select, filling(s for s in inline if s.table and s.table in select))


def scratch_tables(history: Mapping[str, Statement]) -> list[str]:
    """The tables that hold something only while a build is under way."""
    return sorted(s.table for s in history.values() if s.history is HistoryUse.REPLACE and s.table)
