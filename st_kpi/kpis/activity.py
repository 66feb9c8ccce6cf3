"""How many jobs and how much money hang on each business unit and job type, as far as they are loaded."""

from st_kpi.kpis.drafts import Activity
from st_kpi.warehouse.base import Warehouse


def of_units(warehouse: Warehouse, tenant_id: int) -> dict[int, Activity]:
    """By unit: its jobs, and what its invoices say, before tax; rows that were deleted are not among them."""
    return _activity(
        warehouse,
        tenant_id,
        "SELECT business_unit_id AS id, 1 AS jobs, 0 AS billed FROM st_raw.jobs"
        " WHERE tenant_id = @tenant_id AND COALESCE(active, TRUE)",
        "SELECT business_unit_id AS id, 0 AS jobs, sub_total AS billed FROM st_raw.invoices"
        " WHERE tenant_id = @tenant_id AND COALESCE(active, TRUE)",
    )


def of_types(warehouse: Warehouse, tenant_id: int) -> dict[int, Activity]:
    """By job type: its jobs, and what the invoices of these say, before tax."""
    return _activity(
        warehouse,
        tenant_id,
        "SELECT job_type_id AS id, 1 AS jobs, 0 AS billed FROM st_raw.jobs"
        " WHERE tenant_id = @tenant_id AND COALESCE(active, TRUE)",
        "SELECT jobs.job_type_id AS id, 0 AS jobs, invoices.sub_total AS billed FROM st_raw.invoices AS invoices"
        " JOIN st_raw.jobs AS jobs ON jobs.tenant_id = invoices.tenant_id AND jobs.id = invoices.job_id"
        " WHERE invoices.tenant_id = @tenant_id AND COALESCE(invoices.active, TRUE)"
        " AND COALESCE(jobs.active, TRUE)",
    )


def _activity(warehouse: Warehouse, tenant_id: int, *parts: str) -> dict[int, Activity]:
    rows = warehouse.query(
        f"SELECT id, SUM(jobs) AS jobs, COALESCE(SUM(billed), 0) AS billed FROM ({' UNION ALL '.join(parts)}) AS hanging"
        " WHERE id IS NOT NULL GROUP BY id",
        {"tenant_id": tenant_id},
    )
    return {row["id"]: Activity(int(row["jobs"]), row["billed"]) for row in rows}
