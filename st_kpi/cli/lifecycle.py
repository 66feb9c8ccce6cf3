"""How a command is stopped, and how its process ends.

Exit codes: 0 all good, 1 a run or check failed, 2 wrong usage or settings, 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from threading import Thread, Timer, main_thread
from types import FrameType
from typing import NoReturn

from st_kpi.errors import OutputFailed, StKpiError
from st_kpi.local import streams

_STOPS_WITHIN = 3.0
_INTERRUPTED = 130
#: What is wrong with a file or folder that a person has named, in whatever way: not there, not ours, no room.
_OF_A_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)


def run(command: Callable[[], object]) -> NoReturn:
    """Run a command and end the process; every error a user can cause is one sentence on stderr, never a traceback."""
    streams.guard()
    stop = _Stop()
    stop.listen()
    try:
        code = _exit_code(command, stop)
    except KeyboardInterrupt:  # one that comes while another is dealt with
        code = stop.announce()
    except Exception:
        traceback.print_exc()
        code = 1
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process here: tearing down the interpreter under Prefect's daemon threads makes DuckDB's
    binding print a page of leak warnings, which frightens people and means nothing."""
    try:
        sys.stdout.flush()
    except OutputFailed as error:
        print(f"st-kpi: {error}", file=sys.stderr)
        code = error.exit_code
    sys.stderr.flush()
    os._exit(code)


def give_up(error: StKpiError) -> NoReturn:
    """End at once, as a kill would: whatever waits for Prefect now would wait in vain."""
    print(f"st-kpi: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_code)


def _exit_code(command: Callable[[], object], stop: "_Stop") -> int:
    try:
        command()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
            return stop.announce()
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except StKpiError as error:
        print(f"st-kpi: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.filename is None or error.errno not in _OF_A_PLACE:
            raise
        print(f"st-kpi: {error.filename} cannot be used: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


class _Stop:
    """The signal that stops the command, and whether a person has been told."""

    def __init__(self) -> None:
        self._signal = signal.SIGINT
        self._announced = False

    def listen(self) -> None:
        """Let Ctrl-C interrupt the command, and SIGTERM: a service manager stops it as orderly as a person does.

        A thread waits for SIGTERM: while a flow runs Prefect has a handler of its own for it, which raises inside
        whatever task is at work, and there it can get lost.
        """
        signal.signal(signal.SIGINT, self._interrupt)
        if not hasattr(signal, "pthread_sigmask"):  # Windows, where nobody can send it
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=self._wait_for_sigterm, daemon=True).start()

    def announce(self) -> int:
        """Say, once, how to go on; returns the exit code."""
        if not self._announced:
            self._announced = True
            sentence = "st-kpi: stopped; run the same command again to go on."
            print(sentence, file=sys.stderr, flush=True)
        return 128 + self._signal

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the command; who stops it does not wait for what Prefect still has to send, or hangs in."""
        last = Timer(_STOPS_WITHIN, self._leave_now)
        last.daemon = True
        last.start()
        # Whatever was about to connect is left so, and Python would say that on stderr.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        raise KeyboardInterrupt

    def _leave_now(self) -> None:
        os._exit(self.announce())

    def _wait_for_sigterm(self) -> None:
        self._signal = signal.Signals(signal.sigwait({signal.SIGTERM}))
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
