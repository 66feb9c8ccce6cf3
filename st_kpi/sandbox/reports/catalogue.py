"""Which reports the tenant has, and what each shows: names, labels and parameters as data."""

from __future__ import annotations

from st_kpi.sandbox.company import Company
from st_kpi.sandbox.reports import jobs, money, sales
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Field, Kind, Parameter, Report, Row

CATEGORIES = {
    "operations": "Operations",
    "accounting": "Accounting",
    "marketing": "Marketing",
    "technician-work": "Technician Work",
}
#: Only 0 and 1 are the same everywhere; the rest is this tenant's numbering.
DATE_TYPES = {
    0: "Invoice Date",
    1: "Job Completion Date",
    7: "Job Start Date",
    12: "Job Creation Date",
}
DATE_SET = "job-date-filter-type"
UNIT_SET = "business-units"

_DATES = (
    Parameter("From", "From", "Date", required=True),
    Parameter("To", "To", "Date", required=True),
)
_UNITS = Parameter("BusinessUnitId", "Business Unit", "Number", array=True, dynamic_set=UNIT_SET)
_COSTING = (
    Parameter("DateType", "Date Type", "Number", required=True, dynamic_set=DATE_SET),
    *_DATES,
    _UNITS,
    Parameter("IncludeAdjustmentInvoices", "Include Adjustment Invoices", "Boolean"),
)
_AS_OF = Parameter("AsOf", "As Of", "Date", required=True)
_COSTING_FIELDS = (
    Field("ScheduledDate", "Scheduled Date", Kind.DAY),
    Field("JobBusinessUnit", "Job Business Unit"),
    Field("SoldBy", "Sold By"),
    Field("PrimaryTechnician", "Primary Technician"),
    Field("JobType", "Job Type"),
    Field("CustomerName", "Customer Name"),
    Field("JobNumber", "Job #"),
    Field("Subtotal", "Jobs Subtotal", Kind.MONEY),
    Field("LaborPay", "Labor Pay", Kind.MONEY),
    Field("PayrollAdjustments", "Payroll Adjustments", Kind.MONEY),
    Field("MaterialEquipmentPurchaseOrderCosts", "Materials + Equip. + PO/Bill Costs", Kind.MONEY),
    Field("ReturnCosts", "Returns", Kind.MONEY),
    Field("TotalCosts", "Jobs Total Costs", Kind.MONEY),
    Field("GrossMarginPercentage", "Jobs Gross Margin %", Kind.FRACTION),
    Field("JobStatus", "Job Status"),
)


def _as_they_are(ledger: Ledger, rows: list[Row]) -> list[Row]:
    return rows


REPORTS = (
    Report(
        number=1,
        category="operations",
        name="Job Costing",
        description="What each job brought and cost",
        parameters=_COSTING,
        fields=_COSTING_FIELDS,
        key_field="JobNumber",
        unit_field="JobBusinessUnit",
        rows=jobs.costing,
        finish=jobs.with_totals,
    ),
    Report(
        number=2,
        category="operations",
        name="Future Bookings",
        description="Copy of Job Costing: scheduled, not canceled, no inspections or washing",
        parameters=_COSTING,
        fields=_COSTING_FIELDS,
        key_field="JobNumber",
        unit_field="JobBusinessUnit",
        rows=jobs.future_bookings,
        finish=jobs.with_totals,
    ),
    Report(
        number=3,
        category="marketing",
        name="Leads",
        description="Estimates asked for, by creation date; without test customers",
        parameters=(*_DATES, _UNITS),
        fields=(
            Field("JobNumber", "Job #"),
            Field("JobBusinessUnit", "Job Business Unit"),
            Field("JobType", "Job Type"),
            Field("CustomerName", "Customer Name"),
            Field("CreatedDate", "Created Date", Kind.DAY),
            Field("JobStatus", "Job Status"),
        ),
        key_field="JobNumber",
        unit_field="JobBusinessUnit",
        rows=jobs.leads,
        finish=_as_they_are,
    ),
    Report(
        number=4,
        category="operations",
        name="Sold Estimates",
        description="Estimates by the day they were sold",
        parameters=(*_DATES, _UNITS),
        fields=(
            Field("EstimateId", "Estimate ID", Kind.COUNT),  # told as a number, sent as text
            Field("JobNumber", "Job #"),
            Field("EstimateBusinessUnit", "Estimate Business Unit"),
            Field("SoldOn", "Sold On", Kind.INSTANT),
            Field("SoldBy", "Sold By"),
            Field("CustomerName", "Customer Name"),
            Field("Subtotal", "Estimates Subtotal", Kind.MONEY),
            Field("EstimateStatus", "Estimate Status"),
        ),
        key_field="EstimateId",
        unit_field="EstimateBusinessUnit",
        rows=sales.sold_estimates,
        finish=_as_they_are,
    ),
    Report(
        number=5,
        category="operations",
        name="Business Unit Sales",
        description="Sales and opportunities per business unit",
        parameters=(*_DATES, _UNITS),
        fields=(
            Field("Name", "Business Unit"),
            Field("TotalSales", "Total Sales", Kind.MONEY),
            Field("SalesOpportunities", "Sales Opportunities", Kind.COUNT),
            Field("ClosedOpportunities", "Closed Opportunities", Kind.COUNT),
            Field("CloseRate", "Close Rate", Kind.FRACTION),
            Field("ClosedAverageSale", "Closed Average Sale", Kind.AVERAGE),
            Field("CompletedEstimates", "Completed Estimates", Kind.COUNT),
        ),
        key_field="Name",
        unit_field="Name",
        rows=sales.unit_sales,
        finish=sales.by_unit,
    ),
    Report(
        number=6,
        category="accounting",
        name="Collections",
        description="Payments by payment date, a row per invoice they were applied to",
        parameters=(*_DATES, _UNITS),
        fields=(
            Field("PaymentDate", "Payment Date", Kind.DAY),
            Field("InvoiceNumber", "Invoice #"),
            Field("InvoiceBusinessUnit", "Invoice Business Unit"),
            Field("PaymentType", "Payment Type"),
            Field("CustomerName", "Customer Name"),
            Field("Amount", "Payment Amount", Kind.MONEY),
        ),
        key_field="InvoiceNumber",
        unit_field="InvoiceBusinessUnit",
        rows=money.collections,
        finish=_as_they_are,
    ),
    Report(
        number=7,
        category="accounting",
        name="Receivables by Location",
        description="Open balances and credits per location and unit",
        parameters=(_AS_OF, _UNITS),
        fields=(
            Field("LocationId", "Location ID", Kind.COUNT),
            Field("LocationName", "Location Name"),
            Field("CustomerName", "Customer Name"),
            Field("BusinessUnit", "Business Unit"),
            Field("InvoiceBalance", "Invoice Balance", Kind.MONEY),
            Field("Credits", "Credits", Kind.MONEY),
            Field("Balance", "Balance", Kind.MONEY),
        ),
        key_field="LocationId",
        unit_field="BusinessUnit",
        rows=money.receivables,
        finish=money.with_balance,
    ),
)


def report_id(company: Company, report: Report) -> int:
    """The number a report has at this tenant and at no other."""
    return company.tenant_id * 100 + report.number
