"""What moved: why closed weeks are not as they were reported, and which of that happened since last Monday."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.kpis import build_log
from st_kpi.kpis.history.statements import KPI_CHANGES
from st_kpi.reporting.published import ALL, UNASSIGNED, monday
from st_kpi.warehouse.base import Warehouse

#: A part of a number of one week by cause: ``amount``, and how many ``source_rows`` took part in it.
Caused = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """Changes by cause. ``since_reported`` are by rollup, and of the weeks that can be opened.

    ``this_week`` are of any closed week and of the rollup asked for, or all together, by builds since ``since``.
    """

    since_reported: list[Caused]
    since: date
    this_week: list[Caused]


def read(
    warehouse: Warehouse,
    tenant: int,
    weeks: tuple[date, ...],
    rollup: str,
    today: date,
    zone: ZoneInfo,
) -> Moved:
    """The changes of weeks that were closed at the time, of this week for ``rollup``; on a Monday, since the one before."""
    since = monday(today - timedelta(days=1))
    by_rollup = _caused(
        warehouse,
        "changed.week_start, changed.`rollup`",
        "changed.week_start BETWEEN @first AND @last",
        {"tenant_id": tenant, "first": weeks[0], "last": weeks[-1]},
    )
    midnight = datetime.combine(since, time(), zone)
    fresh = [b.number for b in build_log.builds(warehouse) if b.built_at >= midnight]
    if not fresh:
        return Moved(by_rollup, since, [])
    of = f"<> '{UNASSIGNED}'" if rollup == ALL else "= @rollup_name"
    together = _caused(
        warehouse,
        "changed.week_start",
        f"changed.build >= @first AND changed.`rollup` {of}",
        {"tenant_id": tenant, "first": min(fresh), "rollup_name": rollup},
    )
    return Moved(by_rollup, since, together)


def _caused(
    warehouse: Warehouse, level: str, condition: str, params: Mapping[str, object]
) -> list[Caused]:
    """What changed after weeks were frozen, by KPI, ``level``, part and cause, the newest weeks first."""
    named = level.replace("changed.`rollup`", "changed.`rollup` AS rollup_name")
    rows = warehouse.query(
        f"SELECT changed.kpi, {named}, changed.part, changed.cause,"
        " SUM(changed.amount) AS amount, SUM(changed.source_rows) AS source_rows"
        f" FROM {KPI_CHANGES} AS changed JOIN st_ops.reported_weeks AS frozen"
        " ON frozen.tenant_id = changed.tenant_id AND frozen.kpi = changed.kpi"
        " AND frozen.week_start = changed.week_start AND changed.build > frozen.build"
        f" WHERE changed.tenant_id = @tenant_id AND {condition}"
        f" GROUP BY changed.kpi, {level}, changed.part, changed.cause"
        " ORDER BY changed.week_start DESC, changed.kpi, changed.part, changed.cause",
        params,
    )
    return [row for row in rows if row["amount"]]
