"""What a command says while it works or waits, where stderr is no terminal."""

import logging
import os
import re
import subprocess
import sys
import time

import pytest

from st_kpi.cli import progress
from st_kpi.cli.progress import log_on_stderr, progress_bar, working


def test_lines_say_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_FIRST_LINE", 0.05)
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.05)
    with progress_bar("Backfill") as advance:
        time.sleep(0.12)
        advance("jobs", 2_000, 0)
        advance("jobs", 0, 1_200)
        time.sleep(0.12)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Backfill: 0 s"
    assert said[-1] == "Backfill: 1,200 of 2,000 rows, 0 s"


def test_nobody_has_to_wonder_and_no_log_is_flooded() -> None:
    """Seconds to the next line, after so many."""
    pauses = {passed: progress._pause(passed) for passed in (0, 19, 50, 3600)}
    assert pauses == {0: 2, 19: 2, 50: 5, 3600: 10}


#: A bar for as long as somebody needs to see it.
BAR = "import time\nfrom st_kpi.cli.progress import working\nwith working('Build'): time.sleep(0.6)"


def on_a_terminal(code: str, **environment: str) -> str:
    """What code writes to a terminal of its own."""
    master, terminal = os.openpty()
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"TERM": "xterm-256color"} | environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        timeout=60,
    )
    os.close(terminal)
    assert done.returncode == 0
    written = os.read(master, 1_000_000).decode()
    os.close(master)
    return written


def test_a_terminal_has_no_colours_where_they_are_not_wanted() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*[34][0-9][0-9;]*m")
    assert colour.search(on_a_terminal(BAR))
    plain = on_a_terminal(BAR, NO_COLOR="1")
    assert "Build" in plain
    assert not colour.search(plain)


def test_work_that_is_done_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with working("Build"):
        pass
    assert capsys.readouterr().err == ""


def test_of_many_requests_that_wait_one_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = logging.getLogger("st_kpi.servicetitan.client")
    with log_on_stderr():
        for entity in ("jobs", "invoices", "payments"):
            client.warning("%s: attempt 1 failed; again in %.1f s", entity, 60)
        logging.getLogger("st_kpi").warning("Something else")
        later = time.monotonic() + 3
        monkeypatch.setattr(time, "monotonic", lambda: later)
        client.warning("%s: attempt 2 failed", "jobs")
    client.warning("After the command")
    assert capsys.readouterr().err.splitlines() == [
        "jobs: attempt 1 failed; again in 60.0 s",
        "Something else",
        "jobs: attempt 2 failed (and 2 more like it)",
    ]
