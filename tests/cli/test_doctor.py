"""All checks of ``st-kpi doctor`` together, with a Prefect server beside the tenant."""

import httpx
import pytest

from st_kpi.cli import doctor
from st_kpi.cli.doctor import all_checks
from st_kpi.reporting.doctor import Patient, Verdict, examine
from st_kpi.sandbox import Company, create_app
from tests.reporting.test_doctor import SETTINGS


@pytest.fixture
def patient(company: Company, monkeypatch: pytest.MonkeyPatch) -> Patient:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"ST_KPI_{name.upper()}", value)
    return Patient(httpx.ASGITransport(create_app(company, requests_per_second=10_000)))


def test_checks_come_in_the_order_in_which_they_would_fail() -> None:
    checks = all_checks(Patient())
    names = [check.name for check in checks if not check.name.startswith("scope of ")]
    assert names == [
        "settings", "token", "app key and tenant", "clock", "zone", "warehouse", "data", "mappings",
        "Prefect API", "worker", "limits", "automations", "deployments", "freshness",
    ]  # fmt: skip
    for number, check in enumerate(checks):
        assert set(check.needs) <= {earlier.name for earlier in checks[:number]}


async def test_a_prefect_api_that_lasts_is_asked(patient: Patient, prefect_server: str) -> None:
    found = {finding.check: finding async for finding in examine(all_checks(patient))}
    await patient.close()
    assert found["Prefect API"].says == f"{prefect_server} answers."
    assert "prefect deploy --all" in found["deployments"].says
    assert found["worker"].verdict in (Verdict.OK, Verdict.FAILS)  # as other tests left it


async def test_an_api_that_is_not_there_is_asked_once(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "configured_api", lambda: "ftp://127.0.0.1")
    found = {finding.check: finding async for finding in examine(all_checks(patient))}
    await patient.close()
    assert "has to begin with http://" in found["Prefect API"].says
    assert found["limits"].says == "Cannot be asked before 'Prefect API' holds."
    assert found["zone"].verdict is Verdict.OK
