"""Jobs, appointments, job types, estimates."""

from __future__ import annotations

from st_kpi.sandbox.clock import iso, iso_or_none
from st_kpi.sandbox.company import Appointment, Estimate, EstimateItem, Job, JobType
from st_kpi.sandbox.wire.base import Names, Record, number

_STATUS_VALUES = {"Open": 0, "Sold": 1, "Dismissed": 2}


def job(row: Job, names: Names) -> Record:
    """A job; the list leaves `active` out, the export adds it."""
    key = row.id
    return {
        "id": key,
        "jobNumber": str(key),
        "projectId": None,
        "customerId": row.customer_id,
        "locationId": row.location_id,
        "jobStatus": row.status,
        "completedOn": iso_or_none(row.completed),
        "businessUnitId": row.business_unit_id,
        "jobTypeId": row.job_type_id,
        "priority": "Normal" if key % 9 else "High",
        "campaignId": row.campaign_id,
        "appointmentCount": row.appointment_count,
        "firstAppointmentId": row.first_appointment_id,
        "lastAppointmentId": row.last_appointment_id,
        "recallForId": row.recall_for_id,
        "warrantyId": None,
        "jobGeneratedLeadSource": None if key % 7 else {"jobId": None, "employeeId": 5_001},
        "noCharge": row.no_charge,
        "notificationsEnabled": key % 3 != 0,
        "createdOn": iso(row.created),
        "createdById": 15_001,
        "modifiedOn": iso(row.modified),
        "tagTypeIds": [] if key % 4 else [77, 78],
        "leadCallId": None,
        "partnerLeadCallId": None,
        "bookingId": None,
        "soldById": row.sold_by_id,
        "customerPo": None if key % 5 else "PO sample",
        "invoiceId": row.invoice_id,
        "membershipId": None,
        "total": number(row.total_cents),
        "createdFromEstimateId": row.created_from_estimate_id,
        "estimateIds": row.estimate_ids,
        "summary": None if key % 2 else "<p>Made-up summary: prep &amp; paint</p>",
        "customFields": [],
        "externalData": None if key % 11 == 0 else [],
    }


def appointment(row: Appointment, names: Names) -> Record:
    """One visit."""
    start = iso(row.start)
    return {
        "id": row.id,
        "jobId": row.job_id,
        "appointmentNumber": f"{row.job_id}-{row.id % 9 + 1}",
        "start": start,
        "end": iso(row.end),
        "arrivalWindowStart": start if row.id % 2 else None,
        "arrivalWindowEnd": None,
        "status": row.status,
        "specialInstructions": None,
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "customerId": row.customer_id,
        "unused": row.unused,
        "createdById": 15_001,
        "isConfirmed": row.id % 5 != 0,
        "active": row.active,
    }


def job_type(row: JobType, names: Names) -> Record:
    """A job type; the family is ours and not in the API."""
    return {
        "id": row.id,
        "name": row.name,
        "businessUnitIds": names.unit_ids,
        "skills": [],
        "tagTypeIds": [],
        "priority": "Normal",
        "duration": 7_200,
        "soldThreshold": number(row.sold_threshold_cents),
        "class": row.group,
        "summary": "",
        "noCharge": row.no_charge,
        "enforceRecurringServiceEventSelection": None,
        "invoiceSignaturesRequired": False,
        "modifiedOn": iso(row.modified),
        "createdOn": iso(row.created),
        "externalData": None if row.id % 2 else [],
        "active": row.active,
        "isSmartDispatched": False,
    }


def estimate(row: Estimate, names: Names) -> Record:
    """An estimate with its items; `status` is an object, the money are numbers."""
    created, modified = iso(row.created), iso(row.modified)
    return {
        "id": row.id,
        "jobId": row.job_id,
        "projectId": None,
        "locationId": row.location_id,
        "customerId": row.customer_id,
        "name": f"Option {row.id % 3 + 1}",
        "jobNumber": None if row.job_id is None else str(row.job_id),
        "status": {"value": _STATUS_VALUES[row.status], "name": row.status},
        "reviewStatus": "None",
        "summary": None,
        "createdOn": created,
        "modifiedOn": modified,
        "soldOn": iso_or_none(row.sold),
        "soldBy": row.sold_by_id,
        "active": row.active,
        "items": [_item(item, created, modified) for item in row.items],
        "externalLinks": None,
        "subtotal": row.subtotal_cents / 100,
        "tax": row.tax_cents / 100,
        "businessUnitId": row.business_unit_id,
        "businessUnitName": names.units.get(row.business_unit_id or 0),
        "isRecommended": row.id % 2 == 0,
        "budgetCodeId": None,
        "isChangeOrder": row.change_order,
        "proposalTagName": None,
    }


def _item(row: EstimateItem, created: str, modified: str) -> Record:
    return {
        "id": row.id,
        "sku": {
            "id": row.sku_id,
            "name": f"MAT-{row.sku_id - 40_000:04d}",
            "displayName": "Sample line",
            "type": row.kind,
            "soldHours": 1.5,
            "generalLedgerAccountId": 4_000,
            "generalLedgerAccountName": "Sample income",
            "modifiedOn": created,
        },
        "skuAccount": "Sample income",
        "description": "Made-up work",
        "membershipTypeId": None,
        "qty": row.quantity / 100,
        "unitRate": row.rate_cents / 100,
        "total": row.total_cents / 100,
        "unitCost": row.unit_cost_cents / 100,
        "totalCost": row.unit_cost_cents * row.quantity / 10_000,
        "itemGroupName": "" if row.id % 3 else None,
        "itemGroupRootId": None,
        "createdOn": created,
        "modifiedOn": modified,
        "chargeable": True,
        "invoiceItemId": None,
        "budgetCodeId": None,
    }
