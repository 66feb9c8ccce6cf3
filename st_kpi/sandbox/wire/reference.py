"""Customers, locations, business units, technicians, campaigns, materials."""

from __future__ import annotations

from st_kpi.sandbox.clock import iso
from st_kpi.sandbox.company import (
    BusinessUnit,
    Campaign,
    Customer,
    Location,
    Material,
    Technician,
)
from st_kpi.sandbox.wire.base import Names, Record, address


def _place(key: int) -> Record:
    return {**address(key), "latitude": None, "longitude": None}


def customer(row: Customer, names: Names) -> Record:
    """A customer; address parts and external data are null on some."""
    return {
        "id": row.id,
        "active": row.active,
        "name": row.name,
        "type": "Commercial" if row.commercial else "Residential",
        "address": _place(row.id),
        "customFields": [],
        "balance": 0,
        "taxExempt": row.commercial,
        "tagTypeIds": [],
        "doNotMail": False,
        "doNotService": False,
        "nationalAccount": False,
        "createdOn": iso(row.created),
        "createdById": 15_001,
        "modifiedOn": iso(row.modified),
        "mergedToId": row.merged_to_id,
        "paymentTermId": None,
        "creditLimit": None,
        "creditLimitBalance": None,
        "externalData": None if row.id % 3 else [],
    }


def location(row: Location, names: Names) -> Record:
    """A location of a customer."""
    return {
        "id": row.id,
        "customerId": row.customer_id,
        "active": row.active,
        "name": row.name,
        "address": _place(row.id),
        "customFields": [],
        "createdOn": iso(row.created),
        "createdById": 15_001,
        "modifiedOn": iso(row.modified),
        "mergedToId": None,
        "zoneId": None,
        "taxExempt": False,
        "tagTypeIds": [],
        "externalData": None if row.id % 3 else [],
        "taxZoneId": None,
    }


def business_unit(row: BusinessUnit, names: Names) -> Record:
    """A business unit; rollup and role are ours and not in the API."""
    return {
        "id": row.id,
        "active": row.active,
        "name": row.name,
        "officialName": None,
        "email": "office@example.invalid",
        "currency": "USD",
        "phoneNumber": "555-0100",
        "invoiceHeader": None,
        "invoiceMessage": None,
        "defaultTaxRate": 0,
        "authorizationParagraph": None,
        "acknowledgementParagraph": None,
        "address": {**_place(row.id), "isManualCoordinates": False, "isMilitary": False},
        "materialSku": None,
        "quickbooksClass": None,
        "accountCode": None,
        "franchiseId": None,
        "conceptCode": None,
        "corporateContractNumber": None,
        "trade": {"id": 1, "name": row.trade},
        "division": None,
        "tagTypeIds": None,
        "tenant": {
            "id": names.tenant_id,
            "name": names.company,
            "accountCode": None,
            "franchiseId": None,
            "conceptCode": None,
            "modifiedOn": iso(row.created),
        },
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "externalData": None,
    }


def technician(row: Technician, names: Names) -> Record:
    """A technician; rates are current values without history."""
    first, _, last = row.name.partition(" ")
    return {
        "id": row.id,
        "userId": row.user_id,
        "name": row.name,
        "roleIds": None,
        "businessUnitId": row.business_unit_id,
        "mainZoneId": None,
        "zoneIds": None,
        "createdOn": iso(row.created),
        "modifiedOn": iso(row.modified),
        "email": f"painter{row.id}@example.invalid",
        "phoneNumber": "555-0101",
        "loginName": f"painter{row.id}",
        "home": None,
        "dailyGoal": 0,
        "isManagedTech": True,
        "licenseType": "ManagedTech",
        "customFields": None,
        "active": row.active,
        "aadUserId": None,
        "burdenRate": row.burden_cents / 100,
        "team": None,
        "jobFilter": None,
        "permissions": None,
        "accountLocked": False,
        "commissionRate": 0,
        "currentValue": None,
        "firstName": first,
        "lastName": last,
        "hourlyRate": row.hourly_cents / 100,
        "jobId": None,
        "mobilePhone": None,
        "outboundCallerId": None,
        "payrollId": str(row.id),
        "payrollProfileId": None,
        "appoitmentId": None,
        "shiftStart": None,
        "shiftEnd": None,
        "soldByRate": 0,
        "startDate": None,
        "status": "Idle",
        "skills": None,
        "positions": ["Installer"],
        "location": None,
        "bio": None,
        "memo": None,
    }


def campaign(row: Campaign, names: Names) -> Record:
    """A marketing campaign; its business unit is a string."""
    return {
        "id": row.id,
        "name": row.name,
        "modifiedOn": iso(row.modified),
        "createdOn": iso(row.created),
        "active": row.active,
        "isDefaultCampaign": row.id % 10 == 0,
        "category": {"id": 1, "name": "Sample category", "active": True},
        "source": None,
        "otherSource": None,
        "businessUnit": "Phoenix Sales",
        "medium": None,
        "otherMedium": None,
        "campaignPhoneNumbers": ["555-0102"],
    }


def material(row: Material, names: Names) -> Record:
    """A price book material."""
    return {
        "id": row.id,
        "code": row.code,
        "displayName": row.name,
        "description": f"<b>{row.name}</b>",
        "cost": row.cost_cents / 100,
        "active": row.active,
        "price": row.price_cents / 100,
        "memberPrice": row.price_cents / 100,
        "addOnPrice": 0,
        "addOnMemberPrice": 0,
        "hours": 0,
        "bonus": 0,
        "commissionBonus": 0,
        "paysCommission": False,
        "deductAsJobCost": False,
        "unitOfMeasure": "each",
        "isInventory": False,
        "account": None,
        "costOfSaleAccount": None,
        "assetAccount": None,
        "taxable": None,
        "primaryVendor": {
            "id": 1,
            "vendorName": "Vendor Sample",
            "vendorId": 3_001,
            "memo": None,
            "vendorPart": None,
            "cost": row.cost_cents / 100,
            "active": True,
            "primarySubAccount": None,
            "otherSubAccounts": None,
        },
        "otherVendors": None,
        "categories": [],
        "assets": [],
        "modifiedOn": iso(row.modified),
        "source": None,
        "externalId": None,
        "externalData": None,
        "isConfigurableMaterial": False,
        "chargeableByDefault": True,
        "variationsOrConfigurableMaterials": None,
        "businessUnitId": None,
        "createdById": 15_001,
        "createdOn": iso(row.created),
        "displayInAmount": False,
        "generalLedgerAccountId": None,
        "isOtherDirectCost": False,
        "costTypeId": None,
        "defaultAssetUrl": None,
        "budgetCostCode": None,
        "budgetCostType": None,
    }
