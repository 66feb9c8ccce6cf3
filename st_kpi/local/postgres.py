"""A Postgres of this machine for a Prefect server that lasts, with its data in a folder of ours."""

import logging
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.local.private_server import free_port

_log = logging.getLogger(__name__)

#: The setting of Prefect that names another database than ours.
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_INSTALL = Path(__file__).parents[2] / "scripts" / "debian"


def state_folder() -> Path:
    """Where the data are kept: ``ST_KPI_STATE``, else as root where the user ``postgres`` can reach it too."""
    default = Path("/var/lib/st-kpi") if _is_root() else Path.home() / ".local/state/st-kpi"
    return Path(os.environ.get("ST_KPI_STATE", default)).absolute()


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Postgres on the loopback interface with its data in ``folder``, made the first time; yields its address for Prefect.

    It ends with the block. One that runs already was left by a process that was killed, and is taken over: the folder is
    locked for as long as this process lives. As root Debian's package is installed where there is none. Raises
    ``ConfigurationError`` where it cannot be, or where the folder is in use, and ``RunFailed`` when it does not start.
    """
    install()
    with _alone_in(folder):
        data, password = folder / "postgres", folder / "postgres.password"
        if not data.exists():
            _make(data, password)
        port = _port(data) if _runs(data) else _start(data, folder / "postgres.log")
        secret = password.read_text(encoding="utf-8").strip()
        try:
            yield f"postgresql+asyncpg://postgres:{secret}@127.0.0.1:{port}/postgres"
        finally:
            _run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system gives back however this process ends."""
    import fcntl  # Windows has none, and no Postgres of ours

    folder.mkdir(parents=True, exist_ok=True)
    if _is_root():
        shutil.chown(folder, "postgres")
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another scripts/up is at work on {folder}: end it first, or set ST_KPI_STATE to another folder."
            ) from None
        yield


def install() -> None:
    """Raise ``ConfigurationError`` where there is no Postgres and none can be had from Debian."""
    if os.name == "nt":
        raise ConfigurationError(
            f"On Windows scripts/up starts no Postgres: set {DATABASE} to a database of your own, or PREFECT_API_URL to a"
            " Prefect API; or use the Windows Subsystem for Linux."
        )
    if _program("initdb"):
        return
    done = subprocess.run([_INSTALL, "postgresql"], capture_output=True, text=True)
    if done.returncode or not _program("initdb"):
        raise ConfigurationError(
            f"Postgres is not installed. {done.stderr.strip()} Or set {DATABASE} to a database of your own, or"
            " PREFECT_API_URL to a Prefect API."
        )


def _program(name: str) -> str | None:
    """Where one of Postgres' own programs is; Debian keeps them out of the PATH, by version."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[4])
    )
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def _make(data: Path, password: Path) -> None:
    """In another folder first: a half-made one would be taken for a database."""
    _log.info(f"Making a Postgres database in {data.parent}...")
    half_made = data.with_name("postgres.new")
    shutil.rmtree(half_made, ignore_errors=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    if _is_root():
        shutil.chown(password, "postgres")
    access = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
    if not _run("initdb", "-D", half_made, "--encoding=UTF8", *access):
        raise RunFailed(f"Postgres could not make its database in {half_made}; see above.")
    half_made.rename(data)


def _runs(data: Path) -> bool:
    return _run("pg_ctl", "-D", data, "status")


def _port(data: Path) -> int:
    """The port of the Postgres that runs on ``data``: the fourth line of its own note."""
    return int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3])


def _start(data: Path, log: Path) -> int:
    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    if not _run("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"):
        raise RunFailed(f"Postgres did not start: {log} says why.")
    return port


def _run(program: str, *arguments: str | Path) -> bool:
    """Run one of Postgres' own programs, as the user ``postgres`` where we are root, which it refuses to be."""
    as_user: Sequence[str] = ["runuser", "-u", "postgres", "--"] if _is_root() else []
    done = subprocess.run(  # no pipes: the server that pg_ctl starts would hold them open
        [*as_user, _program(program) or program, *map(str, arguments)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return done.returncode == 0


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
