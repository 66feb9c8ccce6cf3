"""One row per entity: where it is read, how its rows are asked for, and what identifies them.

Paths, parameters and fields come from the OpenAPI files; ``tests/servicetitan/test_registry.py``
compares them. A new entity is a row here, a model and a fixture.
"""

from dataclasses import dataclass
from enum import StrEnum

from st_kpi.errors import UnknownEntity
from st_kpi.servicetitan.models.accounting import (
    CreditMemo,
    InventoryBill,
    Invoice,
    Payment,
    PaymentType,
)
from st_kpi.servicetitan.models.base import Record
from st_kpi.servicetitan.models.customers import Customer, Location
from st_kpi.servicetitan.models.inventory import PurchaseOrder, Receipt, Return
from st_kpi.servicetitan.models.jobs import Appointment, Job, JobType
from st_kpi.servicetitan.models.marketing import Campaign
from st_kpi.servicetitan.models.payroll import (
    ActivityCode,
    GrossPayItem,
    Payroll,
    PayrollAdjustment,
)
from st_kpi.servicetitan.models.pricebook import Material
from st_kpi.servicetitan.models.sales import Estimate
from st_kpi.servicetitan.models.settings import BusinessUnit, Technician


class History(StrEnum):
    """How the whole past of an entity is read."""

    CREATED = "created"  # createdOn windows: a closed one has a fixed membership
    WHOLE = "whole"  # small, or createdOn may be null and a window would miss rows


class Changes(StrEnum):
    """How what changed since the last time is found."""

    FEED = (
        "feed"  # the export from its token on: deleted rows too, and none is skipped when rows move
    )
    MODIFIED = "modified"  # no export: the list by modifiedOn alone, with an overlap
    WHOLE = "whole"  # small: read again, and what is no longer there is marked inactive
    WINDOWS = "windows"  # no key: the feed tells which days to read again and replace


@dataclass(frozen=True)
class Entity:
    """How one entity is read from ServiceTitan.

    ``key`` is None where the source has no reliable id: rows are then replaced window by window.
    ``all_rows`` is the parameter that asks for inactive rows too; ``sort`` pins the order of pages
    where the endpoint can. ``lines`` names the table of the rows nested in a record. ``changes`` is how a sync finds what is new.
    """

    name: str
    model: type[Record]
    module: str
    path: str
    spec: str
    export: str | None = None
    history: History = History.CREATED
    changes: Changes = Changes.FEED
    all_rows: tuple[str, str] | None = ("active", "Any")
    sort: str | None = "+Id"
    key: str | None = "id"
    lines: str | None = None
    parent_key: str | None = None


_ACTIVE_STATE = ("activeState", "All")

_ENTITIES = (
    Entity(
        "business_units",
        BusinessUnit,
        "settings",
        "business-units",
        "settings-v2",
        export="export/business-units",
        history=History.WHOLE,
        changes=Changes.WHOLE,
        sort=None,
    ),
    Entity(
        "job_types",
        JobType,
        "jpm",
        "job-types",
        "jpm-v2",
        history=History.WHOLE,
        changes=Changes.WHOLE,
        sort=None,
    ),
    Entity(
        "technicians",
        Technician,
        "settings",
        "technicians",
        "settings-v2",
        export="export/technicians",
        history=History.WHOLE,
        changes=Changes.WHOLE,
        sort=None,
    ),
    Entity(
        "campaigns",
        Campaign,
        "marketing",
        "campaigns",
        "marketing-v2",
        history=History.WHOLE,
        changes=Changes.WHOLE,
    ),
    Entity(
        "activity_codes",
        ActivityCode,
        "payroll",
        "activity-codes",
        "payroll-v2",
        export="export/activity-codes",
        history=History.WHOLE,
        changes=Changes.WHOLE,
    ),
    Entity(
        "payment_types",
        PaymentType,
        "accounting",
        "payment-types",
        "accounting-v2",
        history=History.WHOLE,
        changes=Changes.WHOLE,
        sort=None,
    ),
    Entity(
        "materials",
        Material,
        "pricebook",
        "materials",
        "pricebook-v2",
        export="export/materials",
        history=History.WHOLE,
        changes=Changes.WHOLE,
    ),
    Entity("customers", Customer, "crm", "customers", "crm-v2", export="export/customers"),
    Entity("locations", Location, "crm", "locations", "crm-v2", export="export/locations"),
    Entity("jobs", Job, "jpm", "jobs", "jpm-v2", export="export/jobs", all_rows=None),
    Entity(
        "appointments", Appointment, "jpm", "appointments", "jpm-v2", export="export/appointments"
    ),
    Entity(
        "estimates",
        Estimate,
        "sales",
        "estimates",
        "salestech-v2",
        export="export/estimates",
        lines="estimate_items",
        parent_key="estimate_id",
    ),
    Entity(
        "invoices",
        Invoice,
        "accounting",
        "invoices",
        "accounting-v2",
        export="export/invoices",
        all_rows=_ACTIVE_STATE,
        lines="invoice_items",
        parent_key="invoice_id",
    ),
    Entity(
        "payments",
        Payment,
        "accounting",
        "payments",
        "accounting-v2",
        export="export/payments",
        all_rows=_ACTIVE_STATE,
        lines="payment_applications",
        parent_key="payment_id",
    ),
    Entity(
        "credit_memos",
        CreditMemo,
        "accounting",
        "credit-memos",
        "accounting-v2",
        changes=Changes.MODIFIED,
    ),
    Entity(
        "gross_pay_items",
        GrossPayItem,
        "payroll",
        "gross-pay-items",
        "payroll-v2",
        export="export/gross-pay-items",
        changes=Changes.WINDOWS,
        all_rows=None,
        key=None,
    ),
    Entity("payrolls", Payroll, "payroll", "payrolls", "payroll-v2", changes=Changes.MODIFIED),
    Entity(
        "payroll_adjustments",
        PayrollAdjustment,
        "payroll",
        "payroll-adjustments",
        "payroll-v2",
        export="export/payroll-adjustments",
    ),
    Entity(
        "purchase_orders",
        PurchaseOrder,
        "inventory",
        "purchase-orders",
        "inventory-v2",
        export="export/purchase-orders",
        all_rows=None,
    ),
    Entity("receipts", Receipt, "inventory", "receipts", "inventory-v2", changes=Changes.MODIFIED),
    # createdOn is nullable here and a bill without it would match no window.
    Entity(
        "inventory_bills",
        InventoryBill,
        "accounting",
        "inventory-bills/paginated",
        "accounting-v2",
        export="export/inventory-bills",
        history=History.WHOLE,
        all_rows=None,
        sort=None,
    ),
    Entity("returns", Return, "inventory", "returns", "inventory-v2", export="export/returns"),
)

#: Every entity by name, reference data first.
REGISTRY: dict[str, Entity] = {entity.name: entity for entity in _ENTITIES}

#: Entities without which there is no number, and whose absence would show as something else, such as a mapping that
#: matches nothing.
REQUIRED = ("jobs", "business_units", "job_types")


def entity(name: str) -> Entity:
    """The entity called ``name``; raises ``UnknownEntity``, which lists the names there are."""
    if name not in REGISTRY:
        raise UnknownEntity(name, tuple(REGISTRY))
    return REGISTRY[name]
