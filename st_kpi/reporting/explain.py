"""The rows behind one published number: their sum is the number, to the cent.

Rows are read from ``st_kpi.contributions`` as the last good build left them. Of a snapshot KPI they
are those of the week's last measured day, or of the day asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from st_kpi.errors import ConfigurationError
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL, UNASSIGNED, Kpi
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class Row:
    """One thing counted. ``on_date`` is the tenant's local day; ``amount`` is exact, 1 for counts.

    ``part`` is ``value``, or ``numerator`` or ``denominator`` of a ratio.
    """

    on_date: date
    part: str
    job_number: str | None
    business_unit: str | None
    rollup: str
    amount: Decimal
    reason: str
    source_entity: str
    source_id: int
    job_id: int | None


@dataclass(frozen=True)
class Explained:
    """A number and its rows; ``day`` is set where only that day is explained, or a snapshot's day.

    ``value`` of a ratio is None over a zero denominator; a snapshot that was not measured has none.
    """

    kpi: Kpi
    week_start: date
    day: date | None
    rollup: str
    rows: tuple[Row, ...]
    numerator: Decimal
    denominator: Decimal | None
    value: Decimal | None
    as_of: date
    input_watermark: datetime | None


def explain(
    warehouse: Warehouse,
    kpi: str,
    *,
    week: date,
    rollup: str = ALL,
    day: date | None = None,
    tenant_id: int | None = None,
) -> Explained:
    """The number of ``kpi`` in the week of ``week``, or on one ``day`` of it, and the rows behind it.

    Usage: ``explain(warehouse, "leads", week=date(2025, 1, 6), rollup="PHX").rows``. ``All`` is every
    rollup; what belongs to no unit is not in it and can be asked for as ``(unassigned)``. Raises
    ``NothingLoaded`` before the first build, ``ConfigurationError`` naming what there is for a KPI,
    week, rollup or day that does not exist.
    """
    published.require_build(warehouse)
    tenant = published.tenant_of(warehouse, tenant_id)
    as_of, watermark = published.freshness_of(warehouse, tenant)
    (described,) = published.kpis_of(warehouse, kpi)
    (chosen,) = published.rollups_of(warehouse, tenant, rollup)
    (start,) = published.weeks_of(warehouse, tenant, week, 1, as_of)
    on = _day(warehouse, tenant, described, start, day)
    rows: tuple[Row, ...] = ()
    if described.kind != "snapshot" or on is not None:
        params = {
            "tenant_id": tenant,
            "kpi": kpi,
            "first": on or start,
            "last": on or start + timedelta(days=6),
            "rollup_name": chosen,
        }
        rows = _rows(warehouse, params, chosen)
    numerator, denominator = _sums(described, rows)
    value = published.ratio(numerator, denominator)
    if described.kind == "snapshot" and on is None:
        value = None
    return Explained(
        kpi=described,
        week_start=start,
        day=on,
        rollup=chosen,
        rows=rows,
        numerator=numerator,
        denominator=denominator,
        value=value,
        as_of=as_of,
        input_watermark=watermark,
    )


def _sums(kpi: Kpi, rows: Sequence[Row]) -> tuple[Decimal, Decimal | None]:
    """Numerator, and of a ratio denominator, of a number with these rows."""
    numerator = sum((r.amount for r in rows if r.part != "denominator"), Decimal(0))
    if kpi.kind != "ratio":
        return numerator, None
    return numerator, sum((r.amount for r in rows if r.part == "denominator"), Decimal(0))


def _day(
    warehouse: Warehouse, tenant: int, kpi: Kpi, start: date, chosen: date | None
) -> date | None:
    """The one day to explain; of a snapshot, by default the week's last measured one, if any."""
    days = [start + timedelta(days=n) for n in range(7)]
    what = f"the week of {start} has the days {days[0]} to {days[-1]}"
    if kpi.kind == "snapshot":
        measured = warehouse.query(
            "SELECT day FROM st_kpi.snapshot_days WHERE tenant_id = @tenant_id AND kpi = @kpi"
            " AND day BETWEEN @first AND @last ORDER BY day",
            {"tenant_id": tenant, "kpi": kpi.name, "first": days[0], "last": days[-1]},
        )
        days = [row["day"] for row in measured]
        listed = ", ".join(str(day) for day in days) or "none"
        what = f"of the week of {start} the days {listed} were measured"
    if chosen is None:
        return days[-1] if kpi.kind == "snapshot" and days else None
    if chosen not in days:
        raise ConfigurationError(f"There is no {kpi.title} of {chosen}: {what}.")
    return chosen


def _rows(warehouse: Warehouse, params: Mapping[str, object], rollup: str) -> tuple[Row, ...]:
    chosen = f"<> '{UNASSIGNED}'" if rollup == ALL else "= @rollup_name"
    rows = warehouse.query(
        "SELECT counted.on_date, counted.part, job.job_number, unit.name AS business_unit,"
        f" COALESCE(mapped.`rollup`, '{UNASSIGNED}') AS rollup_name, counted.amount, counted.reason,"
        " counted.source_entity, counted.source_id, counted.job_id"
        " FROM st_kpi.contributions AS counted"
        " LEFT JOIN st_ref.dim_bu_rollup AS mapped ON mapped.tenant_id = counted.tenant_id"
        " AND mapped.business_unit_id = counted.business_unit_id"
        " AND counted.on_date BETWEEN mapped.valid_from AND mapped.valid_to"
        " LEFT JOIN st_raw.jobs AS job"
        " ON job.tenant_id = counted.tenant_id AND job.id = counted.job_id"
        " LEFT JOIN st_raw.business_units AS unit"
        " ON unit.tenant_id = counted.tenant_id AND unit.id = counted.business_unit_id"
        " WHERE counted.tenant_id = @tenant_id AND counted.kpi = @kpi"
        " AND counted.on_date BETWEEN @first AND @last"
        f" AND COALESCE(mapped.`rollup`, '{UNASSIGNED}') {chosen}"
        " ORDER BY counted.on_date, rollup_name, job.job_number, counted.job_id, counted.part,"
        " counted.source_entity, counted.source_id, counted.reason",
        params,
    )
    return tuple(
        Row(
            on_date=r["on_date"],
            part=r["part"],
            job_number=r["job_number"],
            business_unit=r["business_unit"],
            rollup=r["rollup_name"],
            amount=r["amount"],
            reason=r["reason"] or "",
            source_entity=r["source_entity"],
            source_id=r["source_id"],
            job_id=r["job_id"],
        )
        for r in rows
    )
