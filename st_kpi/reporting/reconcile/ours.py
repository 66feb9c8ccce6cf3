"""Our rows of a KPI under the keys of a report: what was counted in a period, per key, unit and measure."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.inline import inlined
from st_kpi.kpis.definitions.reports import ReportKind, RowKey
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, default_root
from st_kpi.warehouse.base import Warehouse

#: What a contribution is called in a report of each kind, and the table that knows.
KEYS: Mapping[RowKey, tuple[str, str]] = {
    RowKey.JOB: (
        "COALESCE(named.job_number, CAST(named.id AS STRING))",
        " JOIN st_raw.jobs AS named"
        " ON named.tenant_id = counted.tenant_id AND named.id = counted.job_id",
    ),
    RowKey.ESTIMATE: ("CAST(counted.source_id AS STRING)", ""),
    RowKey.INVOICE: (
        "COALESCE(named.reference_number, CAST(named.id AS STRING))",
        " JOIN (SELECT DISTINCT tenant_id, id, applied_to FROM st_raw.payment_applications) AS line"
        " ON line.tenant_id = counted.tenant_id AND line.id = counted.source_id"
        " JOIN st_raw.invoices AS named"
        " ON named.tenant_id = counted.tenant_id AND named.id = line.applied_to",
    ),
    RowKey.LOCATION: (
        "CAST(named.location_id AS STRING)",
        " JOIN st_staging.receivables AS named"
        " ON named.tenant_id = counted.tenant_id AND named.source_entity = counted.source_entity"
        " AND named.source_id = counted.source_id",
    ),
    RowKey.BUSINESS_UNIT: (
        "COALESCE(named.business_unit, CAST(named.business_unit_id AS STRING))",
        " JOIN st_ref.dim_business_units AS named"
        " ON named.tenant_id = counted.tenant_id"
        " AND named.business_unit_id = counted.business_unit_id",
    ),
}


@dataclass(frozen=True)
class OurCell:
    """What we count under a key in one unit and week: exact sums by measure, as the report's columns have them."""

    week: dt.date
    key: str
    unit_id: int
    rollup: str
    amounts: Mapping[str, Decimal]


@dataclass(frozen=True)
class Counted:
    """Where the rows of a KPI come from: the stored ones, or a SELECT of a reading with what it reads besides."""

    select: str = f"SELECT * FROM {CONTRIBUTIONS} WHERE kpi = @kpi"
    read: Mapping[str, str] | None = None
    params: Mapping[str, object] | None = None


STORED = Counted()


def our_cells(
    warehouse: Warehouse,
    tenant_id: int,
    kpi: str,
    kind: ReportKind,
    period: tuple[dt.date, dt.date],
    counted: Counted = STORED,
) -> list[OurCell]:
    """Our cells of ``kpi`` in a period of days, both included, without what belongs to no rollup.

    Raises ``SqlError`` for a component of the KPI that no column of the kind of report holds.
    """
    key, named = KEYS[kind.key]
    select = f"""
SELECT DATE_TRUNC(counted.on_date, WEEK(MONDAY)) AS week_start, {key} AS row_key, counted.business_unit_id, mapped.`rollup` AS rollup_name, counted.part, counted.component,
  SUM(counted.amount) AS amount
FROM (
{counted.select}
) AS counted{named}
JOIN st_ref.dim_bu_rollup AS mapped
  ON mapped.tenant_id = counted.tenant_id
  AND mapped.business_unit_id = counted.business_unit_id
  AND counted.on_date BETWEEN mapped.valid_from AND mapped.valid_to
WHERE counted.tenant_id = @tenant_id AND counted.on_date BETWEEN @first_day AND @last_day
GROUP BY week_start, row_key, counted.business_unit_id, rollup_name, counted.part, counted.component"""
    first, last = period
    params = {"tenant_id": tenant_id, "kpi": kpi, "first_day": first, "last_day": last}
    rows = warehouse.query(
        inlined(select.strip(), counted.read or {}), {**(counted.params or {}), **params}
    )
    return _cells(rows, kpi, kind)


def _cells(rows: Iterable[Mapping[str, Any]], kpi: str, kind: ReportKind) -> list[OurCell]:
    measures = kind.kpis[kpi].measures
    sums: dict[tuple[dt.date, str, int, str], dict[str, Decimal]] = {}
    for row in rows:
        measure = kind.measure_of(kpi, row["part"], row["component"])
        if measure is None:
            raise SqlError(
                default_root() / "reports",
                1,
                f"{kpi} counts {row['component'] or row['part']!r}, which no column of {kind.title!r} holds: name it in"
                " the file of that kind of report.",
            )
        first_part, sign = next(iter(measures[measure].items()))
        if row["part"] != first_part:
            continue  # the same amount once more, in the other part of a ratio
        place = (
            row["week_start"],
            row["row_key"] or "",
            row["business_unit_id"],
            row["rollup_name"],
        )
        cell = sums.setdefault(place, {})
        cell[measure] = cell.get(measure, Decimal(0)) + sign * row["amount"]
    return [OurCell(*place, amounts) for place, amounts in sums.items()]
