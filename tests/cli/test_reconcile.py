"""``st-kpi reconcile`` as a person uses it: a file beside a number, one sentence for what cannot be compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import SANDBOX, st_kpi
from tests.reporting.reconcile.test_causes import COSTS, RIGHT


@pytest.fixture
def file(built: Any, tmp_path: Path) -> Path:
    """The worked example as a report, beside a warehouse that is built and closed."""
    built.warehouse.close()
    file = tmp_path / "report.csv"
    file.write_text(COSTS + "\n".join(RIGHT.values()) + "\n")
    return file


def asked(tmp_path: Path, *arguments: str) -> Any:
    return st_kpi(
        "reconcile",
        *arguments,
        warehouse=f"duckdb:///{tmp_path}/first.duckdb",
        timezone="America/Phoenix",
    )


def test_a_download_beside_a_number(file: Path, tmp_path: Path) -> None:
    done = asked(tmp_path, "gpm", "--report", str(file))
    assert done.returncode == 0
    assert "All 7 rows match: G.P.M is the report's, to the cent." in done.stdout
    done = asked(
        tmp_path, "produced", "--report", str(file), "--rollup", "east", "--format", "json"
    )
    document = json.loads(done.stdout)
    assert (document["rollup"], document["agrees"]) == ("East", True)
    shown = st_kpi("show", "--week", "2025-01-06", warehouse=f"duckdb:///{tmp_path}/first.duckdb")
    assert "$ Produced of East, week of 2025-01-06: equal row by row, 4,900.00." in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpm", "--report", "none.csv"], "none.csv cannot be read"),
        (["profit", "--report", "report.csv"], "No report can be compared with profit; those that can:"),
        (["gpm", "--report", "report.csv", "--report-id", "7"], "Give either a file with --report, or --report-id."),
        (["gpm", "--report", "report.csv", "--column", "revenue"], 'write --column revenue="Net Sales"'),
        (["gpm", "--report", "report.csv", "--week", "soon"], "'soon' is not a day"),
        (["gpm", "--column", "revenue=X"], "--column is for a file"),
        (["gpm", "--week", "2025-01-06"], "ServiceTitan credentials are missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    file: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = asked(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_misspelt_report_in_the_settings(file: Path, tmp_path: Path) -> None:
    (tmp_path / "st-kpi.toml").write_text("[reports.job_costs]\nname = 'Job Costing'\n")
    warehouse = f"duckdb:///{tmp_path}/first.duckdb"
    done = st_kpi("reconcile", "gpm", **{**SANDBOX, "warehouse": warehouse})
    assert done.returncode != 0
    (tmp_path / "st-kpi.toml").write_text("[reports.job_costing]\ncategory = 'operations'\n")
    done = st_kpi("show", warehouse=warehouse)
    assert "a report needs its id or its name" in done.stderr
