"""Which KPIs are made of an entity, as ``rollup/kpi_inputs.sql`` says: what its absence costs."""

from functools import cache

from st_kpi.kpis.definitions.statements import default_root, read_file
from st_kpi.parameters import CostSource
from st_kpi.servicetitan.registry import REQUIRED
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse


def cost_of_absence(entity: str, cost_source: CostSource) -> str:
    """What the numbers lack without ``entity``, in a sentence; purchases count only where the costs come from them."""
    if entity in REQUIRED:
        return "Without it no KPI can be built."
    kpis = sorted(kpi for kpi, needed in _inputs(cost_source) if needed == entity)
    if not kpis:
        return "No KPI is made of it."
    return f"Without it these are incomplete: {', '.join(kpis)}."


@cache
def _inputs(cost_source: CostSource) -> frozenset[tuple[str, str]]:
    """Pairs of a KPI and an entity; the doctor asks for each scope that is missing."""
    root = default_root()
    (statement,) = read_file(root / "rollup" / "kpi_inputs.sql", root)
    warehouse = DuckDBWarehouse(":memory:")
    try:
        rows = warehouse.query(statement.sql, {"cost_source": cost_source})
    finally:
        warehouse.close()
    return frozenset((row["kpi"], row["entity"]) for row in rows)
