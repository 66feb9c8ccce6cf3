"""How numbers and progress look on a terminal: tables, CSV and JSON to stdout, progress to stderr."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from st_kpi.build import BuildResult
from st_kpi.health import Health
from st_kpi.published import ALL, UNASSIGNED, Kpi, Published
from st_kpi.session import Progress as Told

#: Wide enough for ten KPIs in a row, also where the terminal says it is narrower.
_TABLE_WIDTH = 124
_COLUMNS = 10
_NOTHING = "-"


def number(kpi: Kpi, value: Decimal | None, *, cents: bool = False) -> str:
    """A KPI's value as a person reads it: ``1,234,567``, ``53.37%``, or a dash for nothing."""
    if value is None:
        return _NOTHING
    if kpi.unit == "percent":
        return f"{_rounded(value * 100, 2)}%"
    return f"{_rounded(value, 2 if cents else 0):,}"


def weekly_table(published: Published) -> str:
    """A block per rollup, a line per week, a column per KPI."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Week of", no_wrap=True)
    one = len(published.kpis) == 1
    kpis = published.kpis[:_COLUMNS]
    for kpi in kpis:
        table.add_column(kpi.title if one else _heading(kpi.title), justify="right", no_wrap=True)
    for rollup in published.rollups:
        table.add_row(f"[bold]{'All rollups' if rollup == ALL else rollup}[/bold]")
        for week in published.weeks:
            values = [number(kpi, published.value(kpi, week, rollup), cents=one) for kpi in kpis]
            table.add_row(f"{week}", *values, end_section=week == published.weeks[-1])
    out = io.StringIO()
    Console(file=out, width=_TABLE_WIDTH, force_terminal=sys.stdout.isatty()).print(table)
    return out.getvalue().rstrip() + "\n" + _footer(published)


def _heading(title: str) -> str:
    """A title on two lines: the last word below the others."""
    return "\n".join(title.rsplit(" ", 1)) if len(title) > 5 else title


def _footer(published: Published) -> str:
    known = published.input_watermark
    until = f"; all data up to {known:%Y-%m-%d %H:%M} UTC" if known else ""
    last = max(published.weeks)
    lines = [f"As of {published.as_of}{until}. The week of {last} may still be running."]
    loose = sum(
        cell.numerator
        for cell in published.cells.values()
        if cell.rollup == UNASSIGNED
        and cell.week_start in published.weeks
        and cell.kpi == "collected"
    )
    if loose:
        lines.append(
            f"Not in any rollup: {_rounded(Decimal(loose), 2):,} collected in these weeks and not"
            " applied to an invoice of a known unit."
        )
    return "\n".join(lines) + "\n"


def as_csv(published: Published) -> str:
    """One line per KPI, week and rollup, numbers exact and unformatted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    records = list(_records(published))
    writer.writerow(["kpi", "week_start", "rollup", "numerator", "denominator", "value"])
    writer.writerows(record.values() for record in records)
    return out.getvalue()


def as_json(published: Published) -> str:
    """The same as the CSV, with the build's day; numbers are text, so that no digit is lost."""
    watermark = published.input_watermark
    document = {
        "as_of": published.as_of.isoformat(),
        "input_watermark": watermark.isoformat() if watermark else None,
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
                    "numerator": _exact(cell.numerator if cell else None),
                    "denominator": _exact(cell.denominator if cell else None),
                    "value": _exact(published.value(kpi, week, rollup)),
                }


def _exact(value: Decimal | None) -> str | None:
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def build_summary(built: BuildResult) -> str:
    """What a build did, in a sentence, and each warning of a check."""
    seconds = sum(built.seconds.values())
    lines = [
        f"Built {built.rows.get('st_kpi.contributions', 0):,} contributions"
        f" as of {built.as_of} in {seconds:.1f} s;"
        f" {sum(c.passed for c in built.checks)} of {len(built.checks)} checks hold."
    ]
    lines += [f"{c.severity}: {c.name}: {c.detail}" for c in built.checks if not c.passed]
    return "\n".join(lines)


def status_table(health: Health) -> str:
    """A line per entity, and the last run."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Entity", no_wrap=True)
    for heading in ("Promised", "Fetched", "Stored", "Rejected", "In table"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Newest change", "Known until", "Months with gaps"):
        table.add_column(heading, no_wrap=True)
    for row in health.entities:
        counts = (row.promised, row.fetched, row.stored, row.rejected, row.rows)
        times = (row.newest_change, row.known_until)
        table.add_row(
            row.entity,
            *(f"{count:,}" for count in counts),
            *(f"{time:%Y-%m-%d %H:%M}" if time else _NOTHING for time in times),
            _months(row.gaps),
        )
    out = io.StringIO()
    Console(file=out, width=_TABLE_WIDTH, force_terminal=sys.stdout.isatty()).print(table)
    run = health.last_run
    last = (
        f"Last run: {run.flow} {run.run_id}, {run.status}. {run.detail or ''}"
        if run
        else "No run yet."
    )
    return f"{out.getvalue().rstrip()}\nTimes are UTC. {last.rstrip()}\n"


def _months(gaps: tuple[str, ...]) -> str:
    if len(gaps) > 2:
        return f"{len(gaps)}: {gaps[0]} .. {gaps[-1]}"
    return ", ".join(gaps) or "none"


@contextmanager
def progress_bar(label: str) -> Iterator[Told]:
    """A bar of rows stored on stderr; plain lines every few seconds where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(label, total=None)
        totals = {"promised": 0}

        def tell(entity: str, promised: int, stored: int) -> None:
            if promised:
                totals["promised"] += promised
                bar.update(task, total=totals["promised"])
            if stored:
                bar.update(task, advance=stored)

        yield tell


def say(text: str) -> None:
    """A line of progress, to stderr."""
    print(text, file=sys.stderr, flush=True)
