"""The weekly numbers of the page: every cell with its exact parts, which weeks are over, and what was reported of them."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from st_kpi.errors import ConfigurationError
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL, UNASSIGNED, Cell, Published
from st_kpi.warehouse.base import Warehouse

#: Weeks before the first that can be opened: a year to be compared with, as the usual of it.
YEAR = 52

_SUNDAY = timedelta(days=6)

#: KPI, week and rollup.
Key = tuple[str, date, str]


@dataclass(frozen=True)
class Numbers:
    """The published cells of all ``weeks``, of which the last ``opened`` can be chosen and opened.

    ``over`` are the weeks whose end the data reach, ``chosen`` the newest of them on the as-of day. ``measured`` has
    the day of each snapshot by KPI and week, ``reported`` the closed weeks' values that are not those of today.
    """

    published: Published
    rollups: tuple[str, ...]
    opened: int
    over: frozenset[date]
    chosen: date
    measured: dict[tuple[str, date], date]
    closed: frozenset[tuple[str, date]]
    reported: dict[Key, Cell]

    @property
    def weeks_opened(self) -> tuple[date, ...]:
        return self.published.weeks[-self.opened :]


def read(
    warehouse: Warehouse,
    *,
    weeks: int,
    rollup: str | None,
    as_of: date | None,
    tenant_id: int | None,
    zone: ZoneInfo,
) -> Numbers:
    """The numbers of ``weeks`` weeks and the year before them, up to the week of ``as_of``, by default the build's.

    Raises ``NothingLoaded`` before the first build, ``ConfigurationError`` naming what there is for a rollup or day
    that does not exist.
    """
    published.require_build(warehouse)
    tenant = published.tenant_of(warehouse, tenant_id)
    built_for, _ = published.freshness_of(warehouse, tenant)
    if as_of is not None and as_of > built_for:
        raise ConfigurationError(
            f"The numbers are as of {built_for}: for {as_of} run `st-kpi build` on that day."
        )
    today = as_of or built_for
    shown = published.read(
        warehouse,
        tenant_id=tenant,
        week=today,
        weeks=weeks + YEAR,
        rollup=rollup,
        zone=zone,
    )
    was = published.read(
        warehouse, tenant_id=tenant, week=today, weeks=weeks + YEAR, as_reported=True, zone=zone
    )
    opened = min(weeks, len(shown.weeks))
    reached = min(built_for, shown.known_until or built_for)
    over = frozenset(week for week in shown.weeks if week + _SUNDAY < reached)
    candidates = [w for w in shown.weeks[-opened:] if w in over and w + _SUNDAY < today]
    return Numbers(
        published=shown,
        rollups=_rollups(shown, rollup, shown.weeks[-opened:]),
        opened=opened,
        over=over,
        chosen=max(candidates, default=shown.weeks[-1]),
        measured=_measured(warehouse, shown),
        closed=was.frozen or frozenset(),
        reported=_reported(shown, was),
    )


def _rollups(shown: Published, rollup: str | None, weeks: tuple[date, ...]) -> tuple[str, ...]:
    """All together first; what belongs to none last, where there is anything."""
    if rollup is not None:
        return shown.rollups
    beside = any(c.rollup == UNASSIGNED and c.week_start in weeks for c in shown.cells.values())
    each = (name for name in shown.rollups if name != ALL)
    return (ALL, *each, *((UNASSIGNED,) if beside else ()))


def _measured(warehouse: Warehouse, shown: Published) -> dict[tuple[str, date], date]:
    """The last measured day of each snapshot's week, which is the one that is published."""
    rows = warehouse.query(
        "SELECT kpi, DATE_TRUNC(day, WEEK(MONDAY)) AS week_start, MAX(day) AS day"
        " FROM st_kpi.snapshot_days WHERE tenant_id = @tenant_id"
        " GROUP BY kpi, DATE_TRUNC(day, WEEK(MONDAY))",
        {"tenant_id": shown.tenant_id},
    )
    return {(row["kpi"], row["week_start"]): row["day"] for row in rows}


def _reported(shown: Published, was: Published) -> dict[Key, Cell]:
    """The cells of closed weeks that were reported with another value than today's."""
    nothing = (Decimal(0), Decimal(0))

    def parts(cell: Cell | None) -> tuple[Decimal, Decimal]:
        return (cell.numerator, cell.denominator or Decimal(0)) if cell else nothing

    ratios = {kpi.name for kpi in shown.kpis if kpi.kind == "ratio"}
    different = {}
    for key in shown.cells.keys() | was.cells.keys():
        kpi, week, rollup = key
        before = was.cells.get(key)
        is_closed = was.frozen is not None and (kpi, week) in was.frozen
        if is_closed and parts(before) != parts(shown.cells.get(key)):
            zero = Decimal(0) if kpi in ratios else None
            different[key] = before or Cell(kpi, week, rollup, Decimal(0), zero, None)
    return different
