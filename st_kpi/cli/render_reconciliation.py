"""How a comparison with a report looks: for a person, whose question is why two numbers differ, and for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table

from st_kpi.cli.tables import amount_text, csv_text, plain_table, printed
from st_kpi.reporting.published import ALL, NOTHING, exact_text
from st_kpi.reporting.reconcile.compare import Line, Verdict
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.reporting.reconcile.scope import OTHER_DAYS, Aside
from st_kpi.windows import local_time

#: How many rows are listed for a person who does not ask for all.
_LARGEST = 20
#: How many readings that would agree better.
_READINGS = 5
#: Verdicts that say by themselves what happened.
_SAY_WHY = (Verdict.MATCHED, Verdict.COUNTED_TWICE)
_HEADINGS = {"numerator": "Numerator", "denominator": "Denominator", "value": "Value"}


def reconciliation_table(
    results: Sequence[Reconciliation], *, rows: bool = False, zone: ZoneInfo | None = None
) -> str:
    """What differs, by how much and why; the rows with the largest residuals, or all of them."""
    if len(results) == 1:
        (result,) = results
        blocks = [_head(results, zone), _sides(result)]
    else:
        blocks = [_head(results, zone), _by_week(results)]
    blocks += [f"Not compared: {reason}" for reason in results[0].not_compared]
    blocks += [_verdicts(results), _largest(results, rows=rows), _aside(results)]
    blocks += ["\n".join(_readings(results)), _conclusion(results)]
    return "\n\n".join(block.rstrip() for block in blocks if block) + "\n"


def _head(results: Sequence[Reconciliation], zone: ZoneInfo | None) -> str:
    first, last = results[0], results[-1]
    where = "all rollups" if first.rollup == ALL else first.rollup
    when = f"the week of {first.week_start}"
    if last is not first:
        when = f"{len(results)} weeks, those of {first.week_start} to {last.week_start}"
    source = first.source
    until = "an unknown time"
    if first.known_until:
        until = local_time(first.known_until, zone)
    return (
        f"{first.kpi.title} of {where}, {when}, beside {source.name}\n"
        f"The report: {source.filters}, pulled {local_time(source.pulled_at, zone)}\n"
        f"Ours: build {first.build}, all data up to {until}"
    )


def _by_week(results: Sequence[Reconciliation]) -> str:
    parts = list(results[0].gap)
    columns = ["Rows", "Matched", "Report", "Ours", *(f"{_HEADINGS[part]} gap" for part in parts)]
    table = plain_table(("Week of",), columns, ())
    for result in results:
        values = (result.value(side) for side in (result.there, result.here))
        table.add_row(
            str(result.week_start),
            f"{_keys(result.lines):,}",
            f"{result.verdicts.get(Verdict.MATCHED, 0):,}",
            *(result.kpi.format(value, cents=result.kpi.unit == "money") for value in values),
            *(_signed(result.gap[part]) for part in parts),
        )
    return printed(table)


def _sides(result: Reconciliation) -> str:
    table = plain_table(("",), ("Report", "Ours", "Gap"), ())
    for part, gap in result.gap.items():
        there, here = result.there[part], result.here[part]
        table.add_row(_HEADINGS[part], *_amounts(there, here), _signed(gap))
    if result.kpi.kind == "ratio":
        table.add_row("Ratio", *_ratio(result))
    return printed(table)


def _ratio(result: Reconciliation) -> tuple[str, str, str]:
    kpi = result.kpi
    there, here = result.value(result.there), result.value(result.here)
    gap = NOTHING
    if there is not None and here is not None:
        percent = kpi.unit == "percent"
        gap = f"{(there - here) * 100:+.2f} points" if percent else _signed(there - here)
    return kpi.format(there, cents=True), kpi.format(here, cents=True), gap


def _verdicts(results: Sequence[Reconciliation]) -> str:
    """Rows and residuals by verdict and cause; the residuals are those of the gap."""
    groups: dict[tuple[Verdict, str], list[tuple[Reconciliation, Line]]] = {}
    for result, line in _lines(results):
        groups.setdefault((line.verdict, line.cause or ""), []).append((result, line))
    order, parts = list(Verdict), list(results[0].gap)
    table = plain_table(("Verdict",), ("Rows", *(f"{_HEADINGS[p]} gap" for p in parts)), ("Cause",))
    for verdict, cause in sorted(groups, key=lambda g: (order.index(g[0]), g[1])):
        group = groups[verdict, cause]
        residuals = [result.residuals(line) for result, line in group]
        sums = [sum((each[part] for each in residuals), Decimal(0)) for part in parts]
        told = cause or ("" if verdict in _SAY_WHY else "not explained")
        keys = len({(result.week_start, line.key) for result, line in group})
        table.add_row(verdict.value, f"{keys:,}", *(_signed(s) for s in sums), told)
    return printed(table)


def _largest(results: Sequence[Reconciliation], *, rows: bool) -> str:
    """The rows that differ, those with the largest residuals first; the lines of one row stand together."""
    differing: dict[tuple[date, str], list[Line]] = {}
    for result, line in _lines(results):
        if line.verdict is not Verdict.MATCHED:
            differing.setdefault((result.week_start, line.key), []).append(line)
    if not differing:
        return ""
    ordered = sorted(
        differing.items(), key=lambda item: (-max(line.size for line in item[1]), item[0])
    )
    shown = ordered if rows else ordered[:_LARGEST]
    weeks = ("Week of",) if len(results) > 1 else ()
    heading = results[0].kind_of_row.capitalize()
    table = plain_table(
        (*weeks, heading, "Business unit", "In"), ("Report", "Ours", "Residual"), ("Why",)
    )
    for (week, key), lines in shown:
        for line in lines:
            before = (str(week), key) if weeks else (key,)
            _add_rows(table, before, line, tuple(results[0].comparison.measures))
    text = printed(table)
    if len(shown) < len(ordered):
        more = len(ordered) - len(shown)
        text += f"{more:,} more rows: --rows lists all of them, --format csv for a file.\n"
    return text


def _add_rows(table: Table, before: tuple[str, ...], line: Line, measures: Sequence[str]) -> None:
    """A row of the table for each measure in which a line differs."""
    why = ": ".join(word for word in (line.verdict.value, line.cause) if word)
    cells = (*before, line.unit or NOTHING)
    for measure in (name for name in measures if name in line.differing):
        there, here = line.there.get(measure, Decimal(0)), line.here.get(measure, Decimal(0))
        residual = _signed(line.residual(measure))
        table.add_row(*cells, measure, *_amounts(there, here), residual, why)
        cells, why = ("",) * len(cells), ""


def _aside(results: Sequence[Reconciliation]) -> str:
    """What of the report is not this number by definition, so that its own total can be found again."""
    rules: dict[str, Aside] = {}
    for result in results:
        for rule, aside in result.aside.items():
            if rule != OTHER_DAYS or len(results) == 1:
                rules.setdefault(rule, Aside()).add(aside.rows, aside.amounts)
    if not rules:
        return ""
    table = plain_table(("Set aside from the report",), ("Rows",), ("Amounts",))
    for rule, aside in sorted(rules.items()):
        amounts = ((name, _cents(value)) for name, value in aside.amounts.items() if value)
        told = ", ".join(f"{name} {amount_text(value)}" for name, value in amounts)
        table.add_row(rule, f"{aside.rows:,}", told)
    return printed(table)


def _readings(results: Sequence[Reconciliation]) -> Iterator[str]:
    keys = sum(_keys(result.lines) for result in results)
    now = sum(result.differing for result in results)
    of_reading: dict[str, tuple[int, int]] = {}
    for reading in (reading for result in results for reading in result.readings):
        differing, all_keys = of_reading.get(reading.name, (0, 0))
        of_reading[reading.name] = differing + reading.differing, all_keys + reading.keys
    best = sorted(of_reading.items(), key=lambda each: (each[1], each[0]))[:_READINGS]
    for name, (differing, tried) in best:
        if differing < now:
            of = f" of {keys:,}" if keys != tried else ""
            yield f"With {name}, {tried - differing:,} of {tried:,} rows would agree, now {keys - now:,}{of}."


def _conclusion(results: Sequence[Reconciliation]) -> str:
    keys = sum(_keys(result.lines) for result in results)
    if all(result.agrees for result in results):
        return f"All {keys:,} rows match: {results[0].kpi.title} is the report's, to the cent."
    differing = sum(result.differing for result in results)
    gaps = {part: sum((r.gap[part] for r in results), Decimal(0)) for part in results[0].gap}
    told = ", ".join(
        f"{_signed(gap)} ({part})" if len(gaps) > 1 else _signed(gap) for part, gap in gaps.items()
    )
    unexplained = {
        (result.week_start, line.key)
        for result, line in _lines(results)
        if line.verdict not in _SAY_WHY and line.cause is None
    }
    rest = f" {len(unexplained):,} of them have no cause that is known." if unexplained else ""
    return (
        f"{differing:,} of {keys:,} rows differ; their residuals add up to the gap, {told}.{rest}"
    )


def _lines(results: Sequence[Reconciliation]) -> Iterator[tuple[Reconciliation, Line]]:
    return ((result, line) for result in results for line in result.lines)


def _keys(lines: Iterable[Line]) -> int:
    return len({line.key for line in lines})


def _amounts(*values: Decimal) -> tuple[str, ...]:
    return tuple(amount_text(_cents(value)) for value in values)


def _signed(value: Decimal) -> str:
    return amount_text(_cents(value), sign=True)


def _cents(value: Decimal) -> Decimal:
    """At most two decimals: what is below half a cent is the rounding of the report."""
    return value.quantize(Decimal("0.01")) if value.is_finite() else value


_COLUMNS = (
    "week_start",
    "row_key",
    "business_unit",
    "verdict",
    "measure",
    "there",
    "here",
    "residual",
    "cause",
    "report_lines",
)


def reconciliation_csv(results: Sequence[Reconciliation]) -> str:
    """One line per row and measure, matched ones too, amounts exact."""
    return csv_text(_COLUMNS, (record.values() for record in _records(_lines(results))))


def reconciliation_json(results: Sequence[Reconciliation]) -> str:
    """Everything that was found, by week; amounts are text, so that no digit is lost."""
    first, source = results[0], results[0].source
    document = {
        "kpi": first.kpi.name,
        "rollup": first.rollup,
        "agrees": all(result.agrees for result in results),
        "report": {
            "kind": first.kind,
            "name": source.name,
            "identity": source.identity,
            "filters": source.filters,
            "date_type": source.date_type,
            "pulled_at": source.pulled_at.isoformat(),
        },
        "build": first.build,
        "known_until": first.known_until.isoformat() if first.known_until else None,
        "weeks": [_week(result) for result in results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _week(result: Reconciliation) -> dict[str, Any]:
    differing = ((result, ln) for ln in result.lines if ln.verdict is not Verdict.MATCHED)
    sides = (("there", result.there), ("here", result.here), ("gap", result.gap))
    return {
        "week_start": result.week_start.isoformat(),
        "period": [day.isoformat() for day in result.period],
        **{name: _texts(side) for name, side in sides},
        "value_there": exact_text(result.value(result.there)),
        "value_here": exact_text(result.value(result.here)),
        "verdicts": {verdict.value: count for verdict, count in result.verdicts.items()},
        "set_aside": [
            {"rule": rule, "rows": aside.rows, "amounts": _texts(aside.amounts)}
            for rule, aside in sorted(result.aside.items())
        ],
        "readings": [
            {"name": r.name, "rows": r.keys, "agreeing": r.agreeing, "gained": sorted(r.gained)}
            for r in result.better_readings
        ],
        "rows": list(_records(differing)),
    }


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str | None]:
    return {name: exact_text(value) for name, value in amounts.items()}


def _records(
    lines: Iterable[tuple[Reconciliation, Line]],
) -> Iterator[dict[str, str | None]]:
    for result, line in lines:
        for measure in (m for m in result.comparison.measures if m in {*line.there, *line.here}):
            yield {
                "week_start": result.week_start.isoformat(),
                "row_key": line.key,
                "business_unit": line.unit,
                "verdict": line.verdict.value,
                "measure": measure,
                "there": exact_text(line.there.get(measure)),
                "here": exact_text(line.here.get(measure)),
                "residual": exact_text(line.residual(measure)),
                "cause": line.cause,
                "report_lines": " ".join(map(str, line.numbers)),
            }
