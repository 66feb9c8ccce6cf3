"""Estimates and their items (``sales/v2``)."""

from decimal import Decimal

from st_kpi.servicetitan.models.base import Json, Line, Nested, Personal, Record, Timestamp


class EstimateStatus(Nested):
    """Open, Sold or Dismissed, as a number and a name."""

    value: int | None = None
    name: str | None = None


class EstimateSku(Nested):
    """The pricebook item behind an estimate line."""

    id: int | None = None
    name: str | None = None
    display_name: str | None = None
    type: str | None = None
    sold_hours: Decimal | None = None
    general_ledger_account_id: int | None = None
    general_ledger_account_name: str | None = None
    modified_on: Timestamp | None = None


class EstimateItem(Line):
    """One line of an estimate; costs are what was planned, not what was spent."""

    id: int
    sku: EstimateSku | None = None
    sku_account: str | None = None
    description: str | None = None
    membership_type_id: int | None = None
    qty: Decimal | None = None
    unit_rate: Decimal | None = None
    total: Decimal | None = None
    unit_cost: Decimal | None = None
    total_cost: Decimal | None = None
    item_group_name: str | None = None
    item_group_root_id: int | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    chargeable: bool | None = None
    invoice_item_id: int | None = None
    budget_code_id: int | None = None


class Estimate(Record):
    """An offer. No ``total``: use ``subtotal``. ``sold_by`` is an employee or technician id."""

    id: int
    job_id: int | None = None
    project_id: int | None = None
    location_id: int | None = None
    customer_id: int | None = None
    name: str | None = None
    job_number: str | None = None
    status: EstimateStatus | None = None
    review_status: str | None = None
    summary: Personal[str] = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    sold_on: Timestamp | None = None
    sold_by: int | None = None
    active: bool | None = None
    items: list[EstimateItem] | None = None
    external_links: Personal[Json] = None
    subtotal: Decimal | None = None
    tax: Decimal | None = None
    business_unit_id: int | None = None
    business_unit_name: str | None = None
    is_recommended: bool | None = None
    budget_code_id: int | None = None
    is_change_order: bool | None = None
    proposal_tag_name: str | None = None
