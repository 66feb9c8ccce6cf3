"""Children end with their parent, also when that is killed."""

import os
import signal
import subprocess
import sys
import time

#: A daemon thread holds a result of DuckDB as the interpreter ends.
HELD = """\
import sys, threading, time, duckdb
held = threading.Event()
def hold():
    connection = duckdb.connect()
    result = connection.execute("SELECT 1")
    held.set()
    time.sleep(60)
threading.Thread(target=hold, daemon=True).start()
held.wait()
print("the end", file=sys.stderr)
"""


def test_a_process_that_ends_quietly_says_its_own_last_word_and_no_more() -> None:
    assert "leaked" in _stderr(HELD)
    muted = "from st_kpi.local.process import mute_at_exit\nmute_at_exit()\n" + HELD
    assert _stderr(muted) == "the end\n"


def _stderr(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return done.stderr


def test_a_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "import subprocess, time\nfrom st_kpi.local.process import start_process\n"
        "p = start_process('http.server', ['0', '--bind', '127.0.0.1'], stdout=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if _is_zombie(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} outlived its parent")


def _is_zombie(pid: int) -> bool:
    """Ended, but nobody has asked for its exit code yet."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return False
