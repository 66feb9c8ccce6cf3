"""From raw rows to published numbers: one transaction, or nothing.

The SQL says itself in which order it runs. What is added here are the small reference tables, the
decision which statements need not run again, the decision that a failing check undoes the build, and
the build's history: what changed and why, and what was reported.
"""

import datetime as dt
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.errors import NothingLoaded
from st_kpi.kpis import build_log, contributions
from st_kpi.kpis.build_log import Build
from st_kpi.kpis.checks import CheckResult, record_checks, refuse_failed, run_check
from st_kpi.kpis.definitions.cards import Card, Kind
from st_kpi.kpis.definitions.lint import KPI_COLUMNS, KPI_TABLE, Project, inspect, refuse
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.kpis.descriptions import describe
from st_kpi.kpis.history import attribution, restatements
from st_kpi.kpis.incremental import compare, keys
from st_kpi.kpis.incremental.plan import Plan, Work
from st_kpi.kpis.mappings import (
    TYPE_COLUMNS,
    TYPE_TABLE,
    UNIT_COLUMNS,
    UNIT_TABLE,
    Known,
    Mappings,
    read_mappings,
)
from st_kpi.parameters import BuildSettings, parameters
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.labels import labels
from st_kpi.warehouse.system_tables import KNOWN_UNTIL

#: Entities whose absence would show as something else, such as a mapping that matches nothing.
_NEEDED = ("jobs", "business_units", "job_types")


@dataclass(frozen=True)
class BuildResult:
    """What a build left behind: rows per table, seconds per statement, and every check.

    ``recomputed`` names the statements that ran; the tables of the others were as they had to be.
    Those ``in_part`` ran for touched keys alone.
    ``measured`` says whether the snapshots of ``as_of`` were written. ``bytes`` has, per KPI or other
    statement that ran, what reading for it is billed for, where the warehouse bills.
    """

    run_id: str
    as_of: dt.date
    input_watermark: dt.datetime | None
    rows: Mapping[str, int]
    seconds: Mapping[str, float]
    checks: tuple[CheckResult, ...]
    number: int
    recomputed: tuple[str, ...]
    in_part: frozenset[str]
    measured: bool
    bytes: Mapping[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """What the build did."""
        in_part = f", {len(self.in_part)} of them in part" if self.in_part else ""
        return (
            f"Built {self.rows.get('st_kpi.contributions', 0):,} contributions"
            f" as of {self.as_of} in {sum(self.seconds.values()):.1f} s (build {self.number},"
            f" {len(self.recomputed)} of {len(self.seconds) - len(self.checks)} statements had to run{in_part});"
            f" {sum(c.passed for c in self.checks)} of {len(self.checks)} checks hold."
        )

    def summary(self) -> str:
        """What the build did, in a sentence, and each warning of a check."""
        lines = [self.sentence()]
        if not self.measured:
            lines.append(
                f"The snapshots of {self.as_of} were left as they are: a later day was measured already,"
                " or the rows are newer than that day."
            )
        if self.bytes:
            most = sorted(self.bytes.items(), key=lambda item: (-item[1], item[0]))[:5]
            listed = ", ".join(f"{name} {count / 1e6:,.0f} MB" for name, count in most)
            lines.append(
                f"Billed for about {sum(self.bytes.values()) / 1e9:,.2f} GB; most for {listed}."
            )
        lines += [f"{c.severity}: {c.name}: {c.detail}" for c in self.checks if not c.passed]
        return "\n".join(lines)


def build(
    warehouse: Warehouse,
    *,
    settings: BuildSettings,
    as_of: dt.date,
    run_id: str,
    sql_root: Path | None = None,
    full: bool = False,
) -> BuildResult:
    """Build every table from ``st_raw`` as of the local day ``as_of``.

    Statements whose SQL, parameters and input rows are as the last build met them do not run again,
    and of the others those by a key only for the keys that were touched (``st_kpi.kpis.incremental.plan``),
    unless ``full``; the tables are the same either way. Snapshots of other days than ``as_of`` stay
    as they were, and those of ``as_of`` too where ``reported.may_measure`` says no. Raises
    ``SqlError`` for SQL the lint refuses, ``NothingLoaded`` without jobs, units or job types, ``MappingError`` for a
    mapping file, ``ConfigurationError`` for a setting, and ``CheckFailed`` when a check fails;
    whatever it raises, readers keep what they had.
    """
    with labels(flow="build", run=run_id):
        return _build(warehouse, settings, as_of, run_id, sql_root, full)


def _build(
    warehouse: Warehouse,
    settings: BuildSettings,
    as_of: dt.date,
    run_id: str,
    sql_root: Path | None,
    full: bool,
) -> BuildResult:
    project = inspect(sql_root)
    refuse(project.findings)
    _require_loaded(warehouse)
    if not warehouse.table_exists(restatements.REPORTED):  # a warehouse of an older version
        warehouse.ensure(())
    watermark = _watermark(warehouse, project.statements)
    params = parameters(settings, as_of, watermark)
    mappings = _mappings(warehouse, settings.mappings or project.root / "mappings")
    checks: list[CheckResult] = []
    try:
        with warehouse.transaction():
            under_way = _begin(warehouse, project, params, run_id, mappings)
            _write_reference(warehouse, project.cards, mappings)
            run = _Run(warehouse, project, params, under_way, full=full)
            for statement in project.statements:
                run.take(statement, checks)
            refuse_failed(checks)
            _end(warehouse, project, run, settings)
            rows = _counts(warehouse, project.statements)
        describe(warehouse, project)
    finally:
        record_checks(warehouse, run_id, checks)
    return BuildResult(
        run_id,
        as_of,
        watermark,
        rows,
        run.seconds,
        tuple(checks),
        under_way.build.number,
        tuple(run.work),
        frozenset(name for name, work in run.work.items() if work.part),
        under_way.build.measured,
        run.bytes,
    )


@dataclass(frozen=True)
class _UnderWay:
    """The build being made, the one before it, and the snapshot day that stood for the week until now."""

    build: Build
    previous: Build | None
    measured_before: dt.date | None


class _Run:
    """Statements run in turn; how each ran and how long it took."""

    def __init__(
        self,
        warehouse: Warehouse,
        project: Project,
        params: Mapping[str, object],
        under_way: _UnderWay,
        *,
        full: bool,
    ) -> None:
        self.warehouse = warehouse
        self.project = project
        self.params = params
        self.under_way = under_way
        self.plan = Plan(warehouse, params, under_way.build.number, project.by_key, full=full)
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self.work: dict[str, Work] = {}
        if contributions.remove_unknown(warehouse, project.cards):
            self.plan.touched()

    def take(self, statement: Statement, checks: list[CheckResult]) -> None:
        """Fill the statement's table, or ask its check."""
        started = time.perf_counter()
        if not statement.table:
            checks.append(run_check(self.warehouse, statement, self.params))
        elif self._measures(statement) and not self.under_way.build.measured:
            self.plan.skip(statement)
        else:
            with labels(kpi=statement.kpi or statement.name):
                if work := self.plan.run(statement, lambda work: self._fill(statement, work)):
                    self.work[statement.name] = work
        self.seconds[statement.name] = time.perf_counter() - started

    def _measures(self, statement: Statement) -> bool:
        """Whether the statement writes rows of the as-of day beside those of other days."""
        if statement.kpi is not None:
            return self.project.cards[statement.kpi].kind is Kind.SNAPSHOT
        return "@as_of" in (statement.replaces or "")

    def _fill(self, statement: Statement, work: Work) -> bool:
        """Write the statement's rows; returns whether any changed, as far as that is known."""
        table, sql, params = statement.table, statement.sql, self.params
        assert table is not None
        self._estimate(statement, work)
        if statement.kpi is not None:
            kind = self.project.cards[statement.kpi].kind
            before, first = self.under_way.measured_before, self.under_way.previous is None
            return contributions.write(
                self.warehouse, statement, kind, params, before, work.part, first=first
            )
        if work.compared:
            columns = self.project.tables[table]
            changed = compare.update(self.warehouse, table, columns, sql, params, work.part)
            if changed:
                keys.note(self.warehouse, table, compare.DIFFERENCES, self._keys(table))
            return changed
        if statement.replaces is not None:
            self.warehouse.replace_rows(table, statement.replaces, sql, params)
        else:
            self.warehouse.replace_table(table, sql, params)
        return True

    def _estimate(self, statement: Statement, work: Work) -> None:
        """Note what the statement will be billed for."""
        select, params = statement.sql, self.params
        if work.part:
            select, params = work.part.of(select), {**params, **work.part.params}
        estimated = self.warehouse.estimate(select, params)
        if estimated is not None:
            self.bytes[statement.kpi or statement.name] = estimated

    def _keys(self, table: str) -> set[str]:
        """The columns by which statements that read the table can be cut down."""
        read = self.project.by_key
        return {s.by for s in self.project.statements if s.by and table in read.get(s.name, ())}


def _begin(
    warehouse: Warehouse,
    project: Project,
    params: Mapping[str, Any],
    run_id: str,
    mappings: Mappings,
) -> _UnderWay:
    """Number the build, decide what it may measure, and put aside what it is compared with."""
    kept = build_log.builds(warehouse)
    previous = kept[-1] if kept else None
    as_of: dt.date = params["as_of"]
    last = restatements.last_measured(warehouse)
    measured = restatements.may_measure(
        as_of,
        last=last,
        input_watermark=params["input_watermark"],
        zone=ZoneInfo(params["timezone"]),
    )
    monday = as_of - dt.timedelta(days=as_of.weekday())
    before = last.day if last is not None and monday <= last.day <= as_of else None
    made = Build(
        number=previous.number + 1 if previous else 1,
        run_id=run_id,
        as_of=as_of,
        built_at=dt.datetime.now(dt.UTC),
        input_watermark=params["input_watermark"],
        measured=measured,
        definitions=build_log.definitions(project.statements, project.cards, params),
        settings=build_log.fingerprint(
            (k, str(v)) for k, v in params.items() if k not in ("as_of", "input_watermark")
        ),
        mappings=build_log.fingerprint([*mappings.units, *mappings.types]),
        pay_known_until=attribution.pay_known_until(warehouse),
    )
    contributions.begin(warehouse)
    keys.clear(warehouse)
    if previous:
        attribution.remember_before(warehouse)
    return _UnderWay(made, previous, before)


def _end(warehouse: Warehouse, project: Project, run: _Run, settings: BuildSettings) -> None:
    """Keep the build's history: why numbers changed, what was reported, what the next build need not run."""
    made, previous = run.under_way.build, run.under_way.previous
    if previous:
        before = run.under_way.measured_before
        snapshots = [k for k, card in project.cards.items() if card.kind is Kind.SNAPSHOT]
        measured = snapshots if made.measured else []
        changed = attribution.Changed(
            previous=previous,
            build=made.number,
            as_of=made.as_of,
            redefined=[
                k for k, told in made.definitions.items() if previous.definitions.get(k) != told
            ],
            newly_measured=measured if before is None else [],
            moved_on=measured if before not in (None, made.as_of) else [],
        )
        attribution.explain_changes(warehouse, changed)
    for scratch in (contributions.end, compare.clear, keys.clear):
        scratch(warehouse)
    restatements.freeze(
        warehouse,
        build=made.number,
        run_id=made.run_id,
        as_of=made.as_of,
        close_after_days=settings.close_week_after_days,
    )
    read = {t for s in project.statements if s.table for t in s.reads if t.startswith("st_raw.")}
    new = [t.removeprefix("st_raw.") for t in sorted(read) if not run.plan.unchanged(t)]
    attribution.remember_rows(warehouse, new)
    attribution.forget(warehouse, made.number - settings.keep_builds + 1)
    build_log.record(warehouse, made, keep=settings.keep_builds)
    run.plan.remember()


def _require_loaded(warehouse: Warehouse) -> None:
    """Raise ``NothingLoaded`` without what every KPI is about; what else is missing the check ``freshness`` tells."""
    asked = ", ".join(f"EXISTS(SELECT 1 FROM st_raw.{name}) AS {name}" for name in _NEEDED)
    found = warehouse.query(f"SELECT {asked}")[0] if warehouse.table_exists("st_raw.jobs") else {}
    absent = [name for name in _NEEDED if not found.get(name)]
    if len(absent) == len(_NEEDED):
        raise NothingLoaded("Nothing is loaded yet: run st-kpi backfill first.")
    if absent:
        raise NothingLoaded(
            f"Not loaded yet, and every KPI needs it: {', '.join(absent)}. Run `st-kpi backfill`, which loads what is"
            " missing."
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
