"""What is behind the numbers that can be opened: the rows of each week, and the money left out of them by rule."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from st_kpi.reporting.explain import rows_of
from st_kpi.reporting.published import UNASSIGNED, monday
from st_kpi.warehouse.base import Warehouse

#: One thing counted, as ``st_kpi.reporting.explain.rows_of`` selects it.
Row = Mapping[str, Any]


def rows(warehouse: Warehouse, tenant: int, weeks: Iterable[date]) -> dict[date, list[Row]]:
    """The rows behind all numbers of ``weeks``, by week: of a snapshot those of its last measured day alone."""
    by_week: dict[date, list[Row]] = {week: [] for week in weeks}
    select = (
        f"SELECT listed.* FROM ({rows_of('st_kpi.contributions', 'reason')}) AS listed"
        " JOIN st_ref.dim_kpis AS card ON card.kpi = listed.kpi"
        " LEFT JOIN (SELECT kpi, MAX(day) AS day FROM st_kpi.snapshot_days"
        " WHERE tenant_id = @tenant_id GROUP BY kpi, DATE_TRUNC(day, WEEK(MONDAY))) AS measured"
        " ON measured.kpi = listed.kpi AND measured.day = listed.on_date"
        " WHERE card.kind <> 'snapshot' OR measured.day IS NOT NULL"
        " ORDER BY listed.kpi, listed.on_date, listed.rollup_name, listed.job_id, listed.part,"
        " listed.source_entity, listed.source_id, listed.reason"
    )
    for row in warehouse.query(select, _days(tenant, by_week)):
        by_week[monday(row["on_date"])].append(row)
    return by_week


def left_out(warehouse: Warehouse, tenant: int, weeks: Iterable[date]) -> Sequence[Row]:
    """Rows and amount that each number leaves out, by KPI, week, rollup, part and rule; snapshots as measured last."""
    tables = ("st_kpi.left_out", "st_kpi.left_out_snapshots")
    there = [table for table in tables if warehouse.table_exists(table)]
    if not there:
        return []  # built by an older version
    every = " UNION ALL ".join(
        f"SELECT tenant_id, kpi, part, on_date, business_unit_id, rule, amount FROM {table}"
        for table in there
    )
    return warehouse.query(
        "SELECT listed.kpi, DATE_TRUNC(listed.on_date, WEEK(MONDAY)) AS week_start,"
        f" COALESCE(mapped.`rollup`, '{UNASSIGNED}') AS rollup_name, listed.part, listed.rule,"
        " SUM(listed.amount) AS amount, COUNT(listed.kpi) AS source_rows"
        f" FROM ({every}) AS listed"
        " LEFT JOIN st_ref.dim_bu_rollup AS mapped ON mapped.tenant_id = listed.tenant_id"
        " AND mapped.business_unit_id = listed.business_unit_id"
        " AND listed.on_date BETWEEN mapped.valid_from AND mapped.valid_to"
        " WHERE listed.tenant_id = @tenant_id AND listed.on_date BETWEEN @first AND @last"
        " GROUP BY listed.kpi, DATE_TRUNC(listed.on_date, WEEK(MONDAY)), rollup_name, listed.part, listed.rule"
        " ORDER BY listed.kpi, week_start, rollup_name, listed.part, listed.rule",
        _days(tenant, weeks),
    )


def _days(tenant: int, weeks: Iterable[date]) -> dict[str, object]:
    listed = list(weeks)
    return {"tenant_id": tenant, "first": min(listed), "last": max(listed) + timedelta(days=6)}
