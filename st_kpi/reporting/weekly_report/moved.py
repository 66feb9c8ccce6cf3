"""What moved: why closed weeks are not as they were reported, and which of that happened since last Monday."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.kpis import build_log
from st_kpi.kpis.history.statements import KPI_CHANGES
from st_kpi.reporting.published import UNASSIGNED, monday
from st_kpi.warehouse.base import Warehouse

#: A part of a number of one week by cause: ``amount``, and how many ``source_rows`` took part in it.
Caused = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """Changes by cause. ``since_reported`` are by rollup, and of the weeks that can be opened.

    ``this_week`` are of any closed week and of all rollups together, by builds since ``since``.
    """

    since_reported: list[Caused]
    since: date
    this_week: list[Caused]


def read(
    warehouse: Warehouse, tenant: int, weeks: tuple[date, ...], today: date, zone: ZoneInfo
) -> Moved:
    """The changes of weeks that were closed at the time; on a Monday, since the Monday before."""
    since = monday(today - timedelta(days=1))
    midnight = datetime.combine(since, time(), zone)
    fresh = [b.number for b in build_log.builds(warehouse) if b.built_at >= midnight]
    changed = (
        f"FROM {KPI_CHANGES} AS changed JOIN st_ops.reported_weeks AS frozen"
        " ON frozen.tenant_id = changed.tenant_id AND frozen.kpi = changed.kpi"
        " AND frozen.week_start = changed.week_start AND changed.build > frozen.build"
        " WHERE changed.tenant_id = @tenant_id"
    )
    amounts = "SUM(changed.amount) AS amount, SUM(changed.source_rows) AS source_rows"
    by_rollup = warehouse.query(
        "SELECT changed.kpi, changed.week_start, changed.`rollup` AS rollup_name, changed.part,"
        f" changed.cause, {amounts} {changed}"
        " AND changed.week_start BETWEEN @first AND @last"
        " GROUP BY changed.kpi, changed.week_start, changed.`rollup`, changed.part, changed.cause"
        " ORDER BY changed.cause",
        {"tenant_id": tenant, "first": weeks[0], "last": weeks[-1]},
    )
    together = (
        warehouse.query(
            f"SELECT changed.kpi, changed.week_start, changed.part, changed.cause, {amounts} {changed}"
            f" AND changed.build >= @first AND changed.`rollup` <> '{UNASSIGNED}'"
            " GROUP BY changed.kpi, changed.week_start, changed.part, changed.cause"
            " ORDER BY changed.week_start DESC, changed.kpi, changed.part, changed.cause",
            {"tenant_id": tenant, "first": min(fresh)},
        )
        if fresh
        else []
    )
    return Moved([r for r in by_rollup if r["amount"]], since, [r for r in together if r["amount"]])
