"""What a command says while it works or waits, where stderr is no terminal."""

import logging
import time

import pytest

from st_kpi.cli import progress
from st_kpi.cli.progress import log_on_stderr, progress_bar, working


def test_lines_say_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.05)
    with progress_bar("Backfill") as advance:
        time.sleep(0.12)
        advance("jobs", 2_000, 0)
        advance("jobs", 0, 1_200)
        time.sleep(0.12)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Backfill: 0 s"
    assert said[-1] == "Backfill: 1,200 of 2,000 rows, 0 s"


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
