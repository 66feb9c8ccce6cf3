"""Streams that lead nowhere: each case is a process, whose own streams they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from st_kpi.errors import OutputFailed
from st_kpi.local import streams

#: A process that says something on both streams and ends as a command does.
SPEAKS = """\
import sys
from st_kpi.cli.lifecycle import run
def command():
    print("progress", file=sys.stderr)
    sys.stdout.write(sys.argv[1] * int(sys.argv[2]))
    open("warehouse", "w").write("intact")
run(command)
"""


def speaks(
    redirection: str, *, said: str = "result\n", times: int = 1, **more: str
) -> subprocess.CompletedProcess[str]:
    """The process under a shell that redirects its streams, buffered as a person's is."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [
            "bash",
            "-c",
            f'"$@" {redirection}',
            "bash",
            sys.executable,
            "-c",
            SPEAKS,
            said,
            str(times),
        ],
        env=inherited | more,
        capture_output=True,
        encoding=more.get("PYTHONIOENCODING", "utf-8"),
        timeout=60,
    )


MANY = 100_000


@pytest.mark.parametrize("times", [1, MANY], ids=["a line", "more than a pipe holds"])
def test_a_reader_may_go_before_the_end(times: int) -> None:
    done = speaks("| true; exit ${PIPESTATUS[0]}", times=times)
    assert (done.returncode, done.stderr) == (0, "progress\n")


@pytest.mark.parametrize("times", [1, MANY], ids=["a line", "more than a buffer holds"])
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
    ids=["full", "closed"],
)
def test_results_that_cannot_be_written_are_a_failure_in_one_sentence(
    redirection: str, reason: str, times: int
) -> None:
    done = speaks(redirection, times=times)
    sentence = f"st-kpi: The output cannot be written: {reason}.\n"
    assert (done.returncode, done.stderr) == (1, f"progress\n{sentence}")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(true); exit $?"])
def test_progress_that_nobody_reads_stops_nothing(redirection: str, tmp_path: Path) -> None:
    done = speaks(redirection)
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")


def test_windows_calls_a_reader_who_has_gone_an_invalid_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A counter of events refuses three bytes in the same way."""
    counter = os.eventfd(0)
    try:
        with pytest.raises(OutputFailed, match="Invalid argument"):
            streams._Stream(counter, results=True).write(b"abc")
        with monkeypatch.context() as windows:
            windows.setattr(os, "name", "nt")
            assert streams._Stream(counter, results=True).write(b"abc") == 3
    finally:
        os.close(counter)


def test_no_file_is_taken_for_a_stream_that_is_closed(tmp_path: Path) -> None:
    done = speaks("<&- >&- 2>&-")
    assert done.returncode == 1
    done = speaks("<&- 2>&-")
    assert (done.returncode, (tmp_path / "warehouse").read_text()) == (0, "intact")


def test_a_character_that_the_terminal_lacks_is_written_as_its_number() -> None:
    done = speaks("", said="Łódź\n", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stdout) == (0, "\\u0141ód\\u017a\n"), done.stderr
