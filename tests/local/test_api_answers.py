"""What a person is told of whatever answers where the Prefect API should be."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_SSL_CERT_FILE, temporary_settings

from st_kpi.errors import ConfigurationError, RunFailed, StKpiError
from st_kpi.local.api_answers import client, require_api, shown
from st_kpi.local.private_server import free_port


@contextmanager
def answering(status: int, body: str) -> Iterator[HTTPServer]:
    """A server that has one answer for everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (200, "<html></html>", ConfigurationError, "is no Prefect API: PREFECT_API_URL has to name"),
        (404, '{"detail":"Not Found"}', ConfigurationError, "is no Prefect API (status 404)"),
        (200, '{"a": "json"}', ConfigurationError, "is no Prefect API: PREFECT_API_URL"),
        (401, '{"detail":"Unauthorized"}', ConfigurationError, "refuses the key (status 401), which may have expired"),
        (403, "no", ConfigurationError, "refuses the key (status 403)"),
        (200, '"2.20.0"', ConfigurationError, "is of another version. Found incompatible versions: client: 3."),
        (500, "oh", RunFailed, "does not work (status 500): try again later"),
    ],
    ids=["a web site", "without /api", "another API", "key expired", "key of others", "Prefect 2", "broken"],
)  # fmt: skip
def test_what_answers(status: int, body: str, kind: type[StKpiError], said: str) -> None:
    with answering(status, body) as server, pytest.raises(kind) as error:
        require_api(f"http://user:hush@127.0.0.1:{server.server_port}/api")
    assert said in str(error.value)
    assert f"http://127.0.0.1:{server.server_port}/api" in str(error.value)


@pytest.mark.parametrize("url", ["127.0.0.1:4200/api", "localhost:4200", "ftp://prefect.test/api"])
def test_an_address_has_a_scheme(url: str) -> None:
    with pytest.raises(ConfigurationError, match="has to begin with http:// or https://"):
        require_api(url)


def test_nothing_answers() -> None:
    with pytest.raises(
        RunFailed, match=r"does not answer \(.*\): start it, or unset PREFECT_API_URL"
    ):
        require_api(f"http://127.0.0.1:{free_port()}/api")


def test_a_prefect_api_is_one(prefect_server: str) -> None:
    require_api(prefect_server)


def test_a_certificate_of_ones_own_is_known(tmp_path: Path) -> None:
    """Else a run would be given up for an API that nobody could reach but Prefect."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(200, "true") as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_port}/api"
        with (
            temporary_settings({PREFECT_API_SSL_CERT_FILE: str(certificate)}),
            client(url, 5) as asking,
        ):
            assert asking.api_healthcheck() is None
        with client(url, 5) as asking:
            assert isinstance(asking.api_healthcheck(), httpx.ConnectError)


def test_no_password_is_shown() -> None:
    assert shown("https://user:hush@prefect.test:4200/api") == "https://prefect.test:4200/api"
