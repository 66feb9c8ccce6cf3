"""The command line ``st-kpi``.

Progress goes to stderr, results to stdout. Exit codes: 0 all good, 1 a run or check failed, 2 wrong usage or settings.
Flows are imported when a command needs them: reading a number must not wait for Prefect.
"""

import asyncio
import atexit
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from threading import Thread, Timer, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from st_kpi.errors import ConfigurationError, StKpiError
from st_kpi.settings import Settings, load_settings

if TYPE_CHECKING:
    from st_kpi.warehouse import Warehouse

app = typer.Typer(
    name="st-kpi",
    help="ServiceTitan into a warehouse, and ten weekly numbers that can be proved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
sandbox_app = typer.Typer(no_args_is_help=True, help="The made-up tenant.", rich_markup_mode=None)
app.add_typer(sandbox_app, name="sandbox")
webhooks_app = typer.Typer(
    no_args_is_help=True, help="ServiceTitan's webhooks.", rich_markup_mode=None
)
app.add_typer(webhooks_app, name="webhooks")


class Format(StrEnum):
    """How numbers are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def main() -> None:
    """Run a command; every error a user can cause is one sentence on stderr, never a traceback."""
    signal.signal(signal.SIGINT, _stop)
    _take_sigterm_for_ctrl_c()
    atexit.register(_leave)  # first in, last out: after everything that Prefect still has to send
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
            _say_stopped()
        _exit_with(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
    except StKpiError as error:
        print(f"st-kpi: {error}", file=sys.stderr)
        _exit_with(error.exit_code)
    except KeyboardInterrupt:  # one that comes while another is dealt with
        _say_stopped()


def _stop(number: int, frame: FrameType | None) -> None:
    """Interrupt the command; who stops it does not wait for what Prefect still has to send, or hangs in."""
    last = Timer(_STOPS_WITHIN, _give_up)
    last.daemon = True
    last.start()
    raise KeyboardInterrupt


def _give_up() -> None:
    _tell_stopped()
    os._exit(128 + _stopped_by)


def _say_stopped() -> NoReturn:
    _tell_stopped()
    _exit_with(128 + _stopped_by)


def _tell_stopped() -> None:
    global _told
    if not _told:
        _told = True
        print("st-kpi: stopped; run the same command again to go on.", file=sys.stderr, flush=True)


_told = False
_STOPS_WITHIN = 3.0
_INTERRUPTED = 130
_exit_code = 1
_stopped_by = signal.SIGINT


def _take_sigterm_for_ctrl_c() -> None:
    """A service manager stops a command as orderly as a person does.

    A thread waits for the signal: while a flow runs Prefect has a handler of its own for it, which raises inside whatever
    task is at work, and there it can get lost.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_wait_for_sigterm, daemon=True).start()


def _wait_for_sigterm() -> None:
    global _stopped_by
    _stopped_by = signal.Signals(signal.sigwait({signal.SIGTERM}))
    signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)


def _exit_with(code: int) -> NoReturn:
    global _exit_code
    _exit_code = code
    sys.exit(code)


def _leave() -> None:
    """End the process here: tearing down the interpreter under Prefect's daemon threads makes DuckDB's
    binding print a page of leak warnings, which frightens people and means nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_code)


def _day(text: str | None) -> date | None:
    """A day as YYYY-MM-DD; raises ``ConfigurationError``."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a day: write it as 2025-01-31.") from None


_Entities = Annotated[
    list[str] | None, typer.Option("--entity", metavar="E", help="Only this entity; repeatable.")
]
_Scale = Annotated[float, typer.Option(help="1.0 is 161,332 jobs.", min=0.001, max=4.0)]
_Seed = Annotated[int, typer.Option(help="Another seed is another company.")]


@app.command()
def demo(
    scale: _Scale = 0.1,
    seed: _Seed = 7,
    home: Annotated[Path, typer.Option(help="Folder for the demo's warehouse.")] = Path("demo"),
) -> None:
    """A made-up company, backfilled over HTTP, built, and compared with its own books."""
    from st_kpi.cli.demo import run_demo

    run_demo(scale=scale, seed=seed, home=home)


class _WithFaults(TyperCommand):
    """A command whose help ends with the faults; they are imported only for that."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from st_kpi.sandbox.faults.app import described

        with formatter.section("Faults (how often without =SHARE)"):
            formatter.write_dl(described())


@sandbox_app.command("serve", cls=_WithFaults)
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
    from st_kpi.sandbox.faults.app import Faults
    from st_kpi.sandbox.serve import serve

    try:
        faults = Faults.parse(fault or [], fault_seed)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    serve(port=port, scale=scale, seed=seed, faults=faults)


def _source_settings(
    entities: list[str] | None, start: date | None = None, end: date | None = None
) -> Settings:
    """The settings, once everything is checked that would stop the run before it reads anything."""
    from st_kpi.ingest.plan import check_days, wanted_entities

    settings = load_settings()
    settings.require_credentials()
    wanted_entities(entities)
    check_days(settings, start, end)
    return settings


@app.command()
def backfill(
    entity: _Entities = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="D", help="First day.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="D", help="Last day.")] = None,
) -> None:
    """Load history by createdOn chunks; chunks already complete are skipped."""
    start, end = _day(from_), _day(to)
    settings = _source_settings(entity, start, end)

    async def run() -> None:
        from st_kpi.cli.render import progress_bar
        from st_kpi.ingest.session import open_session

        with progress_bar("Backfill") as progress:
            async with open_session(settings, progress):
                with _prefect():
                    from flows.backfill import backfill as flow

                    await flow(entity, start, end)

    asyncio.run(run())


@app.command()
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
    settings = _source_settings(entity)

    async def run() -> None:
        from st_kpi.cli import render
        from st_kpi.ingest.plan import wanted_entities
        from st_kpi.ingest.session import open_session
        from st_kpi.servicetitan.registry import REGISTRY

        async with open_session(settings, creates=False) as session:
            with _prefect():
                from flows.daily_sync import daily_sync as flow

                run_id = await flow(entity, sweep)
            loaded = session.watermarks.read()
            entities = [e for e in wanted_entities(entity) if e.name in loaded]
            rows = session.manifest.completeness(run_id, entities)
        sys.stdout.write(render.changes_table(rows))
        absent = [name for name in REGISTRY if name not in loaded]
        if absent and not entity:
            render.say(f"Never loaded, so not synced: {', '.join(absent)}.")

    asyncio.run(run())


@app.command()
def repair(
    entity: _Entities = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="D", help="First day.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="D", help="Last day.")] = None,
) -> None:
    """Compare the warehouse with ServiceTitan, and fetch again the days that differ."""
    start, end = _day(from_), _day(to)
    settings = _source_settings(entity, start, end)

    async def run() -> None:
        from st_kpi.cli.render import say
        from st_kpi.ingest.plan import wanted_entities
        from st_kpi.ingest.session import open_session

        async with open_session(settings, creates=False):
            with _prefect():
                from flows.repair_gap import repair_gap as flow

                for name in (found.name for found in wanted_entities(entity)):
                    chunks = await flow(name, start, end)
                    say(f"{name}: {chunks or 'no'} chunk{'s' * (chunks != 1)} fetched again")

    asyncio.run(run())


@app.command()
def build(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="D", help="Today, for the snapshots.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Run every statement, also those whose input is as it was."),
    ] = False,
) -> None:
    """Lint the SQL and build dimensions, contributions, rollups and checks."""
    settings = load_settings()
    day = _day(as_of)

    async def run() -> None:
        from st_kpi.cli.render import say
        from st_kpi.ingest.session import open_for_build

        with open_for_build(settings), _prefect():
            from flows.refresh_kpis import refresh_kpis

            say((await refresh_kpis(day, full)).summary())

    asyncio.run(run())


@app.command()
def show(
    kpi: Annotated[str | None, typer.Option(metavar="K", help="Only this KPI.")] = None,
    week: Annotated[str | None, typer.Option(metavar="D", help="The week of this day.")] = None,
    rollup: Annotated[str | None, typer.Option(metavar="R", help="Only this rollup.")] = None,
    weeks: Annotated[int, typer.Option(metavar="N", help="How many weeks.", min=1, max=520)] = 8,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="Other readings of each KPI beside it.")
    ] = False,
    as_reported: Annotated[
        bool, typer.Option("--as-reported", help="Values as frozen when each week closed.")
    ] = False,
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """The published numbers."""
    from st_kpi.cli import render
    from st_kpi.reporting import published

    if alternatives and as_reported:
        raise ConfigurationError("Alternatives are current values: leave --as-reported out.")
    settings = load_settings()
    writers: dict[Format, Callable[[published.Published], str]] = {
        Format.table: render.weekly_table,
        Format.csv: render.as_csv,
        Format.json: render.as_json,
    }
    with _reading(settings) as warehouse:
        found = published.read(
            warehouse,
            tenant_id=settings.tenant_id,
            kpi=kpi,
            week=_day(week),
            rollup=rollup,
            weeks=weeks,
            as_reported=as_reported,
        )
        if alternatives:
            from st_kpi.kpis.definitions.lint import inspect
            from st_kpi.reporting.alternatives import beside

            found = beside(warehouse, found, inspect(), settings)
    sys.stdout.write(writers[format](found))


@app.command()
def explain(
    kpi: Annotated[str, typer.Argument(metavar="K", help="A KPI, for example total_booked.")],
    week: Annotated[
        str | None, typer.Option(metavar="D", help="The week of this day, by default of --day.")
    ] = None,
    rollup: Annotated[str, typer.Option(metavar="R", help="Only this rollup.")] = "All",
    day: Annotated[str | None, typer.Option(metavar="D", help="Only this day.")] = None,
    format: Annotated[Format, typer.Option(help="table, csv or json.")] = Format.table,
) -> None:
    """The rows behind one number; their sum is the number."""
    from st_kpi.cli import opened
    from st_kpi.reporting import explain as explaining

    on = _day(day)
    of = _day(week) or on
    if of is None:
        raise ConfigurationError("Name the week with --week, or a day with --day.")
    settings = load_settings()
    writers: dict[Format, Callable[[explaining.Explained], str]] = {
        Format.table: opened.explained_table,
        Format.csv: opened.explained_csv,
        Format.json: opened.explained_json,
    }
    with _reading(settings) as warehouse:
        found = explaining.explain(
            warehouse, kpi, week=of, rollup=rollup, day=on, tenant_id=settings.tenant_id
        )
    sys.stdout.write(writers[format](found))


@app.command()
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
    """Why numbers changed between two builds, by cause; a build is named by its run id or number."""
    from st_kpi.cli import opened
    from st_kpi.reporting import diff as comparing

    settings = load_settings()
    writers: dict[Format, Callable[[comparing.Diff], str]] = {
        Format.table: opened.diff_table,
        Format.csv: opened.diff_csv,
        Format.json: opened.diff_json,
    }
    with _reading(settings) as warehouse:
        found = comparing.diff(warehouse, start=from_, to=to, kpi=kpi, tenant_id=settings.tenant_id)
    sys.stdout.write(writers[format](found))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Per entity: watermark, freshness, promised, fetched and stored rows, gaps, last run."""
    from st_kpi.cli import render
    from st_kpi.ingest import status

    settings = load_settings()
    with _reading(settings) as warehouse:
        found = status.read(warehouse, settings)
    sys.stdout.write(
        json.dumps(status.as_dict(found), indent=2) + "\n"
        if as_json
        else render.status_table(found)
    )


@app.command()
def copy(
    from_: Annotated[
        str, typer.Option("--from", metavar="W", help="A warehouse, as in ST_KPI_WAREHOUSE.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="W", help="An empty one.")],
) -> None:
    """Copy one warehouse into another, and count the rows of each table on both sides."""
    from st_kpi.cli.render import say
    from st_kpi.servicetitan.tables import raw_tables
    from st_kpi.warehouse import bigquery_options, copy, open_warehouse

    if from_ == to:
        raise ConfigurationError(f"--from and --to are both {to}: name an empty warehouse.")
    options = bigquery_options(load_settings())
    with (
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


@app.command()
def bootstrap(
    pool: Annotated[
        str,
        typer.Option(help="The work pool that prefect.yaml names; made for processes if absent."),
    ] = "local",
) -> None:
    """Create or update by name what prefect.yaml cannot declare: block types, limits, automations, work pool."""
    from st_kpi.cli.render import say

    settings = load_settings()
    _require_lasting_api("bootstrap")
    with _prefect():
        from tasks.bootstrap import bootstrap as apply

        for sentence in asyncio.run(apply(settings, pool)):
            say(sentence)


@webhooks_app.command("serve")
def webhooks_serve(
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8710,
    host: Annotated[str, typer.Option(help="The interface to listen on.")] = "127.0.0.1",
) -> None:
    """Receive ServiceTitan's webhooks, each of which only starts a sync of its entity."""
    from st_kpi.local.private_server import prefect_api
    from st_kpi.servicetitan.webhooks import required_settings, serve

    tenant_id, secret = required_settings(load_settings())
    _require_lasting_api("webhooks serve")
    with prefect_api():
        from tasks.events import webhook_received

        serve(host, port, tenant_id, secret, webhook_received)


def _require_lasting_api(command: str) -> None:
    """Raise ``ConfigurationError`` where only a private server could be used, which ends with the command."""
    from st_kpi.local.private_server import configured_api

    if configured_api() is None:
        raise ConfigurationError(
            f"No Prefect API is set, and without one that lasts `st-kpi {command}` has nothing to work on:"
            " set PREFECT_API_URL, or start one with scripts/up."
        )


@app.command()
def lint() -> None:
    """Check the SQL in kpi_sql; each finding has file, line, rule and the way out."""
    from st_kpi.kpis.definitions.lint import lint as find

    findings = find()
    for finding in findings:
        print(finding)
    if findings:
        raise typer.Exit(1)
    print("The KPI SQL is clean.")


@contextmanager
def _reading(settings: Settings) -> Iterator["Warehouse"]:
    """The warehouse of the settings, for a command that only reads it."""
    from st_kpi.warehouse import bigquery_options, open_warehouse

    with open_warehouse(
        settings.warehouse, read_only=True, bigquery=bigquery_options(settings)
    ) as warehouse:
        yield warehouse


@contextmanager
def _prefect() -> Iterator[None]:
    """The configured Prefect API, or a private server for this command; nothing of Prefect is imported before."""
    from st_kpi.cli.render import say
    from st_kpi.local.private_server import configured_api, prefect_api, watched

    if configured_api() is None:
        say("Starting a private Prefect server (set PREFECT_API_URL to use yours)...")
    with prefect_api() as url, watched(url, _give_up_on):
        from tasks.api import told_in_a_sentence

        with told_in_a_sentence(url):
            yield


def _give_up_on(error: StKpiError) -> None:
    """End at once, as a kill would: whatever waits for Prefect now would wait in vain."""
    print(f"st-kpi: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_code)
