"""Invoices, payments, credit memos and vendor bills (``accounting/v2``)."""

import datetime as dt
from decimal import Decimal

from pydantic import Field

from st_kpi.servicetitan.models.base import (
    Address,
    Batch,
    CustomerRef,
    Json,
    Line,
    Named,
    Nested,
    Personal,
    Record,
    SalesTaxCode,
    Timestamp,
)


class InvoiceJob(Nested):
    """The job an invoice belongs to; membership, counter and imported invoices have none."""

    id: int | None = None
    number: str | None = None
    type: str | None = None


class ItemGroup(Nested):
    """The group of lines an invoice line is shown in."""

    root_id: int | None = None
    name: str | None = None


class InvoiceItem(Line):
    """One line of an invoice. ``cost`` is that of one unit, ``total_cost`` the extended cost."""

    id: int
    description: str | None = None
    quantity: Decimal | None = None
    cost: Decimal | None = None
    total_cost: Decimal | None = None
    budget_code_id: int | None = None
    inventory_location_id: int | None = None
    inventory_location: str | None = None
    price: Decimal | None = None
    type: str | None = None
    sku_name: str | None = None
    sku_id: int | None = None
    total: Decimal | None = None
    inventory: bool | None = None
    taxable: bool | None = None
    is_chargeable: bool | None = None
    general_ledger_account: Json = None
    cost_of_sale_account: Json = None
    asset_account: Json = None
    membership_type_id: int | None = None
    item_group: ItemGroup | None = None
    display_name: str | None = None
    sold_hours: Decimal | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    service_date: Timestamp | None = None
    order: int | None = None
    business_unit: Named | None = None
    created_by_id: int | None = None
    display_in_amount: bool | None = None
    import_id: str | None = None
    export_id: str | None = None
    inventory_status: str | None = None
    add_on: bool | None = None
    member_price: Decimal | None = None
    technician_id: int | None = None
    installed_equipment_id: int | None = None
    estimate_item_id: int | None = None


class Invoice(Record):
    """An invoice. Money is sent as strings; an adjustment names its original by id."""

    id: int
    sync_status: str | None = None
    budget_code_id: int | None = None
    reference_number: str | None = None
    invoice_date: Timestamp | None = None
    due_date: Timestamp | None = None
    sub_total: Decimal | None = None
    sales_tax: Decimal | None = None
    sales_tax_code: SalesTaxCode | None = None
    tax_zone_id: int | None = None
    total: Decimal | None = None
    balance: Decimal | None = None
    invoice_type: Named | None = None
    customer: CustomerRef | None = None
    customer_address: Address | None = None
    location: CustomerRef | None = None
    location_address: Address | None = None
    business_unit: Named | None = None
    term_name: str | None = None
    created_by: str | None = None
    batch: Batch | None = None
    deposited_on: Timestamp | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    adjustment_to_id: int | None = None
    job: InvoiceJob | None = None
    project_id: int | None = None
    royalty: Json = None
    employee_info: Json = None
    commission_eligibility_date: str | None = None
    sent_status: str | None = None
    review_status: str | None = None
    assigned_to: Named | None = None
    summary: Personal[str] = None
    items: list[InvoiceItem] | None = None
    custom_fields: Personal[Json] = None
    active: bool | None = None
    discount_total: Decimal | None = None
    import_id: str | None = None
    export_id: str | None = None
    material_sku_id: int | None = None
    membership_id: int | None = None
    paid_on: Timestamp | None = None
    invoice_configuration: str | None = None


class PaymentApplication(Line):
    """The part of a payment put to one invoice; ``applied_to`` is the invoice's id."""

    applied_amount: Decimal | None = None
    applied_by: str | None = None
    id: int | None = Field(default=None, alias="appliedId")
    applied_on: Timestamp | None = None
    applied_to: int | None = None
    applied_to_reference_number: str | None = None


class Payment(Record):
    """Money received, or given back if negative. Amounts: ``total`` and ``unapplied_amount``."""

    id: int
    active: bool | None = None
    applied_to: list[PaymentApplication] | None = None
    auth_code: Personal[str] = None
    batch: Batch | None = None
    business_unit: Named | None = None
    check_number: Personal[str] = None
    created_by: str | None = None
    created_on: Timestamp | None = None
    customer: CustomerRef | None = None
    custom_fields: Personal[Json] = None
    date: Timestamp | None = None
    deposit: Named | None = None
    general_ledger_account: Json = None
    memo: Personal[str] = None
    modified_on: Timestamp | None = None
    reference_number: str | None = None
    refunded_payment_id: int | None = None
    sync_status: str | None = None
    total: Decimal | None = None
    type: str | None = None
    type_id: str | None = None
    unapplied_amount: Decimal | None = None


class InventoryBill(Record):
    """A vendor's bill. ``created_on`` and ``modified_on`` may be null; amounts are strings."""

    id: int
    purchase_order_id: int | None = None
    sync_status: str | None = None
    reference_number: str | None = None
    vendor_number: str | None = None
    summary: Personal[str] = None
    bill_date: Timestamp | None = None
    bill_amount: Decimal | None = None
    tax_amount: Decimal | None = None
    shipping_amount: Decimal | None = None
    created_by: str | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    term_name: str | None = None
    due_date: Timestamp | None = None
    ship_to_description: Personal[str] = None
    post_date: Timestamp | None = None
    batch: Batch | None = None
    business_unit: Named | None = None
    tax_zone: Named | None = None
    vendor: Named | None = None
    ship_to: Address | None = None
    budget_code_id: int | None = None
    items: Json = None
    custom_fields: Personal[Json] = None
    job_id: int | None = None
    job_number: str | None = None
    active: bool | None = None


class PaymentType(Record):
    """How a payment was made."""

    id: int
    name: str | None = None
    modified_on: Timestamp | None = None
    created_on: Timestamp | None = None


class CreditMemo(Record):
    """A credit. Money arrives as JSON numbers and ``date`` has no time, unlike invoices."""

    id: int
    date: dt.date | None = None
    reference_number: str | None = None
    sub_total: Decimal | None = None
    sales_tax: Decimal | None = None
    sales_tax_code: SalesTaxCode | None = None
    total: Decimal | None = None
    balance: Decimal | None = None
    applied_to: Json = None
    customer: CustomerRef | None = None
    customer_address: Address | None = None
    location: CustomerRef | None = None
    location_address: Address | None = None
    business_unit: Named | None = None
    sync_status: str | None = None
    batch: Batch | None = None
    custom_fields: Personal[Json] = None
    created_on: Timestamp | None = None
    created_by: str | None = None
    modified_on: Timestamp | None = None
    modified_by: str | None = None
    description: Personal[str] = None
    active: bool | None = None
    import_id: str | None = None
    export_id: str | None = None
