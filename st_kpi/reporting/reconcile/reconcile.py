"""The comparison of one number with one report, from end to end."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from st_kpi.errors import ReportError
from st_kpi.kpis import build_log
from st_kpi.kpis.definitions.lint import Project, refuse
from st_kpi.kpis.definitions.reports import Comparison, RowKey
from st_kpi.kpis.mapping_file import folded
from st_kpi.parameters import BuildSettings, parameters
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL
from st_kpi.reporting.reconcile import compare
from st_kpi.reporting.reconcile.causes import Context, with_causes
from st_kpi.reporting.reconcile.compare import Line, Sides, Verdict
from st_kpi.reporting.reconcile.facts import Fact, facts
from st_kpi.reporting.reconcile.ours import STORED, Counted, OurCell, our_cells
from st_kpi.reporting.reconcile.proof import require_published
from st_kpi.reporting.reconcile.readings import ReadingResult, readings
from st_kpi.reporting.reconcile.result import Reconciliation, Source
from st_kpi.reporting.reconcile.scope import Scope, Sorted, add_day, sort_rows
from st_kpi.reporting.reconcile.table import Report, ReportRow
from st_kpi.reporting.reconcile.units import Units
from st_kpi.reporting.reconcile.weeks import Asked, Week, weeks_of
from st_kpi.warehouse.base import Warehouse


def reconcile(
    warehouse: Warehouse,
    kpi: str,
    report: Report,
    source: Source,
    project: Project,
    settings: BuildSettings,
    *,
    week: dt.date | None = None,
    rollup: str = ALL,
    tenant_id: int | None = None,
) -> list[Reconciliation]:
    """Compare ``kpi`` in a rollup with a report, row by row: in the week of ``week``, else in each week that it has whole.

    Raises ``NothingLoaded`` before the first build, ``ConfigurationError`` for a KPI, week or rollup that is not there,
    ``ReportError`` for a report of other days or of another tenant. Nothing is stored.
    """
    refuse(project.findings)
    published.require_build(warehouse)
    tenant = published.tenant_of(warehouse, tenant_id)
    as_of, known_until = published.freshness_of(warehouse, tenant)
    (described,) = published.kpis_of(warehouse, kpi)
    (chosen,) = published.rollups_of(warehouse, tenant, rollup)
    asked = Asked(
        tenant,
        described,
        chosen,
        report,
        source,
        as_of,
        known_until,
        parameters(settings, as_of, known_until),
    )
    weeks, not_compared = weeks_of(warehouse, asked, week)
    return _Comparison(warehouse, asked, project, weeks, not_compared).results()


class _Comparison:
    """The weeks of one report compared: the warehouse is asked once for all of them."""

    def __init__(
        self,
        warehouse: Warehouse,
        asked: Asked,
        project: Project,
        weeks: Sequence[Week],
        not_compared: tuple[str, ...],
    ) -> None:
        self.warehouse, self.asked, self.project = warehouse, asked, project
        self.weeks, self.not_compared = weeks, not_compared
        self.excluded = _listed(asked.params, asked.comparison)
        self.units = Units.read(warehouse, asked.tenant)
        self.zone = ZoneInfo(str(asked.params["timezone"]))
        self.build = build_log.builds(warehouse)[-1].number
        self.known: dict[str, Fact] = {}
        self.rows = self._spelt_rows()
        self.families = self._families()
        #: Of a report of several weeks the amounts of each key by day.
        self.days_there: dict[str, dict[dt.date, Decimal]] = {}
        days = [week.day or end for week in weeks for end in week.period]
        self.span = min(days), max(days)

    def results(self) -> list[Reconciliation]:
        """A comparison for each week."""
        ours = self._ours(STORED)
        self._require_ours(ours)
        sorted_rows, scopes = [], self._scopes()
        for rows, scope in zip(self._rows_by_week(), scopes, strict=True):
            sorted_rows.append(sort_rows(rows, self.asked.comparison, scope))
        lines = [
            self._lines(rows, ours, week, scope)
            for rows, week, scope in zip(sorted_rows, self.weeks, scopes, strict=True)
        ]
        tried = self._readings(sorted_rows, lines)
        results = [
            self._result(*one) for one in zip(self.weeks, sorted_rows, lines, tried, strict=True)
        ]
        require_published(self.warehouse, results)
        return results

    def _spelt_rows(self) -> tuple[ReportRow, ...]:
        """The rows; a unit that is the key of its sums is spelt as it is here."""
        rows = self.asked.report.rows
        if self.asked.report.kind.key is not RowKey.BUSINESS_UNIT:
            return rows
        return tuple(replace(row, key=self.units.spelt(row.key)) for row in rows)

    def _rows_by_week(self) -> list[Sequence[ReportRow]]:
        """The rows of the report for each week: of a report of one week all, else those of its days.

        In a report of several weeks a row without a day has ours; raises ``ReportError`` where there is not one.
        """
        if self._is_of_one_week():
            return [self.rows]
        self._learn(row.key for row in self.rows if row.day is None)
        rows = [replace(row, day=row.day or self._our_day(row)) for row in self.rows]
        if len(self.weeks) == 1:
            return [rows]
        by_week: dict[dt.date, list[ReportRow]] = {}
        for row in rows:
            assert row.day is not None
            by_week.setdefault(published.monday(row.day), []).append(row)
            add_day(self.days_there, row, row.day)
        return [by_week.get(week.monday, []) for week in self.weeks]

    def _is_of_one_week(self) -> bool:
        """Whether all of the report is of the one period to compare, by what it says, else by the days of its rows."""
        report = self.asked.report
        if len(self.weeks) > 1 or self.asked.kpi.kind == "snapshot":
            return len(self.weeks) == 1
        first, last = self.weeks[0].period
        days = report.period or [row.day for row in report.rows if row.day]
        return all(first <= day <= last for day in days)

    def _our_day(self, row: ReportRow) -> dt.date:
        """The day on which a row without one counts here."""
        fact = self.known.get(row.key)
        days = list(fact.days) if fact else []
        if fact and not days and "work_on_local" in fact.dates:
            days = [fact.dates["work_on_local"]]
        if len({published.monday(day) for day in days}) != 1:
            which = "several are" if days else "none is"
            raise ReportError(
                f"{self.asked.source.name}, line {row.line} has no day, and {which} known here: in a report of several"
                " weeks it could be of any. Save a report of one week."
            )
        return days[0]

    def _result(
        self,
        week: Week,
        rows: Sorted,
        lines: Sequence[Line],
        tried: Sequence[ReadingResult],
    ) -> Reconciliation:
        asked = self.asked
        told = _with_readings(lines, tried)
        return Reconciliation(
            kpi=asked.kpi,
            week_start=week.monday,
            period=week.period,
            rollup=asked.rollup,
            kind=asked.report.kind_name,
            row_key=asked.report.kind.key,
            comparison=asked.comparison,
            source=asked.source,
            tenant_id=asked.tenant,
            build=self.build,
            known_until=asked.known_until,
            lines=tuple(told),
            aside=rows.aside,
            readings=tuple(tried),
            not_compared=self.not_compared,
            there=compare.total((line.there for line in told), asked.comparison),
            here=compare.total((line.here for line in told), asked.comparison),
        )

    def _scopes(self) -> list[Scope]:
        asked = self.asked
        return [
            Scope(
                role=self.project.cards[asked.kpi.name].role,
                rollup=asked.rollup,
                period=week.period,
                trusts_period=asked.report.period == week.period,
                has_units="business_unit" in asked.report.has,
                units=self.units,
                excluded_families=self.excluded,
                minimum=Decimal(str(asked.params["ar_minimum"])),
                family_of=self._family,
            )
            for week in self.weeks
        ]

    def _families(self) -> dict[str, str]:
        """The families of job types; where the KPI goes by them, our jobs are asked for what the report does not say."""
        comparison = self.asked.comparison
        types = self.warehouse.query(
            "SELECT job_type, family FROM st_ref.dim_job_types WHERE tenant_id = @tenant_id",
            {"tenant_id": self.asked.tenant},
        )
        families = {folded(r["job_type"]): str(r["family"]) for r in types if r["job_type"]}
        if comparison.families or comparison.numerator_families or self.excluded:
            self._learn(r.key for r in self.rows if folded(r.job_type or "") not in families)
        return families

    def _family(self, row: ReportRow) -> str | None:
        if row.job_type is not None and folded(row.job_type) in self.families:
            return self.families[folded(row.job_type)]
        fact = self.known.get(row.key)
        return fact.family if fact else None

    def _learn(self, keys: Iterable[str]) -> None:
        """Ask the warehouse for what is not known of these keys yet."""
        missing = {key for key in keys if key and key not in self.known}
        asked = self.asked
        self.known |= facts(
            self.warehouse, asked.tenant, asked.kpi.name, asked.report.kind.key, missing
        )

    def _ours(self, counted: Counted) -> list[OurCell]:
        asked, kind = self.asked, self.asked.report.kind
        cells = our_cells(self.warehouse, asked.tenant, asked.kpi.name, kind, self.span, counted)
        if kind.key is not RowKey.BUSINESS_UNIT:
            return cells
        return [replace(cell, key=self.units.spelt(cell.key)) for cell in cells]

    def _require_ours(self, ours: Sequence[OurCell]) -> None:
        """Raise ``ReportError`` where the report knows nothing of what we know, and so is not of this tenant."""
        asked, kind = self.asked, self.asked.report.kind
        theirs = {row.key: row.line for row in reversed(self.rows) if row.key}
        if theirs.keys() & {cell.key for cell in ours} or not theirs:
            return
        if kind.key is RowKey.BUSINESS_UNIT:
            known = any(self.units.ids(key) for key in theirs)
        else:
            self._learn(sorted(theirs)[:1_000])
            known = bool(self.known.keys() & theirs.keys())
        if (
            not known
        ):  # the key itself is not told: in a report of another kind it may be a person's name
            raise ReportError(
                f"Nothing in {asked.source.name} is known here, such as the {kind.columns[kind.key][0]} in line"
                f" {min(theirs.values())}: it is of another tenant, or the data are not loaded. Nothing was stored."
            )

    def _lines(self, rows: Sorted, ours: Sequence[OurCell], week: Week, scope: Scope) -> list[Line]:
        """Every line of a week, with its verdict and what is known of its cause."""
        cells = [cell for cell in ours if cell.week == week.monday]
        here = self._in_rollup(cells)
        sides = Sides(
            key=self.asked.report.kind.key,
            there=rows.rows,
            here=here,
            unit_name=self.units.name,
            elsewhere=rows.elsewhere or self._elsewhere(week),
            aside=rows.units,
            ours_elsewhere=self._in_other_rollups(cells),
        )
        first = compare.compare(sides)
        self._learn(line.key for line in first if line.verdict is not Verdict.MATCHED)
        sides = replace(sides, days_here=self._days_here(week.period))
        context = Context(
            comparison=self.asked.comparison,
            scope=scope,
            sides=sides,
            facts=self.known,
            told=rows.told,
            known_until=self.asked.known_until,
            pulled_at=self.asked.source.pulled_at,
            zone=self.zone,
        )
        return with_causes(compare.compare(sides), context)

    def _elsewhere(self, week: Week) -> dict[str, dict[dt.date, Decimal]]:
        """What a report of several weeks has under each key on the days out of one of them."""
        first, last = week.period
        return {
            key: {day: amount for day, amount in days.items() if not first <= day <= last}
            for key, days in self.days_there.items()
        }

    def _in_rollup(self, cells: Iterable[OurCell]) -> list[OurCell]:
        return [cell for cell in cells if self.asked.rollup in (ALL, cell.rollup)]

    def _in_other_rollups(self, cells: Iterable[OurCell]) -> dict[str, Decimal]:
        """What we count in other rollups, by key."""
        sums: dict[str, Decimal] = {}
        for cell in cells:
            if self.asked.rollup not in (ALL, cell.rollup):
                sums[cell.key] = sums.get(cell.key, Decimal(0)) + sum(cell.amounts.values())
        return sums

    def _days_here(self, period: tuple[dt.date, dt.date]) -> dict[str, dict[dt.date, Decimal]]:
        """What counts here under a key on the days out of the period."""
        first, last = period
        found = {}
        for key, fact in self.known.items():
            counts = fact.days
            if self.asked.kpi.kind == "snapshot":
                start = fact.dates.get("work_on_local")
                counts = {start: Decimal(0)} if start and self.asked.has_days else {}
            found[key] = {day: n for day, n in counts.items() if not first <= day <= last}
        return found

    def _readings(
        self, rows: Sequence[Sorted], lines: Sequence[Sequence[Line]]
    ) -> list[list[ReadingResult]]:
        """For each week how many keys agree under each reading; where all agree now, none is tried."""
        results: list[list[ReadingResult]] = [[] for _ in lines]
        if all(line.verdict is Verdict.MATCHED for of_week in lines for line in of_week):
            return results
        now = [_differing(of_week) for of_week in lines]
        for reading in readings(self.asked.kpi.name, self.project, self.asked.params):
            cells = self._in_rollup(self._ours(reading.counted))
            for week, sorted_rows, differing, found in zip(
                self.weeks, rows, now, results, strict=True
            ):
                here = [cell for cell in cells if cell.week == week.monday]
                sides = Sides(self.asked.report.kind.key, sorted_rows.rows, here, self.units.name)
                found.append(_under(reading.name, compare.compare(sides), differing))
        return results


def _listed(params: Mapping[str, object], comparison: Comparison) -> list[str]:
    """The job families that a setting leaves out of the KPI."""
    value = params.get(comparison.without_families_in or "", [])
    return [str(family) for family in value] if isinstance(value, list) else []


def _differing(lines: Sequence[Line]) -> frozenset[str]:
    """The keys of which a line does not match."""
    return frozenset(line.key for line in lines if line.verdict is not Verdict.MATCHED)


def _under(name: str, lines: Sequence[Line], now: frozenset[str]) -> ReadingResult:
    """What a reading would change. A key that it drops is not made to agree by it, though it may not differ any more."""
    keys, counted = {line.key for line in lines}, {line.key for line in lines if line.here}
    differing = _differing(lines) | ((keys - counted) & now)
    return ReadingResult(name, len(keys), len(differing), (now & counted) - differing)


def _with_readings(lines: Sequence[Line], tried: Sequence[ReadingResult]) -> list[Line]:
    """Lines whose cause is not known otherwise, with the reading under which they and most others would agree."""
    told, now = [], len(_differing(lines))
    better = sorted((r for r in tried if r.differing < now), key=lambda reading: reading.differing)
    for line in lines:
        if line.verdict is not Verdict.MATCHED and line.cause is None:
            name = next((r.name for r in better if line.key in r.gained), None)
            line = replace(line, cause=f"would agree with {name}") if name else line
        told.append(line)
    return told
