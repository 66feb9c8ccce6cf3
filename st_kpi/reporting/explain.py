"""The rows behind one published number: their sum is the number, to the cent. And the money that is not in it.

Rows are read from ``st_kpi.contributions`` as the last good build left them, and what it left out from
``st_kpi.left_out``. Of a snapshot KPI they are those of the week's last measured day, or of the day asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from st_kpi.errors import ConfigurationError, NothingLoaded
from st_kpi.kpis.mappings import NONE
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL, UNASSIGNED, Kpi
from st_kpi.warehouse.base import Warehouse

_CONTRIBUTIONS = "st_kpi.contributions"


@dataclass(frozen=True)
class Row:
    """One thing counted. ``on_date`` is the tenant's local day; ``amount`` is exact, 1 for counts.

    ``part`` is ``value``, or ``numerator`` or ``denominator`` of a ratio. Of a row that was left out,
    ``reason`` is the rule that did so, and ``amount`` what it would have added. ``component`` is that of a job's cost.
    """

    on_date: date
    part: str
    job_number: str | None
    business_unit: str | None
    rollup: str
    amount: Decimal
    reason: str
    source_entity: str
    source_id: int | None
    job_id: int | None
    component: str | None = None


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


@dataclass(frozen=True)
class LeftOut:
    """The money that a number leaves out, and by part the money that it counts.

    ``unassigned`` is counted by no rollup and shown beside them.
    """

    kpi: Kpi
    week_start: date
    day: date | None
    rollup: str
    rows: tuple[Row, ...]
    counted: Mapping[str, Decimal]
    unassigned: Mapping[str, Decimal]
    as_of: date
    input_watermark: datetime | None


def explain(
    warehouse: Warehouse,
    kpi: str,
    *,
    week: date | None = None,
    rollup: str = ALL,
    day: date | None = None,
    tenant_id: int | None = None,
) -> Explained:
    """The number of ``kpi`` in the week of ``week``, or on one ``day`` of it, and the rows behind it.

    Without a week it is the latest that is closed, of a snapshot the build's.

    Usage: ``explain(warehouse, "leads", week=date(2025, 1, 6), rollup="PHX").rows``. ``All`` is every
    rollup; what belongs to no unit is not in it and can be asked for as ``(unassigned)``. Raises
    ``NothingLoaded`` before the first build, ``ConfigurationError`` naming what there is for a KPI,
    week, rollup or day that does not exist.
    """
    asked = _asked(warehouse, kpi, week, rollup, day, tenant_id)
    rows = _rows(warehouse, asked, _CONTRIBUTIONS, "reason")
    if asked.rollup == ALL:
        rows = tuple(row for row in rows if row.rollup != UNASSIGNED)
    numerator, denominator = _sums(asked.kpi, rows)
    value = published.ratio(numerator, denominator)
    return Explained(
        kpi=asked.kpi,
        week_start=asked.week_start,
        day=asked.day,
        rollup=asked.rollup,
        rows=rows,
        numerator=numerator,
        denominator=denominator,
        value=value if asked.is_measured else None,
        as_of=asked.as_of,
        input_watermark=asked.input_watermark,
    )


def left_out(
    warehouse: Warehouse,
    kpi: str,
    *,
    week: date | None = None,
    rollup: str = ALL,
    day: date | None = None,
    tenant_id: int | None = None,
) -> LeftOut:
    """The money of a week, or of one ``day`` of it, that ``kpi`` does not count, each row with the rule that leaves it out.

    With what is counted it is all the money there is in the raw tables. ``All`` is every rollup and what belongs to
    none. What a snapshot leaves out is kept for its last day alone. Raises as ``explain`` does, and
    ``ConfigurationError`` for a KPI that counts no money.
    """
    asked = _asked(warehouse, kpi, week, rollup, day, tenant_id)
    if asked.kpi.unit == "count" or asked.kpi.name == "success_rate":
        raise ConfigurationError(
            f"{asked.kpi.title} counts no money: --left-out says what money a KPI leaves out."
        )
    table = "st_kpi.left_out"
    if asked.kpi.kind == "snapshot":
        table = "st_kpi.left_out_snapshots"
        _require_last(warehouse, asked)
    if not warehouse.table_exists(table):
        raise NothingLoaded("What is left out is not known yet: run `st-kpi build`.")
    rows = _rows(warehouse, asked, _CONTRIBUTIONS, "reason")
    if asked.kpi.kind == "ratio" and asked.kpi.unit == "money":  # over a number of sales
        rows = tuple(row for row in rows if row.part == "numerator")
    return LeftOut(
        kpi=asked.kpi,
        week_start=asked.week_start,
        day=asked.day,
        rollup=asked.rollup,
        rows=_rows(warehouse, asked, table, "rule"),
        counted=_by_part(row for row in rows if row.rollup != UNASSIGNED),
        unassigned=_by_part(row for row in rows if row.rollup == UNASSIGNED),
        as_of=asked.as_of,
        input_watermark=asked.input_watermark,
    )


@dataclass(frozen=True)
class _Asked:
    """What is asked for, found in the warehouse: a KPI's week, or one day of it, in a rollup or all."""

    tenant: int
    kpi: Kpi
    week_start: date
    day: date | None
    rollup: str
    as_of: date
    input_watermark: datetime | None

    @property
    def is_measured(self) -> bool:
        return self.kpi.kind != "snapshot" or self.day is not None


def _asked(
    warehouse: Warehouse,
    kpi: str,
    week: date | None,
    rollup: str,
    day: date | None,
    tenant_id: int | None,
) -> _Asked:
    published.require_build(warehouse)
    tenant = published.tenant_of(warehouse, tenant_id)
    as_of, watermark = published.freshness_of(warehouse, tenant)
    (described,) = published.kpis_of(warehouse, kpi)
    (chosen,) = published.rollups_of(warehouse, tenant, rollup)
    if week is None:  # of a snapshot the day that was measured last, of others a week that is whole
        snapshot = described.kind == "snapshot"
        week = as_of if snapshot else published.last_week(warehouse, tenant)
    (start,) = published.weeks_of(warehouse, tenant, week, 1, as_of)
    on = _day(warehouse, tenant, described, start, day)
    return _Asked(tenant, described, start, on, chosen, as_of, watermark)


def _require_last(warehouse: Warehouse, asked: _Asked) -> None:
    """Raise ``ConfigurationError`` unless it is the last day on which the snapshot was measured."""
    last = warehouse.query(
        "SELECT MAX(day) AS day FROM st_kpi.snapshot_days"
        " WHERE tenant_id = @tenant_id AND kpi = @kpi",
        {"tenant_id": asked.tenant, "kpi": asked.kpi.name},
    )[0]["day"]
    if asked.day != last:
        raise ConfigurationError(
            f"What {asked.kpi.title} leaves out is kept for its last day alone: ask for --day {last}."
        )


def _by_part(rows: Iterable[Row]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row.part] = sums.get(row.part, Decimal(0)) + row.amount
    return sums


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


def _rows(warehouse: Warehouse, asked: _Asked, table: str, why: str) -> tuple[Row, ...]:
    """The rows of ``table`` that are asked for, of all rollups and of none where all are; ``why`` is its column of reasons."""
    if not asked.is_measured:
        return ()
    params = {
        "tenant_id": asked.tenant,
        "kpi": asked.kpi.name,
        "first": asked.day or asked.week_start,
        "last": asked.day or asked.week_start + timedelta(days=6),
        "rollup_name": asked.rollup,
    }
    chosen = (
        "TRUE"
        if asked.rollup == ALL
        else f"COALESCE(mapped.`rollup`, '{UNASSIGNED}') = @rollup_name"
    )
    if table == _CONTRIBUTIONS:
        # On an older snapshot day a unit may have counted that does not any more.
        chosen += f" AND COALESCE(mapped.role, '') <> '{NONE}'"
    rows = warehouse.query(
        f"{rows_of(table, why)} AND counted.kpi = @kpi AND {chosen}"
        " ORDER BY counted.on_date, rollup_name, job.job_number, counted.job_id, counted.part,"
        " counted.source_entity, counted.source_id, reason",
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
            component=r["component"],
        )
        for r in rows
    )


def rows_of(table: str, why: str) -> str:
    """A SELECT of the rows of ``table`` of ``@tenant_id`` from ``@first`` to ``@last``; ``why`` is its column of reasons."""
    component = "counted.component" if table == _CONTRIBUTIONS else "CAST(NULL AS STRING)"
    return (
        "SELECT counted.kpi, counted.on_date, counted.part, job.job_number, unit.name AS business_unit,"
        f" COALESCE(mapped.`rollup`, '{UNASSIGNED}') AS rollup_name, counted.amount,"
        f" counted.{why} AS reason, {component} AS component,"
        " counted.source_entity, counted.source_id, counted.job_id"
        f" FROM {table} AS counted"
        " LEFT JOIN st_ref.dim_bu_rollup AS mapped ON mapped.tenant_id = counted.tenant_id"
        " AND mapped.business_unit_id = counted.business_unit_id"
        " AND counted.on_date BETWEEN mapped.valid_from AND mapped.valid_to"
        " LEFT JOIN st_raw.jobs AS job"
        " ON job.tenant_id = counted.tenant_id AND job.id = counted.job_id"
        " LEFT JOIN st_raw.business_units AS unit"
        " ON unit.tenant_id = counted.tenant_id AND unit.id = counted.business_unit_id"
        " WHERE counted.tenant_id = @tenant_id AND counted.on_date BETWEEN @first AND @last"
    )
