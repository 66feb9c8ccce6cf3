"""A real command, killed at random moments again and again, and what its warehouse then holds."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from st_kpi.sandbox.company import SandboxCredentials
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse import open_warehouse
from tests.support import source

#: The smallest that the setting allows, so that even a small company has many chunks.
CHUNK_ROWS = 1_000
#: How long a stopped command may take to end, and any command at all.
STOPS_WITHIN, ENDS_WITHIN = 20.0, 300.0
#: What stops a command, and with which exit code it then ends.
STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143}

_WAIT = 0.02


@dataclass
class Tally:
    """What became of it all; everything from ``lost`` on has to stay nothing."""

    kills: Counter[str] = field(default_factory=Counter)
    ended_first: int = 0
    completed: int = 0
    compared: int = 0
    lost: int = 0
    added: int = 0
    again: int = 0
    left_behind: int = 0
    badly_stopped: int = 0
    failed: int = 0

    @property
    def clean(self) -> bool:
        return not (
            self.lost
            or self.added
            or self.again
            or self.left_behind
            or self.badly_stopped
            or self.failed
        )

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills of a running command ({kinds or 'none'}),"
            f" {self.ended_first} ended before, {self.completed} runs completed,"
            f" {self.compared} comparisons: {self.lost} rows lost, {self.added} rows too many,"
            f" {self.again} chunks fetched again although complete,"
            f" {self.left_behind} spools left behind, {self.badly_stopped} stopped badly,"
            f" {self.failed} failed by themselves"
        )


class Ordeal:
    """One warehouse after the other, filled by commands that are killed.

    Every random choice comes from ``seed``; where exactly a kill then hits is the machine's.
    """

    def __init__(self, url: str, prefect_api: str, folder: Path, seed: int) -> None:
        self.url = url
        self.folder = folder
        self.tally = Tally()
        self.loaded = False
        self._chance = Random(seed)
        self._days = 0
        self._works_for = {"backfill": 8.0, "sync": 4.0}
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ST_KPI_")
        } | {
            "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
            "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
            "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
            "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
            "ST_KPI_API_URL": url,
            "ST_KPI_AUTH_URL": url,
            "ST_KPI_TIMEZONE": "America/Phoenix",
            "ST_KPI_CHUNK_ROWS": str(CHUNK_ROWS),
            "ST_KPI_WAREHOUSE": f"duckdb:///{self.file}",
            "PREFECT_API_URL": prefect_api,
        }

    @property
    def file(self) -> Path:
        return self.folder / "killed.duckdb"

    @property
    def spool(self) -> Path:
        return Path(f"{self.file}.spool")

    @property
    def command(self) -> str:
        return "sync" if self.loaded else "backfill"

    @property
    def said(self) -> str:
        """What the last command wrote to stderr."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.folder / "stderr.log"

    def begin_anew(self) -> None:
        """Forget the warehouse: the next command is a first backfill."""
        for path in self.folder.glob(f"{self.file.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.loaded = False

    def start(self) -> subprocess.Popen[bytes]:
        """The command in a session of its own, as a service or another terminal would run it."""
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "st_kpi", self.command],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[bytes]]:
        """The command as soon as it has begun to read, or has ended; killed with the block."""
        before = self._requests()
        with self.start() as process:
            try:
                while process.poll() is None and self._requests() < before + 3:
                    time.sleep(_WAIT)
                yield process
            finally:
                process.kill()

    def live(self, changes: int = 60) -> None:
        """A day goes by at the company."""
        self._days += 1
        params = {"changes": changes, "seed": self._days, "renames": "false"}
        self._ask("POST", "/sandbox/live", **params)

    def disturb(self, kind: signal.Signals | None = None) -> None:
        """Start the command and stop it at a random moment, mostly while it reads; counts what came of it."""
        kinds = [signal.SIGKILL] * 14 + [signal.SIGTERM] * 3 + [signal.SIGINT] * 3
        kind = kind or self._chance.choice(kinds)
        reading = self._chance.random() < 0.85
        share = self._chance.random()
        began = time.monotonic()
        before = self._requests()
        with self.start() as process:
            while reading and process.poll() is None and self._requests() == before:
                time.sleep(_WAIT)
            began = time.monotonic()
            wait = share * (1.1 * self._works_for[self.command] if reading else 5.0)
            while process.poll() is None and time.monotonic() < began + wait:
                time.sleep(_WAIT)
            if process.poll() is None:
                self._stop(process, kind)
                return
            if reading:
                self._works_for[self.command] = time.monotonic() - began
        self.tally.ended_first += 1
        self._ended(process.returncode)

    def finish(self) -> None:
        """Let the command end undisturbed; where the source was too rough, as often as a person would try."""
        for _ in range(5):
            with self.start() as process:
                try:
                    code = process.wait(ENDS_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.tally.failed += 1
                    print(f"{self.command} did not end: {self.said[-2000:]}", flush=True)
                    return
            if self._ended(code):
                return
        self.tally.failed += 1

    async def compare(self) -> None:
        """Every live row beside those of an undisturbed first load, and every chunk beside the others."""
        transport = httpx.AsyncHTTPTransport()
        with open_warehouse(f"duckdb:///{self.file}", read_only=True) as warehouse:
            wrong = await source.differences(
                warehouse, transport, self.folder, tuple(REGISTRY), url=self.url
            )
            (row,) = warehouse.query(_FETCHED_AGAIN)
        self.tally.compared += 1
        self.tally.again += row["n"]
        for table, difference in wrong.items():
            print(f"{table}: {difference}", flush=True)
            self.tally.lost += len(difference.lost)
            self.tally.added += len(difference.added)

    def _stop(self, process: subprocess.Popen[bytes], kind: signal.Signals) -> None:
        process.send_signal(kind)
        if kind is signal.SIGKILL:
            process.wait()
            self.tally.kills[kind.name] += 1
            return
        try:
            code = process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            code = None
        if code in (0, 1):  # it was at its end, or before its beginning
            self.tally.ended_first += 1
            return
        self.tally.kills[kind.name] += 1
        # Until the command has begun to listen for signals they end it without a word.
        silent = code == -kind and not self.said
        if not silent and (code != STOPS[kind] or not one_sentence(self.said)):
            self.tally.badly_stopped += 1
            print(f"{kind.name} of {self.command}: {code}, {self.said[-2000:]}", flush=True)

    def _ended(self, code: int) -> bool:
        """Note a command that ended by itself; whether all is loaded."""
        if code:
            print(f"{self.command} ended with {code}: {self.said[-600:]}", flush=True)
            return False
        self.tally.completed += 1
        self.tally.left_behind += self.spool.exists()
        self.loaded = True
        return True

    def _requests(self) -> int:
        return int(self._ask("GET", "/sandbox")["requests"])

    def _ask(self, method: str, path: str, **params: Any) -> dict[str, Any]:
        answer = httpx.request(
            method, f"{self.url}{path}", params=params, trust_env=False, timeout=60
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


#: Complete chunks of the history that hold a moment which an earlier one holds too.
_FETCHED_AGAIN = (
    "SELECT COUNT(*) AS n FROM ("
    "SELECT window_start, MAX(window_end) OVER (PARTITION BY tenant_id, entity, typing"
    " ORDER BY window_start, window_end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
    " FROM st_ops.chunks WHERE kind = 'created' AND rejected = 0"
    ") AS windows WHERE window_start < before"
)


def one_sentence(said: str) -> bool:
    """Whether a stopped command told how to go on and nothing frightening; the progress bar is no text."""
    lines = [line for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("st-kpi: ")]
    return (
        len(told) == 1
        and "stopped" in told[0]
        and "same command again" in told[0]
        and len(lines) <= 20
        and "Traceback" not in said
        and "Error" not in said
    )
