"""The small tenant M, for cases from the field: two units, one job produced, one sold, and data until a day one names.

Its zone is America/Phoenix, its build of ``MONDAY``. $ Produced of the week is 1,000, G.P.M 80 %, booked 5,000.
"""

import datetime as dt
from typing import Any

import pytest

from st_kpi.servicetitan.registry import REGISTRY
from tests.support.raw_rows import TENANT, Tenant

#: The day its builds are for, and the week its work and sale are of.
MONDAY = dt.date(2025, 1, 20)
WEEK = dt.date(2025, 1, 6)

ROWS: dict[str, list[dict[str, Any]]] = {
    "business_units": [{"id": 1, "name": "East Sales"}, {"id": 2, "name": "East Production"}],
    "job_types": [{"id": 11, "name": "Estimate"}, {"id": 21, "name": "RES-EXT"}],
    "customers": [{"id": 1}],
    "locations": [{"id": 1, "customer_id": 1}],
    "jobs": [
        {"id": 101, "business_unit_id": 2, "job_type_id": 21, "customer_id": 1, "location_id": 1,
         "job_status": "Completed", "first_appointment_id": 1, "created_on": "2025-01-06 18:00",
         "completed_on": "2025-01-08 22:00"},
        {"id": 201, "business_unit_id": 1, "job_type_id": 11, "customer_id": 1, "location_id": 1,
         "job_status": "Completed", "created_on": "2025-01-06 18:00", "completed_on": "2025-01-08 18:00"},
    ],
    "appointments": [{"id": 1, "job_id": 101, "status": "Done", "start": "2025-01-08 16:00"}],
    "invoices": [
        {"id": 1001, "job_id": 101, "business_unit_id": 2, "customer_id": 1, "location_id": 1,
         "sub_total": 1000, "total": 1000, "balance": 400},
    ],
    "gross_pay_items": [
        {"job_id": 101, "gross_pay_item_type": "TimesheetTime", "amount": 200, "created_on": "2025-01-09 18:00"},
    ],
    "payments": [{"id": 1, "date": "2025-01-09 18:00", "total": 600, "unapplied_amount": 0, "customer_id": 1}],
    "payment_applications": [{"payment_id": 1, "line": 1, "id": 1, "applied_to": 1001, "applied_amount": 600}],
    "estimates": [{"id": 1, "job_id": 201, "status_name": "Sold", "sold_on": "2025-01-08 18:00", "subtotal": 5000}],
}  # fmt: skip

UNITS = "business_unit,rollup,role,valid_from,valid_to\nEast Sales,East,SALES,,\nEast Production,East,PRODUCTION,,\n"
TYPES = "job_type,family\nRES-EXT,production\n"


def read_until(tenant: Tenant, until: dt.datetime, *without: str) -> None:
    """Everything was read whole at ``until``, by the source's clock, but the entities ``without``."""
    tenant.warehouse.execute("DELETE FROM st_ops.chunks WHERE TRUE")
    chunk = {"tenant_id": TENANT, "kind": "whole", "server_time": until, "rejected": 0}
    names = [name for name in REGISTRY if name not in without]
    tenant.warehouse.insert("st_ops.chunks", [chunk | {"entity": name} for name in names])


@pytest.fixture
def small(tenant: Tenant) -> Tenant:
    """The tenant M, read until its as-of day."""
    tenant.add(ROWS)
    tenant.map(UNITS, TYPES)
    read_until(tenant, dt.datetime.combine(MONDAY, dt.time(20), dt.UTC))
    return tenant
