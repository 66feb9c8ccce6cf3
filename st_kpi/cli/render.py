"""How numbers and progress look on a terminal: tables, CSV and JSON to stdout, progress to stderr."""

import csv
import io
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from st_kpi.ingest.manifest import Completeness
from st_kpi.ingest.session import Progress as Told
from st_kpi.ingest.status import Status
from st_kpi.reporting.published import ALL, NOTHING, UNASSIGNED, Kpi, Published, rounded

#: More than any table needs: a number is never cut to fit, and a narrow terminal folds the line.
_TABLE_WIDTH = 400
_COLUMNS = 10
_HEADING_WIDTH = 11


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
        table.add_row(f"[bold]{'All rollups' if rollup == ALL else rollup}[/bold]")
        for week in published.weeks:
            values = [kpi.format(published.value(kpi, week, rollup), cents=cents) for kpi in kpis]
            table.add_row(f"{week}", *values, end_section=week == published.weeks[-1])
    return printed(table, markup=True)


def _heading(title: str) -> str:
    """A title on as many lines as a narrow column needs."""
    return "\n".join(textwrap.wrap(title, _HEADING_WIDTH))


def _footer(published: Published) -> str:
    known = published.input_watermark
    until = f"; all data up to {known:%Y-%m-%d %H:%M} UTC" if known else ""
    last = max(published.weeks)
    if published.frozen is not None:
        return "As reported when each week closed; a dash where a week is still open.\n"
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
            f"Not in any rollup: {rounded(Decimal(loose), 2):,} collected in these weeks and not"
            " applied to an invoice of a known unit."
        )
    return "\n".join(lines) + "\n"


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
                    "numerator": exact(cell.numerator if cell else None),
                    "denominator": exact(cell.denominator if cell else None),
                    "value": exact(published.value(kpi, week, rollup)),
                }


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


def printed(table: Table, *, markup: bool = False) -> str:
    """The table as text; without ``markup``, brackets in names of the source are only brackets."""
    out = io.StringIO()
    console = Console(
        file=out, width=_TABLE_WIDTH, force_terminal=sys.stdout.isatty(), markup=markup
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


def exact(value: Decimal | None) -> str | None:
    """Every digit there is and no zeros behind them; None for no value."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def status_table(status: Status) -> str:
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


def changes_table(rows: Iterable[Completeness]) -> str:
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
