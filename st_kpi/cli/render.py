"""How what stands behind the numbers looks: tables for a person, CSV and JSON for programs."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from st_kpi.cli.tables import amount_text, csv_text, plain_table, printed
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL, NOTHING, UNASSIGNED, Kpi, exact_text, rounded
from st_kpi.reporting.reconciled import Reconciled
from st_kpi.windows import local_time

if TYPE_CHECKING:  # each of them stands on much that the others do without
    from st_kpi.ingest.manifest import Completeness
    from st_kpi.ingest.status import Status
    from st_kpi.kpis.build_log import Build
    from st_kpi.reporting.coverage import Coverage
    from st_kpi.reporting.coverage import Row as Covered
    from st_kpi.reporting.diff import Diff, MappingChange
    from st_kpi.reporting.doctor import Finding
    from st_kpi.reporting.explain import Explained, LeftOut, Row

#: How many comparisons with ServiceTitan's reports are told below a table.
_COMPARISONS = 12


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


def explained_table(
    explained: "Explained", *, rows: bool = False, zone: ZoneInfo | None = None
) -> str:
    """A line per job where jobs have a cost, else and for ``rows`` one per row behind the number; and their sums."""
    kpi = explained.kpi
    value = kpi.format(explained.value, cents=kpi.unit == "money")
    if explained.denominator is not None:
        value = (
            f"{amount_text(explained.numerator)} / {amount_text(explained.denominator)} = {value}"
            f" (numerator / denominator)"
        )
    by_job = not rows and any(row.component for row in explained.rows)
    table = _jobs_table(explained) if by_job else _rows_table(explained.rows, "Reason")
    count = f"{len(explained.rows):,} rows{', which --rows lists' if by_job else ''}"
    until = _until(explained.input_watermark, zone)
    return f"{printed(table)}{_place(explained)}: {value}, from {count}.\nAs of {explained.as_of}{until}.\n"


#: What of a job's cost is labour; the rest is material.
_LABOUR = ("labour_pay", "payroll_adjustments")


@dataclass
class _Sums:
    """What rows of jobs come to: revenue, cost by kind, and what the KPI counts of both."""

    revenue: Decimal = Decimal(0)
    labour: Decimal = Decimal(0)
    material: Decimal = Decimal(0)
    counted: Decimal = Decimal(0)

    def add(self, row: "Row", sign: int) -> None:
        """Count a row; ``sign`` is that with which the KPI counts cost."""
        if row.part == "denominator":
            self.revenue += row.amount
            return
        self.counted += row.amount
        if row.component in _LABOUR:
            self.labour += sign * row.amount
        elif row.component:
            self.material += sign * row.amount

    def cells(self, kpi: Kpi) -> list[str]:
        """The amounts, and the ratio of what is counted to the revenue."""
        amounts = (self.revenue, self.labour, self.material, self.counted)
        ratio = published.ratio(self.counted, self.revenue)
        return [*map(amount_text, amounts), kpi.format(ratio)]


def _jobs_table(explained: "Explained") -> Table:
    """A line per job, and a sum for each rollup, of one rollup for each business unit."""
    of_revenue = any(r.part == "numerator" and not r.component for r in explained.rows)
    sign, counted = (-1, "Margin") if of_revenue else (1, "Cost")
    headings = ("Revenue", "Labour", "Material", counted, explained.kpi.title)
    table = plain_table(("Date", "Job"), headings, ())
    groups: dict[str, dict[tuple[str, str], _Sums]] = {}
    sums: dict[str, _Sums] = {}
    for row in explained.rows:
        group = row.rollup if explained.rollup == ALL else row.business_unit or NOTHING
        job = row.job_number or (str(row.job_id) if row.job_id else NOTHING)
        jobs = groups.setdefault(group, {})
        jobs.setdefault((str(row.on_date), job), _Sums()).add(row, sign)
        for each in (group, ALL):
            sums.setdefault(each, _Sums()).add(row, sign)
    for group, jobs in sorted(groups.items()):
        table.add_row(Text(group, style="bold"))
        for (day, job), of_job in jobs.items():
            table.add_row(day, job, *of_job.cells(explained.kpi))
        count = f"{len(jobs):,} job{'s' * (len(jobs) != 1)}"
        table.add_row("Sum", count, *sums[group].cells(explained.kpi), end_section=True)
    if len(groups) > 1:
        table.add_row(Text("All", style="bold"), "", *sums[ALL].cells(explained.kpi))
    return table


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


def left_out_table(rest: "LeftOut", *, zone: ZoneInfo | None = None) -> str:
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
    until = _until(rest.input_watermark, zone)
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
    """What changed by cause; then a line per changed value and cause, those of a value adding up to its change."""
    between = f"between build {_build(diff.start)} and build {_build(diff.to)}"
    if not diff.changes:
        return f"No weekly value changed {between}.\n"
    kpis = list({change.kpi.name: change.kpi for change in diff.changes}.values())
    count = len(diff.changes)
    lines = [
        f"{count:,} {'value' if count == 1 else 'values'} changed {between}.",
        *map(_mapping_line, diff.mapping),
        *reconciled_lines(diff.reconciled, kpis),
    ]
    tables = (_by_cause(diff), _by_value(diff))
    return "\n".join([*map(printed, tables), *lines]) + "\n"


def _build(build: "Build") -> str:
    return f"{build.number} (as of {build.as_of})"


def _by_cause(diff: "Diff") -> Table:
    """A line per cause and KPI: in how many values, by how many rows, and by how much."""
    sums: dict[tuple[str, str, str], tuple[int, int, Decimal]] = {}
    for change in diff.changes:
        for cause in change.causes:
            key = (cause.cause, change.kpi.title, change.part)
            values, rows, amount = sums.get(key, (0, 0, Decimal(0)))
            sums[key] = values + 1, rows + cause.source_rows, amount + cause.amount
    table = plain_table(("Cause", "KPI", "Part"), ("Values", "Rows", "Change"), ())
    before = None
    for (name, kpi, part), (values, rows, amount) in sorted(sums.items()):
        shown = name if name != before else ""
        table.add_row(shown, kpi, part, f"{values:,}", f"{rows:,}", amount_text(amount, sign=True))
        before = name
    return table


def _mapping_line(change: "MappingChange") -> str:
    """What the mapping said of a unit, and what it says now."""
    before, after = ("; ".join(side) or "no line" for side in (change.before, change.after))
    return f"Mapping of {change.business_unit}: {before}; now {after}."


def _by_value(diff: "Diff") -> Table:
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
    return table


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


def status_table(
    status: "Status", *, optional: Collection[str] = (), zone: ZoneInfo | None = None
) -> str:
    """A line per entity, and the last run; an entity that is ``optional`` and was never read is not available."""
    table = plain_table(
        ("Entity",),
        ("Promised", "Fetched", "Stored", "Rejected", "In table"),
        ("Newest change", "Known until", "Months with gaps"),
    )
    for row in status.entities:
        counts = (row.promised, row.fetched, row.stored, row.rejected, row.rows)
        times = (row.newest_change, row.known_until)
        is_absent = row.entity in optional and row.known_until is None
        table.add_row(
            row.entity,
            *(f"{count:,}" for count in counts),
            *(f"{t.astimezone(zone or UTC):%Y-%m-%d %H:%M}" if t else NOTHING for t in times),
            "not available" if is_absent else _months(row.gaps),
        )
    run = status.last_run
    last = (
        f"Last run: {run.flow} of {local_time(run.started_at, zone)}, {run.status}. {run.detail or ''}"
        if run
        else "No run yet."
    )
    clock = zone.key if zone else "UTC"
    return f"{printed(table)}Times are those of {clock}. {last.rstrip()}\n"


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


def _until(watermark: datetime | None, zone: ZoneInfo | None) -> str:
    return f"; all data up to {local_time(watermark, zone)}" if watermark else ""
