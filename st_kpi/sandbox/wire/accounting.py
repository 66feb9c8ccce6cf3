"""Invoices with items, payments, credit memos, bills, payment types."""

from __future__ import annotations

from typing import Any

from st_kpi.sandbox.clock import calendar_date, iso, iso_or_none
from st_kpi.sandbox.company import (
    Application,
    CreditMemo,
    InventoryBill,
    Invoice,
    InvoiceItem,
    Payment,
    PaymentType,
    PurchaseItem,
)
from st_kpi.sandbox.wire.base import NO_ADDRESS, Names, Record, address, number, text_money

_BATCH = {"id": 12, "number": "12", "name": None}
_INCOME = {"id": 4_000, "name": "Sample income", "number": "4000", "type": "Income"}


def invoice(row: Invoice, names: Names) -> Record:
    """An invoice: money as strings, ids nested, dates at midnight without a zone's meaning."""
    created = iso(row.created)
    day = iso_or_none(row.day)
    modified = iso_or_none(row.modified)
    return {
        "id": row.id,
        "syncStatus": "Posted" if row.id % 3 else "Pending",
        "budgetCodeId": None,
        "referenceNumber": str(row.id),
        "invoiceDate": day,
        "dueDate": day,
        "subTotal": text_money(row.subtotal_cents),
        "salesTax": text_money(row.tax_cents),
        "salesTaxCode": {"id": 9, "name": "Sample tax", "taxRate": 0.07} if row.tax_cents else None,
        "taxZoneId": None,
        "total": text_money(row.subtotal_cents + row.tax_cents),
        "balance": text_money(row.balance_cents),
        "invoiceType": None,
        "customer": names.customer(row.customer_id),
        "customerAddress": None,
        "location": names.location(row.location_id),
        "locationAddress": address(row.location_id or 0) if row.id % 4 else NO_ADDRESS,
        "businessUnit": names.unit(row.business_unit_id),
        "termName": "Due on receipt",
        "createdBy": "sample.office",
        "batch": _BATCH if row.id % 3 else None,
        "depositedOn": None,
        "createdOn": created,
        "modifiedOn": modified,
        "adjustmentToId": row.adjustment_to_id,
        "job": _job(row.job_id, names),
        "projectId": None,
        "royalty": None,
        "employeeInfo": None,
        "commissionEligibilityDate": None,
        "sentStatus": "Sent" if row.id % 2 else "NotSent",
        "reviewStatus": "NeedsReview",
        "assignedTo": None,
        "summary": None,
        "items": [_item(item, order, created) for order, item in enumerate(row.items)],
        "customFields": None,
        "active": row.active,
        "discountTotal": "0.00",
        "importId": None,
        "exportId": None,
        "materialSkuId": None,
        "membershipId": None,
        "paidOn": iso_or_none(row.paid_day),
        "invoiceConfiguration": row.configuration,
    }


def _job(key: int | None, names: Names) -> Record | None:
    if key is None:
        return None
    kind = names.job_types.get(names.type_of_job.get(key, 0))
    return {"id": key, "number": str(key), "type": kind}


def _item(row: InvoiceItem, order: int, created: str) -> Record:
    return {
        "id": row.id,
        "description": "Made-up work",
        "quantity": f"{row.quantity / 100:.4f}",
        "cost": text_money(row.unit_cost_cents),
        "totalCost": text_money(row.total_cost_cents),
        "budgetCodeId": None,
        "inventoryLocationId": None,
        "inventoryLocation": None,
        "price": text_money(row.price_cents),
        "type": row.kind,
        "skuName": f"SKU-{row.sku_id}",
        "skuId": row.sku_id,
        "total": text_money(row.total_cents),
        "inventory": False,
        "taxable": row.kind == "Material",
        "isChargeable": row.total_cents != 0,
        "generalLedgerAccount": _INCOME,
        "costOfSaleAccount": None,
        "assetAccount": None,
        "membershipTypeId": 0,
        "itemGroup": None,
        "displayName": "Sample line",
        "soldHours": None,
        "createdOn": created,
        "modifiedOn": created,
        "serviceDate": None,
        "order": order,
        "businessUnit": None,
        "createdById": None,
        "displayInAmount": None,
        "importId": None,
        "exportId": None,
        "inventoryStatus": None,
        "addOn": False,
        "memberPrice": None,
        "technicianId": None,
        "installedEquipmentId": None,
        "estimateItemId": None,
    }


def invoice_item(row: tuple[InvoiceItem, Invoice, int], names: Names) -> Record:
    """One row of the item feed: the nested item, its invoice and a soft-delete flag."""
    item, parent, order = row
    record = _item(item, order, iso(parent.created))
    record["modifiedOn"] = iso(parent.modified or parent.created)
    return {**record, "active": parent.active, "invoiceId": parent.id}


def payment(row: Payment, names: Names) -> Record:
    """A payment: there is no `amount`, no `invoiceId`, no `status`."""
    return {
        "active": row.active,
        "appliedTo": [_applied(line) for line in row.applied_to],
        "authCode": None,
        "batch": None,
        "businessUnit": names.unit(row.business_unit_id),
        "checkNumber": None if row.id % 3 else str(row.id % 10_000),
        "createdBy": "sample.office",
        "createdOn": iso(row.created),
        "customer": names.customer(row.customer_id),
        "customFields": None,
        "date": iso(row.date),
        "deposit": None,
        "generalLedgerAccount": None,
        "id": row.id,
        "memo": None,
        "modifiedOn": iso(row.modified),
        "referenceNumber": str(row.id),
        "refundedPaymentId": row.refunded_payment_id,
        "syncStatus": "Exported",
        "total": text_money(row.total_cents),
        "type": names.payment_types.get(row.type_id),
        "typeId": str(row.type_id),
        "unappliedAmount": text_money(row.unapplied_cents),
    }


def _applied(line: Application) -> Record:
    return {
        "appliedAmount": text_money(line.amount_cents),
        "appliedBy": "sample.office",
        "appliedId": line.id,
        "appliedOn": iso(line.applied),
        "appliedTo": line.invoice_id,
        "appliedToReferenceNumber": str(line.invoice_id),
    }


def credit_memo(row: CreditMemo, names: Names) -> Record:
    """A credit memo: money as numbers and dates without a time, unlike invoices."""
    return {
        "id": row.id,
        "date": calendar_date(row.day).isoformat(),
        "referenceNumber": str(row.id),
        "subTotal": number(row.total_cents),
        "salesTax": 0,
        "salesTaxCode": None,
        "total": number(row.total_cents),
        "balance": number(row.balance_cents),
        "appliedTo": [
            {
                **_applied(line),
                "appliedAmount": number(line.amount_cents),
                "appliedOn": calendar_date(line.applied).isoformat(),
            }
            for line in row.applied_to
        ],
        "customer": names.customer(row.customer_id),
        "customerAddress": None,
        "location": names.location(row.location_id),
        "locationAddress": None,
        "businessUnit": names.unit(row.business_unit_id),
        "syncStatus": "Posted",
        "batch": None,
        "customFields": None,
        "createdOn": iso(row.created),
        "createdBy": "sample.office",
        "modifiedOn": iso(row.modified),
        "modifiedBy": None,
        "description": None,
        "active": row.active,
        "importId": None,
        "exportId": None,
    }


def inventory_bill(row: InventoryBill, names: Names) -> Record:
    """A vendor bill: money as strings, no line total; the list leaves `active` out."""
    return {
        "id": row.id,
        "purchaseOrderId": row.purchase_order_id,
        "syncStatus": "Posted",
        "referenceNumber": str(row.id),
        "vendorNumber": None,
        "summary": None,
        "billDate": iso_or_none(row.date),
        "billAmount": text_money(row.amount_cents),
        "taxAmount": text_money(row.tax_cents),
        "shippingAmount": text_money(row.shipping_cents),
        "createdBy": "sample.office",
        "createdOn": iso_or_none(row.created),
        "modifiedOn": iso_or_none(row.modified),
        "termName": None,
        "dueDate": None,
        "shipToDescription": None,
        "postDate": iso_or_none(row.date),
        "batch": None,
        "businessUnit": names.unit(row.business_unit_id),
        "taxZone": None,
        "vendor": {"id": row.vendor_id, "name": f"Vendor {row.vendor_id} Sample"},
        "shipTo": NO_ADDRESS,
        "budgetCodeId": None,
        "items": [_bill_item(item, order) for order, item in enumerate(row.items)],
        "customFields": [],
        "jobId": row.job_id,
        "jobNumber": None if row.job_id is None else str(row.job_id),
    }


def _bill_item(row: PurchaseItem, order: int) -> Record:
    return {
        "order": order,
        "name": f"MAT-{row.sku_id - 40_000:04d}",
        "description": None,
        "quantity": f"{row.quantity / 100:.2f}",
        "cost": text_money(row.cost_cents),
        "inventoryLocation": None,
        "serialNumber": None,
        "generalLedgerAccount": None,
        "costOfSaleAccount": None,
        "assetAccount": None,
        "id": row.id,
        "skuId": row.sku_id,
        "receiptItemId": None,
        "skuType": "Material",
        "skuCode": f"MAT-{row.sku_id - 40_000:04d}",
        "budgetCodeId": None,
    }


def payment_type(row: PaymentType, names: Names) -> dict[str, Any]:
    """A payment type: the response has no `active`, though there is a filter for it."""
    return {
        "id": row.id,
        "name": row.name,
        "modifiedOn": iso_or_none(row.modified),
        "createdOn": iso_or_none(row.created),
    }
