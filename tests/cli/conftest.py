"""A warehouse file that was built twice, and commands that read it."""

from typing import Any

import pytest
from typer.testing import CliRunner

from st_kpi.cli import app


@pytest.fixture
def ask(built: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    built.edit({"invoices": [{"id": 1001, "sub_total": 1100}]})
    built.build(built.query("SELECT MAX(as_of) AS day FROM st_ops.builds")[0]["day"], run_id="two")
    built.warehouse.close()
    monkeypatch.chdir(built.folder)
    monkeypatch.setenv("ST_KPI_WAREHOUSE", f"duckdb:///{built.folder / 'first.duckdb'}")
    monkeypatch.setenv("ST_KPI_TIMEZONE", "America/Phoenix")

    def asked(*words: str) -> str:
        result = CliRunner().invoke(app, words)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return asked
