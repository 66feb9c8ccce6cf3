"""Processes that a command starts for itself, and that end with it, however it ends; how fast one starts, and how quietly it ends.

A child holds the reading end of a pipe whose writing end only the parent has: when the parent is gone, killed included,
the pipe closes and the child leaves.
"""

import atexit
import gc
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

#: How many objects more there have to be before garbage is looked for; 700 is Python's own.
_COLLECTS_AFTER = 50_000


def start_process(
    module: str,
    arguments: Sequence[str],
    *,
    stdout: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Run ``python -m module arguments`` until it ends, is terminated, or this process is gone."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, module, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=None if stdout is subprocess.PIPE else subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for the command, which then ends its children itself
    )


@contextmanager
def collecting_later() -> Iterator[None]:
    """Import something large without looking for garbage meanwhile.

    Nearly all that an import makes stays, and looking through it again and again is a third of the time that Prefect takes.
    What is there at the end is never looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Make many small objects, such as trees of SQL, that go without being looked for: at Python's own threshold the search
    for garbage takes a quarter of such work. Not for pages of records, which would lie about for longer.
    """
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTS_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def mute_at_exit() -> None:
    """Write nothing to stderr any more once this process's own work is done.

    As an interpreter ends under daemon threads, of which Prefect has some, DuckDB's binding prints a page of leaked
    instances, which frightens people and means nothing.
    """
    atexit.unregister(_mute)
    atexit.register(_mute)


def _mute() -> None:
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _leave_with_the_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _main() -> None:
    module, *arguments = sys.argv[1:]
    if hasattr(signal, "pthread_sigmask"):
        # The command waits for this signal in a thread and blocks it elsewhere, which a child inherits.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # A shell that starts a command in the background lets it ignore this one, and a Prefect worker ends by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
