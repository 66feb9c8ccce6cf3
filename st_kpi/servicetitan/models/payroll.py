"""Pay lines, payrolls, payroll adjustments and activity codes (``payroll/v2``)."""

from decimal import Decimal

from st_kpi.servicetitan.models.base import Personal, Record, Timestamp


class GrossPayItem(Record):
    """One pay line. ``id`` is null in practice; the pay is ``amount + amount_adjustment``."""

    id: int | None = None
    employee_id: int | None = None
    employee_type: str | None = None
    business_unit_name: str | None = None
    payroll_id: int | None = None
    employee_payroll_id: str | None = None
    date: Timestamp | None = None
    activity: str | None = None
    activity_code_id: int | None = None
    activity_code: str | None = None
    amount: Decimal | None = None
    amount_adjustment: Decimal | None = None
    payout_business_unit_name: str | None = None
    gross_pay_item_type: str | None = None
    started_on: Timestamp | None = None
    ended_on: Timestamp | None = None
    paid_duration_hours: Decimal | None = None
    paid_time_type: str | None = None
    source_entity_id: int | None = None
    job_id: int | None = None
    job_number: str | None = None
    job_type_name: str | None = None
    project_number: str | None = None
    project_id: int | None = None
    invoice_id: int | None = None
    invoice_number: str | None = None
    invoice_item_id: int | None = None
    customer_id: int | None = None
    customer_name: Personal[str] = None
    location_id: int | None = None
    location_name: Personal[str] = None
    location_address: Personal[str] = None
    location_zip: Personal[str] = None
    zone_name: str | None = None
    tax_zone_name: str | None = None
    labor_type_id: int | None = None
    labor_type_code: str | None = None
    budget_code_id: int | None = None
    is_prevailing_wage_job: bool | None = None
    memo: Personal[str] = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    active: bool | None = None


class Payroll(Record):
    """One employee's pay period."""

    id: int
    started_on: Timestamp | None = None
    ended_on: Timestamp | None = None
    employee_id: int | None = None
    employee_type: str | None = None
    status: str | None = None
    burden_rate: Decimal | None = None
    manager_approved_on: Timestamp | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    active: bool | None = None


class PayrollAdjustment(Record):
    """A manual adjustment of pay. The same money is a pay line too: never add both."""

    id: int
    employee_type: str | None = None
    employee_id: int | None = None
    posted_on: Timestamp | None = None
    amount: Decimal | None = None
    memo: Personal[str] = None
    activity_code_id: int | None = None
    invoice_id: int | None = None
    hours: Decimal | None = None
    rate: Decimal | None = None
    quantity: Decimal | None = None
    type: str | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    active: bool | None = None


class ActivityCode(Record):
    """What paid time was for."""

    id: int
    name: str | None = None
    code: str | None = None
    earning_category: str | None = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    active: bool | None = None
