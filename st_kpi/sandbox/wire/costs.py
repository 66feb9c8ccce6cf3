"""Payroll and purchasing."""

from __future__ import annotations

from st_kpi.sandbox.clock import iso, iso_or_none
from st_kpi.sandbox.company import (
    ActivityCode,
    GrossPayItem,
    Payroll,
    PayrollAdjustment,
    PurchaseItem,
    PurchaseOrder,
    Receipt,
    Return,
)
from st_kpi.sandbox.wire.base import NO_ADDRESS, Names, Record, address, number


def gross_pay_item(row: GrossPayItem, names: Names) -> Record:
    """A pay line: `id` is null on older ones, `jobId` is 0 or null when there is no job."""
    unit = names.units.get(row.business_unit_id or 0)
    zip_code = None if row.location_id is None else f"{row.location_id % 900:05d}"
    return {
        "id": row.id,
        "employeeId": row.employee_id,
        "employeeType": "Technician",
        "businessUnitName": unit,
        "payrollId": row.payroll_id,
        "employeePayrollId": None,
        "date": iso(row.date),
        "activity": row.activity,
        "activityCodeId": row.activity_code_id,
        "activityCode": names.codes.get(row.activity_code_id or 0),
        "amount": row.amount_cents / 100,
        "amountAdjustment": number(row.adjustment_cents),
        "payoutBusinessUnitName": unit,
        "grossPayItemType": row.kind,
        "startedOn": iso_or_none(row.started),
        "endedOn": iso_or_none(row.ended),
        "paidDurationHours": 8 if row.started else None,
        "paidTimeType": "Regular" if row.started else None,
        "sourceEntityId": row.source_id,
        "jobId": row.job_id,
        "jobNumber": str(row.job_id) if row.job_id else None,
        "jobTypeName": names.job_types.get(row.job_type_id or 0),
        "projectNumber": None,
        "projectId": None,
        "invoiceId": row.invoice_id,
        "invoiceNumber": str(row.invoice_id) if row.invoice_id else None,
        "invoiceItemId": None,
        "customerId": row.customer_id,
        "customerName": names.customers.get(row.customer_id or 0),
        "locationId": row.location_id,
        "locationName": names.locations.get(row.location_id or 0),
        "locationAddress": None,
        "locationZip": zip_code,
        "zoneName": None,
        "taxZoneName": None,
        "laborTypeId": None,
        "laborTypeCode": None,
        "budgetCodeId": None,
        "isPrevailingWageJob": None,
        "memo": None,
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
    }


def payroll(row: Payroll, names: Names) -> Record:
    """One person's pay period."""
    return {
        "id": row.id,
        "startedOn": iso(row.started),
        "endedOn": iso(row.ended),
        "employeeId": row.employee_id,
        "employeeType": "Technician",
        "status": row.status,
        "burdenRate": number(row.burden_cents),
        "managerApprovedOn": None,
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "active": row.active,
    }


def payroll_adjustment(row: PayrollAdjustment, names: Names) -> Record:
    """The same money as a CustomBonus pay line, told a second time."""
    return {
        "id": row.id,
        "employeeType": "Technician",
        "employeeId": row.employee_id,
        "postedOn": iso(row.posted),
        "amount": row.amount_cents / 100,
        "memo": None,
        "activityCodeId": row.activity_code_id,
        "invoiceId": row.invoice_id,
        "hours": None,
        "rate": None,
        "quantity": None,
        "type": "Direct",
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "active": row.active,
    }


def activity_code(row: ActivityCode, names: Names) -> Record:
    """A payroll activity code; two ids are neighbours above 2**53."""
    return {
        "id": row.id,
        "name": row.name,
        "code": row.code,
        "earningCategory": row.category,
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "active": row.active,
    }


def _sku(row: PurchaseItem) -> str:
    return f"MAT-{row.sku_id - 40_000:04d}"


def purchase_order(row: PurchaseOrder, names: Names) -> Record:
    """A purchase order: money as numbers, `total` holds tax and shipping, no `active` anywhere."""
    created, modified = iso(row.created), iso(row.modified)
    received = row.status in ("Received", "Exported")
    return {
        "id": row.id,
        "number": f"PO-{row.id}",
        "invoiceId": row.invoice_id,
        "jobId": row.job_id,
        "projectId": None,
        "status": row.status,
        "typeId": 1,
        "vendorId": row.vendor_id,
        "technicianId": None,
        "shipTo": address(row.id),
        "businessUnitId": row.business_unit_id,
        "inventoryLocationId": None,
        "batchId": None,
        "budgetCodeId": None,
        "vendorDocumentNumber": "",
        "date": iso(row.date),
        "requiredOn": None,
        "sentOn": iso_or_none(row.sent),
        "receivedOn": iso_or_none(row.received),
        "createdOn": created,
        "modifiedOn": modified,
        "total": row.total_cents / 100,
        "tax": row.tax_cents / 100,
        "shipping": row.shipping_cents / 100,
        "summary": "",
        "items": [
            {
                "id": item.id,
                "skuId": item.sku_id,
                "description": "Made-up material",
                "createdOn": created,
                "modifiedOn": modified,
                "skuName": _sku(item),
                "skuCode": _sku(item),
                "skuType": "Material",
                "vendorPartNumber": "",
                "quantity": item.quantity / 100,
                "quantityReceived": item.quantity / 100 if received else 0,
                "cost": item.cost_cents / 100,
                "total": item.total_cents / 100,
                "serialNumbers": [],
                "status": row.status,
                "chargeable": False,
                "budgetCodeId": None,
            }
            for item in row.items
        ],
        "customFields": [],
    }


def receipt(row: Receipt, names: Names) -> Record:
    """Goods received: `receiptAmount` holds tax and shipping."""
    return {
        "id": row.id,
        "active": row.active,
        "number": f"R-{row.id}",
        "vendorInvoiceNumber": "",
        "createdById": None,
        "memo": "",
        "purchaseOrderId": row.purchase_order_id,
        "billId": row.bill_id,
        "jobId": row.job_id,
        "businessUnitId": row.business_unit_id,
        "vendorId": row.vendor_id,
        "technicianId": None,
        "inventoryLocationId": 1,
        "shipTo": NO_ADDRESS,
        "shipToDescription": "",
        "receiptAmount": row.amount_cents / 100,
        "taxAmount": row.tax_cents / 100,
        "shippingAmount": row.shipping_cents / 100,
        "receivedOn": iso_or_none(row.received),
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "batchId": None,
        "syncStatus": "Posted",
        "budgetCodeId": None,
        "items": [
            {
                "id": item.id + 50_000_000,
                "skuId": item.sku_id,
                "name": _sku(item),
                "code": _sku(item),
                "description": "Made-up material",
                "quantity": item.quantity / 100,
                "cost": item.cost_cents / 100,
                "generalLedgerAccount": None,
                "costOfSaleAccount": None,
                "assetAccount": None,
                "purchaseOrderItemId": item.id,
                "budgetCodeId": None,
            }
            for item in row.items
        ],
        "customFields": [],
    }


def goods_return(row: Return, names: Names) -> Record:
    """Goods sent back: the money is `returnAmount`, positive; there is no `total`."""
    created, modified = iso(row.created), iso(row.modified)
    canceled = row.status == "Canceled"
    return {
        "id": row.id,
        "active": row.active,
        "number": f"RT-{row.id}",
        "referenceNumber": "",
        "status": row.status,
        "vendorId": row.vendor_id,
        "purchaseOrderId": row.purchase_order_id,
        "jobId": row.job_id,
        "projectId": None,
        "budgetCodeId": None,
        "businessUnitId": row.business_unit_id,
        "inventoryLocationId": None,
        "createdById": None,
        "memo": "",
        "returnAmount": row.amount_cents / 100,
        "taxAmount": row.tax_cents / 100,
        "shippingAmount": row.shipping_cents / 100,
        "returnDate": iso(row.date),
        "returnedOn": None if canceled else created,
        "creditReceivedOn": None,
        "createdOn": created,
        "modifiedOn": modified,
        "batchId": None,
        "batch": None,
        "syncStatus": "Pending",
        "canceledById": 15_001 if canceled else None,
        "canceledReason": "Accidental" if canceled else None,
        "dateCanceled": modified if canceled else None,
        "items": [
            {
                "id": item.id + 80_000_000,
                "skuId": item.sku_id,
                "description": "Made-up material",
                "createdOn": created,
                "modifiedOn": modified,
                "name": _sku(item),
                "code": _sku(item),
                "quantity": item.quantity / 100,
                "cost": item.cost_cents / 100,
                "generalLedgerAccount": None,
                "costOfSaleAccount": None,
                "assetAccount": None,
                "serialNumbers": None,
                "createdById": None,
                "active": True,
                "receiptItemId": None,
                "budgetCodeId": None,
            }
            for item in row.items
        ],
        "customFields": [],
        "externalData": [],
    }
