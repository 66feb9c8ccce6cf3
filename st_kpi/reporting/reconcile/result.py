"""What a comparison found."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from st_kpi.kpis.definitions.reports import Comparison, RowKey
from st_kpi.reporting import published
from st_kpi.reporting.published import Kpi
from st_kpi.reporting.reconcile import compare
from st_kpi.reporting.reconcile.compare import Line, Verdict
from st_kpi.reporting.reconcile.readings import ReadingResult
from st_kpi.reporting.reconcile.scope import Aside


@dataclass(frozen=True)
class Source:
    """Where a report came from: its name and id (of a file, the hash of its content), what was asked for, and when."""

    name: str
    identity: str
    filters: str
    pulled_at: dt.datetime
    date_type: str | None = None


@dataclass(frozen=True)
class Reconciliation:
    """What a comparison found. ``gap`` is there less here, by part of the KPI; the lines' residuals add up to it.

    ``there`` is what is left of the report after what was set aside. ``not_compared`` says of each week that the report has
    in part why it was left out.
    """

    kpi: Kpi
    week_start: dt.date
    period: tuple[dt.date, dt.date]
    rollup: str
    kind: str
    row_key: RowKey
    comparison: Comparison
    source: Source
    tenant_id: int
    build: int
    known_until: dt.datetime | None
    lines: tuple[Line, ...]
    aside: Mapping[str, Aside]
    readings: tuple[ReadingResult, ...]
    not_compared: tuple[str, ...]
    there: Mapping[str, Decimal]
    here: Mapping[str, Decimal]

    @property
    def kind_of_row(self) -> str:
        """What one row of the report is about."""
        return self.row_key.value.replace("_", " ")

    @property
    def gap(self) -> dict[str, Decimal]:
        return {part: self.there[part] - self.here[part] for part in self.there}

    @property
    def agrees(self) -> bool:
        """Whether every row matches."""
        return all(line.verdict is Verdict.MATCHED for line in self.lines)

    @property
    def better_readings(self) -> list[ReadingResult]:
        """The readings under which fewer rows differ than now, the best first."""
        better = [reading for reading in self.readings if reading.differing < self.differing]
        return sorted(better, key=lambda r: (r.differing, r.name))

    @property
    def differing(self) -> int:
        """How many rows do not match."""
        return sum(n for verdict, n in self.verdicts.items() if verdict is not Verdict.MATCHED)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How many rows have each verdict."""
        return compare.counted(self.lines)

    def largest(self, count: int) -> list[Line]:
        """The lines that do not match, those with the largest residuals first."""
        differing = [line for line in self.lines if line.verdict is not Verdict.MATCHED]
        return sorted(differing, key=lambda line: (-line.size, line.key))[:count]

    def value(self, side: Mapping[str, Decimal]) -> Decimal | None:
        """The number that the parts of a side come to."""
        if self.kpi.kind == "ratio":
            return published.ratio(side["numerator"], side["denominator"])
        return side["value"]

    def residuals(self, line: Line) -> dict[str, Decimal]:
        """What a line adds to the gap, by part of the KPI."""
        there, here = (compare.parts(side, self.comparison) for side in (line.there, line.here))
        return {part: there[part] - here[part] for part in there}
