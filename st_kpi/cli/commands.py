"""The commands of ``st-kpi``. Progress goes to stderr, results to stdout.

What a command needs is imported when it runs: reading a number must not wait for Prefect.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperCommand, TyperGroup

from st_kpi.errors import ConfigurationError

if TYPE_CHECKING:
    from st_kpi.ingest.manifest import Completeness
    from st_kpi.ingest.session import Session
    from st_kpi.settings import Settings
    from st_kpi.warehouse import Warehouse

T = TypeVar("T")

#: The commands by what a person is about, in the order in which they are needed; the others come last.
_GROUPS = {
    "Begin": ("demo", "init", "doctor", "mappings"),
    "Load and build": ("backfill", "sync", "repair", "build", "status"),
    "Read": ("show", "explain", "diff", "report", "reconcile"),
    "Operate": ("copy", "bootstrap", "webhooks", "lint", "sandbox"),
}


class _Grouped(TyperGroup):
    """A help whose commands stand in groups, each sentence whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        listed = {name for names in _GROUPS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in listed)
        for group, names in (_GROUPS | ({"Other": others} if others else {})).items():
            rows = [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
            with formatter.section(group):
                formatter.write_dl(rows)


app = typer.Typer(
    name="st-kpi",
    cls=_Grouped,
    help="ServiceTitan into a warehouse, and ten weekly numbers that can be proved.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
sandbox_app = typer.Typer(no_args_is_help=True, help="The made-up tenant.", rich_markup_mode=None)
app.add_typer(sandbox_app, name="sandbox")
webhooks_app = typer.Typer(
    no_args_is_help=True, help="ServiceTitan's webhooks.", rich_markup_mode=None
)
app.add_typer(webhooks_app, name="webhooks")


def _examples(*lines: str) -> str:
    """The end of a command's help, which is not filled."""
    return "\n".join(["\b", "Examples:", *(f"  st-kpi {line}".rstrip() for line in lines)])


class Format(StrEnum):
    """How numbers are printed."""

    table = "table"
    csv = "csv"
    json = "json"


class SheetFormat(StrEnum):
    """The same, or a workbook, which has to be a file."""

    table = "table"
    csv = "csv"
    json = "json"
    xlsx = "xlsx"


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"st-kpi {version('st-kpi')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of the command line as a whole; its help is the app's."""


def _day(text: str | None) -> date | None:
    """A day as YYYY-MM-DD; raises ``ConfigurationError``."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a day: write it as 2025-01-31.") from None


#: What a person calls the latest week that is closed.
_LAST = "last"


def _week(settings: "Settings", text: str | None) -> date | None:
    """The week of a day as YYYY-MM-DD, or the latest that is closed for ``last``; raises ``ConfigurationError``."""
    if text is None or text.strip().casefold() != _LAST:
        return _day(text)
    from st_kpi.reporting import published

    with _reading(settings) as warehouse:
        return published.last_week(warehouse, settings.tenant_id)


def _entities_that_begin_with(text: str) -> list[str]:
    from st_kpi.servicetitan.registry import REGISTRY

    return [name for name in REGISTRY if name.startswith(text)]


_Entities = Annotated[
    list[str] | None,
    typer.Option(
        "--entity",
        metavar="E",
        help="Only this entity; repeatable.",
        autocompletion=_entities_that_begin_with,
    ),
]
_Week = Annotated[
    str | None,
    typer.Option(metavar="D", help="The week of this day, or the last one closed: last."),
]
_FirstDay = Annotated[str | None, typer.Option("--from", metavar="D", help="First day.")]
_LastDay = Annotated[str | None, typer.Option("--to", metavar="D", help="Last day.")]
_Scale = Annotated[float, typer.Option(help="1.0 is 161,332 jobs.", min=0.001, max=4.0)]
_Seed = Annotated[int, typer.Option(help="Another seed is another company.")]


@app.command(epilog=_examples("demo", "demo --scale 1.0 --seed 3 --home /tmp/other"))
def demo(
    scale: _Scale = 0.1,
    seed: _Seed = 7,
    home: Annotated[Path, typer.Option(help="Folder for the demo's warehouse.")] = Path("demo"),
) -> None:
    """Run a made-up company, and compare it with its own books.

    It is served over HTTP, backfilled, built and shown.
    """
    from st_kpi.cli.demo import run_demo

    run_demo(scale=scale, seed=seed, home=home)


class _WithFaults(TyperCommand):
    """A command whose help ends with the faults; they are imported only for that."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from st_kpi.sandbox.faults.app import described

        with formatter.section("Faults (how often without =SHARE)"):
            formatter.write_dl(described())
        super().format_epilog(ctx, formatter)


@sandbox_app.command(
    "serve",
    cls=_WithFaults,
    epilog=_examples(
        "sandbox serve", "sandbox serve --fault rate-limit=0.2@jpm/jobs --fault server-error"
    ),
)
def sandbox_serve(
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8700,
    scale: _Scale = 0.05,
    seed: _Seed = 7,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=SHARE][@PATH][#DETAIL]", help="Misbehave so; repeatable."),
    ] = None,
    fault_seed: Annotated[int, typer.Option(help="Another seed, other answers fail.")] = 0,
) -> None:
    """Serve the made-up tenant on localhost until stopped.

    A fault concerns every list and feed, or those whose path has PATH in it, such as jpm/jobs or export/.
    """
    from st_kpi.cli.progress import say
    from st_kpi.sandbox.faults.app import Faults
    from st_kpi.sandbox.serve import serve

    try:
        faults = Faults.parse(fault or [], fault_seed)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    say(f"Making a company of scale {scale:g}...")
    serve(port=port, scale=scale, seed=seed, faults=faults)


def _settings() -> "Settings":
    """The settings of this process; what reads them comes with them."""
    from st_kpi.settings import load_settings

    return load_settings()


def _source_settings(
    entities: list[str] | None, start: date | None = None, end: date | None = None
) -> "Settings":
    """The settings, once everything is checked that would stop the run before it reads anything."""
    from st_kpi.ingest.plan import check_days, wanted_entities

    settings = _settings()
    settings.require_credentials()
    wanted_entities(entities)
    check_days(settings, start, end)
    return settings


@app.command(
    epilog=_examples("backfill", "backfill --entity jobs --entity invoices --from 2025-01-01")
)
def backfill(
    entity: _Entities = None,
    from_: _FirstDay = None,
    to: _LastDay = None,
) -> None:
    """Load history by createdOn chunks.

    Chunks that are complete already are skipped: the same command goes on where it was stopped.
    """
    from st_kpi.cli.flow_run import run_flow
    from st_kpi.cli.progress import progress_bar

    start, end = _day(from_), _day(to)
    settings = _source_settings(entity, start, end)

    async def work(session: "Session") -> None:
        from flows.backfill import backfill

        await backfill(entity, start, end)

    with progress_bar("Backfill") as progress:
        run_flow(settings, work, progress)


@app.command(epilog=_examples("sync", "sync --entity jobs", "sync --sweep"))
def sync(
    entity: _Entities = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Look through the lists for what the feeds missed, as once a week."
        ),
    ] = False,
) -> None:
    """Load what changed since the last time, deleted rows included."""
    from st_kpi.cli import render
    from st_kpi.cli.flow_run import run_flow
    from st_kpi.cli.progress import say, working
    from st_kpi.ingest.plan import wanted_entities
    from st_kpi.servicetitan.registry import REGISTRY

    settings = _source_settings(entity)

    async def work(session: "Session") -> tuple[list["Completeness"], list[str]]:
        from flows.daily_sync import daily_sync

        run_id = await daily_sync(entity, sweep)
        loaded = session.watermarks.read()
        entities = [each for each in wanted_entities(entity) if each.name in loaded]
        rows = session.manifest.completeness(run_id, entities)
        return rows, [name for name in REGISTRY if name not in loaded]

    with working("Sync"):
        rows, absent = run_flow(settings, work, creates=False)
    sys.stdout.write(render.changes_table(rows))
    if absent and not entity:
        say(f"Never loaded, so not synced: {', '.join(absent)}.")


@app.command(epilog=_examples("repair", "repair --entity jobs --from 2025-01-01 --to 2025-01-31"))
def repair(
    entity: _Entities = None,
    from_: _FirstDay = None,
    to: _LastDay = None,
) -> None:
    """Fetch again the days that differ from ServiceTitan.

    Numbers of rows are compared, per entity and day.
    """
    from st_kpi.cli.flow_run import run_flow
    from st_kpi.cli.progress import say, working
    from st_kpi.ingest.plan import wanted_entities

    start, end = _day(from_), _day(to)
    settings = _source_settings(entity, start, end)

    async def work(session: "Session") -> None:
        from flows.repair_gap import repair_gap

        for name in (each.name for each in wanted_entities(entity)):
            chunks = await repair_gap(name, start, end)
            say(f"{name}: {chunks or 'no'} chunk{'s' * (chunks != 1)} fetched again")

    with working("Repair"):
        run_flow(settings, work, creates=False)


@app.command(epilog=_examples("build", "build --as-of 2025-01-31", "build --full"))
def build(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="D", help="Today, for the snapshots.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Run every statement, also those whose input is as it was."),
    ] = False,
) -> None:
    """Build dimensions, contributions, rollups and checks.

    The SQL is linted first. What a check refuses is not published.
    """
    from st_kpi.cli.flow_run import run_build
    from st_kpi.cli.progress import say

    settings = _settings()
    day = _day(as_of)

    async def work() -> None:
        from flows.refresh_kpis import refresh_kpis

        say((await refresh_kpis(day, full)).summary())

    run_build(settings, work)


@app.command(
    epilog=_examples(
        "show",
        "show --trend",
        "show --kpi leads --weeks 12",
        "show --week last --rollup PHX --format csv",
        "show --format xlsx --out weekly.xlsx",
    )
)
def show(
    kpi: Annotated[str | None, typer.Option(metavar="K", help="Only this KPI.")] = None,
    week: _Week = None,
    rollup: Annotated[str | None, typer.Option(metavar="R", help="Only this rollup.")] = None,
    weeks: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many weeks, 8 or, with --week, 1.", min=1, max=520),
    ] = None,
    trend: Annotated[
        bool, typer.Option("--trend", help="A line of the last 13 weeks per KPI, of all rollups.")
    ] = False,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="Other readings of each KPI beside it.")
    ] = False,
    as_reported: Annotated[
        bool, typer.Option("--as-reported", help="Values as frozen when each week closed.")
    ] = False,
    format: Annotated[
        SheetFormat, typer.Option(help="table, csv, json or xlsx.")
    ] = SheetFormat.table,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there instead; xlsx needs it.")
    ] = None,
) -> None:
    """The published numbers.

    All rollups first, the latest closed week beside the one before; a sum of the weeks below each rollup.
    """
    from st_kpi.cli import render_weekly as render
    from st_kpi.reporting import published

    if alternatives and as_reported:
        raise ConfigurationError("Alternatives are current values: leave --as-reported out.")
    if trend and format is not SheetFormat.table:
        raise ConfigurationError("--trend is for a person: leave --format out.")
    if format is SheetFormat.xlsx and out is None:
        raise ConfigurationError("A workbook is no text: name a file, --out weekly.xlsx.")
    settings = _settings()
    if trend:
        weeks, week = weeks or _TREND_WEEKS, week or _LAST
        rollup = rollup or published.ALL
    first_day = _week(settings, week)
    with _reading(settings) as warehouse:
        numbers = published.read(
            warehouse,
            tenant_id=settings.tenant_id,
            kpi=kpi,
            week=first_day,
            rollup=rollup,
            weeks=weeks,
            as_reported=as_reported,
            zone=ZoneInfo(settings.timezone) if settings.timezone else None,
        )
        if alternatives:
            from st_kpi.kpis.definitions.lint import inspect
            from st_kpi.reporting.alternatives import beside

            numbers = beside(warehouse, numbers, inspect(), settings)
    if format is SheetFormat.xlsx:
        assert out is not None
        render.as_xlsx(numbers, out)
        print(out.resolve())
        return
    writers: dict[SheetFormat, Callable[[published.Published], str]] = {
        SheetFormat.table: render.trend_table if trend else render.weekly_table,
        SheetFormat.csv: render.as_csv,
        SheetFormat.json: render.as_json,
    }
    text = writers[format](numbers)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(out.resolve())


#: A quarter of a year.
_TREND_WEEKS = 13


@app.command(
    epilog=_examples(
        "explain gpm",
        "explain total_booked --week 2025-01-06 --rollup PHX",
        "explain leads --day 2025-01-08 --format csv",
        "explain produced --week last --left-out",
    )
)
def explain(
    kpi: Annotated[str, typer.Argument(metavar="K", help="A KPI, for example total_booked.")],
    week: Annotated[
        str | None,
        typer.Option(
            metavar="D", help="The week of this day; else of --day, else the latest closed."
        ),
    ] = None,
    rollup: Annotated[str, typer.Option(metavar="R", help="Only this rollup.")] = "All",
    day: Annotated[str | None, typer.Option(metavar="D", help="Only this day.")] = None,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="The money that is not in it, and by which rule.")
    ] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="Each row, where else a line stands for a job.")
    ] = False,
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """The rows behind one number; their sum is the number.

    Of a margin a line per job: revenue, labour, material, and what is left.
    """
    from st_kpi.cli import render
    from st_kpi.reporting import explain as explaining

    settings = _settings()
    on_date = _day(day)
    week_of = _week(settings, week) or on_date
    tenant = settings.tenant_id
    zone = ZoneInfo(settings.timezone) if settings.timezone else None
    if left_out:
        _answer(
            settings,
            lambda warehouse: explaining.left_out(
                warehouse, kpi, week=week_of, rollup=rollup, day=on_date, tenant_id=tenant
            ),
            (partial(render.left_out_table, zone=zone), render.left_out_csv, render.left_out_json),
            format,
        )
        return
    _answer(
        settings,
        lambda warehouse: explaining.explain(
            warehouse, kpi, week=week_of, rollup=rollup, day=on_date, tenant_id=tenant
        ),
        (
            partial(render.explained_table, rows=rows, zone=zone),
            render.explained_csv,
            render.explained_json,
        ),
        format,
    )


@app.command(epilog=_examples("diff", "diff --from 3 --to 5 --kpi collected"))
def diff(
    from_: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="By default the last build but one.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="RUN", help="By default the last build.")
    ] = None,
    kpi: Annotated[str | None, typer.Option(metavar="K", help="Only this KPI.")] = None,
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """Why numbers changed between two builds, by cause.

    A build is named by its run id or number.
    """
    from st_kpi.cli import render
    from st_kpi.reporting import diff as comparing

    settings = _settings()
    _answer(
        settings,
        lambda warehouse: comparing.diff(
            warehouse, start=from_, to=to, kpi=kpi, tenant_id=settings.tenant_id
        ),
        (render.diff_table, render.diff_csv, render.diff_json),
        format,
    )


@app.command(epilog=_examples("report", "report --rollup PHX --out phx.html"))
def report(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="By default weekly-review.html where report_path says."),
    ] = None,
    weeks: Annotated[
        int, typer.Option(metavar="N", help="How many weeks can be opened.", min=1, max=104)
    ] = 8,
    rollup: Annotated[str | None, typer.Option(metavar="R", help="Only this rollup.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="D", help="As a page of this day.")
    ] = None,
) -> None:
    """The weekly review as an HTML file; every number opens."""
    from st_kpi.cli.progress import say
    from st_kpi.reporting import weekly_report

    settings = _settings()
    day = _day(as_of)
    file = out or (settings.report_folder or Path()) / weekly_report.FILE
    with _reading(settings) as warehouse:
        review = weekly_report.read(warehouse, settings, weeks=weeks, rollup=rollup, as_of=day)
    size = weekly_report.write(review, file)
    say(f"{size / 1e6:,.1f} MB; needs no network, and opens in any browser.")
    print(file.resolve())


@app.command(
    epilog=_examples(
        "reconcile gpm --report job-costing.xlsx",
        "reconcile produced --week 2025-10-13 --rollup PHX",
    )
)
def reconcile(
    kpi: Annotated[str, typer.Argument(metavar="K", help="A KPI, for example produced.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The report as downloaded, CSV or XLSX.")
    ] = None,
    report_id: Annotated[
        int | None, typer.Option(metavar="N", help="Ask ServiceTitan for the report of this id.")
    ] = None,
    week: Annotated[
        str | None,
        typer.Option(
            metavar="D", help="The week of this day, or last; else the file's, or the last over."
        ),
    ] = None,
    rollup: Annotated[str, typer.Option(metavar="R", help="Only this rollup.")] = "All",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=HEADING", help="What a renamed column is called; repeatable."),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List every row that differs.")] = False,
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """ServiceTitan's own report beside our number, row by row.

    With the cause of each difference, and what would make more rows agree; kept in st_ops.reconciliations.
    """
    from st_kpi.cli import render_reconciliation as render
    from st_kpi.cli.reconcile import reconcile_file, reconcile_pulled, renamed_columns

    if report is not None and report_id is not None:
        raise ConfigurationError("Give either a file with --report, or --report-id.")
    settings = _settings()
    day = _week(settings, week)
    zone = ZoneInfo(settings.timezone) if settings.timezone else None
    if report is None:
        if column:
            raise ConfigurationError(
                "--column is for a file: write columns under the report in st-kpi.toml."
            )
        results = reconcile_pulled(settings, kpi, week=day, rollup=rollup, report_id=report_id)
    else:
        _prepare_the_way(settings.warehouse)
        renamed = renamed_columns(column or [])
        results = reconcile_file(settings, kpi, report, week=day, rollup=rollup, renamed=renamed)
    writers: dict[Format, Callable[[], str]] = {
        Format.table: lambda: render.reconciliation_table(results, rows=rows, zone=zone),
        Format.csv: lambda: render.reconciliation_csv(results),
        Format.json: lambda: render.reconciliation_json(results),
    }
    sys.stdout.write(writers[format]())


@app.command(epilog=_examples("status", "status --json"))
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How complete and how fresh each entity is, and the last run.

    Per entity: rows promised, fetched and stored, watermark, months with gaps.
    """
    from st_kpi.cli import render
    from st_kpi.ingest import status
    from st_kpi.kpis.checks import accepted_now

    settings = _settings()
    with _reading(settings) as warehouse:
        health = status.read(warehouse, settings)
        accepted = accepted_now(warehouse)
    if as_json:
        document = status.as_dict(health) | {"accepted_checks": render.accepted_records(accepted)}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        lines = render.accepted_lines(accepted)
        zone = ZoneInfo(settings.timezone) if settings.timezone else None
        table = render.status_table(health, optional=settings.optional_entities, zone=zone)
        sys.stdout.write(table + "".join(f"{line}\n" for line in lines))


@app.command(epilog=_examples("mappings", "mappings --format csv"))
def mappings(
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """What the mapping files cover: jobs and money by line.

    And what has jobs or money and no line; the command then ends with code 1.
    """
    from st_kpi.cli import render
    from st_kpi.reporting import coverage

    settings = _settings()
    covered = _answer(
        settings,
        lambda warehouse: coverage.read(
            warehouse,
            settings.mappings,
            tenant_id=settings.tenant_id,
            timezone=settings.zone.key,
            today=datetime.now(settings.zone).date(),
        ),
        (render.coverage_table, render.coverage_csv, render.coverage_json),
        format,
    )
    if not covered.is_complete:
        raise typer.Exit(1)


@app.command(epilog=_examples("doctor", "doctor --json", "doctor --bigquery-trial trial.json"))
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    bigquery_trial: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Load a made-up company into an empty project; report there."
        ),
    ] = None,
) -> None:
    """What must hold, a line each, with the way out.

    In the order in which it would fail. Only reads; ends with code 1 when something fails.
    """
    if bigquery_trial is not None:
        from st_kpi.cli.bigquery_trial import run_trial

        if not run_trial(bigquery_trial):
            raise typer.Exit(1)
        return
    from st_kpi.cli.doctor import run_doctor

    if not run_doctor(as_json=as_json):
        raise typer.Exit(1)


@app.command(epilog=_examples("init", "init --tenant-id 1234567 --timezone America/Phoenix"))
def init(
    client_id: Annotated[
        str | None, typer.Option(help="Client id of the app's credentials.")
    ] = None,
    client_secret: Annotated[
        str | None,
        typer.Option(
            help="Its secret; rather by ST_KPI_CLIENT_SECRET, for others see a command line."
        ),
    ] = None,
    app_key: Annotated[str | None, typer.Option(help="Key of the app; likewise.")] = None,
    tenant_id: Annotated[str | None, typer.Option(help="Number of the tenant.")] = None,
    environment: Annotated[str | None, typer.Option(help="production or integration.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="The tenant's IANA time zone, such as America/Phoenix.")
    ] = None,
    warehouse: Annotated[
        str | None, typer.Option(help="duckdb:///FILE or bigquery://PROJECT?location=US.")
    ] = None,
) -> None:
    """Ask, try it, and write settings and drafts of mapping files.

    They are .env, st-kpi.toml, mappings/business_units.csv and job_types.csv.

    What is not given is taken from the environment, .env and st-kpi.toml; where there is no terminal nothing is asked.
    Run again it adds what is new.
    """
    from st_kpi.cli.asking import on_terminal
    from st_kpi.cli.init import run_init

    given = {
        "client_id": client_id,
        "client_secret": client_secret,
        "app_key": app_key,
        "tenant_id": tenant_id,
        "environment": environment,
        "timezone": timezone,
        "warehouse": warehouse,
    }
    for sentence in run_init(given, on_terminal()):
        print(sentence)


@app.command(epilog=_examples("copy --from duckdb:///st_kpi.duckdb --to bigquery://my-project"))
def copy(
    from_: Annotated[
        str, typer.Option("--from", metavar="W", help="A warehouse, as in ST_KPI_WAREHOUSE.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="W", help="An empty one.")],
) -> None:
    """Copy one warehouse into another, rows counted on both sides."""
    from st_kpi.cli.progress import say, waiting
    from st_kpi.servicetitan.tables import raw_tables
    from st_kpi.settings import named_in_full
    from st_kpi.warehouse import bigquery_options, copy, open_warehouse

    from_, to = named_in_full(from_), named_in_full(to)
    if from_ == to:
        raise ConfigurationError(f"--from and --to are both {to}: name an empty warehouse.")
    options = bigquery_options(_settings())
    _prepare_the_way(from_, to)
    with (
        waiting("Copy"),
        open_warehouse(from_, read_only=True, bigquery=options) as source,
        open_warehouse(to, bigquery=options) as target,
    ):
        copied = copy.copy(
            source,
            target,
            raw_tables(),
            lambda one: say(f"{one.table}: {one.rows:,} rows on both sides"),
        )
    rows = sum(one.rows for one in copied)
    print(
        f"Copied {len(copied)} tables with {rows:,} rows. Set ST_KPI_WAREHOUSE={to} to go on there."
    )


@app.command(epilog=_examples("bootstrap", "bootstrap --pool st-kpi"))
def bootstrap(
    pool: Annotated[
        str,
        typer.Option(help="The work pool that prefect.yaml names; made for processes if absent."),
    ] = "local",
) -> None:
    """Make or update what prefect.yaml cannot declare.

    By name: block types, limits, automations, the work pool.
    """
    from st_kpi.cli.flow_run import require_lasting_api, using_prefect
    from st_kpi.cli.progress import say, waiting

    settings = _settings()
    require_lasting_api("bootstrap")
    with waiting("Bootstrap"), using_prefect():
        import asyncio

        from tasks.bootstrap import bootstrap as apply

        for sentence in asyncio.run(apply(settings, pool)):
            say(sentence)


@webhooks_app.command("serve", epilog=_examples("webhooks serve --host 0.0.0.0 --port 8710"))
def webhooks_serve(
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8710,
    host: Annotated[str, typer.Option(help="The interface to listen on.")] = "127.0.0.1",
) -> None:
    """Receive ServiceTitan's webhooks.

    Each of them only starts a sync of its entity.
    """
    from st_kpi.cli.flow_run import require_lasting_api
    from st_kpi.local.private_server import prefect_api
    from st_kpi.servicetitan.webhooks import required_settings, serve

    tenant_id, secret = required_settings(_settings())
    require_lasting_api("webhooks serve")
    with prefect_api():
        from tasks.events import webhook_received

        serve(host, port, tenant_id, secret, webhook_received)


@app.command(epilog=_examples("lint"))
def lint() -> None:
    """Check the SQL in kpi_sql.

    Each finding has file, line, rule and the way out.
    """
    from st_kpi.kpis.definitions.lint import lint as find

    findings = find()
    for finding in findings:
        print(finding)
    if findings:
        raise typer.Exit(1)
    print("The KPI SQL is clean.")


@contextmanager
def _reading(settings: "Settings") -> Iterator["Warehouse"]:
    """The warehouse of the settings, for a command that only reads it."""
    from st_kpi.cli.progress import waiting
    from st_kpi.warehouse import bigquery_options, open_warehouse

    _prepare_the_way(settings.warehouse)
    with (
        waiting(f"Reading {settings.warehouse}"),
        open_warehouse(
            settings.warehouse, read_only=True, bigquery=bigquery_options(settings)
        ) as warehouse,
    ):
        yield warehouse


def _answer(
    settings: "Settings",
    ask: Callable[["Warehouse"], T],
    writers: tuple[Callable[[T], str], Callable[[T], str], Callable[[T], str]],
    format: Format,
) -> T:
    """Ask the warehouse, print the answer and return it; ``writers`` are in the order of ``Format``."""
    with _reading(settings) as warehouse:
        answer = ask(warehouse)
    sys.stdout.write(dict(zip(Format, writers, strict=True))[format](answer))
    return answer


def _prepare_the_way(*addresses: str) -> None:
    """To a warehouse that is not a file proxies may lead; one that cannot be used would be tried for ten minutes."""
    if any(address.startswith("bigquery:") for address in addresses):
        from st_kpi.local.proxies import prepare_proxies

        prepare_proxies()
