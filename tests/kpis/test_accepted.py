"""Checks that do not hold and are accepted: from a file, for one thing each, with a reason, and told from then on."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from st_kpi.cli.commands import app
from st_kpi.cli.render_weekly import as_json, weekly_table
from st_kpi.errors import CheckFailed, MappingError
from st_kpi.kpis.accepted import Acceptance, read_accepted
from st_kpi.kpis.build import BuildResult
from st_kpi.kpis.checks import CheckResult, results_of
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.reporting import published
from tests.support.field import MONDAY, TYPES, UNITS
from tests.support.raw_rows import Tenant

CHECKS = [s for s in inspect().statements if s.severity]
HEADER = "check,subject,reason,valid_to\n"
PIECES = "gross_pay_items.gross_pay_item_type TimesheetTime"
BY_THE_PIECE = f"literals_required,{PIECES},We pay by the piece.,\n"


def accept(folder: Path, lines: str) -> Path:
    file = folder / "accepted_checks.csv"
    file.write_text(HEADER + lines, encoding="utf-8")
    return file


@pytest.fixture
def by_the_piece(small: Tenant) -> Tenant:
    """A company that pays no time sheets, in more rows than chance explains."""
    small.rows["gross_pay_items"] = [
        {"job_id": 101, "gross_pay_item_type": "CustomBonus", "amount": 1, "created_on": "2025-01-09 18:00"}
    ] * 1000  # fmt: skip
    return small


def check(result: BuildResult, name: str) -> CheckResult:
    return next(c for c in result.checks if c.name == name)


def test_a_company_that_pays_no_time_sheets_is_published(by_the_piece: Tenant) -> None:
    with pytest.raises(CheckFailed) as caught:
        by_the_piece.build(MONDAY, run_id="one")
    line = f"literals_required,{PIECES},REASON,"
    assert f"accept it in accepted_checks.csv beside the mapping files: {line}" in str(caught.value)
    accept(by_the_piece.folder, line.replace("REASON", "We pay by the piece.") + "\n")
    result = by_the_piece.build(MONDAY, run_id="two")
    told = f"Accepted, {PIECES}: We pay by the piece."
    assert check(result, "literals_required").told == told
    assert f"accepted: literals_required: {told}" in result.summary().splitlines()
    assert ", 1 is accepted." in result.sentence()
    (row,) = (r for r in results_of(by_the_piece.warehouse, "two") if r["check"] == "literals_required")  # fmt: skip
    assert (row["result"], row["rows"], row["detail"]) == ("accepted", 0, told)


def test_a_company_whose_estimates_are_all_unsold_is_published(small: Tenant) -> None:
    small.rows["estimates"] = [
        {"id": number, "job_id": 201, "status_name": "Open", "subtotal": 1, "created_on": "2025-01-09 18:00"}
        for number in range(1000)
    ]  # fmt: skip
    with pytest.raises(CheckFailed, match="literals_required") as caught:
        small.build(MONDAY)
    assert "columns_filled failed on 1 row" in str(caught.value)
    accept(
        small.folder,
        "literals_required,estimates.status_name Sold,Sales are made elsewhere,\n"
        "columns_filled,estimates.sold_on,Sales are made elsewhere,\n",
    )
    assert not [c for c in small.build(MONDAY, run_id="two").checks if not c.passed and c.severity == "fail"]  # fmt: skip


def test_it_is_told_wherever_numbers_are_from_then_on(by_the_piece: Tenant) -> None:
    accept(by_the_piece.folder, BY_THE_PIECE.replace(",\n", ",12/31/2025\n"))
    by_the_piece.build(MONDAY)
    sentence = (
        f"Accepted though the check literals_required does not hold, {PIECES}: We pay by the piece"
        " (until 2025-12-31)."
    )
    shown = published.read(by_the_piece.warehouse)
    assert sentence in weekly_table(shown).splitlines()
    reported = published.read(by_the_piece.warehouse, as_reported=True)
    assert sentence in weekly_table(reported).splitlines()
    assert json.loads(as_json(shown))["accepted_checks"] == [
        {"check": "literals_required", "subject": PIECES, "reason": "We pay by the piece.", "valid_to": "2025-12-31"}
    ]  # fmt: skip


def test_status_tells_it_too(
    tmp_path: Path, by_the_piece: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_KPI_TIMEZONE", "America/Phoenix")
    monkeypatch.setenv("ST_KPI_WAREHOUSE", f"duckdb:///{tmp_path}/small.duckdb")
    stored = Tenant(tmp_path, str(tmp_path / "small.duckdb"))
    stored.rows = by_the_piece.rows
    accept(tmp_path, BY_THE_PIECE)
    stored.map(UNITS, TYPES)
    stored.build(MONDAY)
    stored.warehouse.close()
    text = CliRunner().invoke(app, ["status"]).output
    assert f"check literals_required does not hold, {PIECES}: We pay by the piece." in text
    (accepted,) = json.loads(CliRunner().invoke(app, ["status", "--json"]).output)["accepted_checks"]  # fmt: skip
    assert (accepted["check"], accepted["subject"]) == ("literals_required", PIECES)


def test_another_fault_of_the_same_check_is_not_accepted(by_the_piece: Tenant) -> None:
    accept(by_the_piece.folder, BY_THE_PIECE.upper().replace("LITERALS", "literals"))
    by_the_piece.build(MONDAY)
    job = {"business_unit_id": 2, "job_type_id": 21, "job_status": "Done", "created_on": "2026-06-01 18:00"}  # fmt: skip
    by_the_piece.add({"jobs": [job | {"id": 1000 + n} for n in range(1000)]})
    with pytest.raises(CheckFailed, match=r"literals_required failed on 1 row .*literal Completed") as caught:  # fmt: skip
        by_the_piece.build(MONDAY, run_id="two")
    assert "Accepted, GROSS_PAY_ITEMS" in str(caught.value)


def test_after_its_day_it_holds_no_more(by_the_piece: Tenant) -> None:
    accept(by_the_piece.folder, BY_THE_PIECE.replace(",\n", f",{MONDAY}\n"))
    by_the_piece.build(MONDAY)
    with pytest.raises(CheckFailed, match=rf"accepted_checks.csv:2: the acceptance of {PIECES} ended on {MONDAY}\."):  # fmt: skip
        by_the_piece.build(MONDAY + dt.timedelta(days=1), run_id="two")


def test_what_is_needed_no_longer_is_told_and_changes_nothing(small: Tenant) -> None:
    accept(small.folder, BY_THE_PIECE)
    result = small.build(MONDAY)
    remark = (
        f"accepted_checks.csv:2: the acceptance of {PIECES} is no longer needed: take the line out."
    )
    assert check(result, "literals_required").result == "holds"
    assert f"holds: literals_required: {remark}" in result.summary().splitlines()
    assert "accepted" not in result.sentence()
    assert published.read(small.warehouse).accepted == ()


def test_without_the_line_it_is_told_no_more(by_the_piece: Tenant) -> None:
    file = accept(by_the_piece.folder, BY_THE_PIECE)
    by_the_piece.build(MONDAY, run_id="one")
    assert len(published.read(by_the_piece.warehouse).accepted) == 1
    file.unlink()
    with pytest.raises(CheckFailed):
        by_the_piece.build(MONDAY, run_id="two")
    assert (
        len(published.read(by_the_piece.warehouse).accepted) == 1
    )  # of the numbers that are shown
    by_the_piece.rows["gross_pay_items"] = by_the_piece.rows["gross_pay_items"][:1]
    by_the_piece.build(MONDAY, run_id="three")
    assert published.read(by_the_piece.warehouse).accepted == ()


def test_a_warehouse_of_an_older_version_is_read_and_built(by_the_piece: Tenant) -> None:
    accept(by_the_piece.folder, BY_THE_PIECE)
    by_the_piece.build(MONDAY, run_id="one")
    by_the_piece.warehouse.execute("DROP TABLE st_ops.accepted_checks")
    assert published.read(by_the_piece.warehouse).accepted == ()
    assert results_of(by_the_piece.warehouse, "one") == []
    by_the_piece.build(MONDAY, run_id="two")
    assert len(published.read(by_the_piece.warehouse).accepted) == 1


def test_a_warning_can_be_accepted_too(small: Tenant) -> None:
    small.add({"invoices": [{"id": 7, "balance": 5, "business_unit_id": 2}]})
    small.build(MONDAY)
    accept(small.folder, "open_invoices_without_location,7,A deposit of the landlord,\n")
    result = small.build(MONDAY, run_id="two")
    assert check(result, "open_invoices_without_location").result == "accepted"


def test_the_file_is_read_as_the_mapping_files_are(tmp_path: Path) -> None:
    file = tmp_path / "accepted_checks.csv"
    text = f"check;subject;reason;valid_to;# note\r\n# of last year\r\nliterals_required;{PIECES};Stücklohn;31.12.2025;\r\n"
    file.write_bytes(text.encode("cp1252"))
    assert read_accepted(tmp_path, CHECKS) == (
        Acceptance(3, "literals_required", PIECES, "Stücklohn", dt.date(2025, 12, 31)),
    )


def test_there_need_be_no_file(tmp_path: Path) -> None:
    assert read_accepted(tmp_path, CHECKS) == ()


WRONG: list[Any] = [
    pytest.param("literal_required,a b,c,", "There is no check 'literal_required'; nearest: literals_required", id="unknown"),
    pytest.param("literals_required,a b,,", "The reason is empty", id="no reason"),
    pytest.param("literals_required,,why,", "name what literals_required complains of, its field and literal", id="no subject"),
    pytest.param("literals_required,a b,why,soon", "valid_to 'soon' is not a date", id="no day"),
    pytest.param("money_accounted,a,why,", "money_accounted cannot be accepted. SQL that was changed", id="a lie"),
    pytest.param("unmapped_units,a,why,", "the role NONE and no rollup where it does not count", id="a mapping is the way"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), WRONG)
def test_a_wrong_line_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    file = accept(tmp_path, "literals_required,A  B,once,\n" + line + "\n")
    with pytest.raises(MappingError) as caught:
        read_accepted(tmp_path, CHECKS)
    assert (caught.value.file, caught.value.line) == (file, 3)
    assert reason in caught.value.reason


def test_all_wrong_lines_are_told_at_once_and_nothing_is_built(small: Tenant) -> None:
    accept(small.folder, "literals_required,a b,once,\nliterals_required,A B,twice,\nnothing,a,b,\n")  # fmt: skip
    with pytest.raises(MappingError) as caught:
        small.build(MONDAY)
    first, second = str(caught.value).splitlines()
    assert first.endswith("csv:3: literals_required is accepted for 'A B' on line 2 already.")
    assert "csv:4: There is no check 'nothing'" in second
    assert not small.warehouse.table_exists("st_kpi.kpi_weekly")
