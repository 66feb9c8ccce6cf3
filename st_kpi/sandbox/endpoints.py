"""One row per endpoint: path, rows, writer, sort fields, active rule and filters (source: the spec)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from st_kpi.sandbox.company import Company
from st_kpi.sandbox.wire import accounting, costs, jobs, reference
from st_kpi.sandbox.wire.base import Writer

Rows = Callable[[Company], list[Any]]


class Kind(Enum):
    """How a query parameter narrows the rows."""

    EQUAL = "a whole number equal to the attribute"
    TEXT = "a text equal to the attribute"
    ONE_OF = "a comma-separated list of whole numbers"
    FROM = "an instant, inclusive"
    BEFORE = "an instant, exclusive"
    UNTIL = "an instant, inclusive at the end"
    AFTER = "an instant, exclusive at the start"
    CONTAINS = "a text contained in the attribute, any case"


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter and the attribute it narrows."""

    kind: Kind
    attribute: str


class Active(Enum):
    """Which parameter shows inactive rows, if any; rows are hidden by default in each case."""

    TRUE_ANY_FALSE = "active"
    STATE = "activeState"
    NEVER = "no parameter: the list never shows a deleted row"
    UNKNOWN = "the entity has no active flag"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A list endpoint and its export feed, with the feed's older address where it has one."""

    module: str
    path: str
    rows: Rows
    write: Writer
    active: Active = Active.TRUE_ANY_FALSE
    sort: frozenset[str] | None = frozenset({"Id", "ModifiedOn", "CreatedOn"})
    order_by: bool = False
    modified: bool = True
    filters: Mapping[str, Filter] = field(default_factory=dict)
    export: str | None = None
    older_export: str | None = None
    export_adds_active: bool = False
    bare: bool = False
    key: str = "id"


def _equal(attribute: str) -> Filter:
    return Filter(Kind.EQUAL, attribute)


def _span(attribute: str, start: str, end: str) -> dict[str, Filter]:
    return {start: Filter(Kind.FROM, attribute), end: Filter(Kind.BEFORE, attribute)}


_IDS = {"ids": Filter(Kind.ONE_OF, "id")}
_NAME = {"name": Filter(Kind.CONTAINS, "name")}
_BILL_FILTERS = {**_IDS, **_span("date", "dateFrom", "dateTo")}
_MATERIAL_SORT = frozenset(
    [
        "Id",
        "Code",
        "DisplayName",
        "CreatedOn",
        "ModifiedOn",
        "Price",
        "MemberPrice",
        "AddOnPrice",
        "AddOnMemberPrice",
        "MaterialsCost",
        "PrimaryVendor",
        "Cost",
        "Manufacturer",
        "Priority",
    ]
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "jpm",
        "jobs",
        lambda c: c.jobs,
        jobs.job,
        Active.NEVER,
        sort=frozenset({"Id", "ModifiedOn", "CreatedOn", "Priority"}),
        export="export/jobs",
        export_adds_active=True,
        filters={
            **_IDS,
            **_span("completed", "completedOnOrAfter", "completedBefore"),
            "jobStatus": Filter(Kind.TEXT, "status"),
            "customerId": _equal("customer_id"),
            "locationId": _equal("location_id"),
            "jobTypeId": _equal("job_type_id"),
            "businessUnitId": _equal("business_unit_id"),
            "campaignId": _equal("campaign_id"),
            "invoiceId": _equal("invoice_id"),
            "soldById": _equal("sold_by_id"),
            "createdFromEstimateId": _equal("created_from_estimate_id"),
        },
    ),
    Endpoint(
        "jpm",
        "appointments",
        lambda c: c.appointments,
        jobs.appointment,
        export="export/appointments",
        filters={
            **_IDS,
            **_span("start", "startsOnOrAfter", "startsBefore"),
            "jobId": _equal("job_id"),
            "customerId": _equal("customer_id"),
            "status": Filter(Kind.TEXT, "status"),
        },
    ),
    Endpoint(
        "jpm",
        "job-types",
        lambda c: c.job_types,
        jobs.job_type,
        sort=None,
        order_by=True,
        filters={**_IDS, **_NAME},
    ),
    Endpoint(
        "sales",
        "estimates",
        lambda c: c.estimates,
        jobs.estimate,
        order_by=True,
        export="export/estimates",
        older_export="estimates/export",
        filters={
            **_IDS,
            "soldAfter": Filter(Kind.AFTER, "sold"),
            "soldBefore": Filter(Kind.BEFORE, "sold"),
            "jobId": _equal("job_id"),
            "locationId": _equal("location_id"),
            "soldById": _equal("sold_by_id"),
            "status": Filter(Kind.TEXT, "status"),
        },
    ),
    Endpoint(
        "accounting",
        "invoices",
        lambda c: c.invoices,
        accounting.invoice,
        Active.STATE,
        order_by=True,
        export="export/invoices",
        filters={
            **_IDS,
            **_span("day", "invoicedOnOrAfter", "invoicedOnBefore"),
            "jobId": _equal("job_id"),
            "customerId": _equal("customer_id"),
            "businessUnitId": _equal("business_unit_id"),
            "adjustmentToId": _equal("adjustment_to_id"),
        },
    ),
    Endpoint(
        "accounting",
        "payments",
        lambda c: c.payments,
        accounting.payment,
        Active.STATE,
        export="export/payments",
        filters={
            **_IDS,
            "paidOnAfter": Filter(Kind.AFTER, "date"),
            "paidOnBefore": Filter(Kind.BEFORE, "date"),
            "customerId": _equal("customer_id"),
            "businessUnitIds": Filter(Kind.ONE_OF, "business_unit_id"),
        },
    ),
    Endpoint(
        "accounting",
        "payment-types",
        lambda c: c.payment_types,
        accounting.payment_type,
        sort=None,
        modified=False,
        filters=_IDS,
    ),
    Endpoint(
        "accounting",
        "credit-memos",
        lambda c: c.credit_memos,
        accounting.credit_memo,
        filters={
            **_IDS,
            **_span("day", "dateOnOrAfter", "dateBefore"),
            "businessUnitIds": Filter(Kind.ONE_OF, "business_unit_id"),
        },
    ),
    Endpoint(
        "accounting",
        "inventory-bills/paginated",
        lambda c: c.inventory_bills,
        accounting.inventory_bill,
        Active.NEVER,
        sort=None,
        export="export/inventory-bills",
        export_adds_active=True,
        filters=_BILL_FILTERS,
    ),
    Endpoint(
        "accounting",
        "inventory-bills",
        lambda c: c.inventory_bills,
        accounting.inventory_bill,
        Active.NEVER,
        sort=None,
        bare=True,
        filters=_BILL_FILTERS,
    ),
    Endpoint(
        "payroll",
        "gross-pay-items",
        lambda c: c.gross_pay_items,
        costs.gross_pay_item,
        Active.NEVER,
        export="export/gross-pay-items",
        export_adds_active=True,
        key="row",
        filters={
            "dateOnOrAfter": Filter(Kind.FROM, "date"),
            "dateOnOrBefore": Filter(Kind.UNTIL, "date"),
            "modifiedOnOrBefore": Filter(Kind.UNTIL, "modified"),
            "employeeId": _equal("employee_id"),
            "payrollIds": Filter(Kind.ONE_OF, "payroll_id"),
        },
    ),
    Endpoint(
        "payroll",
        "payrolls",
        lambda c: c.payrolls,
        costs.payroll,
        filters={
            "startedOnOrAfter": Filter(Kind.FROM, "started"),
            "endedOnOrBefore": Filter(Kind.UNTIL, "ended"),
            "status": Filter(Kind.TEXT, "status"),
        },
    ),
    Endpoint(
        "payroll",
        "payroll-adjustments",
        lambda c: c.payroll_adjustments,
        costs.payroll_adjustment,
        export="export/payroll-adjustments",
        filters={
            "postedOnOrAfter": Filter(Kind.FROM, "posted"),
            "postedOnOrBefore": Filter(Kind.UNTIL, "posted"),
            "employeeIds": Filter(Kind.ONE_OF, "employee_id"),
        },
    ),
    Endpoint(
        "payroll",
        "activity-codes",
        lambda c: c.activity_codes,
        costs.activity_code,
        export="export/activity-codes",
    ),
    Endpoint(
        "inventory",
        "purchase-orders",
        lambda c: c.purchase_orders,
        costs.purchase_order,
        Active.UNKNOWN,
        export="export/purchase-orders",
        filters={
            **_IDS,
            **_span("date", "dateOnOrAfter", "dateBefore"),
            **_span("sent", "sentOnOrAfter", "sentBefore"),
            "jobId": _equal("job_id"),
            "jobIds": Filter(Kind.ONE_OF, "job_id"),
            "status": Filter(Kind.TEXT, "status"),
        },
    ),
    Endpoint(
        "inventory",
        "receipts",
        lambda c: c.receipts,
        costs.receipt,
        filters={
            **_IDS,
            **_span("received", "receivedOnOrAfter", "receivedBefore"),
            "billId": _equal("bill_id"),
            "purchaseOrderIds": Filter(Kind.ONE_OF, "purchase_order_id"),
        },
    ),
    Endpoint(
        "inventory",
        "returns",
        lambda c: c.returns,
        costs.goods_return,
        export="export/returns",
        filters={
            **_IDS,
            **_span("date", "returnDateOnOrAfter", "returnDateBefore"),
            "jobId": _equal("job_id"),
            "purchaseOrderId": _equal("purchase_order_id"),
        },
    ),
    Endpoint(
        "crm",
        "customers",
        lambda c: c.customers,
        reference.customer,
        export="export/customers",
        filters={**_IDS, **_NAME},
    ),
    Endpoint(
        "crm",
        "locations",
        lambda c: c.locations,
        reference.location,
        export="export/locations",
        filters={**_IDS, **_NAME, "customerId": _equal("customer_id")},
    ),
    Endpoint(
        "settings",
        "business-units",
        lambda c: c.business_units,
        reference.business_unit,
        sort=None,
        export="export/business-units",
        filters={**_IDS, **_NAME},
    ),
    Endpoint(
        "settings",
        "technicians",
        lambda c: c.technicians,
        reference.technician,
        sort=None,
        export="export/technicians",
        filters={**_IDS, **_NAME, "userIds": Filter(Kind.ONE_OF, "user_id")},
    ),
    Endpoint(
        "marketing",
        "campaigns",
        lambda c: c.campaigns,
        reference.campaign,
        sort=frozenset({"Id", "Name", "CreatedOn", "ModifiedOn"}),
        filters={**_IDS, **_NAME},
    ),
    Endpoint(
        "pricebook",
        "materials",
        lambda c: c.materials,
        reference.material,
        sort=_MATERIAL_SORT,
        export="export/materials",
        filters=_IDS,
    ),
)
