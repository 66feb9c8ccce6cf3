"""From raw rows to published numbers: one transaction, or nothing.

The SQL says itself in which order it runs. What is added here are the small reference tables, the
``kpi`` of every contribution, and the decision that a failing check undoes the build.
"""

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, get_args

from st_kpi.errors import CheckFailed, ConfigurationError, NothingLoaded
from st_kpi.mappings import (
    FAMILIES,
    TYPE_COLUMNS,
    TYPE_TABLE,
    UNIT_COLUMNS,
    UNIT_TABLE,
    Known,
    Mappings,
    read_mappings,
)
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.settings import CostSource
from st_kpi.sql.cards import Card, Kind
from st_kpi.sql.lint import CONTRIBUTION_COLUMNS, KPI_COLUMNS, KPI_TABLE, Project, inspect, refuse
from st_kpi.sql.statements import CONTRIBUTIONS, Severity, Statement
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.operations import KNOWN_UNTIL

#: How many rows of a check are written out.
SHOWN_ROWS = 5

_CHECK_RESULTS = "st_ops.check_results"


class BuildSettings(Protocol):
    """The settings that change a number; ``st_kpi.settings.Settings`` has them."""

    @property
    def timezone(self) -> str | None: ...
    @property
    def mappings(self) -> Path | None: ...
    @property
    def cost_source(self) -> str: ...
    @property
    def include_tax(self) -> bool: ...
    @property
    def ar_minimum(self) -> Decimal: ...
    @property
    def ar_skip_unstarted(self) -> bool: ...
    @property
    def produced_excludes(self) -> Sequence[str]: ...
    @property
    def future_bookings_excludes(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class CheckResult:
    """One claim about the built tables and the rows that break it; none means it holds."""

    name: str
    severity: Severity
    claim: str
    failed_rows: int
    detail: str

    @property
    def passed(self) -> bool:
        return self.failed_rows == 0


@dataclass(frozen=True)
class BuildResult:
    """What a build left behind: rows per table, seconds per statement, and every check."""

    run_id: str
    as_of: dt.date
    input_watermark: dt.datetime | None
    rows: Mapping[str, int]
    seconds: Mapping[str, float]
    checks: tuple[CheckResult, ...]


def build(
    warehouse: Warehouse,
    *,
    settings: BuildSettings,
    as_of: dt.date,
    run_id: str,
    sql_root: Path | None = None,
) -> BuildResult:
    """Build every table from ``st_raw`` as of the local day ``as_of``.

    All days but ``as_of`` of a snapshot KPI stay as they were. Raises ``SqlError`` for SQL the lint
    refuses, ``NothingLoaded`` without jobs, ``MappingError`` for a mapping file,
    ``ConfigurationError`` for a setting, and ``CheckFailed`` when a check fails; whatever it raises,
    readers keep what they had.
    """
    project = inspect(sql_root)
    refuse(project.findings)
    if not _loaded(warehouse):
        raise NothingLoaded("Nothing is loaded yet: run st-kpi backfill first.")
    watermark = _watermark(warehouse, project.statements)
    params = _parameters(settings, as_of, watermark)
    mappings = _mappings(warehouse, settings.mappings or project.root / "mappings")
    seconds: dict[str, float] = {}
    checks: list[CheckResult] = []
    try:
        with warehouse.transaction():
            _write_reference(warehouse, project.cards, mappings)
            for statement in project.statements:
                started = time.perf_counter()
                if statement.table:
                    _fill(warehouse, statement, project, params)
                else:
                    checks.append(_check(warehouse, statement, params))
                seconds[statement.name] = time.perf_counter() - started
            _refuse_failed(checks)
            rows = _counts(warehouse, project.statements)
    finally:
        _record(warehouse, run_id, checks)
    return BuildResult(run_id, as_of, watermark, rows, seconds, tuple(checks))


def contributions_select(statement: Statement) -> str:
    """The SELECT of one KPI's contributions with the KPI's name and fixed types around it."""
    columns = [f"CAST(counted.{n} AS {t}) AS {n}" for n, t in CONTRIBUTION_COLUMNS.items()]
    columns.insert(1, f"'{statement.kpi}' AS kpi")
    listed = ",\n  ".join(columns)
    return f"SELECT\n  {listed}\nFROM (\n{statement.sql}\n) AS counted"


def _fill(
    warehouse: Warehouse, statement: Statement, project: Project, params: Mapping[str, object]
) -> None:
    assert statement.table is not None
    if statement.kpi is not None:
        where = f"kpi = '{statement.kpi}'"
        if project.cards[statement.kpi].kind is Kind.SNAPSHOT:
            where += " AND on_date = @as_of"
        warehouse.replace_rows(CONTRIBUTIONS, where, contributions_select(statement), params)
    elif statement.replaces is not None:
        warehouse.replace_rows(statement.table, statement.replaces, statement.sql, params)
    else:
        warehouse.replace_table(statement.table, statement.sql, params)


def _check(warehouse: Warehouse, statement: Statement, params: Mapping[str, object]) -> CheckResult:
    assert statement.severity is not None
    found = warehouse.query(statement.sql, params)
    detail = "; ".join(_row_text(row) for row in found[:SHOWN_ROWS])
    if len(found) > SHOWN_ROWS:
        detail += f"; and {len(found) - SHOWN_ROWS:,} more"
    name = statement.name.removeprefix("checks/")
    return CheckResult(name, statement.severity, statement.purpose, len(found), detail)


def _refuse_failed(checks: Sequence[CheckResult]) -> None:
    failed = [c for c in checks if not c.passed and c.severity is Severity.FAIL]
    if failed:
        told = " ".join(
            f"Check {c.name} failed on {c.failed_rows:,} {'row' if c.failed_rows == 1 else 'rows'}"
            f" ({c.claim.rstrip('.')}): {c.detail}."
            for c in failed
        )
        raise CheckFailed(f"{told} Nothing was published.")


def _record(warehouse: Warehouse, run_id: str, checks: Sequence[CheckResult]) -> None:
    """Keep the results outside the build's transaction: a failed build leaves them too."""
    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "run_id": run_id,
            "check_name": c.name,
            "severity": str(c.severity),
            "failed_rows": c.failed_rows,
            "detail": c.detail,
            "checked_at": now,
        }
        for c in checks
    ]
    warehouse.insert(_CHECK_RESULTS, rows)


def _loaded(warehouse: Warehouse) -> bool:
    return warehouse.table_exists("st_raw.jobs") and bool(
        warehouse.query("SELECT id FROM st_raw.jobs ORDER BY id LIMIT 1")
    )


def _watermark(warehouse: Warehouse, statements: Iterable[Statement]) -> dt.datetime | None:
    """Until when everything is known that the SQL reads: its entity that was read longest ago."""
    tables = {table.removeprefix("st_raw.") for s in statements for table in s.reads}
    entities = [e.name for e in REGISTRY.values() if {e.name, e.lines} & tables]
    oldest: dt.datetime | None = warehouse.query(
        f"SELECT MIN(known_until) AS oldest FROM ({KNOWN_UNTIL}) AS known"
        " WHERE entity IN UNNEST(@entities)",
        {"entities": entities},
    )[0]["oldest"]
    return oldest


def _parameters(
    settings: BuildSettings, as_of: dt.date, watermark: dt.datetime | None
) -> dict[str, object]:
    """Values of the declared parameters; raises ``ConfigurationError`` for a setting no number can be built with."""
    if settings.timezone is None:
        raise ConfigurationError(
            "The tenant's time zone is not set: every day and week depends on it."
            " Set ST_KPI_TIMEZONE, for example to America/Phoenix."
        )
    if settings.cost_source not in get_args(CostSource):
        raise ConfigurationError(
            f"cost_source {settings.cost_source!r} is not one of {', '.join(get_args(CostSource))}."
        )
    for name in ("produced_excludes", "future_bookings_excludes"):
        unknown = sorted(set(getattr(settings, name)) - set(FAMILIES))
        if unknown:
            raise ConfigurationError(
                f"{name} names {unknown[0]!r}, which is no job family; they are {', '.join(FAMILIES)}."
            )
    return {
        "timezone": settings.timezone,
        "as_of": as_of,
        "cost_source": settings.cost_source,
        "include_tax": settings.include_tax,
        "ar_minimum": settings.ar_minimum,
        "ar_skip_unstarted": settings.ar_skip_unstarted,
        "produced_excludes": list(settings.produced_excludes),
        "future_bookings_excludes": list(settings.future_bookings_excludes),
        "input_watermark": watermark,
    }


def _mappings(warehouse: Warehouse, folder: Path) -> Mappings:
    return read_mappings(
        folder,
        units=_known(warehouse.query("SELECT tenant_id, id, name FROM st_raw.business_units")),
        types=_known(warehouse.query("SELECT tenant_id, id, name FROM st_raw.job_types")),
    )


def _known(rows: Iterable[Mapping[str, Any]]) -> list[Known]:
    return [Known(row["tenant_id"], row["id"], row["name"] or "") for row in rows]


def _write_reference(warehouse: Warehouse, cards: Mapping[str, Card], mappings: Mappings) -> None:
    units = [
        (r.tenant_id, r.business_unit_id, r.rollup, r.role, r.valid_from, r.valid_to)
        for r in mappings.units
    ]
    types = [(r.tenant_id, r.job_type_id, r.family) for r in mappings.types]
    kpis = [
        (kpi, card.title, str(card.kind), card.unit, card.version, card.order)
        for kpi, card in cards.items()
    ]
    warehouse.write_table(UNIT_TABLE, UNIT_COLUMNS, units)
    warehouse.write_table(TYPE_TABLE, TYPE_COLUMNS, types)
    warehouse.write_table(KPI_TABLE, KPI_COLUMNS, kpis)


def _counts(warehouse: Warehouse, statements: Iterable[Statement]) -> dict[str, int]:
    tables = dict.fromkeys(s.table for s in statements if s.table)
    return {t: warehouse.query(f"SELECT COUNT(*) AS n FROM {t}")[0]["n"] for t in tables}


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value_text(value)}" for name, value in row.items())


def _value_text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) else str(value)
