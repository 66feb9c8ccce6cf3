"""Children end with their parent, also when that is killed."""

import os
import signal
import subprocess
import sys
import time


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
