"""The weekly review in a folder, and in a bucket that a block of a real Prefect server knows."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import open_for_build
from st_kpi.settings import Settings, load_settings
from tasks.weekly_review import write_report
from tests.support.raw_rows import TENANT, Tenant


class Storage(BaseHTTPRequestHandler):
    """As much of Google's storage as an upload needs: a token, a bucket, and objects in it."""

    objects: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if urlsplit(self.path).path == "/token":
            return self.answer({"access_token": "made-up", "expires_in": 3600})
        if b"refused" in self.path.encode():
            return self.answer({"error": {"code": 403, "message": "no"}}, 403)
        self.objects[urlsplit(self.path).path] = body
        return self.answer({"name": "made-up"})

    def do_GET(self) -> None:
        self.answer({"name": self.path.rsplit("/", 1)[-1].partition("?")[0]})

    def answer(self, plain: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(plain).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: it would be in the output of the tests."""


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    objects: dict[str, bytes] = {}
    handler = type("Handler", (Storage,), {"objects": objects})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield url, objects
        server.shutdown()


@pytest.fixture
def credentials(storage: tuple[str, dict[str, bytes]]) -> GcpCredentials:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return GcpCredentials(
        service_account_info={
            "type": "service_account",
            "project_id": "made-up",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "writer@made-up.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{storage[0]}/token",
        }
    )


def of(first_build: Tenant, folder: Path, report_path: str) -> Settings:
    """Settings of a warehouse with a build, and of where the review goes."""
    file = shutil.copy(first_build.folder / "first.duckdb", folder / "a.duckdb")
    return load_settings(
        tenant_id=TENANT,
        timezone="America/Phoenix",
        warehouse=f"duckdb:///{file}",
        report_path=report_path,
    )


async def test_into_a_folder(first_build: Tenant, tmp_path: Path) -> None:
    settings = of(first_build, tmp_path, str(tmp_path / "new" / "reports"))
    with open_for_build(settings):
        link = await write_report.fn()
    assert link == (tmp_path / "new" / "reports" / "weekly-review.html").as_uri()
    assert (tmp_path / "new" / "reports" / "weekly-review.html").stat().st_size > 50_000
    assert [f.name for f in (tmp_path / "new" / "reports").iterdir()] == ["weekly-review.html"]


async def test_into_a_bucket(
    first_build: Tenant,
    tmp_path: Path,
    prefect_server: str,
    storage: tuple[str, dict[str, bytes]],
    credentials: GcpCredentials,
) -> None:
    block = GcsBucket(bucket="office", bucket_folder="monday", gcp_credentials=credentials)
    await block.asave("reports", overwrite=True)
    with open_for_build(of(first_build, tmp_path, "gcs-bucket/reports")):
        link = await write_report.fn()
    assert link == "https://storage.cloud.google.com/office/monday/weekly-review.html"
    (upload,) = storage[1].items()
    assert upload[0] == "/upload/storage/v1/b/office/o"
    assert b"monday/weekly-review.html" in upload[1]
    assert b"<title>Weekly review" in upload[1]


async def test_a_bucket_that_refuses_is_named(
    first_build: Tenant, tmp_path: Path, prefect_server: str, credentials: GcpCredentials
) -> None:
    await GcsBucket(bucket="refused", gcp_credentials=credentials).asave("refused", overwrite=True)
    settings = of(first_build, tmp_path, "gcs-bucket/refused")
    with (
        open_for_build(settings),
        pytest.raises(ConfigurationError, match="the bucket 'refused' of the GcsBucket block"),
    ):
        await write_report.fn()


async def test_a_block_that_is_not_there_is_named(
    first_build: Tenant, tmp_path: Path, prefect_server: str
) -> None:
    settings = of(first_build, tmp_path, "gcs-bucket/absent")
    with (
        open_for_build(settings),
        pytest.raises(ConfigurationError, match=r"no GcsBucket block 'absent'.*save it there"),
    ):
        await write_report.fn()


def test_any_other_address_is_no_place() -> None:
    with pytest.raises(ConfigurationError, match="neither a folder nor gcs-bucket/NAME"):
        load_settings(report_path="s3://bucket")
