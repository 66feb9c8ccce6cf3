"""Pricebook materials (``pricebook/v2``)."""

from decimal import Decimal

from st_kpi.servicetitan.models.base import Json, Personal, Record, Timestamp


class Material(Record):
    """A pricebook material; ``cost`` is today's."""

    id: int
    code: str | None = None
    display_name: str | None = None
    description: str | None = None
    cost: Decimal | None = None
    active: bool | None = None
    price: Decimal | None = None
    member_price: Decimal | None = None
    add_on_price: Decimal | None = None
    add_on_member_price: Decimal | None = None
    hours: Decimal | None = None
    bonus: Decimal | None = None
    commission_bonus: Decimal | None = None
    pays_commission: bool | None = None
    deduct_as_job_cost: bool | None = None
    unit_of_measure: str | None = None
    is_inventory: bool | None = None
    account: str | None = None
    cost_of_sale_account: str | None = None
    asset_account: str | None = None
    taxable: bool | None = None
    primary_vendor: Json = None
    other_vendors: Json = None
    categories: Json = None
    assets: Json = None
    modified_on: Timestamp | None = None
    source: str | None = None
    external_id: str | None = None
    external_data: Personal[Json] = None
    is_configurable_material: bool | None = None
    chargeable_by_default: bool | None = None
    variations_or_configurable_materials: Json = None
    business_unit_id: int | None = None
    created_by_id: int | None = None
    created_on: Timestamp | None = None
    display_in_amount: bool | None = None
    general_ledger_account_id: int | None = None
    is_other_direct_cost: bool | None = None
    cost_type_id: int | None = None
    default_asset_url: str | None = None
    budget_cost_code: str | None = None
    budget_cost_type: str | None = None
