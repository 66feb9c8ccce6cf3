"""``scripts/up``: a lasting Prefect server on Postgres, everything deployed to it, and a worker, until Ctrl-C.

All of it can be run again at any time: what is there is used. With ``PREFECT_API_URL`` no server is started, and with
``PREFECT_SERVER_DATABASE_CONNECTION_URL`` no Postgres. ``ST_KPI_STATE`` names the folder that keeps Postgres' data.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from st_kpi import child
from st_kpi.errors import ConfigurationError, RunFailed, StKpiError
from st_kpi.prefect_server import configured_api, free_port
from st_kpi.settings import load_settings
from st_kpi.terminal import say

_HOME = Path(__file__).parent.parent
_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_SERVER_STARTS_WITHIN = 180.0
_ENDS_WITHIN = 20.0


def main() -> None:
    """Bring everything up and keep it so; errors are one sentence."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        _up()
    except StKpiError as error:
        print(f"scripts/up: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("Stopped. What was loaded, and Prefect's own data, are kept for the next time.")
        sys.exit(130)


def _up() -> None:
    settings = load_settings()
    settings.credentials()
    settings.zone  # noqa: B018  fails here rather than in the first run
    with api() as url:
        os.environ["PREFECT_API_URL"] = url
        say(f"Prefect answers at {url}.")
        prepare()
        with worker() as process:
            say(
                "Ready. In another terminal:\n"
                f"  . .venv/bin/activate && export PREFECT_API_URL={url}\n"
                """  prefect deployment run 'backfill/manual' -p entities='["invoices"]'"""
                " -p start=2023-01-01 -p end=2023-12-31"
            )
            raise RunFailed(f"The worker ended by itself with {process.wait()}.")


@contextmanager
def api() -> Iterator[str]:
    """The Prefect API that is configured, else a lasting server of this machine."""
    if url := configured_api():
        yield url
        return
    port = int(os.environ.get("PREFECT_SERVER_API_PORT", "4200"))
    if given := os.environ.get(_DATABASE):
        if given.startswith("sqlite"):
            raise ConfigurationError(
                f"{_DATABASE} is a sqlite file, which locks as soon as two runs are at work: name a Postgres"
                " database (postgresql+asyncpg://...), or leave it out."
            )
        with server(given, port) as url:
            yield url
        return
    with postgres(state_folder()) as database, server(database, port) as url:
        yield url


def state_folder() -> Path:
    """Where Postgres keeps its data; as root, where the user ``postgres`` can reach it too."""
    default = Path("/var/lib/st-kpi") if _is_root() else Path.home() / ".local/state/st-kpi"
    return Path(os.environ.get("ST_KPI_STATE", default)).absolute()


def prepare() -> None:
    """Apply the bootstrap and every deployment of prefect.yaml to the API in ``PREFECT_API_URL``."""
    for command in ("st_kpi bootstrap", "prefect --no-prompt deploy --all"):
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=_HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RunFailed(f"`python -m {command}` failed:\n{done.stdout.strip()}")
    say("Applied the bootstrap and deployed prefect.yaml.")


@contextmanager
def worker() -> Iterator[subprocess.Popen[str]]:
    """A worker of the pool ``local``, whose runs are processes of this machine."""
    command = ["worker", "start", "--pool", "local", "--type", "process", "--name", "st-kpi up"]
    process = child.start("prefect", command, stdout=sys.stderr.buffer)
    with _ended(process):
        try:
            yield process
        finally:
            _end_runs(process.pid)


def _end_runs(worker: int) -> None:
    """Let the worker's runs end by themselves, which say so: ended with it they would be running for ever."""
    runs = _children(worker)
    for run in runs:
        os.kill(run, signal.SIGTERM)
    deadline = time.monotonic() + _ENDS_WITHIN
    while set(runs) & set(_children(worker)) and time.monotonic() < deadline:
        time.sleep(0.1)


def _children(parent: int) -> list[int]:
    """The processes that this one has started and that have not ended."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, ppid, stat in rows if ppid == str(parent) and stat[0] != "Z"]


@contextmanager
def server(database: str, port: int) -> Iterator[str]:
    """A Prefect server with all its services on the loopback interface; raises ``RunFailed`` when it does not start."""
    url = f"http://127.0.0.1:{port}/api"
    if _answers(url):
        raise ConfigurationError(
            f"Something answers at {url} already: to use it set PREFECT_API_URL={url}, to start another server"
            " set PREFECT_SERVER_API_PORT to a free port."
        )
    say("Starting a Prefect server...")
    environment = os.environ | {
        # Both names of one setting.
        _DATABASE: database,
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = child.start("prefect", command, stdout=sys.stderr.buffer, environment=environment)
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
def postgres(folder: Path) -> Iterator[str]:
    """Postgres on the loopback interface with its data in ``folder``, made the first time; yields its address for Prefect.

    Raises ``ConfigurationError`` where it is not installed.
    """
    data, password = folder / "postgres", folder / "postgres.password"
    if not (data / "PG_VERSION").exists():
        _make(folder, data, password)
    secret = password.read_text(encoding="utf-8").strip()
    if _postgres("pg_ctl", "-D", data, "status").returncode == 0:  # of a run that was killed
        yield _address(secret, _port(data))
        return
    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    log = folder / "postgres.log"
    started = _postgres("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
    if started.returncode:
        raise RunFailed(f"Postgres did not start: {log} says why.")
    try:
        yield _address(secret, port)
    finally:
        _postgres("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")


def _make(folder: Path, data: Path, password: Path) -> None:
    say(f"Making a Postgres database in {folder}...")
    folder.mkdir(parents=True, exist_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    if _is_root():
        for path in (folder, password):
            shutil.chown(path, "postgres")
    access = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
    made = _postgres("initdb", "-D", data, "--encoding=UTF8", *access)
    if made.returncode:
        raise RunFailed(f"Postgres could not make its database in {data}; see above.")


def _address(password: str, port: int) -> str:
    return f"postgresql+asyncpg://postgres:{password}@127.0.0.1:{port}/postgres"


def _port(data: Path) -> int:
    """The port of the Postgres that runs on ``data``: the fourth line of its own note."""
    return int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3])


def _postgres(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run one of Postgres' own programs, as the user ``postgres`` where we are root, which it refuses to be."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda p: int(p.parts[4])
    )
    found = shutil.which(program) or (versions[-1] if versions else None)
    if found is None:
        raise ConfigurationError(
            f"Postgres is not installed ({program} was not found): on Debian `apt-get install postgresql`, or set"
            f" {_DATABASE} to a database of your own, or PREFECT_API_URL to a Prefect API."
        )
    as_user: Sequence[str] = ["runuser", "-u", "postgres", "--"] if _is_root() else []
    return subprocess.run(  # no pipes: the server that pg_ctl starts would hold them open
        [*as_user, str(found), *map(str, arguments)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _is_root() -> bool:
    return os.geteuid() == 0


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: ending takes a moment
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
