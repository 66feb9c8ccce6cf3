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

from st_kpi.kpis.definitions.reports import Comparison, RowKey
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

    @property
    def net(self) -> Decimal:
        """How much more there is there than here in all measures together."""
        return sum((self.residual(measure) for measure in self.differing), Decimal(0))

    def residual(self, measure: str) -> Decimal:
        """How much more there is there than here."""
        return self.there.get(measure, Decimal(0)) - self.here.get(measure, Decimal(0))


@dataclass(frozen=True)
class Sides:
    """What is compared: rows of the report in the period and the scope, ours there, and what lies beside them.

    By key, each with its amounts: ``elsewhere`` what the report has on other days, ``days_here`` what we count on other days,
    ``aside`` what it has in units that do not count, ``ours_elsewhere`` what we count in other units of the period.
    """

    key: RowKey
    there: Sequence[ReportRow]
    here: Sequence[OurCell]
    unit_name: Callable[[int], str]
    elsewhere: Mapping[str, Mapping[dt.date, Decimal]] = field(default_factory=dict)
    days_here: Mapping[str, Mapping[dt.date, Decimal]] = field(default_factory=dict)
    aside: Mapping[str, Decimal] = field(default_factory=dict)
    ours_elsewhere: Mapping[str, Decimal] = field(default_factory=dict)

    def is_moved(self, line: Line, amount: Decimal | None) -> bool:
        """Whether what lies beside a line is what it lacks: under one thing's key whatever it is, else the same amount."""
        if amount is None:
            return False
        return self.key.is_one_thing or _same(amount, line.net if line.numbers else -line.net)

    def other_day(self, line: Line) -> dt.date | None:
        """The day out of the period on which a line's other side is."""
        there, here = self.elsewhere.get(line.key, {}), self.days_here.get(line.key, {})
        if self.key.is_one_thing:
            days = (() if line.numbers else there) or (
                here if line.numbers and not line.here else ()
            )
            return next(iter(days), None)
        # What both have on a day is no answer to where the rest went.
        nets = {
            day: there.get(day, Decimal(0)) - here.get(day, Decimal(0)) for day in {*there, *here}
        }
        return min((day for day, net in nets.items() if _same(net, -line.net)), default=None)


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
    only_there = [line.net for line, _, has_cell in pairs if line.differing and not has_cell]
    only_here = [line.net for line, of_unit, _ in pairs if line.differing and not of_unit]
    swaps = bool(only_there and only_here) and (
        sides.key.is_one_thing or _same(sum(only_there, Decimal(0)), -sum(only_here, Decimal(0)))
    )
    for line, of_unit, has_cell in pairs:
        if line.differing:
            yield replace(line, verdict=_verdict(line, of_unit, has_cell, sides, swaps=swaps))
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
    line: Line, rows: Sequence[ReportRow], has_cell: bool, sides: Sides, *, swaps: bool
) -> Verdict:
    """What became of a line; ``swaps`` is set where the other side has the key alone in another unit."""
    if swaps and not (rows and has_cell):
        return Verdict.OTHER_UNIT
    if has_cell and not rows:
        if sides.other_day(line):
            return Verdict.OTHER_WEEK
        moved = sides.is_moved(line, sides.aside.get(line.key))
        return Verdict.OTHER_UNIT if moved else Verdict.ONLY_HERE
    if not has_cell:
        if sides.is_moved(line, sides.ours_elsewhere.get(line.key)):
            return Verdict.OTHER_UNIT
        return Verdict.OTHER_WEEK if sides.other_day(line) else Verdict.ONLY_THERE
    if _is_counted_twice(line, rows, sides):
        return Verdict.COUNTED_TWICE
    return Verdict.OTHER_WEEK if sides.other_day(line) else Verdict.AMOUNT_DIFFERS


def _is_counted_twice(line: Line, rows: Sequence[ReportRow], sides: Sides) -> bool:
    """Whether rows that say the same would agree if they were one; two payments of an invoice may well say the same."""
    if len(rows) == 1 or sides.key is RowKey.INVOICE:
        return False
    return not Line(line.key, None, line.verdict, _summed(_once(rows)), line.here).differing


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) < _SAME


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
