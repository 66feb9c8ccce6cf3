"""Purchase orders, receipts and returns (``inventory/v2``)."""

from decimal import Decimal

from st_kpi.servicetitan.models.base import Address, Json, Personal, Record, Timestamp


class PurchaseOrder(Record):
    """A purchase order. ``total`` holds tax and shipping."""

    id: int
    number: str | None = None
    invoice_id: int | None = None
    job_id: int | None = None
    project_id: int | None = None
    status: str | None = None
    type_id: int | None = None
    vendor_id: int | None = None
    technician_id: int | None = None
    ship_to: Address | None = None
    business_unit_id: int | None = None
    inventory_location_id: int | None = None
    batch_id: int | None = None
    budget_code_id: int | None = None
    vendor_document_number: str | None = None
    date: Timestamp | None = None
    required_on: Timestamp | None = None
    sent_on: Timestamp | None = None
    received_on: Timestamp | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    total: Decimal | None = None
    tax: Decimal | None = None
    shipping: Decimal | None = None
    summary: Personal[str] = None
    items: Json = None
    custom_fields: Personal[Json] = None


class Receipt(Record):
    """Goods received. ``receipt_amount`` holds tax and shipping."""

    id: int
    active: bool | None = None
    number: str | None = None
    vendor_invoice_number: str | None = None
    created_by_id: int | None = None
    memo: Personal[str] = None
    purchase_order_id: int | None = None
    bill_id: int | None = None
    job_id: int | None = None
    business_unit_id: int | None = None
    vendor_id: int | None = None
    technician_id: int | None = None
    inventory_location_id: int | None = None
    ship_to: Address | None = None
    ship_to_description: Personal[str] = None
    receipt_amount: Decimal | None = None
    tax_amount: Decimal | None = None
    shipping_amount: Decimal | None = None
    received_on: Timestamp | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    batch_id: int | None = None
    sync_status: str | None = None
    budget_code_id: int | None = None
    items: Json = None
    custom_fields: Personal[Json] = None


class Return(Record):
    """Goods returned. No ``total``: ``return_amount`` holds tax and shipping and is positive."""

    id: int
    active: bool | None = None
    number: str | None = None
    reference_number: str | None = None
    status: str | None = None
    vendor_id: int | None = None
    purchase_order_id: int | None = None
    job_id: int | None = None
    project_id: int | None = None
    budget_code_id: int | None = None
    business_unit_id: int | None = None
    inventory_location_id: int | None = None
    created_by_id: int | None = None
    memo: Personal[str] = None
    return_amount: Decimal | None = None
    tax_amount: Decimal | None = None
    shipping_amount: Decimal | None = None
    return_date: Timestamp | None = None
    returned_on: Timestamp | None = None
    credit_received_on: Timestamp | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    batch_id: int | None = None
    batch: Json = None  # batch_id is a field of its own here
    sync_status: str | None = None
    canceled_by_id: int | None = None
    canceled_reason: str | None = None
    date_canceled: Timestamp | None = None
    items: Json = None
    custom_fields: Personal[Json] = None
    external_data: Personal[Json] = None
