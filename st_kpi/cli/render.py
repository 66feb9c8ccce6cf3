"""How numbers look: tables for a person, CSV and JSON for programs."""

import csv
import io
import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from st_kpi.reporting.published import (
    ALL,
    DOES_NOT_COUNT,
    NOTHING,
    UNASSIGNED,
    Kpi,
    Published,
    exact_text,
    monday,
    rounded,
)
from st_kpi.reporting.reconciled import Reconciled

if TYPE_CHECKING:  # each of them stands on much that the others do without
    from st_kpi.ingest.manifest import Completeness
    from st_kpi.ingest.status import Status
    from st_kpi.reporting.coverage import Coverage
    from st_kpi.reporting.coverage import Row as Covered
    from st_kpi.reporting.diff import Diff
    from st_kpi.reporting.doctor import Finding
    from st_kpi.reporting.explain import Explained, LeftOut, Row

#: More than any table needs: a number is never cut to fit, and a narrow terminal folds the line.
_TABLE_WIDTH = 400
_COLUMNS = 10
_HEADING_WIDTH = 11
#: How many comparisons with ServiceTitan's reports are told below a table.
_COMPARISONS = 12


def weekly_table(published: Published) -> str:
    """A block per rollup, a line per week, a column per KPI; alternatives in a table of their own."""
    if len({_base(kpi) for kpi in published.kpis}) == 1:
        return _table(published, published.kpis, cents=True) + _footer(published)
    text = _table(published, [k for k in published.kpis if _base(k) == k.name][:_COLUMNS])
    varied = {_base(kpi) for kpi in published.kpis if _base(kpi) != kpi.name}
    if varied:
        text += "\n" + _table(published, [k for k in published.kpis if _base(k) in varied])
    return text + _footer(published)


def _base(kpi: Kpi) -> str:
    """The KPI that an alternative, named ``kpi/alternative``, stands beside."""
    return kpi.name.split("/")[0]


def _table(published: Published, kpis: Sequence[Kpi], *, cents: bool = False) -> str:
    headings = [kpi.title if cents else _heading(kpi.title) for kpi in kpis]
    table = plain_table(("Week of",), headings, ())
    for rollup in published.rollups:
        table.add_row(Text("All rollups" if rollup == ALL else rollup, style="bold"))
        for week in published.weeks:
            values = [kpi.format(published.value(kpi, week, rollup), cents=cents) for kpi in kpis]
            table.add_row(f"{week}", *values, end_section=week == published.weeks[-1])
    return printed(table)


def _heading(title: str) -> str:
    """A title on as many lines as a narrow column needs."""
    return "\n".join(textwrap.wrap(title, _HEADING_WIDTH))


def _footer(published: Published) -> str:
    until = _until(published.input_watermark)
    last = max(published.weeks)
    if published.frozen is not None:
        lines = ["As reported when each week closed; a dash where a week is still open."]
        return "\n".join([*lines, *_remarks(published)]) + "\n"
    lines = [f"As of {published.as_of}{until}."]
    if last == monday(published.as_of):
        lines = [f"{lines[0]} The week of {last} may still be running."]
    if published.known_until is not None and last > published.known_until:
        lines = [
            f"As of {published.as_of}{until}: a dash in the weeks after that. Run `st-kpi sync`."
        ]
    unassigned = sum(
        cell.numerator
        for cell in published.cells.values()
        if cell.rollup == UNASSIGNED
        and cell.week_start in published.weeks
        and cell.kpi == "collected"
    )
    if unassigned:
        lines.append(
            f"Not in any rollup: {rounded(Decimal(unassigned), 2):,} collected in these weeks and not"
            " applied to an invoice of a known unit."
        )
    return "\n".join([*lines, *_uncounted(published), *_remarks(published)]) + "\n"


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


def reconciled_lines(reconciled: Sequence[Reconciled], kpis: Sequence[Kpi]) -> list[str]:
    """A sentence for each number that was compared with ServiceTitan's report, the newest weeks first."""
    by_name = {kpi.name: kpi for kpi in kpis}
    newest = sorted(reconciled, key=lambda each: each.week_start, reverse=True)
    lines = [_reconciled_line(each, by_name[each.kpi]) for each in newest[:_COMPARISONS]]
    if len(newest) > _COMPARISONS:
        lines.append(f"{len(newest) - _COMPARISONS:,} more comparisons: --format json has them.")
    return lines


def _reconciled_line(each: Reconciled, kpi: Kpi) -> str:
    where = "all rollups" if each.rollup == ALL else each.rollup
    cents = kpi.unit == "money"
    here, there = (kpi.format(value, cents=cents) for value in (each.here, each.there))
    found = f"equal row by row, {here}"
    if not each.agrees:
        rows = "row differs" if each.differing == 1 else "rows differ"
        found = f"{here} here, {there} there, {each.differing:,} {rows}"
    return (
        f"Compared with ServiceTitan's report on {each.compared_at:%Y-%m-%d}:"
        f" {kpi.title} of {where}, week of {each.week_start}: {found}."
    )


def reconciled_records(reconciled: Iterable[Reconciled]) -> list[dict[str, Any]]:
    """The same for programs; amounts are text, so that no digit is lost."""
    return [
        {
            "kpi": each.kpi,
            "week_start": each.week_start.isoformat(),
            "rollup": each.rollup,
            "report": each.report,
            "compared_at": each.compared_at.isoformat(),
            "there": exact_text(each.there),
            "here": exact_text(each.here),
            "differing": each.differing,
        }
        for each in reconciled
    ]


def accepted_lines(accepted: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each thing that is accepted though a check does not hold."""
    return [
        f"Accepted though the check {a['check']} does not hold, {a['subject']}: {a['reason'].rstrip('.')}"
        f"{f' (until {until})' if (until := a['valid_to']) else ''}."
        for a in accepted
    ]


def accepted_records(accepted: Iterable[Mapping[str, Any]]) -> list[dict[str, str | None]]:
    """The same for programs."""
    return [dict(a) | {"valid_to": str(a["valid_to"]) if a["valid_to"] else None} for a in accepted]


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


def _records(published: Published) -> Iterator[dict[str, str | None]]:
    for kpi in published.kpis:
        for week in published.weeks:
            for rollup in published.rollups:
                cell = published.cells.get((kpi.name, week, rollup))
                yield {
                    "kpi": kpi.name,
                    "week_start": week.isoformat(),
                    "rollup": rollup,
                    "numerator": exact_text(cell.numerator if cell else None),
                    "denominator": exact_text(cell.denominator if cell else None),
                    "value": exact_text(published.value(kpi, week, rollup)),
                }


def explained_table(explained: "Explained") -> str:
    """A line per row behind the number, and their sums."""
    kpi = explained.kpi
    value = kpi.format(explained.value, cents=kpi.unit == "money")
    if explained.denominator is not None:
        value = (
            f"{amount_text(explained.numerator)} / {amount_text(explained.denominator)} = {value}"
            f" (numerator / denominator)"
        )
    until = _until(explained.input_watermark)
    return (
        printed(_rows_table(explained.rows, "Reason"))
        + f"{_place(explained)}: {value}, from {len(explained.rows):,} rows.\n"
        + f"As of {explained.as_of}{until}.\n"
    )


def _rows_table(rows: "Iterable[Row]", why: str) -> Table:
    table = plain_table(("Date", "Part", "Job", "Business unit"), ("Amount",), (why, "Source"))
    for row in rows:
        job = row.job_number or (str(row.job_id) if row.job_id else NOTHING)
        source = (
            row.source_entity if row.source_id is None else f"{row.source_entity} {row.source_id}"
        )
        unit = row.business_unit or NOTHING
        table.add_row(
            str(row.on_date), row.part, job, unit, amount_text(row.amount), row.reason, source
        )
    return table


def _place(shown: "Explained | LeftOut") -> str:
    """KPI, rollup and time, as a sentence begins with them."""
    when = f"the week of {shown.week_start}"
    if shown.day:
        when = f"{shown.day} ({when})"
    where = "all rollups" if shown.rollup == ALL else shown.rollup
    return f"{shown.kpi.title} of {where}, {when}"


def explained_csv(explained: "Explained") -> str:
    """One line per row, amounts exact."""
    return csv_text(_EXPLAINED, (record.values() for record in _explained_records(explained.rows)))


def explained_json(explained: "Explained") -> str:
    """The number with its rows; amounts are text, so that no digit is lost."""
    watermark = explained.input_watermark
    document = {
        "kpi": explained.kpi.name,
        "week_start": explained.week_start.isoformat(),
        "day": explained.day.isoformat() if explained.day else None,
        "rollup": explained.rollup,
        "numerator": exact_text(explained.numerator),
        "denominator": exact_text(explained.denominator),
        "value": exact_text(explained.value),
        "as_of": explained.as_of.isoformat(),
        "input_watermark": watermark.isoformat() if watermark else None,
        "rows": list(_explained_records(explained.rows)),
    }
    return json.dumps(document, indent=2) + "\n"


def left_out_table(rest: "LeftOut") -> str:
    """A line per row that is left out, one per rule, and what is counted beside: all the money there is."""
    by_rule: dict[tuple[str, str], list[Decimal]] = {}
    for row in rest.rows:
        by_rule.setdefault((row.part, row.reason), []).append(row.amount)
    rules = plain_table(("Part",), ("Rows", "Amount"), ("Rule",))
    for (part, rule), amounts in sorted(by_rule.items()):
        rules.add_row(part, f"{len(amounts):,}", amount_text(sum(amounts, Decimal(0))), rule)
    lines = []
    for part in sorted({*rest.counted, *rest.unassigned, *(part for part, _ in by_rule)}):
        counted, beside = (sums.get(part, Decimal(0)) for sums in (rest.counted, rest.unassigned))
        out = sum((row.amount for row in rest.rows if row.part == part), Decimal(0))
        unassigned = f", {amount_text(beside)} beside as {UNASSIGNED}" if beside else ""
        lines.append(
            f"{_place(rest)}, {part}: {amount_text(counted)} counted{unassigned}, {amount_text(out)} left out,"
            f" {amount_text(counted + beside + out)} in all."
        )
    listed = printed(_rows_table(rest.rows, "Rule")) + "\n" + printed(rules) if rest.rows else ""
    if not lines:
        lines = [f"{_place(rest)}: there is no money, neither counted nor left out."]
    until = _until(rest.input_watermark)
    return listed + "\n".join([*lines, f"As of {rest.as_of}{until}."]) + "\n"


def left_out_csv(rest: "LeftOut") -> str:
    """One line per row that is left out, amounts exact."""
    header = ["rule" if name == "reason" else name for name in _EXPLAINED]
    return csv_text(header, (record.values() for record in _explained_records(rest.rows)))


def left_out_json(rest: "LeftOut") -> str:
    """What is counted and what is left out, by part; amounts are text, so that no digit is lost."""
    rows = [
        {"rule" if name == "reason" else name: value for name, value in record.items()}
        for record in _explained_records(rest.rows)
    ]
    watermark = rest.input_watermark
    document = {
        "kpi": rest.kpi.name,
        "week_start": rest.week_start.isoformat(),
        "day": rest.day.isoformat() if rest.day else None,
        "rollup": rest.rollup,
        "counted": {part: exact_text(amount) for part, amount in rest.counted.items()},
        "unassigned": {part: exact_text(amount) for part, amount in rest.unassigned.items()},
        "as_of": rest.as_of.isoformat(),
        "input_watermark": watermark.isoformat() if watermark else None,
        "left_out": rows,
    }
    return json.dumps(document, indent=2) + "\n"


_EXPLAINED = (
    "on_date",
    "part",
    "job_number",
    "business_unit",
    "rollup",
    "amount",
    "reason",
    "source_entity",
    "source_id",
    "job_id",
)


def _explained_records(rows: "Iterable[Row]") -> Iterator[dict[str, str | int | None]]:
    for row in rows:
        record: dict[str, str | int | None] = {name: getattr(row, name) for name in _EXPLAINED}
        yield record | {"on_date": row.on_date.isoformat(), "amount": exact_text(row.amount)}


def diff_table(diff: "Diff") -> str:
    """A line per changed value and cause; the causes of a value add up to its change."""
    if not diff.changes:
        return f"No weekly value changed between build {diff.start} and build {diff.to}.\n"
    table = plain_table(
        ("KPI", "Week of", "Rollup", "Part"),
        ("Before", "After", "Change", "Of it", "Rows"),
        ("Cause",),
    )
    for change in diff.changes:
        amounts = (
            amount_text(change.before),
            amount_text(change.after),
            amount_text(change.change, sign=True),
        )
        cells: tuple[str, ...] = (
            change.kpi.title,
            str(change.week_start),
            change.rollup,
            change.part,
            *amounts,
        )
        for cause in change.causes:
            amount = amount_text(cause.amount, sign=True)
            table.add_row(*cells, amount, f"{cause.source_rows:,}", cause.cause)
            cells = ("",) * len(cells)
    kpis = list({change.kpi.name: change.kpi for change in diff.changes}.values())
    lines = [
        f"{len(diff.changes):,} values changed between build {diff.start} and build {diff.to}.",
        *reconciled_lines(diff.reconciled, kpis),
    ]
    return printed(table) + "".join(f"{line}\n" for line in lines)


def diff_csv(diff: "Diff") -> str:
    """One line per changed value and cause, amounts exact."""
    return csv_text(_DIFF, (record.values() for record in _diff_records(diff)))


def diff_json(diff: "Diff") -> str:
    """Both builds, and the lines of the CSV; amounts are text, so that no digit is lost."""
    both = {
        name: {"build": b.number, "run_id": b.run_id, "as_of": b.as_of.isoformat()}
        for name, b in (("from", diff.start), ("to", diff.to))
    }
    document = {
        **both,
        "changes": list(_diff_records(diff)),
        "reconciled": reconciled_records(diff.reconciled),
    }
    return json.dumps(document, indent=2) + "\n"


_DIFF = (
    "kpi",
    "week_start",
    "rollup",
    "part",
    "before",
    "after",
    "change",
    "cause",
    "amount",
    "source_rows",
)


def _diff_records(diff: "Diff") -> Iterator[dict[str, str | int | None]]:
    for change in diff.changes:
        for cause in change.causes:
            yield {
                "kpi": change.kpi.name,
                "week_start": change.week_start.isoformat(),
                "rollup": change.rollup,
                "part": change.part,
                "before": exact_text(change.before),
                "after": exact_text(change.after),
                "change": exact_text(change.change),
                "cause": cause.cause,
                "amount": exact_text(cause.amount),
                "source_rows": cause.source_rows,
            }


def status_table(status: "Status") -> str:
    """A line per entity, and the last run."""
    table = plain_table(
        ("Entity",),
        ("Promised", "Fetched", "Stored", "Rejected", "In table"),
        ("Newest change", "Known until", "Months with gaps"),
    )
    for row in status.entities:
        counts = (row.promised, row.fetched, row.stored, row.rejected, row.rows)
        times = (row.newest_change, row.known_until)
        table.add_row(
            row.entity,
            *(f"{count:,}" for count in counts),
            *(f"{time:%Y-%m-%d %H:%M}" if time else NOTHING for time in times),
            _months(row.gaps),
        )
    run = status.last_run
    last = (
        f"Last run: {run.flow} {run.run_id}, {run.status}. {run.detail or ''}"
        if run
        else "No run yet."
    )
    return f"{printed(table)}Times are UTC. {last.rstrip()}\n"


def coverage_table(coverage: "Coverage") -> str:
    """A table per mapping file, then in sentences what to do."""
    tables = (
        _covered("Business unit", ("rollup", "role", *_DAYS), coverage.units),
        _covered("Job type", ("family",), coverage.types),
    )
    return "\n".join([*map(printed, tables), *coverage.says()]) + "\n"


def _covered(heading: str, columns: Sequence[str], rows: "Sequence[Covered]") -> Table:
    """A line per row, without columns in which none has anything."""
    columns = [name for name in columns if any(getattr(row, name) for row in rows)]
    amounts = [name for name in rows[0].amounts if any(row.amounts[name] for row in rows)]
    headings = [name.removeprefix("valid_").capitalize() for name in columns]
    right = [name.capitalize() for name in amounts]
    table = plain_table(("Line", heading, *headings), right, ("Note",))
    for row in rows:
        table.add_row(
            str(row.line or NOTHING),
            row.name or str(row.id),
            *(str(getattr(row, name) or NOTHING) for name in columns),
            *(f"{rounded(row.amounts[name], 0):,}" for name in amounts),
            ", ".join(row.notes),
        )
    return table


def coverage_csv(coverage: "Coverage") -> str:
    """One line per row of either table, amounts exact."""
    rows = _covered_records(coverage)
    records = [record | {"notes": "; ".join(record["notes"])} for record in rows]
    return csv_text(list(records[0]), (record.values() for record in records))


def coverage_json(coverage: "Coverage") -> str:
    """The same; amounts are text, so that no digit is lost."""
    document = {
        "folder": str(coverage.folder),
        "complete": coverage.is_complete,
        "lines": list(_covered_records(coverage)),
    }
    return json.dumps(document, indent=2) + "\n"


def _covered_records(coverage: "Coverage") -> Iterator[dict[str, Any]]:
    for row in coverage.rows:
        record = {name: getattr(row, name) for name in _COVERED}
        for name in _DAYS:
            record[name] = record[name] and record[name].isoformat()
        record |= {name: exact_text(amount) for name, amount in row.amounts.items()}
        yield record | {"jobs": int(row.amounts["jobs"]), "notes": list(row.notes)}


_DAYS = ("valid_from", "valid_to")
_COVERED = ("file", "line", "tenant_id", "id", "name", "rollup", "role", "family", *_DAYS)


def finding_line(finding: "Finding") -> str:
    """Verdict, check and sentence of ``st-kpi doctor``: one line, which a terminal has in as many as it needs."""
    line = f"{finding.verdict:<9}  {finding.check:<28}  {finding.says}"
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(
        width, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapper.fill(part) for part in line.splitlines())


def findings_json(findings: Sequence["Finding"]) -> str:
    """All of them, and how many there are of each verdict."""
    counts = Counter(str(finding.verdict) for finding in findings)
    checks = [{"check": f.check, "verdict": str(f.verdict), "says": f.says} for f in findings]
    return json.dumps({"verdicts": counts, "checks": checks}, indent=2, ensure_ascii=False)


def changes_table(rows: Iterable["Completeness"]) -> str:
    """A line per entity of what a sync read and did."""
    columns = {"Read": "fetched", "Changed": "changed", "Vanished": "vanished", "Missed": "missed"}
    table = plain_table(("Entity",), list(columns), ())
    for row in rows:
        table.add_row(row.entity, *(f"{getattr(row, name):,}" for name in columns.values()))
    return printed(table)


def _months(gaps: tuple[str, ...]) -> str:
    if len(gaps) > 2:
        return f"{len(gaps)}: {gaps[0]} .. {gaps[-1]}"
    return ", ".join(gaps) or "none"


def _until(watermark: datetime | None) -> str:
    return f"; all data up to {watermark:%Y-%m-%d %H:%M} UTC" if watermark else ""


def plain_table(before: Sequence[str], right: Sequence[str], after: Sequence[str]) -> Table:
    """A table without rows: texts, numbers to the right, then texts that may fold."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in before:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in after:
        table.add_column(heading)
    return table


class _ForStdout(io.StringIO):
    """Text for stdout, by whose encoding Rich draws lines of dashes where there are no others."""

    encoding = property(lambda self: sys.stdout.encoding)


def printed(table: Table) -> str:
    """The table as text; brackets and colons in names of the source are only brackets and colons."""
    out = _ForStdout()
    console = Console(
        file=out,
        width=_TABLE_WIDTH,
        force_terminal=sys.stdout.isatty(),
        markup=False,
        emoji=False,
    )
    console.print(table)
    return out.getvalue().rstrip() + "\n"


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV with a line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def amount_text(value: Decimal, *, sign: bool = False) -> str:
    """Every digit there is, and cents where there is a fraction: ``1``, ``-1,234.50``."""
    text = exact_text(value) or "0"
    places = max(2, len(text.partition(".")[2])) if "." in text else 0
    return f"{value:{'+' if sign else ''},.{places}f}"
