"""How a command says on stderr what it is at, and what it waits for: it is never silent for long."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from st_kpi.ingest.session import Progress

#: Seconds between lines where there is no bar, at first and later: nobody wonders, and no log of hours is flooded.
_FIRST_LINE = 2.0
_LINE_EVERY = 10.0
#: Seconds between lines about waiting, of which each of many requests would have one.
_WAIT_EVERY = 2.0


def say(text: str) -> None:
    """A line of progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class _Rows:
    """Rows promised, none before that is known, and stored."""

    promised: int = 0
    stored: int = 0

    def add(self, entity: str, promised: int, stored: int) -> None:
        self.promised += promised
        self.stored += stored

    def __str__(self) -> str:
        return f"{self.stored:,} of {self.promised:,} rows, " if self.promised else ""


@contextmanager
def progress_bar(label: str) -> Iterator["Progress"]:
    """A bar of rows stored on stderr; lines where stderr is no terminal, every two seconds at first."""
    console, rows = Console(stderr=True), _Rows()
    if not console.is_terminal:
        with waiting(label, rows):
            yield rows.add
        return
    counts = (MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn(), TimeRemainingColumn())
    with _bar(console, label, *counts) as bar:

        def advance(entity: str, promised: int, stored: int) -> None:
            rows.add(entity, promised, stored)
            bar.update(bar.task_ids[0], total=rows.promised or None, completed=rows.stored)

        yield advance


@contextmanager
def working(label: str) -> Iterator[None]:
    """The same for work that nobody counts: how long it has been going on."""
    console = Console(stderr=True)
    with _bar(console, label, TimeElapsedColumn()) if console.is_terminal else waiting(label):
        yield


@contextmanager
def _bar(console: Console, label: str, *columns: ProgressColumn) -> Iterator[Bar]:
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Bar(*shown, console=console, refresh_per_second=4) as bar:
        bar.add_task(label, total=None)
        yield bar


@contextmanager
def waiting(label: str, rows: _Rows | None = None) -> Iterator[None]:
    """Lines alone, for what is mostly done before the first of them."""
    started, ended = time.monotonic(), Event()

    def tell() -> None:
        passed = 0.0
        while not ended.wait(_pause(passed)):
            passed = time.monotonic() - started
            say(f"{label}: {rows or ''}{passed:.0f} s")

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _pause(passed: float) -> float:
    """Seconds until the next line, a tenth of those that have passed."""
    return min(_LINE_EVERY, max(_FIRST_LINE, passed / 10))


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Say what the core logs, above all what it waits for, in plain lines; Prefect's console stays silent beside."""
    logger, handler = logging.getLogger("st_kpi"), _OnStderr()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class _OnStderr(logging.Handler):
    """Each record as a line, but those about requests that wait: one of them at a time stands for the others."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0
        self._others = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.name.startswith("st_kpi.servicetitan"):
            now = time.monotonic()
            if now < self._next:
                self._others += 1
                return
            if self._others:
                text += f" (and {self._others} more like it)"
            self._next, self._others = now + _WAIT_EVERY, 0
        say(text)
