"""The made-up company: one slots dataclass per ServiceTitan entity, and the lists that hold them.

Instants are ticks (see `clock`), UTC. Money is whole cents (`*_cents`), quantities are hundredths.
The attribute names are ours; `wire` turns an object into the JSON the API would send.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from st_kpi.sandbox.clock import ticks

Ticks = int
_END_OF_HISTORY = ticks("2025-10-21T22:00:00Z")


class SandboxCredentials:
    """What a client of the sandbox signs in with; made up, and worth nothing elsewhere.

    `TENANT_ID` is the tenant of the seed 7; those of other seeds have others.
    """

    TENANT_ID = 4_200_042
    CLIENT_ID = "cid.sandbox-made-up"
    CLIENT_SECRET = "cs1.sandbox-made-up-secret"
    APP_KEY = "ak1.sandbox-made-up"


@dataclass(slots=True)
class BusinessUnit:
    """`role` is SALES, PRODUCTION, BOTH, or empty where nothing is ever sold or done."""

    id: int
    name: str
    rollup: str
    role: str
    trade: str = "Painting"
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True

    @property
    def sells(self) -> bool:
        """Whether what is asked for and sold there counts."""
        return self.role in ("SALES", "BOTH")

    @property
    def produces(self) -> bool:
        """Whether what is done and billed there counts."""
        return self.role in ("PRODUCTION", "BOTH")


@dataclass(slots=True)
class JobType:
    id: int
    name: str
    family: str
    sold_threshold_cents: int | None = None
    no_charge: bool | None = False
    group: str = ""
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True


@dataclass(slots=True)
class Campaign:
    id: int
    name: str
    created: Ticks
    modified: Ticks
    active: bool = True


@dataclass(slots=True)
class Technician:
    id: int
    user_id: int
    name: str
    business_unit_id: int
    hourly_cents: int
    burden_cents: int
    created: Ticks
    modified: Ticks
    active: bool = True


@dataclass(slots=True)
class ActivityCode:
    id: int
    name: str
    code: str
    category: str
    created: Ticks
    modified: Ticks
    active: bool = True


@dataclass(slots=True)
class Material:
    id: int
    code: str
    name: str
    cost_cents: int
    price_cents: int
    created: Ticks
    modified: Ticks
    active: bool = True


@dataclass(slots=True)
class PaymentType:
    id: int
    name: str
    created: Ticks | None
    modified: Ticks | None
    active: bool = True


@dataclass(slots=True)
class Customer:
    id: int
    name: str
    created: Ticks = 0
    modified: Ticks = 0
    commercial: bool = False
    merged_to_id: int | None = None
    active: bool = True


@dataclass(slots=True)
class Location:
    id: int
    customer_id: int
    name: str = "Sample location"
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True


@dataclass(slots=True)
class Job:
    id: int
    business_unit_id: int
    job_type_id: int
    status: str
    created: Ticks
    customer_id: int = 0
    location_id: int = 0
    completed: Ticks | None = None
    modified: Ticks = 0
    campaign_id: int = 0
    first_appointment_id: int | None = None
    last_appointment_id: int | None = None
    appointment_count: int = 0
    no_charge: bool | None = False
    invoice_id: int | None = None
    created_from_estimate_id: int | None = None
    recall_for_id: int | None = None
    sold_by_id: int | None = None
    estimate_ids: tuple[int, ...] = ()
    total_cents: int | None = None
    active: bool = True


@dataclass(slots=True)
class Appointment:
    id: int
    job_id: int
    start: Ticks
    end: Ticks = 0
    status: str = "Scheduled"
    created: Ticks = 0
    modified: Ticks = 0
    customer_id: int = 0
    unused: bool = False
    active: bool = True


@dataclass(slots=True)
class EstimateItem:
    id: int
    sku_id: int
    kind: str
    quantity: int
    rate_cents: int
    total_cents: int
    unit_cost_cents: int


@dataclass(slots=True)
class Estimate:
    id: int
    job_id: int | None
    status: str
    subtotal_cents: int
    sold: Ticks | None = None
    created: Ticks = 0
    modified: Ticks = 0
    customer_id: int | None = None
    location_id: int | None = None
    business_unit_id: int | None = None
    sold_by_id: int | None = None
    tax_cents: int = 0
    items: tuple[EstimateItem, ...] = ()
    change_order: bool = False
    active: bool = True


@dataclass(slots=True)
class InvoiceItem:
    id: int
    kind: str
    total_cost_cents: int | None = 0
    total_cents: int = 0
    quantity: int = 100
    unit_cost_cents: int = 0
    price_cents: int = 0
    sku_id: int = 0


@dataclass(slots=True)
class Invoice:
    id: int
    subtotal_cents: int
    job_id: int | None = None
    business_unit_id: int | None = None
    customer_id: int | None = None
    location_id: int | None = None
    balance_cents: int = 0
    tax_cents: int = 0
    day: Ticks | None = None
    paid_day: Ticks | None = None
    created: Ticks = 0
    modified: Ticks | None = None
    adjustment_to_id: int | None = None
    configuration: str = "JobInvoice"
    items: tuple[InvoiceItem, ...] = ()
    active: bool = True


@dataclass(slots=True)
class Application:
    """One line of a payment or credit memo: how much of it went to which invoice."""

    id: int
    invoice_id: int
    amount_cents: int | None
    applied: Ticks = 0


@dataclass(slots=True)
class Payment:
    id: int
    total_cents: int
    date: Ticks
    applied_to: tuple[Application, ...] = ()
    unapplied_cents: int | None = 0
    customer_id: int | None = None
    business_unit_id: int | None = None
    type_id: int = 0
    refunded_payment_id: int | None = None
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True


@dataclass(slots=True)
class CreditMemo:
    id: int
    balance_cents: int
    total_cents: int = 0
    day: Ticks = 0
    applied_to: tuple[Application, ...] = ()
    customer_id: int | None = None
    location_id: int | None = None
    business_unit_id: int | None = None
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True


@dataclass(slots=True)
class GrossPayItem:
    """One pay line. `row` only orders rows whose served `id` is null; it is never sent."""

    row: int
    kind: str
    amount_cents: int
    date: Ticks
    job_id: int | None = None
    adjustment_cents: int | None = None
    id: int | None = None
    employee_id: int = 0
    payroll_id: int = 0
    activity_code_id: int | None = None
    activity: str | None = None
    started: Ticks | None = None
    ended: Ticks | None = None
    source_id: int | None = None
    invoice_id: int | None = None
    customer_id: int | None = None
    location_id: int | None = None
    job_type_id: int | None = None
    business_unit_id: int | None = None
    created: Ticks = 0
    modified: Ticks = 0
    active: bool = True


@dataclass(slots=True)
class Payroll:
    id: int
    employee_id: int
    started: Ticks
    ended: Ticks
    status: str
    created: Ticks
    modified: Ticks
    burden_cents: int | None = None
    active: bool = True


@dataclass(slots=True)
class PayrollAdjustment:
    id: int
    employee_id: int
    posted: Ticks
    amount_cents: int
    invoice_id: int | None
    activity_code_id: int | None
    created: Ticks
    modified: Ticks
    active: bool = True


@dataclass(slots=True)
class PurchaseItem:
    id: int
    sku_id: int
    quantity: int
    cost_cents: int
    total_cents: int


@dataclass(slots=True)
class PurchaseOrder:
    id: int
    status: str
    total_cents: int
    job_id: int | None = None
    tax_cents: int = 0
    shipping_cents: int = 0
    invoice_id: int | None = None
    business_unit_id: int | None = None
    vendor_id: int = 0
    date: Ticks = 0
    sent: Ticks | None = None
    received: Ticks | None = None
    created: Ticks = 0
    modified: Ticks = 0
    items: tuple[PurchaseItem, ...] = ()


@dataclass(slots=True)
class Receipt:
    id: int
    purchase_order_id: int
    amount_cents: int
    tax_cents: int
    shipping_cents: int
    received: Ticks | None
    created: Ticks
    modified: Ticks
    job_id: int | None = None
    bill_id: int | None = None
    business_unit_id: int | None = None
    vendor_id: int = 0
    items: tuple[PurchaseItem, ...] = ()
    active: bool = True


@dataclass(slots=True)
class InventoryBill:
    id: int
    amount_cents: int | None
    job_id: int | None = None
    purchase_order_id: int | None = None
    tax_cents: int = 0
    shipping_cents: int = 0
    business_unit_id: int | None = None
    vendor_id: int = 0
    date: Ticks | None = None
    created: Ticks | None = None
    modified: Ticks | None = None
    items: tuple[PurchaseItem, ...] = ()
    active: bool = True


@dataclass(slots=True)
class Return:
    id: int
    amount_cents: int
    status: str = "Returned"
    job_id: int | None = None
    purchase_order_id: int | None = None
    tax_cents: int = 0
    shipping_cents: int = 0
    business_unit_id: int = 0
    vendor_id: int = 0
    date: Ticks = 0
    created: Ticks = 0
    modified: Ticks = 0
    items: tuple[PurchaseItem, ...] = ()
    active: bool = True


@dataclass(slots=True)
class Company:
    """A tenant and all its rows. After changing rows by hand, call `touch` so that servers notice.

    `now` is the last moment at which anything happened, `last_day` its local date; `life` moves both.
    """

    tenant_id: int = SandboxCredentials.TENANT_ID
    name: str = "Sample Painting Co."
    timezone: str = "America/Phoenix"
    first_day: date = date(2020, 1, 1)
    last_day: date = date(2025, 10, 21)
    now: Ticks = _END_OF_HISTORY
    business_units: list[BusinessUnit] = field(default_factory=list)
    job_types: list[JobType] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    technicians: list[Technician] = field(default_factory=list)
    activity_codes: list[ActivityCode] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    payment_types: list[PaymentType] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    appointments: list[Appointment] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    credit_memos: list[CreditMemo] = field(default_factory=list)
    gross_pay_items: list[GrossPayItem] = field(default_factory=list)
    payrolls: list[Payroll] = field(default_factory=list)
    payroll_adjustments: list[PayrollAdjustment] = field(default_factory=list)
    purchase_orders: list[PurchaseOrder] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    inventory_bills: list[InventoryBill] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    version: int = 0

    def touch(self) -> None:
        """Say that rows were changed; a running app then drops what it remembered about them."""
        self.version += 1
