"""A flow run from the command line: its session, its Prefect API, and what becomes of it where that fails.

Prefect is imported by whoever enters here, and by nobody else: reading a number must not wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from st_kpi.cli.lifecycle import give_up
from st_kpi.cli.progress import log_on_stderr, say, working
from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.ingest.session import Progress, Session, no_progress, open_for_build, open_session
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.local.api_answers import in_a_sentence, shown
from st_kpi.local.private_server import RESUME_HINT, configured_api, prefect_api, watched
from st_kpi.local.process import collecting_later
from st_kpi.settings import Settings

T = TypeVar("T")


def run_flow(
    settings: Settings,
    work: Callable[[Session], Awaitable[T]],
    progress: Progress = no_progress,
    *,
    creates: bool = True,
) -> T:
    """Open a session, reach Prefect and await ``work``, which imports its flow only then."""

    say(settings.places)

    async def run() -> T:
        async with open_session(settings, progress, creates=creates) as session:
            with using_prefect():
                return await work(session)

    return asyncio.run(run())


def run_build(settings: Settings, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """As ``run_flow`` for what reads no source: the warehouse alone is open.

    It is opened inside the event loop, which at its end waits for threads: whoever is stopped has closed it by then, and
    with it what they wait for.
    """
    say(settings.places)

    async def run() -> T:
        with open_for_build(settings), working("Build"), using_prefect(_prepare_build):
            return await work()

    return asyncio.run(run())


def import_flows() -> None:
    """Import all flows at once, with what they stand on: most of it is the same for each of them."""
    with collecting_later():
        import flows.backfill
        import flows.daily_sync
        import flows.refresh_kpis
        import flows.repair_gap  # noqa: F401


def _prepare_build() -> None:
    """Read and check the SQL too, which is remembered."""
    import_flows()
    inspect()


@contextmanager
def using_prefect(meanwhile: Callable[[], object] = import_flows) -> Iterator[None]:
    """The configured Prefect API, or a private server for this command; a run that loses it is given up.

    While a private server starts, ``meanwhile`` is done.
    """
    url = configured_api()
    if url is not None:
        say(f"Prefect API {shown(url)}.")
    else:
        say("Starting a private Prefect server (set PREFECT_API_URL to use yours)...")
    with (
        log_on_stderr(),
        prefect_api(meanwhile) as url,
        watched(url, give_up),
        api_failures_in_a_sentence(url),
    ):
        yield


@contextmanager
def api_failures_in_a_sentence(url: str) -> Iterator[None]:
    """Raise ``RunFailed`` for what Prefect's client raises, as when a restarted server does not know the run."""
    from prefect.exceptions import PrefectException

    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 401:
            raise in_a_sentence(shown(url), error) from error
        raise RunFailed(
            f"The Prefect API at {shown(url)} failed in the middle of the run ({type(error).__name__}): {RESUME_HINT}"
        ) from error


def require_lasting_api(command: str) -> None:
    """Raise ``ConfigurationError`` where only a private server could be used, which ends with the command."""
    if configured_api() is None:
        raise ConfigurationError(
            f"No Prefect API is set, and without one that lasts `st-kpi {command}` has nothing to work on:"
            " set PREFECT_API_URL, or start one with scripts/up."
        )
