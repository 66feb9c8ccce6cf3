"""From raw rows to published numbers: one transaction, or nothing.

The SQL says itself in which order it runs. What is added here is the decision that a failing check undoes
the build. Which statements need not run again is decided in ``incremental``; what changed, why, and what was
reported is told in ``history``.
"""

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from st_kpi.kpis import contributions, reference
from st_kpi.kpis.accepted import Acceptance, read_accepted
from st_kpi.kpis.checks import ACCEPTED, CheckResult, record_checks, refuse_failed, run_check
from st_kpi.kpis.definitions.cards import Aggregation
from st_kpi.kpis.definitions.lint import Project, inspect, refuse
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.kpis.descriptions import describe
from st_kpi.kpis.history import record, restatements
from st_kpi.kpis.history.record import BuildUnderWay
from st_kpi.kpis.history.restatements import OLDEST_DATA
from st_kpi.kpis.incremental import compare, keys
from st_kpi.kpis.incremental.plan import Plan, StatementRun
from st_kpi.kpis.loaded import require_loaded
from st_kpi.local.process import collecting_rarely
from st_kpi.parameters import BuildSettings, parameters
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.labels import labels
from st_kpi.warehouse.system_tables import KNOWN_UNTIL
from st_kpi.windows import local_time


@dataclass(frozen=True)
class BuildResult:
    """What a build left behind: rows per table, seconds per statement, and every check.

    ``recomputed`` names the statements that ran; the tables of the others were as they had to be.
    Those ``in_part`` ran for changed keys alone.
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
    zone: ZoneInfo
    bytes: Mapping[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """What the build did."""
        in_part = f", {len(self.in_part)} of them in part" if self.in_part else ""
        return (
            f"Built {self.rows.get('st_kpi.contributions', 0):,} contributions"
            f" as of {self.as_of} in {sum(self.seconds.values()):.1f} s (build {self.number},"
            f" {len(self.recomputed)} of {len(self.seconds) - len(self.checks)} statements had to run{in_part});"
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
    watermark = _watermark(warehouse, project.statements)
    params = parameters(settings, as_of, watermark, _entities_read(warehouse))
    samples = project.root / "mappings"
    mappings = reference.mappings_in(settings.mappings, warehouse, samples)
    accepted = read_accepted(settings.mappings or samples, project.statements)
    checks: list[CheckResult] = []
    try:
        with warehouse.transaction():
            contributions.begin(warehouse)
            keys.clear(warehouse)
            if lacks_component:
                contributions.add_component(warehouse)
            under_way = record.begin(warehouse, project, params, run_id, mappings)
            reference.write(warehouse, project.cards, mappings)
            run = _Run(warehouse, project, params, under_way, accepted, full=full)
            for statement in project.statements:
                run.take(statement, checks)
            refuse_failed(checks)
            record.end(warehouse, project, under_way, settings, run.loaded())
            run.plan.remember()
            for clear in (contributions.end, compare.clear, keys.clear):
                clear(warehouse)
            rows = _counts(warehouse, project.statements)
        describe(warehouse, project)
    finally:
        record_checks(warehouse, run_id, checks)
    return run.result(rows, checks)


class _Run:
    """Statements run in turn; how each ran and how long it took."""

    def __init__(
        self,
        warehouse: Warehouse,
        project: Project,
        params: Mapping[str, object],
        under_way: BuildUnderWay,
        accepted: Sequence[Acceptance],
        *,
        full: bool,
    ) -> None:
        self.warehouse = warehouse
        self.project = project
        self.params = params
        self.under_way = under_way
        self.accepted = accepted
        self.plan = Plan(warehouse, params, under_way.build.number, project.by_key, full=full)
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self.runs: dict[str, StatementRun] = {}
        if contributions.remove_unknown(warehouse, project.cards):
            self.plan.contributions_changed()

    def take(self, statement: Statement, checks: list[CheckResult]) -> None:
        """Fill the statement's table, or ask its check."""
        started = time.perf_counter()
        if not statement.table:
            checks.append(run_check(self.warehouse, statement, self.params, self.accepted))
        elif self._measures(statement) and not self.under_way.build.measured:
            self._leave(statement)
        else:
            with labels(kpi=statement.kpi or statement.name):
                self._run(statement)
        self.seconds[statement.name] = time.perf_counter() - started

    def _leave(self, statement: Statement) -> None:
        """Leave the rows as they are; of a table that no build made yet, none."""
        assert statement.table is not None
        if not self.warehouse.table_exists(statement.table):
            none = f"SELECT * FROM ({statement.sql}\n) AS unmeasured WHERE FALSE"
            self.warehouse.replace_table(statement.table, none, self.params)
        self.plan.skip(statement)

    def result(self, rows: Mapping[str, int], checks: Iterable[CheckResult]) -> BuildResult:
        """What the build left behind."""
        build = self.under_way.build
        return BuildResult(
            run_id=build.run_id,
            as_of=build.as_of,
            input_watermark=build.input_watermark,
            rows=rows,
            seconds=self.seconds,
            checks=tuple(checks),
            number=build.number,
            recomputed=tuple(self.runs),
            in_part=frozenset(name for name, run in self.runs.items() if run.key_slice),
            measured=build.measured,
            zone=ZoneInfo(str(self.params["timezone"])),
            bytes=self.bytes,
        )

    def loaded(self) -> list[str]:
        """The raw tables whose rows are not those that the build before met."""
        filling = (s for s in self.project.statements if s.table)
        read = {t for s in filling for t in s.reads if t.startswith("st_raw.")}
        return [t.removeprefix("st_raw.") for t in sorted(read) if not self.plan.unchanged(t)]

    def _measures(self, statement: Statement) -> bool:
        """Whether the statement writes rows of the as-of day beside those of other days."""
        if statement.kpi is not None:
            return self.project.cards[statement.kpi].kind is Aggregation.SNAPSHOT
        return "@as_of" in (statement.replaces or "")

    def _run(self, statement: Statement) -> None:
        """Run the statement as far as it has to."""
        run = self.plan.work(statement)
        if run is None:
            return
        self._estimate(statement, run)
        changed = self._fill(statement, run)
        self.plan.done(statement, run, changed)
        self.runs[statement.name] = run

    def _fill(self, statement: Statement, run: StatementRun) -> bool:
        """Write the statement's rows; returns whether any changed, as far as that is known."""
        table, sql, params = statement.table, statement.sql, self.params
        assert table is not None
        if statement.kpi is not None:
            return contributions.write(
                self.warehouse,
                statement,
                self.project.cards[statement.kpi].kind,
                params,
                self.under_way.measured_before,
                run.key_slice,
                first=self.under_way.previous is None,
            )
        if run.compared:
            columns = self.project.tables[table]
            changed = compare.update(self.warehouse, table, columns, sql, params, run.key_slice)
            if changed:
                keys.note(self.warehouse, table, compare.DIFFERENCES, self._keys(table))
            return changed
        if statement.replaces is not None:
            self.warehouse.replace_rows(table, statement.replaces, sql, params)
        else:
            self.warehouse.replace_table(table, sql, params)
        return True

    def _estimate(self, statement: Statement, run: StatementRun) -> None:
        """Note what the statement will be billed for."""
        select, params = statement.sql, self.params
        if run.key_slice:
            select, params = run.key_slice.of(select), {**params, **run.key_slice.params}
        estimated = self.warehouse.estimate(select, params)
        if estimated is not None:
            self.bytes[statement.kpi or statement.name] = estimated

    def _keys(self, table: str) -> set[str]:
        """The columns by which statements that read the table can be cut down."""
        by_key = self.project.by_key
        keyed = (s for s in self.project.statements if table in by_key.get(s.name, ()))
        return {s.incremental_by for s in keyed if s.incremental_by}


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


def _counts(warehouse: Warehouse, statements: Iterable[Statement]) -> dict[str, int]:
    tables = dict.fromkeys(s.table for s in statements if s.table)
    return {t: warehouse.query(f"SELECT COUNT(*) AS n FROM {t}")[0]["n"] for t in tables}
