"""Customers and locations (``crm/v2``)."""

from decimal import Decimal
from typing import Annotated

from st_kpi.servicetitan.models.base import (
    DerivedFrom,
    GeoAddress,
    Json,
    Personal,
    Record,
    Timestamp,
)


class Customer(Record):
    """A customer. A merged one is inactive and names its successor in ``merged_to_id``.

    ``is_test`` says that the name matches the setting ``test_customer_pattern``.
    """

    id: int
    active: bool | None = None
    name: Personal[str] = None
    is_test: Annotated[bool | None, DerivedFrom("name")] = None
    type: str | None = None
    address: GeoAddress | None = None
    custom_fields: Personal[Json] = None
    balance: Decimal | None = None
    tax_exempt: bool | None = None
    tag_type_ids: Json = None
    do_not_mail: bool | None = None
    do_not_service: bool | None = None
    national_account: bool | None = None
    created_on: Timestamp | None = None
    created_by_id: int | None = None
    modified_on: Timestamp | None = None
    merged_to_id: int | None = None
    payment_term_id: int | None = None
    credit_limit: Decimal | None = None
    credit_limit_balance: Decimal | None = None
    external_data: Personal[Json] = None


class Location(Record):
    """A place of work of a customer."""

    id: int
    customer_id: int | None = None
    active: bool | None = None
    name: Personal[str] = None
    address: GeoAddress | None = None
    custom_fields: Personal[Json] = None
    created_on: Timestamp | None = None
    created_by_id: int | None = None
    modified_on: Timestamp | None = None
    merged_to_id: int | None = None
    zone_id: int | None = None
    tax_exempt: bool | None = None
    tag_type_ids: Json = None
    external_data: Personal[Json] = None
    tax_zone_id: int | None = None
