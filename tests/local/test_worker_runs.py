"""A worker's runs end by themselves before it does."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from st_kpi.local import stack

#: A worker in small: it starts a run and says so, and asks for its exit code only at its own end.
WORKER = """\
import subprocess, sys
run = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
sys.stdin.read()
run.wait()
"""
#: A run that takes a moment to end.
RUN = """\
import pathlib, signal, sys, time
def end(number, frame):
    time.sleep(0.5)
    pathlib.Path(sys.argv[1]).write_text("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).write_text("at work")
time.sleep(60)
"""


@contextmanager
def worker(note: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", WORKER, RUN, str(note)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not (note.exists() and note.read_text()):
            time.sleep(0.02)
        yield process


def test_the_runs_of_a_worker_have_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with worker(note) as process:
        began = time.monotonic()
        stack._end_runs(process.pid)
        assert note.read_text() == "ended"
        assert time.monotonic() - began < 10


def test_a_worker_that_has_gone_has_no_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    stack._end_runs(process.pid)
