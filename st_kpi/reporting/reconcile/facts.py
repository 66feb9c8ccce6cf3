"""What the warehouse knows of the things a report names, counted or not: what causes are found by."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from st_kpi.kpis.definitions.reports import RowKey
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS
from st_kpi.reporting.reconcile.ours import KEYS
from st_kpi.warehouse.base import Warehouse

#: How many keys are asked for at once: BigQuery bounds the size of a request.
_KEYS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Fact:
    """One job, estimate, invoice or location as it is stored; days are the tenant's, amounts exact.

    ``days`` are those on which its KPI counts it, in any week and unit, with what it counts there. ``changed_at`` is the
    newest change of it or, of a job, of what belongs to it. ``tax`` and ``adjustments`` are in the invoices of a job.
    ``has_job`` is false for an estimate that belongs to none.
    """

    key: str
    active: bool
    unit_id: int | None
    job_status: str | None
    family: str | None
    is_test_customer: bool
    dates: Mapping[str, dt.date]
    days: Mapping[dt.date, Decimal]
    changed_at: dt.datetime | None
    tax: Decimal
    adjustments: Decimal
    has_job: bool


#: The dates of a job that a report may go by instead of ours.
DATES = {
    "work_on_local": "the start of the work",
    "completed_on_local": "the completion of the job",
    "created_on_local": "the creation of the job",
    "invoiced_on_local": "the date of the invoice",
}


def facts(
    warehouse: Warehouse, tenant_id: int, kpi: str, key: RowKey, keys: Iterable[str]
) -> dict[str, Fact]:
    """What is stored under ``keys``; keys that are known to nobody here are left out."""
    if key is RowKey.BUSINESS_UNIT:
        return {}
    listed = sorted(set(keys))
    found: dict[str, Fact] = {}
    for start in range(0, len(listed), _KEYS_AT_ONCE):
        asked = listed[start : start + _KEYS_AT_ONCE]
        params = {"tenant_id": tenant_id, "kpi": kpi, "row_keys": asked}
        days = _days(warehouse.query(_DAYS.format(key=KEYS[key][0], named=KEYS[key][1]), params))
        for row in warehouse.query(_FACTS[key], params):
            found[row["row_key"]] = _fact(row, days.get(row["row_key"], {}))
    return found


def _days(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[dt.date, Decimal]]:
    days: dict[str, dict[dt.date, Decimal]] = {}
    for row in rows:
        days.setdefault(row["row_key"], {})[row["on_date"]] = row["amount"]
    return days


def _fact(row: Mapping[str, Any], days: Mapping[dt.date, Decimal]) -> Fact:
    return Fact(
        key=row["row_key"],
        active=bool(row["is_active"]),
        unit_id=row["business_unit_id"],
        job_status=row.get("job_status"),
        family=row.get("family"),
        is_test_customer=bool(row.get("is_test_customer")),
        dates={name: row[name] for name in DATES if row.get(name)},
        days=days,
        changed_at=row["changed_at"],
        tax=row.get("tax") or Decimal(0),
        adjustments=row.get("adjustments") or Decimal(0),
        has_job=bool(row.get("has_job", True)),
    )


_DAYS = f"""
SELECT {{key}} AS row_key, counted.on_date, SUM(counted.amount) AS amount
FROM {CONTRIBUTIONS} AS counted{{named}}
WHERE counted.tenant_id = @tenant_id AND counted.kpi = @kpi AND {{key}} IN UNNEST(@row_keys)
GROUP BY row_key, counted.on_date
ORDER BY counted.on_date"""

#: When a job changed last, and when each thing that belongs to it.
_CHANGES = "\nUNION ALL\n".join(
    ["SELECT tenant_id, id AS job_id, modified_on FROM st_raw.jobs"]
    + [
        f"SELECT tenant_id, job_id, modified_on FROM st_raw.{table} WHERE job_id IS NOT NULL"
        for table in (
            "appointments",
            "estimates",
            "invoices",
            "gross_pay_items",
            "purchase_orders",
            "inventory_bills",
            "returns",
        )
    ]
)

_FACTS = {
    RowKey.JOB: f"""
WITH asked AS (
  SELECT tenant_id, id, COALESCE(job_number, CAST(id AS STRING)) AS row_key, active, business_unit_id, job_type_id, job_status
  FROM st_raw.jobs
  WHERE tenant_id = @tenant_id AND COALESCE(job_number, CAST(id AS STRING)) IN UNNEST(@row_keys)
),
changed AS (
  SELECT one.tenant_id, one.job_id, MAX(one.modified_on) AS changed_at
  FROM (
{_CHANGES}
  ) AS one
  JOIN asked ON asked.tenant_id = one.tenant_id AND asked.id = one.job_id
  GROUP BY one.tenant_id, one.job_id
),
billed AS (
  SELECT invoice.tenant_id, invoice.job_id, SUM(raw.sales_tax) AS tax,
    SUM(IF(invoice.is_adjustment, invoice.sub_total, CAST(0 AS NUMERIC))) AS adjustments,
    MIN(DATE(raw.invoice_date, 'UTC')) AS invoiced_on_local
  FROM st_staging.invoices AS invoice
  JOIN asked ON asked.tenant_id = invoice.tenant_id AND asked.id = invoice.job_id
  JOIN st_raw.invoices AS raw ON raw.tenant_id = invoice.tenant_id AND raw.id = invoice.invoice_id
  GROUP BY invoice.tenant_id, invoice.job_id
)
SELECT asked.row_key, COALESCE(asked.active, TRUE) AS is_active, asked.business_unit_id,
  asked.job_status, type.family, job.is_test_customer, job.work_on_local, job.completed_on_local,
  job.created_on_local, billed.invoiced_on_local, changed.changed_at, billed.tax, billed.adjustments
FROM asked
LEFT JOIN st_dim.dim_jobs AS job ON job.tenant_id = asked.tenant_id AND job.job_id = asked.id
LEFT JOIN st_ref.dim_job_types AS type
  ON type.tenant_id = asked.tenant_id AND type.job_type_id = asked.job_type_id
LEFT JOIN changed ON changed.tenant_id = asked.tenant_id AND changed.job_id = asked.id
LEFT JOIN billed ON billed.tenant_id = asked.tenant_id AND billed.job_id = asked.id
ORDER BY is_active, row_key""",
    RowKey.ESTIMATE: """
SELECT CAST(estimate.id AS STRING) AS row_key,
  COALESCE(estimate.active, TRUE) AND COALESCE(job.active, TRUE) AS is_active,
  COALESCE(NULLIF(job.business_unit_id, 0), estimate.business_unit_id) AS business_unit_id,
  job.job_status, type.family, dim.is_test_customer, dim.completed_on_local, dim.created_on_local,
  NULLIF(estimate.job_id, 0) IS NOT NULL AS has_job,
  GREATEST(COALESCE(estimate.modified_on, job.modified_on), COALESCE(job.modified_on, estimate.modified_on)) AS changed_at
FROM st_raw.estimates AS estimate
LEFT JOIN st_raw.jobs AS job ON job.tenant_id = estimate.tenant_id AND job.id = estimate.job_id
LEFT JOIN st_dim.dim_jobs AS dim ON dim.tenant_id = estimate.tenant_id AND dim.job_id = estimate.job_id
LEFT JOIN st_ref.dim_job_types AS type
  ON type.tenant_id = job.tenant_id AND type.job_type_id = job.job_type_id
WHERE estimate.tenant_id = @tenant_id AND CAST(estimate.id AS STRING) IN UNNEST(@row_keys)""",
    RowKey.INVOICE: """
SELECT COALESCE(invoice.reference_number, CAST(invoice.id AS STRING)) AS row_key,
  COALESCE(invoice.active, TRUE) AS is_active, invoice.business_unit_id,
  GREATEST(COALESCE(invoice.modified_on, paid.modified_on), COALESCE(paid.modified_on, invoice.modified_on)) AS changed_at
FROM st_raw.invoices AS invoice
LEFT JOIN (
  SELECT line.tenant_id, line.applied_to, MAX(payment.modified_on) AS modified_on
  FROM st_raw.payment_applications AS line
  JOIN st_raw.payments AS payment ON payment.tenant_id = line.tenant_id AND payment.id = line.payment_id
  GROUP BY line.tenant_id, line.applied_to
) AS paid ON paid.tenant_id = invoice.tenant_id AND paid.applied_to = invoice.id
WHERE invoice.tenant_id = @tenant_id
  AND COALESCE(invoice.reference_number, CAST(invoice.id AS STRING)) IN UNNEST(@row_keys)
ORDER BY is_active, row_key""",
    RowKey.LOCATION: """
SELECT CAST(place.id AS STRING) AS row_key, COALESCE(place.active, TRUE) AS is_active,
  CAST(NULL AS INT64) AS business_unit_id,
  GREATEST(COALESCE(place.modified_on, billed.modified_on), COALESCE(billed.modified_on, place.modified_on)) AS changed_at
FROM st_raw.locations AS place
LEFT JOIN (
  SELECT tenant_id, location_id, MAX(modified_on) AS modified_on
  FROM st_raw.invoices
  GROUP BY tenant_id, location_id
) AS billed ON billed.tenant_id = place.tenant_id AND billed.location_id = place.id
WHERE place.tenant_id = @tenant_id AND CAST(place.id AS STRING) IN UNNEST(@row_keys)""",
}
