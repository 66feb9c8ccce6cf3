"""A Prefect API that goes away in the middle of a run."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from st_kpi.errors import RunFailed
from st_kpi.local import private_server
from st_kpi.local.private_server import watched
from tasks.api import told_in_a_sentence


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
    monkeypatch.setattr(private_server, "GONE_AFTER", 0.5)


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


@pytest.mark.parametrize("error", [ObjectNotFound(Exception()), httpx.ReadTimeout("")])
def test_what_prefect_raises_becomes_a_sentence(error: Exception) -> None:
    with pytest.raises(RunFailed, match=r"api failed .* again to go on") as told:  # noqa: SIM117
        with told_in_a_sentence("http://127.0.0.1:1/api"):
            raise error
    assert type(error).__name__ in str(told.value)
