"""``scripts/up``: a lasting Prefect server on Postgres, everything deployed to it, and a worker, until Ctrl-C.

All of it can be run again at any time, also after it was killed: what is there is used. With ``PREFECT_API_URL`` no
server is started, and with ``PREFECT_SERVER_DATABASE_CONNECTION_URL`` no Postgres.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import httpx
import psutil

from st_kpi.errors import ConfigurationError, RunFailed, StKpiError
from st_kpi.local import streams
from st_kpi.local.api_answers import require_api
from st_kpi.local.postgres import DATABASE, postgres, state_folder
from st_kpi.local.private_server import configured_api
from st_kpi.local.process import start_process
from st_kpi.local.proxies import prepare_proxies
from st_kpi.settings import load_settings

_log = logging.getLogger(f"{__package__}.stack")  # its name is __main__ when it is run

_HOME = Path(__file__).parents[2]
_SERVER_STARTS_WITHIN = 180.0
_ENDS_WITHIN = 20.0
#: What a server that lasts is set to, wherever it runs; ``deploy/compose.yaml`` says the same.
SERVER_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    # Else a server that was down for minutes forgets the runs that it watched, and they would be running for ever.
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "P30D",
}
#: The modules and arguments that make of a bare server one that runs the product.
PREPARATIONS = ("st_kpi bootstrap", "prefect --no-prompt deploy --all")
#: A worker of the pool ``local``, whose runs are processes beside it.
WORKER = ("worker", "start", "--pool", "local", "--type", "process", "--name")
#: Ctrl-C, a service manager, a terminal that is closed, of which Windows tells nobody.
_STOPS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def main() -> None:
    """Bring everything up and keep it so; errors are one sentence."""
    streams.guard()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger(__package__).setLevel(logging.INFO)
    for number in _STOPS:
        signal.signal(number, _stop)
    try:
        _run()
    except StKpiError as error:
        print(f"scripts/up: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _log.info("Stopped. What was loaded, and Prefect's own data, are kept for the next time.")
        sys.exit(130)


def _run() -> None:
    settings = load_settings()
    settings.require_credentials()
    settings.zone  # noqa: B018  fails here rather than in the first run
    prepare_proxies()
    with api() as url:
        os.environ["PREFECT_API_URL"] = url
        _log.info(f"Prefect answers at {url}.")
        prepare()
        with worker() as process:
            _log.info(
                "Ready. In another terminal:\n"
                f"  . .venv/bin/activate && export PREFECT_API_URL={url}\n"
                """  prefect deployment run 'backfill/manual' -p entities='["invoices"]'"""
                " -p start=2023-01-01 -p end=2023-12-31"
            )
            raise RunFailed(f"The worker {how_it_ended(process.wait())}")


def how_it_ended(code: int) -> str:
    """The end of a process in words, by its exit code; a negative one is the signal that ended it."""
    if code >= 0:
        return f"ended by itself with {code}; its last words are above."
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return "was killed, as the system does where memory runs out; its log (dmesg, journalctl -k) tells."
    return f"was ended by {name}."


@contextmanager
def api() -> Iterator[str]:
    """The Prefect API that is configured, else a lasting server of this machine."""
    if url := configured_api():
        require_api(url)
        yield url
        return
    port = int(os.environ.get("PREFECT_SERVER_API_PORT", "4200"))
    if database := os.environ.get(DATABASE):
        if database.startswith("sqlite"):
            raise ConfigurationError(
                f"{DATABASE} is a sqlite file, which locks as soon as two runs are at work: name a Postgres"
                " database (postgresql+asyncpg://...), or leave it out."
            )
        with server(database, port) as url:
            yield url
        return
    with postgres(state_folder()) as address, server(address, port) as url:
        yield url


def prepare() -> None:
    """Apply the bootstrap and every deployment of prefect.yaml to the API in ``PREFECT_API_URL``."""
    for command in PREPARATIONS:
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=_HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RunFailed(f"`python -m {command}` failed:\n{done.stdout.strip()}")
    _log.info("Applied the bootstrap and deployed prefect.yaml.")


@contextmanager
def worker(name: str = "st-kpi up") -> Iterator[subprocess.Popen[str]]:
    """A worker of the pool ``local``, whose runs are processes of this machine.

    It has a folder for temporary files of its own: Prefect's is the same for all users, and belongs to the first of them.
    """
    with tempfile.TemporaryDirectory(prefix="st-kpi-worker-", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {"TMPDIR": folder}
        process = start_process(
            "prefect", [*WORKER, name], stdout=sys.stderr.buffer, environment=environment
        )
        try:
            with _ended(process):
                try:
                    yield process
                finally:
                    _end_runs(process.pid)
        finally:
            _end_what_never_began(os.environ["PREFECT_API_URL"])


def _end_runs(worker: int) -> None:
    """Let the worker's runs end by themselves, which say so: ended with it they would be running for ever."""
    runs = _children(worker)
    for run in runs:
        with suppress(psutil.NoSuchProcess):
            run.terminate()
    deadline = time.monotonic() + _ENDS_WITHIN
    while any(map(_is_at_work, runs)) and time.monotonic() < deadline:
        time.sleep(0.1)


def _end_what_never_began(api: str) -> None:
    """End the runs that the worker took as it was stopped: it says nothing of them, and each holds its queue's place.

    Only on a server of this machine, which has no other worker; elsewhere an automation does it a quarter of an hour later.
    """
    if urlsplit(api).hostname not in ("127.0.0.1", "localhost"):
        return
    pending = {"flow_runs": {"state": {"type": {"any_": ["PENDING"]}}}}
    message = (
        "Its worker was stopped before the run began: nothing was read or changed. Start it again."
    )
    state = {"state": {"type": "CRASHED", "name": "Crashed", "message": message}}
    try:
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.post(f"{api}/flow_runs/filter", json=pending).raise_for_status()
            for run in answer.json():
                client.post(f"{api}/flow_runs/{run['id']}/set_state", json=state).raise_for_status()
    except httpx.HTTPError as error:
        _log.info(
            f"Runs that did not begin are ended a quarter of an hour after the next start: {error}"
        )


def _children(parent: int) -> list[psutil.Process]:
    """The processes that this one has started; none where it has ended."""
    try:
        return psutil.Process(parent).children()
    except psutil.NoSuchProcess:
        return []


def _is_at_work(process: psutil.Process) -> bool:
    """Whether it has not ended; one that nobody has asked for its exit code yet has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def server(database: str, port: int) -> Iterator[str]:
    """A Prefect server with all its services on the loopback interface; raises ``RunFailed`` when it does not start."""
    url = f"http://127.0.0.1:{port}/api"
    if _answers(url):
        raise ConfigurationError(
            f"Something answers at {url} already: to use it set PREFECT_API_URL={url}, to start another server"
            " set PREFECT_SERVER_API_PORT to a free port."
        )
    _log.info("Starting a Prefect server...")
    environment = (
        os.environ
        | SERVER_SETTINGS
        | {
            # Both names of one setting.
            DATABASE: database,
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_UI_API_URL": url,
        }
    )
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = start_process("prefect", command, stdout=sys.stderr.buffer, environment=environment)
    with _ended(process):
        deadline = time.monotonic() + _SERVER_STARTS_WITHIN
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RunFailed("The Prefect server did not start; its last words are above.")
            time.sleep(0.3)
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the process with the block."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()


def _stop(number: int, frame: FrameType | None) -> None:
    for stop in _STOPS:  # once is enough: ending takes a moment
        signal.signal(stop, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
