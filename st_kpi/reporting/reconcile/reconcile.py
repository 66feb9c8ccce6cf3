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
from st_kpi.reporting.reconcile.readings import ReadingResult, readings
from st_kpi.reporting.reconcile.result import Reconciliation, Source
from st_kpi.reporting.reconcile.scope import Scope, Sorted, sort_rows
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
    return _Comparison(warehouse, asked, project, weeks_of(warehouse, asked, week)).results()


class _Comparison:
    """The weeks of one report compared: the warehouse is asked once for all of them."""

    def __init__(
        self,
        warehouse: Warehouse,
        asked: Asked,
        project: Project,
        weeks: Sequence[Week],
    ) -> None:
        self.warehouse, self.asked, self.project, self.weeks = warehouse, asked, project, weeks
        self.excluded = _listed(asked.params, asked.comparison)
        self.units = Units.read(warehouse, asked.tenant)
        self.zone = ZoneInfo(str(asked.params["timezone"]))
        self.build = build_log.builds(warehouse)[-1].number
        self.known: dict[str, Fact] = {}
        self.families = self._families()
        #: Of a report of several weeks the days of each key.
        self.days_there: dict[str, list[dt.date]] = {}
        days = [week.day or end for week in weeks for end in week.period]
        self.span = min(days), max(days)

    def results(self) -> list[Reconciliation]:
        """A comparison for each week."""
        ours = self._ours(STORED)
        self._require_ours(ours)
        sorted_rows = [
            sort_rows(rows, self.asked.comparison, scope)
            for rows, scope in zip(self._rows_by_week(), self._scopes(), strict=True)
        ]
        lines = [
            self._lines(rows, ours, week)
            for rows, week in zip(sorted_rows, self.weeks, strict=True)
        ]
        tried = self._readings(sorted_rows, lines)
        return [
            self._result(*one) for one in zip(self.weeks, sorted_rows, lines, tried, strict=True)
        ]

    def _rows_by_week(self) -> list[Sequence[ReportRow]]:
        """The rows of the report for each week: of one week all, of several those of its days.

        In a report of several weeks a row without a day has ours; raises ``ReportError`` where there is none.
        """
        rows = self.asked.report.rows
        if len(self.weeks) == 1:
            return [rows]
        self._learn(row.key for row in rows if row.day is None)
        by_week: dict[dt.date, list[ReportRow]] = {}
        for row in rows:
            day = row.day or self._our_day(row.key)
            if day is None:
                raise ReportError(
                    f"{self.asked.source.name}, line {row.line} has no day, and none is known here: in a report of several"
                    " weeks it could be of any. Save a report of one week."
                )
            by_week.setdefault(published.monday(day), []).append(replace(row, day=day))
            self.days_there.setdefault(row.key, []).append(day)
        return [by_week.get(week.monday, []) for week in self.weeks]

    def _our_day(self, key: str) -> dt.date | None:
        fact = self.known.get(key)
        if fact is None:
            return None
        return fact.days[0] if fact.days else fact.dates.get("work_on_local")

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
        """The families of job types; where the KPI goes by them and the report has no types, those of our jobs."""
        asked, comparison = self.asked, self.asked.comparison
        by_family = comparison.families or comparison.numerator_families or self.excluded
        if by_family and "job_type" not in asked.report.has:
            self._learn(row.key for row in asked.report.rows)
        types = self.warehouse.query(
            "SELECT job_type, family FROM st_ref.dim_job_types WHERE tenant_id = @tenant_id",
            {"tenant_id": asked.tenant},
        )
        return {folded(r["job_type"]): str(r["family"]) for r in types if r["job_type"]}

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
        asked = self.asked
        return our_cells(
            self.warehouse, asked.tenant, asked.kpi.name, asked.report.kind, self.span, counted
        )

    def _require_ours(self, ours: Sequence[OurCell]) -> None:
        """Raise ``ReportError`` where the report knows nothing of what we know, and so is not of this tenant."""
        asked, kind = self.asked, self.asked.report.kind
        theirs = {row.key for row in asked.report.rows if row.key}
        if theirs & {cell.key for cell in ours} or not theirs:
            return
        if kind.key is RowKey.BUSINESS_UNIT:
            known = any(self.units.ids(key) for key in theirs)
        else:
            self._learn(sorted(theirs)[:1_000])
            known = bool(self.known.keys() & theirs)
        if not known:
            raise ReportError(
                f"Nothing in {asked.source.name} is known here, such as {kind.columns[kind.key][0]} {min(theirs)}: it is"
                " of another tenant, or the data are not loaded. Nothing was stored."
            )

    def _lines(
        self,
        rows: Sorted,
        ours: Sequence[OurCell],
        week: Week,
    ) -> list[Line]:
        """Every line of a week, with its verdict and what is known of its cause."""
        cells = [cell for cell in ours if cell.week == week.monday]
        here = self._in_rollup(cells)
        elsewhere = rows.elsewhere | self._elsewhere(here, week)
        sides = Sides(
            there=rows.rows,
            here=here,
            unit_name=self.units.name,
            elsewhere=elsewhere,
            aside=rows.units,
            ours_elsewhere=frozenset({c.key for c in cells} - {c.key for c in here}),
        )
        first = compare.compare(sides)
        self._learn(line.key for line in first if line.verdict is not Verdict.MATCHED)
        days_here = self._days_here(week.period)
        lines = compare.compare(replace(sides, days_here=days_here))
        return with_causes(lines, self._context(rows, elsewhere, week.period, days_here))

    def _elsewhere(self, here: Iterable[OurCell], week: Week) -> dict[str, dt.date]:
        """Of our keys in a week, a day out of it on which the report has them."""
        first, last = week.period
        days = {
            cell.key: next(
                (d for d in self.days_there.get(cell.key, ()) if not first <= d <= last), None
            )
            for cell in here
        }
        return {key: day for key, day in days.items() if day}

    def _in_rollup(self, cells: Iterable[OurCell]) -> list[OurCell]:
        return [cell for cell in cells if self.asked.rollup in (ALL, cell.rollup)]

    def _days_here(self, period: tuple[dt.date, dt.date]) -> dict[str, tuple[dt.date, ...]]:
        """The days out of the period on which a key counts here."""
        first, last = period
        days = {}
        for key, fact in self.known.items():
            counts = fact.days
            if self.asked.kpi.kind == "snapshot":
                start = fact.dates.get("work_on_local")
                counts = (start,) if start and self.asked.has_days else ()
            days[key] = tuple(day for day in counts if not first <= day <= last)
        return days

    def _context(
        self,
        rows: Sorted,
        elsewhere: Mapping[str, dt.date],
        period: tuple[dt.date, dt.date],
        days_here: Mapping[str, tuple[dt.date, ...]],
    ) -> Context:
        return Context(
            comparison=self.asked.comparison,
            excluded_families=self.excluded,
            role=self.project.cards[self.asked.kpi.name].role,
            period=period,
            units=self.units,
            facts=self.known,
            days_here=days_here,
            elsewhere=elsewhere,
            aside=rows.units,
            known_until=self.asked.known_until,
            pulled_at=self.asked.source.pulled_at,
            zone=self.zone,
        )

    def _readings(
        self, rows: Sequence[Sorted], lines: Sequence[Sequence[Line]]
    ) -> list[list[ReadingResult]]:
        """For each week how many keys agree under each reading; where all agree now, none is tried."""
        results: list[list[ReadingResult]] = [[] for _ in lines]
        if all(line.verdict is Verdict.MATCHED for of_week in lines for line in of_week):
            return results
        now = [_agreeing(of_week) for of_week in lines]
        for reading in readings(self.asked.kpi.name, self.project, self.asked.params):
            cells = self._in_rollup(self._ours(reading.counted))
            for week, sorted_rows, agreeing, found in zip(
                self.weeks, rows, now, results, strict=True
            ):
                here = [cell for cell in cells if cell.week == week.monday]
                under = _agreeing(compare.compare(Sides(sorted_rows.rows, here, self.units.name)))
                found.append(ReadingResult(reading.name, len(under), frozenset(under - agreeing)))
        return results


def _listed(params: Mapping[str, object], comparison: Comparison) -> list[str]:
    """The job families that a setting leaves out of the KPI."""
    value = params.get(comparison.without_families_in or "", [])
    return [str(family) for family in value] if isinstance(value, list) else []


def _agreeing(lines: Sequence[Line]) -> set[str]:
    """The keys all of whose lines match."""
    differing = {line.key for line in lines if line.verdict is not Verdict.MATCHED}
    return {line.key for line in lines} - differing


def _with_readings(lines: Sequence[Line], tried: Sequence[ReadingResult]) -> list[Line]:
    """Lines whose cause is not known otherwise, with the reading under which they and most others would agree."""
    told = []
    tried = sorted(tried, key=lambda reading: -reading.agreeing)
    for line in lines:
        if line.verdict is not Verdict.MATCHED and line.cause is None:
            name = next((r.name for r in tried if line.key in r.gained), None)
            line = replace(line, cause=f"would agree with {name}") if name else line
        told.append(line)
    return told
