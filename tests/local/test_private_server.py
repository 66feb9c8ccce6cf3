"""A private Prefect server, and a Prefect API that goes away in the middle of a run."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue

import pytest

from st_kpi.errors import RunFailed
from st_kpi.local import private_server
from st_kpi.local.private_server import watched


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def api() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_server, "_LOOKS_EVERY", 0.05)
    monkeypatch.setattr(private_server, "LOST_AFTER", 0.5)


def test_an_api_that_is_gone_is_told_once_and_how_to_go_on(api: HTTPServer) -> None:
    lost: Queue[RunFailed] = Queue()
    url = f"http://127.0.0.1:{api.server_port}/api"
    with watched(url, lost.put):
        with pytest.raises(Empty):
            lost.get(timeout=1)
        api.shutdown()
        api.server_close()
        said = str(lost.get(timeout=20))
    assert url in said
    assert "run the same command again" in said
    assert lost.empty()


def test_nobody_is_told_after_the_run(api: HTTPServer) -> None:
    lost: Queue[RunFailed] = Queue()
    with watched(f"http://127.0.0.1:{api.server_port}/api", lost.put):
        api.shutdown()
        api.server_close()
    with pytest.raises(Empty):
        lost.get(timeout=1)


def private(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own that has no Prefect API but a private one, ``url``."""
    block = "from st_kpi.local.private_server import prefect_api\nwith prefect_api() as url:\n"
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    return subprocess.run(
        [sys.executable, "-c", block + indented],
        env={k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.process
def test_a_flow_runs_on_the_private_server() -> None:
    """Prefect has read its settings before the server had an address; a proxy knows nothing of this machine."""
    done = private(
        "import asyncio, os\nfrom prefect import flow\n"
        "from prefect.client.orchestration import get_client\n"
        "from st_kpi.local.private_server import configured_api, is_private\n"
        "@flow\n"
        "async def asks():\n"
        "    async with get_client() as client:\n"
        "        return str(client.api_url), len(await client.read_flow_runs())\n"
        "address, runs = asyncio.run(asks())\n"
        "print(address.rstrip('/') == url == configured_api() == os.environ['PREFECT_API_URL'])\n"
        "print(runs, is_private())",
        HTTP_PROXY="http://127.0.0.1:9",
        HTTPS_PROXY="127.0.0.1:9",
    )
    assert done.stdout == "True\n1 True\n", done.stderr
    assert done.stderr == ""


@pytest.mark.process
def test_what_a_failed_run_has_still_to_send_is_sent_before_the_server_ends() -> None:
    done = private(
        "import sys\nfrom prefect import flow\nfrom prefect.events import emit_event\n"
        "for number in range(100):\n"
        "    emit_event('made-up', {'prefect.resource.id': f'made-up.{number}'})\n"
        "sys.exit('The last line.')"
    )
    assert done.stderr == "The last line.\n"


@pytest.mark.parametrize(
    ("left", "said"), [(set(), ""), ({"an event"}, "did not take every event of this run")]
)
def test_what_the_api_did_not_take_in_time_is_said(
    left: set[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Prefect's own answer stands in for an API that is slow for longer than a test may be."""
    from prefect.events.worker import EventsWorker

    monkeypatch.setattr(EventsWorker, "drain_all", lambda timeout: (set(), left))
    private_server._send_what_is_left()
    printed = capsys.readouterr().err
    assert said in printed
    assert bool(printed) == bool(left)
