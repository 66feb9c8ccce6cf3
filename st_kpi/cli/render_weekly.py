"""The published numbers: the table of a person, its trend, and CSV, JSON and XLSX for programs."""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from rich.table import Table
from rich.text import Text

from st_kpi.cli.render import accepted_lines, accepted_records, reconciled_lines, reconciled_records
from st_kpi.cli.tables import csv_text, fits, plain_table, printed
from st_kpi.reporting.published import (
    ALL,
    ALL_ROLLUPS,
    DOES_NOT_COUNT,
    NOTHING,
    UNASSIGNED,
    Cell,
    Kpi,
    Published,
    exact_text,
    monday,
    ratio,
    rounded,
)
from st_kpi.windows import local_time

#: How many KPIs the table of all has; the others are named below it.
_COLUMNS = 10
_HEADING_WIDTH = 11
#: What stands behind a value that is not as it was when its week closed.
_RESTATED = "*"
#: The heights of a line of numbers, the lowest first; digits where a terminal has no blocks.
_HEIGHTS = ("\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", "12345678")


def weekly_table(published: Published) -> str:
    """The latest closed week in all rollups, then a block per rollup: a line per week, a column per KPI.

    Alternatives have a table of their own.
    """
    if len({_base(kpi) for kpi in published.kpis}) == 1:
        return _table(published, published.kpis, cents=True) + _footer(published)
    shown = _first(published)
    blocks = [_latest(published, shown), _table(published, shown)]
    varied = {_base(kpi) for kpi in published.kpis if _base(kpi) != kpi.name}
    if varied:
        blocks.append(_table(published, [k for k in published.kpis if _base(k) in varied]))
    return "\n".join(block for block in blocks if block) + _footer(published)


def trend_table(published: Published) -> str:
    """Per rollup a line for each KPI: its weeks as a row of heights, the lowest and the highest, the last and its change."""
    blocks = []
    for rollup in _rollups(published):
        headings = ("Lowest", "Highest", str(published.weeks[-1]), "Change")
        table = plain_table(("KPI", f"{len(published.weeks)} weeks"), headings, ())
        for kpi in _first(published):
            values = [published.value(kpi, week, rollup) for week in published.weeks]
            known = [value for value in values if value is not None]
            ends = [kpi.format(each(known, default=None)) for each in (min, max)]
            last = values[-1]
            before = values[-2] if len(values) > 1 else None
            table.add_row(
                kpi.title, heights(values), *ends, kpi.format(last), _change(kpi, before, last)
            )
        blocks.append(
            f"{_named(rollup)}, the weeks of {published.weeks[0]} to {published.weeks[-1]}\n\n{printed(table)}"
        )
    return "\n".join(blocks) + _footer(published)


def heights(values: Sequence[Decimal | None]) -> str:
    """Numbers as a row of heights between the lowest and the highest of them; a blank for none.

    >>> heights([Decimal(1), None, Decimal(5), Decimal(3)]) in ("1 84", "\\u2581 \\u2588\\u2584")
    True
    """
    known = [value for value in values if value is not None]
    blocks, digits = _HEIGHTS
    encoding = sys.stdout.encoding or "ascii"
    levels = blocks if blocks.encode(encoding, "ignore").decode(encoding) == blocks else digits
    low, high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
    steps = (len(levels) - 1) / (high - low) if high > low else Decimal(0)
    return "".join(" " if v is None else levels[int((v - low) * steps)] for v in values)


def _base(kpi: Kpi) -> str:
    """The KPI that an alternative, named ``kpi/alternative``, stands beside."""
    return kpi.name.split("/")[0]


def _first(published: Published) -> list[Kpi]:
    """The KPIs of the table of all."""
    return [k for k in published.kpis if _base(k) == k.name][:_COLUMNS]


def _rollups(published: Published) -> list[str]:
    """The rollups as a person reads them: all together, then each."""
    return sorted(published.rollups, key=lambda rollup: rollup != ALL)


def _named(rollup: str) -> str:
    return ALL_ROLLUPS if rollup == ALL else rollup


def _latest(published: Published, kpis: Sequence[Kpi]) -> str:
    """The latest closed week in all rollups beside the week before; nothing where it is not among those that are shown."""
    week = published.closed
    before = week - timedelta(days=7) if week else None
    if (
        published.frozen is not None
        or ALL not in published.rollups
        or before not in published.weeks
    ):
        return ""
    assert week is not None
    assert before is not None
    table = plain_table(("",), (f"Week of {week}", f"of {before}", "Change"), ())
    for kpi in kpis:
        now, then = (published.value(kpi, each, ALL) for each in (week, before))
        mark = _RESTATED if (kpi.name, week, ALL) in published.restated else " "
        table.add_row(kpi.title, kpi.format(now) + mark, kpi.format(then), _change(kpi, then, now))
    return f"{ALL_ROLLUPS}, the latest week that is closed\n\n{printed(table)}"


def _change(kpi: Kpi, before: Decimal | None, now: Decimal | None) -> str:
    """By how much a value changed; of a percentage in points."""
    if before is None or now is None:
        return NOTHING
    if kpi.unit == "percent":
        return f"{rounded((now - before) * 100, 2):+} points"
    return f"{rounded(now - before, 0):+,}"


def _table(published: Published, kpis: Sequence[Kpi], *, cents: bool = False) -> str:
    """The blocks of all rollups in one table, or where that is too wide each in its own."""
    blocks = [[rollup] for rollup in _rollups(published)]
    whole = _blocks(published, kpis, [rollup for (rollup,) in blocks], cents=cents)
    if fits(whole):
        return printed(whole)
    return "\n".join(printed(_blocks(published, kpis, block, cents=cents)) for block in blocks)


def _blocks(
    published: Published, kpis: Sequence[Kpi], rollups: Sequence[str], *, cents: bool
) -> Table:
    headings = [kpi.title if cents else _heading(kpi.title) for kpi in kpis]
    table = plain_table(("Week of",), headings, ())
    several = len(published.weeks) > 1
    for rollup in rollups:
        table.add_row(Text(_named(rollup), style="bold"))
        for week in published.weeks:
            ends = week == published.weeks[-1] and not several
            values = [_value(published, kpi, week, rollup, cents=cents) for kpi in kpis]
            table.add_row(f"{week}", *values, end_section=ends)
        if several:
            totals = [_total(published, kpi, rollup) for kpi in kpis]
            shown = [
                _padded(published, kpi.format(t, cents=cents))
                for kpi, t in zip(kpis, totals, strict=True)
            ]
            table.add_row(f"{len(published.weeks)} weeks", *shown, end_section=True)
    return table


def _value(published: Published, kpi: Kpi, week: date, rollup: str, *, cents: bool) -> str:
    """A value, with a mark behind it where it is not as it was when its week closed."""
    text = kpi.format(published.value(kpi, week, rollup), cents=cents)
    if (kpi.name, week, rollup) in published.restated:
        return text + _RESTATED
    return _padded(published, text)


def _padded(published: Published, text: str) -> str:
    """A value without a mark, in line with those that have one."""
    return f"{text} " if published.restated else text


def _total(published: Published, kpi: Kpi, rollup: str) -> Decimal | None:
    """What a KPI comes to in all weeks that are shown; a snapshot to nothing, a ratio to sums over sums."""
    if kpi.kind == "snapshot":
        return None
    found = (published.cells.get((kpi.name, week, rollup)) for week in published.weeks)
    cells = [cell for cell in found if cell is not None]
    if kpi.kind == "sum":
        values = [published.value(kpi, week, rollup) for week in published.weeks]
        return (
            sum((v for v in values if v is not None), Decimal(0))
            if any(v is not None for v in values)
            else None
        )
    numerator = sum((cell.numerator for cell in cells), Decimal(0))
    return ratio(numerator, sum((cell.denominator or Decimal(0) for cell in cells), Decimal(0)))


def _heading(title: str) -> str:
    """A title on as many lines as a narrow column needs."""
    return "\n".join(textwrap.wrap(title, _HEADING_WIDTH))


def _footer(published: Published) -> str:
    """What a reader has to know of the values: how far the data reach, marks, and what is not in the table."""
    if published.frozen is not None:
        lines = ["As reported when each week closed; a dash where a week is still open."]
    else:
        lines = [
            _reach(published),
            *_marks(published),
            *_unassigned(published),
            *_uncounted(published),
        ]
    others = [k.title for k in published.kpis if _base(k) == k.name][_COLUMNS:]
    if others:
        lines.append(f"Not in this table, shown by --kpi: {', '.join(others)}.")
    return "\n" + "\n".join([*lines, *_remarks(published)]) + "\n"


def _reach(published: Published) -> str:
    """The as-of day, and how far the data reach: values after that are not those of a bad week."""
    last, known = max(published.weeks), published.known_until
    told = f"As of {published.as_of}"
    if published.input_watermark:
        told += f"; all data up to {local_time(published.input_watermark, published.zone)}"
    if known is not None and last > known:
        return f"{told}: a dash in the weeks after that. Run `st-kpi sync`."
    if known is not None and known < published.as_of and monday(known) in published.weeks:
        return f"{told}. Nothing new since: the week of {monday(known)} is not whole. Run `st-kpi sync`."
    if last == monday(published.as_of) and last != published.closed:
        return f"{told}. The week of {last} may still be running."
    return f"{told}."


def _marks(published: Published) -> list[str]:
    shown = {
        key
        for key in published.restated
        if key[0] in {kpi.name for kpi in published.kpis}
        and key[1] in published.weeks
        and key[2] in published.rollups
    }
    if not shown:
        return []
    return [
        f"{_RESTATED} not as it was when its week closed: `st-kpi show --as-reported` has that, `st-kpi diff` says why."
    ]


def _unassigned(published: Published) -> list[str]:
    unassigned = sum(
        cell.numerator
        for cell in published.cells.values()
        if cell.rollup == UNASSIGNED
        and cell.week_start in published.weeks
        and cell.kpi == "collected"
    )
    if not unassigned:
        return []
    return [
        f"Not in any rollup: {rounded(Decimal(unassigned), 2):,} collected in these weeks and not"
        " applied to an invoice of a known unit."
    ]


def _uncounted(published: Published) -> list[str]:
    """A sentence on the money of these weeks that the mapping says does not count; of a ratio, above and below its line."""
    amounts = []
    for kpi in published.kpis:
        parts: dict[str, Decimal] = {}
        for money in published.uncounted:
            if money.kpi == kpi.name:
                parts[money.part] = parts.get(money.part, Decimal(0)) + money.amount
        if parts:
            shown = (f"{rounded(parts[part], 2):,}" for part in sorted(parts, reverse=True))
            amounts.append(f"{kpi.title} {' / '.join(shown)}")
    if not amounts:
        return []
    return [
        f"Left out, as of a unit or job type {DOES_NOT_COUNT}: {', '.join(amounts)}."
        " `st-kpi explain KPI --week DAY --left-out` lists it."
    ]


def _remarks(published: Published) -> list[str]:
    """What a reader has to know besides: inputs that lack, and checks that do not hold and are accepted."""
    reconciled = reconciled_lines(published.reconciled, published.kpis)
    return [*_without(published), *accepted_lines(published.accepted), *reconciled]


def _without(published: Published) -> list[str]:
    """A sentence for each KPI that lacks an input."""
    sentences = []
    for kpi in published.kpis:
        absent = [entity for name, entity in published.missing_inputs if name == kpi.name]
        if absent:
            sentences.append(
                f"{kpi.title} is NOT complete: {', '.join(absent)} were never read. Run `st-kpi backfill`, or give the app"
                " the right to read them."
            )
    return sentences


def as_csv(published: Published) -> str:
    """One line per KPI, week and rollup, numbers exact and unformatted."""
    header = ("kpi", "week_start", "rollup", "numerator", "denominator", "value")
    return csv_text(header, (record.values() for record in _records(published)))


def as_json(published: Published) -> str:
    """The same as the CSV, with the build's day; numbers are text, so that no digit is lost."""
    watermark = published.input_watermark
    document = {
        "as_of": published.as_of.isoformat(),
        "input_watermark": watermark.isoformat() if watermark else None,
        "missing_inputs": [{"kpi": k, "entity": entity} for k, entity in published.missing_inputs],
        "does_not_count": [
            {
                "kpi": money.kpi,
                "part": money.part,
                "week_start": money.week_start.isoformat(),
                "amount": exact_text(money.amount),
            }
            for money in published.uncounted
        ],
        "accepted_checks": accepted_records(published.accepted),
        "reconciled": reconciled_records(published.reconciled),
        "values": list(_records(published)),
    }
    return json.dumps(document, indent=2) + "\n"


def as_xlsx(published: Published, file: Path) -> None:
    """The same lines as the CSV in a workbook, days as days and numbers as numbers; texts are no formulas."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Weekly")
    sheet.freeze_panes = "A2"
    sheet.append(["KPI", "Week of", "Rollup", "Numerator", "Denominator", "Value"])
    for kpi, week, rollup, cell in _every(published):
        name = WriteOnlyCell(sheet, _named(rollup))
        name.data_type = "s"
        value = WriteOnlyCell(sheet)
        value.value = published.value(kpi, week, rollup)
        value.number_format = {"percent": "0.00%", "money": "#,##0.00"}.get(kpi.unit, "#,##0")
        parts = (cell.numerator, cell.denominator) if cell else (None, None)
        sheet.append([kpi.title, week, name, *parts, value])
    book.save(file)


def _records(published: Published) -> Iterator[dict[str, str | None]]:
    for kpi, week, rollup, cell in _every(published):
        yield {
            "kpi": kpi.name,
            "week_start": week.isoformat(),
            "rollup": rollup,
            "numerator": exact_text(cell.numerator if cell else None),
            "denominator": exact_text(cell.denominator if cell else None),
            "value": exact_text(published.value(kpi, week, rollup)),
        }


def _every(published: Published) -> Iterator[tuple[Kpi, date, str, Cell | None]]:
    """KPI, week, rollup, and what is stored of it."""
    for kpi in published.kpis:
        for week in published.weeks:
            for rollup in published.rollups:
                yield kpi, week, rollup, published.cells.get((kpi.name, week, rollup))
