"""From raw rows to published numbers: one transaction, or nothing.

The SQL says itself in which order it runs, and what can run at the same time. What is added here is the decision that a failing check undoes
the build. Which statements need not run again is decided in ``incremental``; what changed, why, and what was
reported is told in ``history``.
"""

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from st_kpi.kpis import contributions, reference
from st_kpi.kpis.accepted import read_accepted
from st_kpi.kpis.checks import ACCEPTED, CheckResult, record_checks, refuse_failed, run_checks
from st_kpi.kpis.contributions import KpiRun
from st_kpi.kpis.definitions.cards import Aggregation
from st_kpi.kpis.definitions.columns import CHANGED_CONTRIBUTIONS
from st_kpi.kpis.definitions.lint import Project, inspect, refuse
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.kpis.descriptions import describe
from st_kpi.kpis.history import attribution, record, restatements
from st_kpi.kpis.history.record import BuildUnderWay
from st_kpi.kpis.history.restatements import OLDEST_DATA
from st_kpi.kpis.incremental import compare
from st_kpi.kpis.incremental.levels import levels
from st_kpi.kpis.incremental.plan import Outcome, Plan, StatementRun
from st_kpi.kpis.loaded import require_loaded
from st_kpi.kpis.reference import ReferenceTable
from st_kpi.local.process import collecting_rarely
from st_kpi.parameters import BuildSettings, parameters
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.labels import labels
from st_kpi.warehouse.system_tables import KNOWN_UNTIL, differences_of
from st_kpi.windows import local_time


@dataclass(frozen=True)
class BuildResult:
    """What a build left behind: rows per table, the seconds it took, and every check.

    ``recomputed`` names those of the ``statements`` that ran; the tables of the others were as they had to be.
    Those ``in_part`` ran for changed keys alone.
    ``measured`` says whether the snapshots of ``as_of`` were written. ``bytes`` has, per statement that ran, for
    the KPIs together and for the checks, what was billed, where the warehouse bills.
    """

    run_id: str
    as_of: dt.date
    input_watermark: dt.datetime | None
    rows: Mapping[str, int]
    seconds: float
    checks: tuple[CheckResult, ...]
    number: int
    statements: int
    recomputed: tuple[str, ...]
    in_part: frozenset[str]
    measured: bool
    zone: ZoneInfo
    bytes: Mapping[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """What the build did."""
        in_part = f", {len(self.in_part)} of them in part" if self.in_part else ""
        return (
            f"Built {self.rows.get('st_kpi.contributions', 0):,} contributions"
            f" as of {self.as_of} in {self.seconds:.1f} s (build {self.number},"
            f" {len(self.recomputed)} of {self.statements} statements had to run{in_part});"
            f" {sum(c.result == 'holds' for c in self.checks)} of {len(self.checks)} checks hold{self._accepted()}."
        )

    def _accepted(self) -> str:
        number = sum(c.result == "accepted" for c in self.checks)
        return f", {number} {'is' if number == 1 else 'are'} accepted" if number else ""

    def summary(self) -> str:
        """What the build did, in a sentence, and what there is to say of each check that does not simply hold."""
        lines = [self.sentence()]
        if self.input_watermark and self.input_watermark.date() < self.as_of - OLDEST_DATA:
            lines.append(
                f"The data end on {local_time(self.input_watermark, self.zone)}: later weeks have no numbers, and none of"
                " them is closed. Run `st-kpi sync`."
            )
        if not self.measured:
            lines.append(
                f"The snapshots of {self.as_of} were left as they are: a later day was measured already,"
                " or the rows are newer than that day, or end before the day before it."
            )
        if self.bytes:
            most = sorted(self.bytes.items(), key=lambda item: (-item[1], item[0]))[:5]
            listed = ", ".join(f"{name} {count / 1e6:,.0f} MB" for name, count in most)
            lines.append(
                f"Billed for about {sum(self.bytes.values()) / 1e9:,.2f} GB; most for {listed}."
            )
        lines += [
            f"{c.result if c.passed else c.severity}: {c.name}: {c.told}"
            for c in self.checks
            if c.told
        ]
        return "\n".join(lines)


@collecting_rarely()
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
    and of the others those by a key only for the keys that changed (``st_kpi.kpis.incremental.plan``),
    unless ``full``; the tables are the same either way. Snapshots of other days than ``as_of`` stay
    as they were, and those of ``as_of`` too where ``restatements.may_measure`` says no. Raises
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
    require_loaded(warehouse)
    lacks_component = contributions.lack_component(warehouse)
    needed = (restatements.REPORTED, ACCEPTED)
    if lacks_component or not all(warehouse.table_exists(table) for table in needed):
        warehouse.ensure(())  # a warehouse of an older version
    samples = project.root / "mappings"
    started, billed = time.perf_counter(), dict(warehouse.billed())
    accepted = read_accepted(settings.mappings or samples, project.statements)
    checks: list[CheckResult] = []
    try:
        with warehouse.transaction(of_one_moment=True):
            watermark = _watermark(warehouse, project.statements)
            params = parameters(settings, as_of, watermark, _entities_read(warehouse))
            mappings = reference.mappings_in(settings.mappings, warehouse, samples)
            contributions.begin(warehouse)
            if lacks_component:
                contributions.add_component(warehouse)
            under_way = record.begin(warehouse, project, params, run_id, mappings)
            run = _Run(warehouse, project, params, under_way, full=full)
            run.provide(reference.tables(project.cards, mappings))
            for level in levels(project.compiled):
                run.take(level)
            asked = [s for s in project.compiled if not s.table]
            checks += run_checks(warehouse, asked, params, accepted)
            refuse_failed(checks)
            record.end(
                warehouse,
                project,
                under_way,
                settings,
                run.loaded(),
                is_remapped=run.has_filled(attribution.MAPPING),
            )
            run.plan.remember()
            rows = warehouse.row_counts(sorted({s.table for s in project.compiled if s.table}))
            warehouse.drop(run.scratch_tables())
        warehouse.drop(run.tables_of_older_versions())
        describe(warehouse, project)
    finally:
        record_checks(warehouse, run_id, checks)
    spent = {name: n - billed.get(name, 0) for name, n in warehouse.billed().items()}
    return run.result(rows, checks, time.perf_counter() - started, spent)


class _Run:
    """Statements run level by level; how each ran and how long it took."""

    def __init__(
        self,
        warehouse: Warehouse,
        project: Project,
        params: Mapping[str, object],
        under_way: BuildUnderWay,
        *,
        full: bool,
    ) -> None:
        self.warehouse = warehouse
        self.project = project
        self.params = params
        self.under_way = under_way
        self.plan = Plan(
            warehouse,
            params,
            under_way.build.number,
            project.by_key,
            _raw_tables(project),
            full=full,
        )
        self.runs: dict[str, StatementRun] = {}
        self.stored = contributions.stored_kpis(warehouse, under_way.build.as_of)
        self.unknown = sorted(self.stored.keys() - project.cards.keys())

    def provide(self, tables: Iterable[ReferenceTable]) -> None:
        """Write those of the tables that are not as the last good build left them."""
        for table in tables:
            known = self.plan.provided(table.name, table.version)
            if not (known and self.plan.has(table.name)):
                self.warehouse.write_table(table.name, table.columns, table.rows)

    def take(self, level: Sequence[Statement]) -> None:
        """Fill the tables of statements that do not read each other's."""
        runs = {s.name: run for s in level if (run := self._work(s)) is not None}
        tasks = [
            ([s], partial(self._fill, s, runs[s.name]))
            for s in level
            if s.name in runs and not s.kpi
        ]
        have_unknown = bool(self.unknown) and any(s.kpi for s in level)
        together = [s for s in level if s.name in runs and s.kpi]
        if together or have_unknown:
            tasks.append((together, partial(self._fill_contributions, together, runs)))
        outcomes = self.warehouse.side_by_side([task for _, task in tasks])
        for (statements, _), outcome in zip(tasks, outcomes, strict=True):
            for statement in statements:
                self.plan.done(statement, runs[statement.name], outcome)
        if have_unknown:
            self.plan.contributions_changed()
        self.runs |= runs

    def result(
        self,
        rows: Mapping[str, int],
        checks: Iterable[CheckResult],
        seconds: float,
        billed: Mapping[str, int],
    ) -> BuildResult:
        """What the build left behind."""
        build = self.under_way.build
        return BuildResult(
            run_id=build.run_id,
            as_of=build.as_of,
            input_watermark=build.input_watermark,
            rows=rows,
            seconds=seconds,
            checks=tuple(checks),
            number=build.number,
            statements=sum(s.table is not None for s in self.project.compiled),
            recomputed=tuple(s.name for s in self.project.compiled if s.name in self.runs),
            in_part=frozenset(name for name, run in self.runs.items() if run.key_slice),
            measured=build.measured,
            zone=ZoneInfo(str(self.params["timezone"])),
            bytes=billed,
        )

    def has_filled(self, table: str) -> bool:
        """Whether a statement wrote the table in this build."""
        return any(s.table == table and s.name in self.runs for s in self.project.compiled)

    def loaded(self) -> list[str]:
        """The raw tables whose rows are not those that the build before met."""
        changed = [t for t in _raw_tables(self.project) if not self.plan.unchanged(t)]
        return [table.removeprefix("st_raw.") for table in changed]

    def scratch_tables(self) -> list[str]:
        """The tables that only the build needed."""
        compared = {s.table for s in self.project.compiled if s.table}
        return [
            *(differences_of(table) for table in sorted(compared)),
            CHANGED_CONTRIBUTIONS,
            contributions.COUNTED,
            *attribution.scratch_tables(self.project),
        ]

    def tables_of_older_versions(self) -> list[str]:
        """The tables there are that no statement fills any more, but stands in front of others."""
        inline = (s.table for s in self.project.statements if s.is_inline)
        return [table for table in inline if table and self.plan.has(table)]

    def _work(self, statement: Statement) -> StatementRun | None:
        """How the statement has to run, None where its rows stay as they are."""
        if not self._measures(statement) or self.under_way.build.measured:
            return self.plan.work(statement)
        assert statement.table is not None
        if not statement.kpi and not self.plan.has(statement.table):
            none = f"SELECT * FROM ({statement.sql}\n) AS unmeasured WHERE FALSE"
            self.warehouse.replace_table(statement.table, none, self.params)
        self.plan.skip(statement)
        return None

    def _measures(self, statement: Statement) -> bool:
        """Whether the statement writes rows of the as-of day beside those of other days."""
        if statement.kpi is not None:
            return self.project.cards[statement.kpi].kind is Aggregation.SNAPSHOT
        return "@as_of" in (statement.replaces or "")

    def _fill(self, statement: Statement, run: StatementRun) -> Outcome:
        """Write the statement's rows."""
        table, params = statement.table, self.params
        assert table is not None
        with labels(kpi=statement.name):
            if not run.compared:
                self.warehouse.replace_table(table, statement.sql, params)
                return Outcome(version=self.warehouse.versions([table])[table])
            changed = compare.update(
                self.warehouse,
                table,
                self.project.tables[table],
                statement.sql,
                params,
                key_slice=run.key_slice,
                where=statement.replaces or "TRUE",
            )
            return Outcome(changed)

    def _fill_contributions(
        self, statements: Sequence[Statement], runs: Mapping[str, StatementRun]
    ) -> Outcome:
        """Write the rows of KPIs."""
        cards = self.project.cards
        with labels(kpi="contributions"):
            changed = contributions.write(
                self.warehouse,
                [KpiRun(s, cards[s.kpi].kind, runs[s.name].key_slice) for s in statements if s.kpi],
                self.unknown,
                self.stored,
                self.params,
                self.under_way.measured_before,
            )
            return Outcome(changed)


def _raw_tables(project: Project) -> list[str]:
    """The raw tables that numbers are made of."""
    read = {table for s in project.statements if s.table for table in s.reads}
    return sorted(table for table in read if table.startswith("st_raw."))


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


def _entities_read(warehouse: Warehouse) -> list[str]:
    """The entities that were read, by the log of the loads; without one, as in a copy, all that there are."""
    rows = warehouse.query("SELECT DISTINCT entity FROM st_ops.chunks ORDER BY entity")
    return [str(row["entity"]) for row in rows] or sorted(REGISTRY)
