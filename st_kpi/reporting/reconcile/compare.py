"""Two sets of rows under the same keys: one verdict for each row, residuals that add up to the gap.

Nothing is asked of the warehouse here. A line is what there is under one key in one unit, there and here; an amount that is
only on one side stands against zero, so the sum of ``there - here`` over all lines is the gap, whatever their verdicts are.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from st_kpi.kpis.definitions.reports import Comparison
from st_kpi.kpis.mapping_file import folded
from st_kpi.reporting.reconcile.ours import OurCell
from st_kpi.reporting.reconcile.table import ReportRow

#: Below half a cent two amounts are the same: reports are rounded to cents.
_SAME = Decimal("0.005")


class Verdict(StrEnum):
    """What became of a row; the order is that in which they are shown."""

    MATCHED = "matched"
    AMOUNT_DIFFERS = "amount differs"
    ONLY_THERE = "only there"
    ONLY_HERE = "only here"
    OTHER_WEEK = "other week"
    OTHER_UNIT = "other business unit"
    COUNTED_TWICE = "counted twice there"


@dataclass(frozen=True)
class Line:
    """What there is under one key in one unit: amounts by measure, those of the report and ours.

    ``numbers`` are the lines or rows of the report. ``cause`` says why they differ, where that is known.
    """

    key: str
    unit: str | None
    verdict: Verdict
    there: Mapping[str, Decimal]
    here: Mapping[str, Decimal]
    numbers: tuple[int, ...] = ()
    day_there: dt.date | None = None
    cause: str | None = None

    @property
    def differing(self) -> tuple[str, ...]:
        """The measures in which the two differ."""
        names = dict.fromkeys([*self.there, *self.here])
        return tuple(name for name in names if abs(self.residual(name)) >= _SAME)

    @property
    def size(self) -> Decimal:
        """The largest residual, without its sign."""
        return max((abs(self.residual(measure)) for measure in self.differing), default=Decimal(0))

    def residual(self, measure: str) -> Decimal:
        """How much more there is there than here."""
        return self.there.get(measure, Decimal(0)) - self.here.get(measure, Decimal(0))


@dataclass(frozen=True)
class Sides:
    """What is compared: rows of the report in the period and the scope, ours there, and what lies beside them.

    ``elsewhere`` are keys with rows of the report on other days, ``aside`` keys with rows in units that do not count, each
    with a word for it. ``ours_elsewhere`` are keys that we count in other units of the period.
    """

    there: Sequence[ReportRow]
    here: Sequence[OurCell]
    unit_name: Callable[[int], str]
    elsewhere: Mapping[str, dt.date] = field(default_factory=dict)
    aside: Mapping[str, str] = field(default_factory=dict)
    ours_elsewhere: frozenset[str] = frozenset()
    days_here: Mapping[str, tuple[dt.date, ...]] = field(default_factory=dict)


def compare(sides: Sides) -> list[Line]:
    """A line for every key and unit of both sides, in the order of the keys; nothing on both sides is no line."""
    there: dict[str, list[ReportRow]] = {}
    for row in sides.there:
        there.setdefault(row.key, []).append(row)
    here: dict[str, list[OurCell]] = {}
    for cell in sides.here:
        here.setdefault(cell.key, []).append(cell)
    lines: list[Line] = []
    for key in sorted({*there, *here}):
        lines += _lines_of(key, there.get(key, []), here.get(key, []), sides)
    return lines


def _lines_of(
    key: str, rows: Sequence[ReportRow], cells: Sequence[OurCell], sides: Sides
) -> Iterable[Line]:
    """The lines of one key. A row without a unit is taken for the first of ours."""
    ours = _by_unit(cells, sides.unit_name)
    only_unit = next(iter(ours), "")
    theirs: dict[str, list[ReportRow]] = {}
    for row in rows:
        theirs.setdefault(folded(row.unit) if row.unit else only_unit, []).append(row)
    pairs = []
    for unit in dict.fromkeys([*theirs, *ours]):
        of_unit, cell = theirs.get(unit, []), ours.get(unit)
        line = Line(
            key,
            cell[0] if cell else of_unit[0].unit,
            Verdict.MATCHED,
            _summed(of_unit),
            cell[1] if cell else {},
            tuple(row.line for row in of_unit),
            of_unit[0].day if of_unit else None,
        )
        pairs.append((line, of_unit, cell is not None))
    everywhere = all(of_unit and has_cell for _, of_unit, has_cell in pairs)
    for line, of_unit, has_cell in pairs:
        if line.differing:
            verdict = _verdict(line, of_unit, has_cell, sides, alone=len(pairs) == 1 or everywhere)
            yield replace(line, verdict=verdict)
        elif of_unit or any(line.here.values()):
            yield line


def _by_unit(
    cells: Iterable[OurCell], unit_name: Callable[[int], str]
) -> dict[str, tuple[str, Mapping[str, Decimal]]]:
    """Our amounts by the name of the unit, which need not be unique: the report knows no more of a unit."""
    of_name: dict[str, tuple[str, Mapping[str, Decimal]]] = {}
    for cell in cells:
        name = unit_name(cell.unit_id)
        _, amounts = of_name.get(folded(name), (name, {}))
        of_name[folded(name)] = name, _added(amounts, cell.amounts)
    return of_name


def _added(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {
        measure: one.get(measure, Decimal(0)) + other.get(measure, Decimal(0))
        for measure in dict.fromkeys([*one, *other])
    }


def _verdict(
    line: Line, rows: Sequence[ReportRow], has_cell: bool, sides: Sides, *, alone: bool
) -> Verdict:
    if not alone and not (rows and has_cell):
        return Verdict.OTHER_UNIT
    if not rows:
        if line.key in sides.elsewhere:
            return Verdict.OTHER_WEEK
        return Verdict.OTHER_UNIT if line.key in sides.aside else Verdict.ONLY_HERE
    if not has_cell:
        if line.key in sides.ours_elsewhere:
            return Verdict.OTHER_UNIT
        return Verdict.OTHER_WEEK if sides.days_here.get(line.key) else Verdict.ONLY_THERE
    once = _summed(_once(rows))
    if len(rows) > 1 and not Line(line.key, None, line.verdict, once, line.here).differing:
        return Verdict.COUNTED_TWICE
    return Verdict.AMOUNT_DIFFERS


def _once(rows: Sequence[ReportRow]) -> list[ReportRow]:
    """Rows that say the same only once."""
    kept: dict[tuple[object, ...], ReportRow] = {}
    for row in rows:
        kept.setdefault((row.day, row.status, row.job_type, *sorted(row.amounts.items())), row)
    return list(kept.values())


def _summed(rows: Iterable[ReportRow]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums = _added(sums, row.amounts)
    return sums


def parts(amounts: Mapping[str, Decimal], comparison: Comparison) -> dict[str, Decimal]:
    """What amounts by measure come to in each part of the KPI."""
    sums: dict[str, Decimal] = {}
    for measure, signs in comparison.measures.items():
        for part, sign in signs.items():
            sums[part] = sums.get(part, Decimal(0)) + sign * amounts.get(measure, Decimal(0))
    return sums


def total(side: Iterable[Mapping[str, Decimal]], comparison: Comparison) -> dict[str, Decimal]:
    """The parts of the KPI over the amounts that lines have on one side."""
    sums = parts({}, comparison)
    for amounts in side:
        sums = _added(sums, parts(amounts, comparison))
    return sums


def counted(lines: Iterable[Line]) -> dict[Verdict, int]:
    """How many keys have each verdict; a key with several lines has that of the first that is not a match."""
    of_key: dict[str, Verdict] = {}
    for line in lines:
        if of_key.get(line.key, Verdict.MATCHED) is Verdict.MATCHED:
            of_key[line.key] = line.verdict
    counts = Counter(of_key.values())
    return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}
