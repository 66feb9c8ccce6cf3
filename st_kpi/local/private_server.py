"""The Prefect API of a command: the one that is configured, else a private server for as long as it runs.

A private server keeps its runs in memory: a sqlite *file* locks, silently, as soon as two subflows run side by side.
Prefect is imported by the functions that need it: it takes a second, and most commands do without it.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.local import server_process
from st_kpi.local.api_answers import client, require_api, shown
from st_kpi.local.process import collecting_later, start_process
from st_kpi.local.proxies import prepare_proxies

#: What a run that lost its Prefect API leaves behind.
RESUME_HINT = "the run ended, and what was loaded is kept. See to the API, then run the same command again to go on."
#: How often a run says that it is alive; the automation that ends silent runs goes by it, and prefect.yaml says the same.
HEARTBEAT_SECONDS = 30
#: Seconds without an answer after which a run is given up; Prefect's own clients give up after some 70.
LOST_AFTER = 60.0

_LOOKS_EVERY, _ANSWERS_WITHIN = 2.0, 10.0
_START_TIMEOUT = 180.0
#: Seconds in which the events and logs that a run leaves behind have to reach the server.
_DRAINS_WITHIN = 10.0


def configured_api() -> str | None:
    """The Prefect API that Prefect itself would use, wherever it is named; None where a private server is needed.

    Raises ``ConfigurationError`` for settings of Prefect that cannot be read.
    """
    _require_home()
    try:
        with collecting_later(), warnings.catch_warnings():
            # Nothing is kept there that a command needs.
            warnings.filterwarnings("ignore", "Failed to create the Prefect home")
            from prefect.settings import get_current_settings

        return get_current_settings().api.url or None
    except ValueError as error:  # of a TOML file, or of a value in it or in the environment
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"Prefect's own settings cannot be read: {reason}") from None


def _require_home() -> None:
    """Raise ``ConfigurationError`` where nobody knows the user's home: Prefect cannot even be imported there."""
    try:
        Path.home()
    except RuntimeError:
        raise ConfigurationError(
            "This user has no home folder, and Prefect needs one: set HOME to a folder that it may write."
        ) from None


def is_private() -> bool:
    """Whether the Prefect API in use is a server that this process started for itself."""
    return _private


_private = False


def _nothing() -> None:
    """What there is to do while a server starts, unless somebody knows better."""


@contextmanager
def prefect_api(meanwhile: Callable[[], object] = _nothing) -> Iterator[str]:
    """The configured Prefect API, else a private server that ends with the block; ``meanwhile`` is done as that starts."""
    configured = configured_api()
    prepare_proxies()
    # The command itself says what went wrong, in a sentence.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with (
        _prefect_settings({"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}),
        _reachable_api(configured, meanwhile) as url,
    ):
        try:
            yield url
        finally:
            _send_what_is_left()


@contextmanager
def _reachable_api(configured: str | None, meanwhile: Callable[[], object]) -> Iterator[str]:
    if configured:
        require_api(configured)
        yield configured
        return
    with _private_server(meanwhile) as url:
        yield url


@contextmanager
def _private_server(meanwhile: Callable[[], object]) -> Iterator[str]:
    """A Prefect server of this process that answers, and that the settings name; its address."""
    global _private
    with tempfile.TemporaryDirectory(prefix="st-kpi-prefect-") as home:
        port = free_port()
        process = _start(home, port)
        url = f"http://127.0.0.1:{port}/api"
        # Nobody can read logs there.
        values = {"PREFECT_API_URL": url, "PREFECT_LOGGING_TO_API_ENABLED": "false"}
        try:
            meanwhile()
            _wait_until_ready(process, url, Path(home) / "server.log")
            _private = True
            with _prefect_settings(values):
                yield url
        finally:
            _private = False
            process.kill()  # there is nothing in its memory that anybody will ask for
            process.communicate()


@contextmanager
def _prefect_settings(values: Mapping[str, str]) -> Iterator[None]:
    """Give Prefect settings: here, where it read its own as it was imported, and in processes started from here."""
    from prefect import settings

    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        with settings.temporary_settings(
            {getattr(settings, name): value for name, value in values.items()}
        ):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send_what_is_left() -> None:
    """Let Prefect send what it has queued, while its server is there: what it cannot send it complains of, in lines of its own.

    Where it does not get it done in time, a line on stderr says what that may mean.
    """
    from prefect.events.worker import EventsWorker

    drained: list[Any] = []  # what was sent and what was not, once that is known

    def drain() -> None:
        """All of Prefect's services; in a thread of its own, for where a loop runs Prefect answers with a coroutine."""
        drained.append(EventsWorker.drain_all(timeout=_DRAINS_WITHIN))

    thread = Thread(target=drain, daemon=True)
    thread.start()
    thread.join(_DRAINS_WITHIN + 2)
    if not drained or drained[0][1]:
        print(
            f"The Prefect API did not take every event of this run within {_DRAINS_WITHIN:.0f} seconds: what events start,"
            " a refresh of the KPIs for example, may have to be started by hand.",
            file=sys.stderr,
        )


@contextmanager
def watched(url: str, lost: Callable[[RunFailed], None]) -> Iterator[None]:
    """Call ``lost``, on another thread, once the API has not answered for ``LOST_AFTER`` seconds.

    Prefect waits out a shorter absence by itself. After a longer one its clients give up one by one, each with a page
    of its own, and the run would go on for minutes without getting anywhere.
    """
    ended = Event()
    watch = Thread(target=_watch, args=(url, lost, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()


def _watch(url: str, lost: Callable[[RunFailed], None], ended: Event) -> None:
    answered = time.monotonic()
    with client(url, _ANSWERS_WITHIN) as asking:
        while not ended.wait(_LOOKS_EVERY):
            unwell = asking.api_healthcheck()
            if not isinstance(unwell, httpx.TransportError):  # any answer is one
                answered = time.monotonic()
            elif time.monotonic() - answered > LOST_AFTER and not ended.is_set():
                silent = f"has not answered for {LOST_AFTER:.0f} seconds"
                lost(RunFailed(f"The Prefect API at {shown(url)} {silent}: {RESUME_HINT}"))
                return


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(home: str, port: int) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PREFECT_HOME": home,
        # Both names of one setting: the user's own database must not be the one.
        "PREFECT_API_DATABASE_CONNECTION_URL": server_process.DATABASE,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": server_process.DATABASE,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    with open(Path(home) / "server.log", "wb") as log:
        return start_process(
            server_process.__name__, [str(port)], stdout=log, environment=environment
        )


def _wait_until_ready(process: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(f"{url}/health").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise RunFailed(f"The private Prefect server did not start. Its last words:\n{tail}")
