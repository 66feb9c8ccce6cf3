"""The first run on a project, on the emulator: what it cannot say is missing, and every step is there."""

import json
from pathlib import Path

import pytest

from st_kpi.cli import bigquery_trial
from st_kpi.cli.bigquery_trial import run_trial
from st_kpi.errors import ConfigurationError
from tests.support.bigquery_emulator import emptied


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_trial, "_SCALE", 0.002)
    monkeypatch.setattr(bigquery_trial, "_SHORT", 1.0)
    monkeypatch.setattr("st_kpi.warehouse.bigquery.client._GRACE_SECONDS", 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_every_step_is_taken_and_told_without_data(
    bigquery_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_KPI_WAREHOUSE", "bigquery://trial-project")
    monkeypatch.setenv("ST_KPI_BIGQUERY_URL", bigquery_url)
    file = tmp_path / "trial.json"
    ended = run_trial(file)
    text = file.read_text()
    report = json.loads(text)
    steps = {step["step"]: step for step in report["steps"]}
    assert list(steps) == [
        "project", "tables", "copy", "sync", "build", "build again", "two writers", "ceiling", "time",
    ]  # fmt: skip
    # The emulator gives up one of two writers with words that BigQuery has not.
    failed = [step for step in steps.values() if step["ended"] != "ok"]
    assert {step["says"].rsplit(" ", 2)[-2] for step in failed} <= {"DuckLake"}
    assert ended is not bool(failed)
    assert "equal to the cent" in steps["build again"]["says"]
    assert "did not end in the time it has" in steps["time"]["says"]
    assert "trial-project" not in text
    assert not any(word in text for word in ("FROM st_", "INSERT INTO", "MERGE st_"))
    kinds = {job["kind"] for job in report["jobs"]}
    assert {"query", "load", "copy"} <= kinds
    assert any(job["parent"] for job in report["jobs"])
    assert {job["reason"] for job in report["jobs"]} >= {None, "stopped"}
    assert "st_raw.invoices" in {table["table"] for table in report["tables"]}


def test_only_an_empty_project_is_tried(
    bigquery_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trial.json"
    with pytest.raises(ConfigurationError, match="The trial is of BigQuery"):
        run_trial(file)
    assert not file.exists()
    warehouse = emptied(bigquery_url)
    warehouse.insert("st_ops.chunks", [{"tenant_id": 1, "entity": "jobs"}])
    warehouse.close()
    monkeypatch.setenv("ST_KPI_WAREHOUSE", "bigquery://local")
    monkeypatch.setenv("ST_KPI_BIGQUERY_URL", bigquery_url)
    with pytest.raises(
        ConfigurationError, match=r"local holds loaded rows.* bq rm -r -f local:st_\$d"
    ):
        run_trial(file)


def test_a_report_that_cannot_be_written_is_known_before_anything_is_made(
    bigquery_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_KPI_WAREHOUSE", "bigquery://unmade")
    monkeypatch.setenv("ST_KPI_BIGQUERY_URL", bigquery_url)
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        run_trial(tmp_path / "nowhere" / "trial.json")
