"""A private Prefect server for one command, where none is configured.

It keeps its runs in memory: a sqlite *file* locks, silently, as soon as two subflows run side by side. Nothing here
imports prefect, so that the address is in the environment before anything does.
"""

import os
import socket
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
from dotenv import dotenv_values

from st_kpi.errors import RunFailed
from st_kpi.local.process import start_process

#: What a run that lost its Prefect API leaves behind.
KEPT = "the run ended, and what was loaded is kept. See to the API, then run the same command again to go on."
#: How often a run says that it is alive; the automation that ends silent runs goes by it, and prefect.yaml says the same.
HEARTBEAT_SECONDS = 30
#: Seconds without an answer after which a run is given up; Prefect's own clients give up after some 70.
GONE_AFTER = 60.0

_LOOKS_EVERY, _ANSWERS_WITHIN = 2.0, 10.0
IN_MEMORY = "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"
_START_TIMEOUT = 180.0


def configured_api() -> str | None:
    """The Prefect API that Prefect itself would use: of the environment, .env, prefect.toml or the active profile."""
    known = os.environ.get("PREFECT_API_URL") or dotenv_values(".env").get("PREFECT_API_URL")
    if url := known or _in_prefect_toml():
        return url
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    url = profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return str(url) if url else None


def _in_prefect_toml() -> str | None:
    try:
        found = tomllib.loads(Path("prefect.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    url = found.get("api", {}).get("url")
    return str(url) if url else None


def is_private() -> bool:
    """Whether the Prefect API in use is a server that this process started for itself."""
    return _private


_private = False


@contextmanager
def prefect_api() -> Iterator[str]:
    """The configured Prefect API, else a private server that ends with the block."""
    # The command itself says what went wrong, in a sentence.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(HEARTBEAT_SECONDS)
    if url := configured_api():
        _require_answer(url)
        yield url
        return
    global _private
    with tempfile.TemporaryDirectory(prefix="st-kpi-prefect-") as home:
        port = free_port()
        process = _start(home, port)
        url = f"http://127.0.0.1:{port}/api"
        os.environ["PREFECT_API_URL"] = url
        os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"  # nobody can read them there
        try:
            _wait_until_ready(process, url, Path(home) / "server.log")
            _private = True
            yield url
        finally:
            _private = False
            del os.environ["PREFECT_API_URL"]
            process.terminate()
            process.communicate()


def _require_answer(url: str) -> None:
    """Raise ``RunFailed`` where nothing answers; what it answers is Prefect's own matter."""
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=30)
    except httpx.HTTPError as error:
        raise RunFailed(
            f"The Prefect API at {url} does not answer ({error}): start it, or unset PREFECT_API_URL"
            " to use a private server."
        ) from None


@contextmanager
def watched(url: str, lost: Callable[[RunFailed], None]) -> Iterator[None]:
    """Call ``lost``, on another thread, once the API has not answered for ``GONE_AFTER`` seconds.

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
    while not ended.wait(_LOOKS_EVERY):
        try:
            httpx.get(f"{url.rstrip('/')}/health", timeout=_ANSWERS_WITHIN)
            answered = time.monotonic()
        except httpx.HTTPError:
            if time.monotonic() - answered > GONE_AFTER and not ended.is_set():
                lost(
                    RunFailed(
                        f"The Prefect API at {url} has not answered for {GONE_AFTER:.0f} seconds: {KEPT}"
                    )
                )
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
        "PREFECT_API_DATABASE_CONNECTION_URL": IN_MEMORY,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": IN_MEMORY,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    command = ["server", "start", "--no-services", "--host", "127.0.0.1", "--port", str(port)]
    with open(Path(home) / "server.log", "wb") as log:
        return start_process("prefect", command, stdout=log, environment=environment)


def _wait_until_ready(process: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    tail = log.read_text(errors="replace")[-2000:]
    raise RunFailed(f"The private Prefect server did not start. Its last words:\n{tail}")
