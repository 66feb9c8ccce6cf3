"""Jobs and money by unit and by type, of one tenant and of rows that are there."""

from decimal import Decimal

import pytest

from st_kpi.kpis.activity import of_types, of_units
from st_kpi.kpis.drafts import Activity
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse


@pytest.fixture
def warehouse() -> DuckDBWarehouse:
    one = DuckDBWarehouse(":memory:")
    one.ensure(raw_tables())
    jobs = [(1, 1, 10, 20, True), (1, 2, 10, 21, None), (1, 3, 10, 20, False), (2, 1, 10, 20, True)]
    one.insert(
        "st_raw.jobs",
        [
            {"tenant_id": t, "id": n, "business_unit_id": u, "job_type_id": k, "active": active}
            for t, n, u, k, active in jobs
        ],
    )
    # A unit of its own, no job, a deleted job, a deleted invoice, another tenant's.
    bills = [(1, 1, 1, 11, 100, True), (1, 2, None, 10, 7, None), (1, 3, 3, 10, 50, True)]
    bills += [(1, 4, 2, 10, 900, False), (2, 1, 1, 10, 5, True)]
    one.insert(
        "st_raw.invoices",
        [
            {
                "tenant_id": t,
                "id": n,
                "job_id": j,
                "business_unit_id": u,
                "sub_total": s,
                "active": a,
            }
            for t, n, j, u, s, a in bills
        ],
    )
    return one


def test_by_unit(warehouse: DuckDBWarehouse) -> None:
    assert of_units(warehouse, 1) == {
        10: Activity(2, Decimal(57)),
        11: Activity(0, Decimal(100)),
    }


def test_by_type(warehouse: DuckDBWarehouse) -> None:
    assert of_types(warehouse, 1) == {20: Activity(1, Decimal(100)), 21: Activity(1, Decimal(0))}
    assert of_types(warehouse, 2) == {20: Activity(1, Decimal(5))}
