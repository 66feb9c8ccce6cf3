"""Jobs, their appointments and types (``jpm/v2``)."""

from decimal import Decimal

from pydantic import Field

from st_kpi.servicetitan.models.base import Json, Nested, Personal, Record, Timestamp


class LeadSource(Nested):
    """The job and employee that led to this job."""

    job_id: int | None = None
    employee_id: int | None = None


class Job(Record):
    """A job. It has no start date of its own: that is the start of its first appointment."""

    id: int
    job_number: str | None = None
    project_id: int | None = None
    customer_id: int | None = None
    location_id: int | None = None
    job_status: str | None = None
    completed_on: Timestamp | None = None
    business_unit_id: int | None = None
    job_type_id: int | None = None
    priority: str | None = None
    campaign_id: int | None = None
    appointment_count: int | None = None
    first_appointment_id: int | None = None
    last_appointment_id: int | None = None
    recall_for_id: int | None = None
    warranty_id: int | None = None
    job_generated_lead_source: LeadSource | None = None
    no_charge: bool | None = None
    notifications_enabled: bool | None = None
    created_on: Timestamp | None = None
    created_by_id: int | None = None
    modified_on: Timestamp | None = None
    tag_type_ids: Json = None
    lead_call_id: int | None = None
    partner_lead_call_id: int | None = None
    booking_id: int | None = None
    sold_by_id: int | None = None
    customer_po: Personal[str] = None
    invoice_id: int | None = None
    membership_id: int | None = None
    total: Decimal | None = None
    created_from_estimate_id: int | None = None
    estimate_ids: Json = None
    summary: Personal[str] = None
    custom_fields: Personal[Json] = None
    external_data: Personal[Json] = None
    active: bool | None = None


class Appointment(Record):
    """A visit. Rescheduling moves ``start`` in place, or cancels the row and adds another."""

    id: int
    job_id: int | None = None
    appointment_number: str | None = None
    start: Timestamp | None = None
    end: Timestamp | None = None
    arrival_window_start: Timestamp | None = None
    arrival_window_end: Timestamp | None = None
    status: str | None = None
    special_instructions: Personal[str] = None
    created_on: Timestamp | None = None
    modified_on: Timestamp | None = None
    customer_id: int | None = None
    unused: bool | None = None
    created_by_id: int | None = None
    is_confirmed: bool | None = None
    active: bool | None = None


class JobType(Record):
    """What a job is for. An opportunity closes from the subtotal ``sold_threshold`` on."""

    id: int
    name: str | None = None
    business_unit_ids: Json = None
    skills: Json = None
    tag_type_ids: Json = None
    priority: str | None = None
    duration: int | None = None
    sold_threshold: Decimal | None = None
    class_: str | None = Field(default=None, alias="class")
    summary: Personal[str] = None
    no_charge: bool | None = None
    enforce_recurring_service_event_selection: bool | None = None
    invoice_signatures_required: bool | None = None
    modified_on: Timestamp | None = None
    created_on: Timestamp | None = None
    external_data: Personal[Json] = None
    active: bool | None = None
    is_smart_dispatched: bool | None = None
