"""``explain``, ``diff`` and ``show --as-reported`` on the command line, read from a warehouse file."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from st_kpi.cli import app
from st_kpi.errors import ConfigurationError


def test_explain(ask: Any) -> None:
    table = ask("explain", "produced", "--week", "2025-01-08", "--rollup", "east")
    assert "$ Produced of East, the week of 2025-01-06: 5,000.00, from 6 rows." in table
    rows = ask("explain", "produced", "--day", "2025-01-06", "--format", "csv").splitlines()
    assert [row.split(",")[5] for row in rows] == ["amount", "1100", "-200"]
    document = json.loads(ask("explain", "gpm", "--week", "2025-01-06", "--format", "json"))
    assert (document["numerator"], document["denominator"]) == ("2715", "5000")
    # Without a week that of the worked example, the latest that is closed.
    assert "$ Produced of all rollups, the week of 2025-01-06" in ask("explain", "$ Produced")
    assert "the week of 2025-01-06" in ask("explain", "produced", "--week", "LAST")


def test_explain_left_out(ask: Any) -> None:
    words = ("explain", "total_booked", "--week", "2025-01-08", "--left-out")
    table = ask(*words).splitlines()
    assert table[0].split() == [
        "Date",
        "Part",
        "Job",
        "Business",
        "unit",
        "Amount",
        "Rule",
        "Source",
    ]
    assert (
        "Total Booked of all rollups, the week of 2025-01-06, value: 9,200 counted, 1,399 left out, 10,599 in all."
        in table
    )
    rows = ask(*words, "--format", "csv").splitlines()
    assert rows[0].split(",")[5:7] == ["amount", "rule"]
    assert {tuple(row.split(",")[5:9]) for row in rows[1:]} == {
        ("999", "without a job", "estimates", "10"),
        ("400", "of a PRODUCTION unit", "estimates", "11"),
    }
    document = json.loads(ask(*words, "--format", "json"))
    assert document["counted"] == {"value": "9200"}
    assert {row["rule"] for row in document["left_out"]} == {
        "without a job",
        "of a PRODUCTION unit",
    }
    beside = ask("explain", "collected", "--week", "2025-01-08", "--left-out")
    assert "value: 950 counted, 300 beside as (unassigned), 500 left out, 1,750 in all." in beside
    nothing = ask("explain", "produced", "--day", "2025-01-11", "--left-out")
    assert "(the week of 2025-01-06): there is no money, neither counted nor left out." in nothing


def test_diff(ask: Any) -> None:
    table = ask("diff", "--kpi", "produced")
    assert "between build 1 (as of 2025-01-14) and build 2 (as of 2025-01-14)." in table
    found = json.loads(ask("diff", "--from", "one", "--to", "2", "--format", "json"))
    assert {(c["kpi"], c["cause"]) for c in found["changes"]} == {
        ("produced", "amount edited"),
        ("gpm", "amount edited"),
        ("warranty_pct", "amount edited"),
    }
    assert ask("diff", "--from", "two", "--format", "csv").splitlines()[1:] == []


def test_show_as_reported(ask: Any) -> None:
    words = ("show", "--kpi", "produced", "--week", "2025-01-06", "--format", "csv")
    assert "produced,2025-01-06,East,5000,,5000" in ask(*words).splitlines()
    assert "produced,2025-01-06,East,4900,,4900" in ask(*words, "--as-reported").splitlines()


def test_report(ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask("report", "--weeks", "2", "--rollup", "east", "--out", "east.html")
    assert said == f"{Path.cwd() / 'east.html'}\n"
    assert "Weekly review, week of 2025-01-06" in Path("east.html").read_text(encoding="utf-8")
    monkeypatch.setenv("ST_KPI_REPORT_PATH", str(tmp_path / "reports"))
    assert ask("report") == f"{tmp_path / 'reports' / 'weekly-review.html'}\n"
    with pytest.raises(ConfigurationError, match="'monday' is not a day"):
        ask("report", "--as-of", "monday")


def test_a_terminal_that_has_no_lines_gets_dashes(ask: Any) -> None:
    for command in ("show", "status", "explain produced --week 2025-01-08", "diff"):
        result = CliRunner(charset="cp1252").invoke(app, command.split())
        assert result.exception is None, command
        assert "-----+-----" in result.stdout, command
