"""How an opened number looks: the rows behind it, and what changed it; as a table, CSV and JSON."""

import json
from collections.abc import Iterator
from decimal import Decimal

from st_kpi.cli.render import csv_text, exact, plain_table, printed
from st_kpi.reporting.diff import Diff
from st_kpi.reporting.explain import Explained
from st_kpi.reporting.published import ALL, NOTHING


def explained_table(explained: Explained) -> str:
    """A line per row behind the number, and their sums."""
    table = plain_table(("Date", "Part", "Job", "Business unit"), ("Amount",), ("Reason", "Source"))
    for row in explained.rows:
        job = row.job_number or (str(row.job_id) if row.job_id else NOTHING)
        source = f"{row.source_entity} {row.source_id}"
        unit = row.business_unit or NOTHING
        table.add_row(
            str(row.on_date), row.part, job, unit, _amount(row.amount), row.reason, source
        )
    kpi, when = explained.kpi, f"the week of {explained.week_start}"
    if explained.day:
        when = f"{explained.day} ({when})"
    where = "all rollups" if explained.rollup == ALL else explained.rollup
    told = kpi.format(explained.value, cents=kpi.unit == "money")
    if explained.denominator is not None:
        told = (
            f"{_amount(explained.numerator)} / {_amount(explained.denominator)} = {told}"
            f" (numerator / denominator)"
        )
    known = explained.input_watermark
    until = f"; all data up to {known:%Y-%m-%d %H:%M} UTC" if known else ""
    return (
        printed(table)
        + f"{kpi.title} of {where}, {when}: {told}, from {len(explained.rows):,} rows.\n"
        + f"As of {explained.as_of}{until}.\n"
    )


def explained_csv(explained: Explained) -> str:
    """One line per row, amounts exact."""
    return csv_text(_EXPLAINED, (record.values() for record in _explained_records(explained)))


def explained_json(explained: Explained) -> str:
    """The number with its rows; amounts are text, so that no digit is lost."""
    watermark = explained.input_watermark
    document = {
        "kpi": explained.kpi.name,
        "week_start": explained.week_start.isoformat(),
        "day": explained.day.isoformat() if explained.day else None,
        "rollup": explained.rollup,
        "numerator": exact(explained.numerator),
        "denominator": exact(explained.denominator),
        "value": exact(explained.value),
        "as_of": explained.as_of.isoformat(),
        "input_watermark": watermark.isoformat() if watermark else None,
        "rows": list(_explained_records(explained)),
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


def _explained_records(explained: Explained) -> Iterator[dict[str, str | int | None]]:
    for row in explained.rows:
        record: dict[str, str | int | None] = {name: getattr(row, name) for name in _EXPLAINED}
        yield record | {"on_date": row.on_date.isoformat(), "amount": exact(row.amount)}


def diff_table(diff: Diff) -> str:
    """A line per changed value and cause; the causes of a value add up to its change."""
    if not diff.changes:
        return f"No weekly value changed between build {diff.start} and build {diff.to}.\n"
    table = plain_table(
        ("KPI", "Week of", "Rollup", "Part"),
        ("Before", "After", "Change", "Of it", "Rows"),
        ("Cause",),
    )
    for change in diff.changes:
        amounts = (_amount(change.before), _amount(change.after), _amount(change.change, sign=True))
        cells: tuple[str, ...] = (
            change.kpi.title,
            str(change.week_start),
            change.rollup,
            change.part,
            *amounts,
        )
        for told in change.causes:
            amount = _amount(told.amount, sign=True)
            table.add_row(*cells, amount, f"{told.source_rows:,}", told.cause)
            cells = ("",) * len(cells)
    return (
        printed(table)
        + f"{len(diff.changes):,} values changed between build {diff.start} and build {diff.to}.\n"
    )


def diff_csv(diff: Diff) -> str:
    """One line per changed value and cause, amounts exact."""
    return csv_text(_DIFF, (record.values() for record in _diff_records(diff)))


def diff_json(diff: Diff) -> str:
    """Both builds, and the lines of the CSV; amounts are text, so that no digit is lost."""
    both = {
        name: {"build": b.number, "run_id": b.run_id, "as_of": b.as_of.isoformat()}
        for name, b in (("from", diff.start), ("to", diff.to))
    }
    return json.dumps({**both, "changes": list(_diff_records(diff))}, indent=2) + "\n"


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


def _diff_records(diff: Diff) -> Iterator[dict[str, str | int | None]]:
    for change in diff.changes:
        for told in change.causes:
            yield {
                "kpi": change.kpi.name,
                "week_start": change.week_start.isoformat(),
                "rollup": change.rollup,
                "part": change.part,
                "before": exact(change.before),
                "after": exact(change.after),
                "change": exact(change.change),
                "cause": told.cause,
                "amount": exact(told.amount),
                "source_rows": told.source_rows,
            }


def _amount(value: Decimal, *, sign: bool = False) -> str:
    """Every digit there is, and cents where there is a fraction: ``1``, ``-1,234.50``."""
    text = exact(value) or "0"
    places = max(2, len(text.partition(".")[2])) if "." in text else 0
    return f"{value:{'+' if sign else ''},.{places}f}"
