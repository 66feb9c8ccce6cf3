"""The tenant as a program: a line when it listens, real HTTP behind it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from st_kpi.sandbox import SandboxCredentials

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "st_kpi.sandbox", "--port", "0", "--scale", "0.003"]
COMMAND += ["--report-seconds", "0"]


@pytest.fixture
def served() -> Iterator[str]:
    process = subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def test_it_says_where_it_listens_and_answers_there(served: str) -> None:
    start, _, url = served.rpartition(" on ")
    assert start == f"sandbox tenant {SandboxCredentials.TENANT_ID}"
    form = {
        "grant_type": "client_credentials",
        "client_id": SandboxCredentials.CLIENT_ID,
        "client_secret": SandboxCredentials.CLIENT_SECRET,
    }
    with httpx.Client(base_url=url, trust_env=False) as http:
        token = http.post("/connect/token", data=form).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        http.headers["ST-App-Key"] = SandboxCredentials.APP_KEY
        tenant = f"v2/tenant/{SandboxCredentials.TENANT_ID}"
        answer = http.get(f"/jpm/{tenant}/jobs?pageSize=5000&includeTotal=true")
        category = f"/reporting/{tenant}/report-category/marketing/reports"
        report = http.get(category).json()["data"][0]["id"]
        days = [{"name": "From", "value": "2024-01-01"}, {"name": "To", "value": "2024-12-31"}]
        for _ in range(2):  # the program was told not to wait
            data = http.post(f"{category}/{report}/data", json={"parameters": days})
            assert data.status_code == 200
    assert answer.status_code == 200
    assert answer.json()["totalCount"] == len(answer.json()["data"]) > 400
    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("arguments", [["--scale", "0"], ["--port", "TAKEN"]], ids=lambda a: a[0])
def test_what_cannot_be_served_is_said_in_one_sentence(served: str, arguments: list[str]) -> None:
    taken = [served.rpartition(":")[2] if word == "TAKEN" else word for word in arguments]
    command = [sys.executable, "-m", "st_kpi.sandbox", *taken]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
