"""The published numbers, as they are read: cells by KPI, week and rollup, and the totals of all rollups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.errors import ConfigurationError, NothingLoaded
from st_kpi.kpis.checks import accepted_now
from st_kpi.kpis.loaded import require_source_rows
from st_kpi.kpis.mappings import ALL as ALL
from st_kpi.kpis.mappings import UNASSIGNED as UNASSIGNED
from st_kpi.reporting.reconciled import Reconciled, reconciled
from st_kpi.warehouse.base import Warehouse

#: How many weeks are shown where nobody asks for more or fewer.
_WEEKS = 8
#: How each rule ends by which a unit or a job type leaves money out because the mapping says so.
DOES_NOT_COUNT = "that does not count"
_LEFT_OUT = ("st_kpi.left_out", "st_kpi.left_out_snapshots")
#: What all rollups together are called on a page.
ALL_ROLLUPS = "All rollups"
#: How no value is shown.
NOTHING = "-"


@dataclass(frozen=True)
class Kpi:
    """What a reader must know of a KPI: name, title, how it adds up, its unit and the version of its definition."""

    name: str
    title: str
    kind: str
    unit: str
    version: int

    def format(self, value: Decimal | None, *, cents: bool = False) -> str:
        """A value as a person reads it: ``1,234,567``, ``53.37%``, or a dash for nothing."""
        if value is None:
            return NOTHING
        if self.unit == "percent":
            return f"{rounded(value * 100, 2)}%"
        return f"{rounded(value, 2 if cents else 0):,}"


@dataclass(frozen=True)
class Cell:
    """One number. ``value`` is None for a ratio over zero; money and counts are exact."""

    kpi: str
    week_start: date
    rollup: str
    numerator: Decimal
    denominator: Decimal | None
    value: Decimal | None


@dataclass(frozen=True)
class Uncounted:
    """Money of a week that a number leaves out because the mapping says that its unit or job type does not count."""

    kpi: str
    part: str
    week_start: date
    amount: Decimal


@dataclass(frozen=True)
class Published:
    """A selection of the last good build."""

    kpis: tuple[Kpi, ...]
    weeks: tuple[date, ...]
    rollups: tuple[str, ...]
    cells: dict[tuple[str, date, str], Cell]
    as_of: date
    input_watermark: datetime | None
    tenant_id: int
    #: Set for values as first reported: which weeks of which KPIs are closed. The others have none.
    frozen: frozenset[tuple[str, date]] | None = None
    #: The tenant's day that the data reach: of later weeks nothing is known. None where that is not known either.
    known_until: date | None = None
    #: KPI and entity, where a number is without an input because the entity was never read.
    missing_inputs: tuple[tuple[str, str], ...] = ()
    #: What is left out of the totals by a unit of the role NONE or a job type of the family none.
    uncounted: tuple[Uncounted, ...] = ()
    #: What the last build accepted though a check does not hold: check, subject, reason, valid_to.
    accepted: tuple[Mapping[str, Any], ...] = ()
    #: What was compared with ServiceTitan's reports of these weeks.
    reconciled: tuple[Reconciled, ...] = ()
    #: The latest week that is closed; None before one is.
    closed: date | None = None
    #: KPI, week and rollup of the values that are not as they were when their week closed.
    restated: frozenset[tuple[str, date, str]] = frozenset()
    #: The tenant's, where it is known.
    zone: ZoneInfo | None = None

    def value(self, kpi: Kpi, week: date, rollup: str) -> Decimal | None:
        """The number to show: a sum without rows is zero as far as the data reach; all else without rows is nothing."""
        cell = self.cells.get((kpi.name, week, rollup))
        if cell is not None:
            return cell.value
        if self.frozen is not None and (kpi.name, week) not in self.frozen:
            return None
        if self.known_until is not None and week > self.known_until:
            return None
        return Decimal(0) if kpi.kind == "sum" else None


def read(
    warehouse: Warehouse,
    *,
    tenant_id: int | None = None,
    kpi: str | None = None,
    week: date | None = None,
    rollup: str | None = None,
    weeks: int | None = None,
    as_reported: bool = False,
    zone: ZoneInfo | None = None,
) -> Published:
    """The numbers of ``weeks`` weeks up to that of ``week``, for all or one KPI and rollup.

    By default the last eight up to the build's week, or ``week`` alone.
    ``zone`` is the tenant's, by which the end of the data lies in one week or the next; without it, UTC.
    With ``as_reported`` those frozen when each week closed, and nothing for weeks that are still open.
    Raises ``NothingLoaded`` before the first build, ``ConfigurationError`` for a KPI, week or rollup that is not there.
    """
    require_build(warehouse)
    tenant = tenant_of(warehouse, tenant_id)
    as_of, watermark = freshness_of(warehouse, tenant)
    kpis = kpis_of(warehouse, kpi)
    if as_reported and not warehouse.table_exists("st_kpi.kpi_reported"):
        raise NothingLoaded("No week is reported yet: run `st-kpi build`.")
    rollups = rollups_of(warehouse, tenant, rollup, as_reported=as_reported)
    chosen = weeks_of(warehouse, tenant, week, weeks or (1 if week else _WEEKS), as_of)
    params = {"tenant_id": tenant, "first": min(chosen), "last": max(chosen)}
    source = _REPORTED if as_reported else "st_kpi.kpi_weekly WHERE TRUE"
    cells = _cells(warehouse, source, params)
    frozen = _frozen(warehouse, params)
    known_until = watermark.astimezone(zone or UTC).date() if watermark else None
    shows_totals = ALL in rollups and not as_reported
    return Published(
        kpis=kpis,
        weeks=chosen,
        rollups=rollups,
        cells=cells,
        as_of=as_of,
        input_watermark=watermark,
        tenant_id=tenant,
        frozen=frozen if as_reported else None,
        known_until=known_until,
        missing_inputs=missing_inputs(warehouse, tenant, kpis),
        uncounted=_uncounted(warehouse, params, kpis) if shows_totals else (),
        accepted=tuple(accepted_now(warehouse)),
        reconciled=tuple(
            each
            for each in reconciled(warehouse, tenant, min(chosen), max(chosen))
            if each.rollup in rollups and each.kpi in {kpi.name for kpi in kpis}
        ),
        closed=closed_week(warehouse, tenant),
        restated=_restated(warehouse, cells, frozen, params) if not as_reported else frozenset(),
        zone=zone,
    )


_REPORTED = "st_kpi.kpi_reported WHERE kind = 'reported'"


def _cells(
    warehouse: Warehouse, source: str, params: Mapping[str, object]
) -> dict[tuple[str, date, str], Cell]:
    """The cells of rollups and their totals, of a table of weekly values."""
    rows = warehouse.query(
        # A rollup has a row per role where the mapping has changed.
        "SELECT kpi, week_start, `rollup` AS rollup_name, SUM(numerator) AS numerator,"
        f" SUM(denominator) AS denominator FROM {source}"
        " AND tenant_id = @tenant_id AND week_start BETWEEN @first AND @last"
        " GROUP BY kpi, week_start, `rollup`",
        params,
    )
    of_rollups = [
        _cell(r["kpi"], r["week_start"], r["rollup_name"], r["numerator"], r["denominator"])
        for r in rows
    ]
    return {(c.kpi, c.week_start, c.rollup): c for c in [*of_rollups, *totals(of_rollups)]}


def _restated(
    warehouse: Warehouse,
    cells: Mapping[tuple[str, date, str], Cell],
    frozen: frozenset[tuple[str, date]],
    params: Mapping[str, object],
) -> frozenset[tuple[str, date, str]]:
    """The values of closed weeks that are not as they were reported; without rows a value was or is zero."""
    if not frozen:
        return frozenset()

    def parts(found: Mapping[tuple[str, date, str], Cell]) -> dict[tuple[str, date, str], object]:
        return {
            (kpi, week, rollup.casefold()): (cell.numerator, cell.denominator or Decimal(0))
            for (kpi, week, rollup), cell in found.items()
            if (kpi, week) in frozen
        }

    now, then, nothing = parts(cells), parts(_cells(warehouse, _REPORTED, params)), (0, 0)
    names = {rollup.casefold(): rollup for _, _, rollup in cells}
    return frozenset(
        (kpi, week, names.get(rollup, rollup))
        for kpi, week, rollup in now.keys() | then.keys()
        if now.get((kpi, week, rollup), nothing) != then.get((kpi, week, rollup), nothing)
    )


def closed_week(warehouse: Warehouse, tenant: int) -> date | None:
    """The latest week that is closed, by its Monday; None before one is."""
    if not warehouse.table_exists("st_ops.reported_weeks"):
        return None  # built by an older version
    latest: date | None = warehouse.query(
        "SELECT MAX(week_start) AS latest FROM st_ops.reported_weeks WHERE tenant_id = @tenant_id",
        {"tenant_id": tenant},
    )[0]["latest"]
    return latest


def last_week(warehouse: Warehouse, tenant_id: int | None) -> date:
    """The week that a person means by the last one: the latest that is closed, before there is one that of the build."""
    require_build(warehouse)
    tenant = tenant_of(warehouse, tenant_id)
    return closed_week(warehouse, tenant) or monday(freshness_of(warehouse, tenant)[0])


def missing_inputs(
    warehouse: Warehouse, tenant: int, kpis: Sequence[Kpi]
) -> tuple[tuple[str, str], ...]:
    """KPI and entity, where a number is without an input because the entity was never read."""
    if not warehouse.table_exists("st_kpi.missing_inputs"):
        return ()  # built by an older version
    rows = warehouse.query(
        "SELECT kpi, entity FROM st_kpi.missing_inputs WHERE tenant_id = @tenant_id ORDER BY entity",
        {"tenant_id": tenant},
    )
    return tuple((k.name, r["entity"]) for k in kpis for r in rows if r["kpi"] == k.name)


def _uncounted(
    warehouse: Warehouse, params: Mapping[str, object], kpis: Sequence[Kpi]
) -> tuple[Uncounted, ...]:
    """What units and job types that do not count leave out, in the order of the KPIs; of a snapshot, its last day alone."""
    if not all(warehouse.table_exists(table) for table in _LEFT_OUT):
        return ()  # built by an older version
    rows = " UNION ALL ".join(
        f"SELECT kpi, part, DATE_TRUNC(on_date, WEEK(MONDAY)) AS week_start, amount FROM {table}"
        f" WHERE tenant_id = @tenant_id AND ENDS_WITH(rule, '{DOES_NOT_COUNT}')"
        for table in _LEFT_OUT
    )
    sums = warehouse.query(
        f"SELECT kpi, part, week_start, SUM(amount) AS amount FROM ({rows}) AS money"
        " WHERE week_start BETWEEN @first AND @last GROUP BY kpi, part, week_start"
        " HAVING SUM(money.amount) <> 0 ORDER BY week_start, part",
        params,
    )
    return tuple(
        Uncounted(k.name, r["part"], r["week_start"], r["amount"])
        for k in kpis
        for r in sums
        if r["kpi"] == k.name
    )


def require_build(warehouse: Warehouse) -> None:
    """Raise ``NothingLoaded`` when there are no numbers to read yet."""
    if not warehouse.table_exists("st_kpi.kpi_weekly"):
        require_source_rows(warehouse)
        raise NothingLoaded("Nothing is built yet: run `st-kpi backfill`, then `st-kpi build`.")


def _frozen(warehouse: Warehouse, params: Mapping[str, object]) -> frozenset[tuple[str, date]]:
    if not warehouse.table_exists("st_kpi.kpi_reported"):
        return frozenset()
    rows = warehouse.query(
        "SELECT kpi, week_start FROM st_ops.reported_weeks"
        " WHERE tenant_id = @tenant_id AND week_start BETWEEN @first AND @last",
        params,
    )
    return frozenset((r["kpi"], r["week_start"]) for r in rows)


def totals(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of all rollups together; what belongs to no unit is shown, but not counted."""
    sums: dict[tuple[str, date], list[Decimal | None]] = {}
    for cell in cells:
        if cell.rollup == UNASSIGNED:
            continue
        total = sums.setdefault((cell.kpi, cell.week_start), [Decimal(0), None])
        total[0] = (total[0] or Decimal(0)) + cell.numerator
        if cell.denominator is not None:
            total[1] = (total[1] or Decimal(0)) + cell.denominator
    return [
        _cell(kpi, week, ALL, numerator or Decimal(0), denominator)
        for (kpi, week), (numerator, denominator) in sums.items()
    ]


def _cell(
    kpi: str, week: date, rollup: str, numerator: Decimal, denominator: Decimal | None
) -> Cell:
    return Cell(kpi, week, rollup, numerator, denominator, ratio(numerator, denominator))


def ratio(numerator: Decimal | None, denominator: Decimal | None) -> Decimal | None:
    """A quotient to nine places, as the warehouse keeps; None over zero, the numerator without a denominator."""
    if denominator is None or numerator is None:
        return numerator
    if not denominator:
        return None
    return (numerator / denominator).quantize(Decimal("1e-9"), ROUND_HALF_UP)


def rounded(value: Decimal, places: int) -> Decimal:
    """Half away from zero, as people round."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def exact_text(value: Decimal | None) -> str | None:
    """Every digit there is and no zeros behind them; None for no value."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tenant_of(warehouse: Warehouse, tenant_id: int | None) -> int:
    """The tenant to read: the one asked for, else the only one there is; raises ``ConfigurationError``."""
    rows = warehouse.query("SELECT DISTINCT tenant_id FROM st_kpi.kpi_weekly ORDER BY tenant_id")
    tenants = [int(row["tenant_id"]) for row in rows]
    if not tenants:
        raise NothingLoaded(
            "The last build found nothing to count in any week; `st-kpi status` says what is loaded."
        )
    if tenant_id in tenants:
        return int(tenant_id)
    if tenant_id is None and len(tenants) == 1:
        return tenants[0]
    names = ", ".join(str(tenant) for tenant in tenants)
    raise ConfigurationError(
        f"Set ST_KPI_TENANT_ID to one of the tenants in the warehouse: {names}."
    )


def freshness_of(warehouse: Warehouse, tenant: int) -> tuple[date, datetime | None]:
    """The day of the newest numbers, and until when everything behind them is known."""
    row = warehouse.query(
        "SELECT MAX(as_of) AS as_of, MAX(input_watermark) AS input_watermark"
        " FROM st_kpi.kpi_weekly WHERE tenant_id = @tenant_id",
        {"tenant_id": tenant},
    )[0]
    return row["as_of"], row["input_watermark"]


def kpis_of(warehouse: Warehouse, name: str | None) -> tuple[Kpi, ...]:
    """All KPIs in the order they are shown, or the one of that name or title; raises ``ConfigurationError`` naming them."""
    rows = warehouse.query(
        "SELECT kpi, title, kind, unit, version FROM st_ref.dim_kpis ORDER BY display_order"
    )
    kpis = [Kpi(r["kpi"], r["title"], r["kind"], r["unit"], int(r["version"])) for r in rows]
    if name is None:
        return tuple(kpis)
    asked = name.strip().casefold()
    chosen = tuple(k for k in kpis if asked in (k.name, k.title.casefold()))
    if not chosen:
        names = ", ".join(k.name for k in kpis)
        raise ConfigurationError(f"There is no KPI {name!r}. The KPIs are: {names}.")
    return chosen


def rollups_of(
    warehouse: Warehouse, tenant: int, rollup: str | None, *, as_reported: bool = False
) -> tuple[str, ...]:
    """The rollups to show; with ``as_reported`` also those that a mapping has folded away since.

    One that is asked for is found in any case, all of them by ``All rollups`` too; as reported it may have been spelt in
    several ways.
    """
    source = (
        "SELECT `rollup` AS name FROM st_ref.dim_bu_rollup"
        " WHERE tenant_id = @tenant_id AND `rollup` IS NOT NULL"
    )
    if as_reported:
        source += (
            " UNION ALL SELECT `rollup` AS name FROM st_kpi.kpi_reported"
            f" WHERE tenant_id = @tenant_id AND kind = 'reported' AND `rollup` <> '{UNASSIGNED}'"
        )
    rows = warehouse.query(
        f"SELECT DISTINCT name FROM ({source}) AS known ORDER BY name", {"tenant_id": tenant}
    )
    names = [str(row["name"]) for row in rows]
    if rollup is None:
        return (*names, ALL)
    asked = rollup.strip().casefold()
    asked = ALL.casefold() if asked == ALL_ROLLUPS.casefold() else asked
    match = [name for name in (*names, ALL, UNASSIGNED) if name.casefold() == asked]
    if not match:
        raise ConfigurationError(
            f"There is no rollup {rollup!r}. The rollups are: {', '.join((*names, ALL))}."
        )
    return tuple(match) if as_reported else (match[0],)


def weeks_of(
    warehouse: Warehouse, tenant: int, week: date | None, count: int, as_of: date
) -> tuple[date, ...]:
    """The ``count`` weeks up to that of ``week``, else of the build, by their Mondays; raises ``ConfigurationError``
    naming the first and the last that there are."""
    last = monday(week or as_of)
    weeks = tuple(last - timedelta(weeks=n) for n in reversed(range(count)))
    if week is None:
        return weeks
    row = warehouse.query(
        "SELECT MIN(week_start) AS first, MAX(week_start) AS last FROM st_kpi.kpi_weekly"
        " WHERE tenant_id = @tenant_id",
        {"tenant_id": tenant},
    )[0]
    newest = max(row["last"], monday(as_of))  # in which nothing may have happened yet
    if not row["first"] <= last <= newest:
        later = " Run `st-kpi build` for a later one." if last > newest else ""
        raise ConfigurationError(
            f"There is no week of {last}: the weeks go from {row['first']} to {newest},"
            f" that of the last build being {monday(as_of)}.{later}"
        )
    return tuple(each for each in weeks if each >= row["first"])


def monday(day: date) -> date:
    """The Monday that names the week of ``day``."""
    return day - timedelta(days=day.weekday())
