"""Business units and technicians (``settings/v2``)."""

from decimal import Decimal

from st_kpi.servicetitan.models.base import Json, Named, Personal, Record, Timestamp


class BusinessUnit(Record):
    """A business unit. Names change: join by id."""

    id: int
    active: bool | None = None
    name: str | None = None
    official_name: str | None = None
    email: Personal[str] = None
    currency: str | None = None
    phone_number: Personal[str] = None
    invoice_header: str | None = None
    invoice_message: str | None = None
    default_tax_rate: Decimal | None = None
    authorization_paragraph: str | None = None
    acknowledgement_paragraph: str | None = None
    address: Json = None
    material_sku: str | None = None
    quickbooks_class: str | None = None
    account_code: str | None = None
    franchise_id: str | None = None
    concept_code: str | None = None
    corporate_contract_number: str | None = None
    trade: Named | None = None
    division: Named | None = None
    tag_type_ids: Json = None
    tenant: Json = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    external_data: Personal[Json] = None


class Technician(Record):
    """A technician. ``id`` is not ``user_id``; rates are today's, without history."""

    id: int
    user_id: int | None = None
    name: str | None = None
    role_ids: Json = None
    business_unit_id: int | None = None
    main_zone_id: int | None = None
    zone_ids: Json = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    email: Personal[str] = None
    phone_number: Personal[str] = None
    login_name: Personal[str] = None
    home: Personal[Json] = None
    daily_goal: Decimal | None = None
    is_managed_tech: bool | None = None
    license_type: str | None = None
    custom_fields: Personal[Json] = None
    active: bool | None = None
    aad_user_id: Personal[str] = None
    burden_rate: Decimal | None = None
    team: str | None = None
    job_filter: str | None = None
    permissions: Json = None
    account_locked: bool | None = None
    commission_rate: Decimal | None = None
    current_value: Decimal | None = None
    first_name: Personal[str] = None
    last_name: Personal[str] = None
    hourly_rate: Decimal | None = None
    job_id: int | None = None
    mobile_phone: Personal[str] = None
    outbound_caller_id: Personal[str] = None
    payroll_id: str | None = None
    payroll_profile_id: int | None = None
    appoitment_id: int | None = None
    shift_start: str | None = None
    shift_end: str | None = None
    sold_by_rate: Decimal | None = None
    start_date: Timestamp | None = None
    status: str | None = None
    skills: Json = None
    positions: Json = None
    location: Personal[Json] = None
    bio: Personal[str] = None
    memo: Personal[str] = None
