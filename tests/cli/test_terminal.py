"""What a person sees in a terminal: as wide as it is, nothing cut, all rollups first, and words as they are printed."""

import datetime as dt
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from st_kpi.cli.render import diff_table, explained_table, status_table
from st_kpi.cli.render_weekly import as_xlsx, heights, weekly_table
from st_kpi.errors import ConfigurationError
from st_kpi.ingest.status import EntityStatus, Status
from st_kpi.reporting import published
from st_kpi.reporting.diff import diff
from st_kpi.reporting.explain import explain
from tests.conftest import tenant_settings
from tests.support.field import MONDAY, TYPES, read_until
from tests.support.field import WEEK as SMALL_WEEK
from tests.support.raw_rows import Tenant

WEEK = dt.date(2025, 1, 6)
NUMBER = re.compile(r"-?[\d,]+(?:\.\d+)?%?")


@pytest.mark.parametrize("columns", ["80", "100", "140"])
@pytest.mark.parametrize(
    "command", ["show", "show --trend", "explain gpm", "explain gpm --rows", "diff", "status"]
)
def test_a_table_is_as_wide_as_the_terminal_and_no_number_is_cut(
    ask: Any, monkeypatch: pytest.MonkeyPatch, command: str, columns: str
) -> None:
    wide = ask(*command.split())
    monkeypatch.setenv("COLUMNS", columns)
    narrow = ask(*command.split())
    table = narrow.partition("As of")[0].partition("values changed")[0].partition("Times are")[0]
    sentences = [line for line in table.splitlines() if not re.match(r"[A-Z].*[a-z]\.$", line)]
    assert max(map(len, sentences)) <= int(columns)
    assert "\u2026" not in narrow
    assert set(NUMBER.findall(narrow)) >= set(NUMBER.findall(wide))


def test_show_begins_with_all_rollups_in_the_latest_closed_week(ask: Any) -> None:
    lines = ask("show", "--weeks", "3").splitlines()
    assert lines[0] == "All rollups, the latest week that is closed"
    assert lines[2].split() == ["Week", "of", "2025-01-06", "of", "2024-12-30", "Change"]
    (gpm,) = [line for line in lines if line.startswith("G.P.M")][:1]
    assert gpm.split()[1:] == ["54.30%*", "100.00%", "-45.70", "points"]
    blocks = [line for line in lines if line in ("All rollups", "East", "West")]
    assert blocks[0] == "All rollups"
    assert len(blocks) == 3


def test_weeks_below_each_rollup_come_to_sums_over_sums(ask: Any) -> None:
    lines = ask("show", "--weeks", "3", "--rollup", "east").splitlines()
    titles = ["Leads", "Total Booked", "$ Produced", "G.P.M"]
    (total,) = [line.split() for line in lines if line.startswith("3 weeks")]
    assert len(total) == 2 + 10
    produced, gpm = total[2 + titles.index("$ Produced")], total[2 + titles.index("G.P.M")]
    assert produced == "5,700"  # 700 and 5,000
    assert gpm == "59.91%"  # (700 + 2,715) / 5,700, and not the mean of two ratios
    assert total[9] == "-", "a snapshot has no sum"


def test_a_value_that_was_restated_has_a_mark(ask: Any) -> None:
    shown = ask("show", "--kpi", "produced", "--week", "2025-01-06")
    assert "5,000.00*" in shown
    assert "* not as it was when its week closed: `st-kpi show --as-reported` has that" in shown
    quiet = ask("show", "--kpi", "leads", "--week", "2025-01-06")
    assert "*" not in quiet
    assert "4,900.00" in ask("show", "--kpi", "produced", "--week", "2025-01-06", "--as-reported")


def test_words_are_taken_as_they_are_printed(ask: Any) -> None:
    assert "G.P.M" in ask("show", "--kpi", "G.P.M", "--rollup", "All rollups")
    last = ask("show", "--week", "last", "--format", "csv").splitlines()
    assert {line.split(",")[1] for line in last[1:]} == {"2025-01-06"}
    assert ask("explain", "g.p.m", "--rollup", "all rollups") == ask(
        "explain", "gpm", "--week", "last"
    )
    with pytest.raises(ConfigurationError, match="'then' is not a day"):
        ask("show", "--week", "then")


def test_a_trend_has_a_height_for_each_week(ask: Any) -> None:
    lines = ask("show", "--trend").splitlines()
    assert lines[0] == "All rollups, the weeks of 2024-10-14 to 2025-01-06"
    (produced,) = [line for line in lines if line.startswith("$ Produced")]
    assert produced.split()[2:] == [
        "\u2581" * 12 + "\u2588",
        "0",
        "5,000",
        "5,000",
        "+4,300",
    ]
    with pytest.raises(ConfigurationError, match="--trend is for a person"):
        ask("show", "--trend", "--format", "csv")


def test_heights_where_a_terminal_has_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow:
        encoding = "cp1252"

    monkeypatch.setattr(sys, "stdout", Narrow())
    found = heights([published.Decimal(n) for n in (0, 7, 14)] + [None])
    monkeypatch.undo()
    assert found == "148 "


def test_a_workbook_has_days_and_numbers(ask: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"name a file, --out weekly\.xlsx"):
        ask("show", "--format", "xlsx")
    said = ask("show", "--format", "xlsx", "--out", "weekly.xlsx")
    assert said == f"{Path.cwd() / 'weekly.xlsx'}\n"
    sheet = load_workbook("weekly.xlsx")["Weekly"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["KPI", "Week of", "Rollup", "Numerator", "Denominator", "Value"]
    assert ["$ Produced", dt.datetime(2025, 1, 6), "All rollups", 5000, None, 5000] in rows


def test_a_text_in_a_workbook_is_no_formula(small: Tenant, tmp_path: Path) -> None:
    header = "business_unit,rollup,role,valid_from,valid_to\n"
    small.map(f"{header}1,=1+1,SALES,,\n2,=1+1,PRODUCTION,,\n", TYPES)
    small.build(MONDAY)
    as_xlsx(published.read(small.warehouse), tmp_path / "odd.xlsx")
    odd = load_workbook(tmp_path / "odd.xlsx")["Weekly"]
    cells = [cell for (cell,) in odd.iter_rows(min_row=2, min_col=3, max_col=3)]
    assert {(cell.value, cell.data_type) for cell in cells} == {
        ("=1+1", "s"),
        ("All rollups", "s"),
    }


def test_a_margin_is_explained_job_by_job(ask: Any) -> None:
    lines = ask("explain", "gpm").splitlines()
    assert lines[0].split() == ["Date", "Job", "Revenue", "Labour", "Material", "Margin", "G.P.M"]
    jobs = [line.split() for line in lines if line.startswith("2025")]
    assert ["2025-01-08", "102", "3,000", "1,200", "300", "1,500", "50.00%"] in jobs
    total = next(line.split() for line in lines if line.startswith("Sum"))
    assert total == ["Sum", "6", "jobs", "5,000", "1,860", "425", "2,715", "54.30%"]
    assert "from 22 rows, which --rows lists." in lines[-2]
    rows = ask("explain", "gpm", "--rows").splitlines()
    assert rows[0].split()[-2:] == ["Reason", "Source"]
    assert sum(line.startswith("2025") for line in rows) == 22


def test_a_difference_is_told_by_cause_first_and_by_no_run(ask: Any) -> None:
    lines = ask("diff").splitlines()
    assert lines[0].split() == ["Cause", "KPI", "Part", "Values", "Rows", "Change"]
    assert lines[2].split()[:3] == ["amount", "edited", "$"]
    assert "run two" not in "\n".join(lines)


def test_the_line_of_the_mapping_is_named(small: Tenant) -> None:
    small.build(MONDAY)
    small.map(
        "business_unit,rollup,role,valid_from,valid_to\nEast Sales,East,SALES,,\nEast Production,West,PRODUCTION,2025-01-01,\n"
    )
    small.build(MONDAY, run_id="two")
    told = diff_table(diff(small.warehouse))
    assert (
        "Mapping of East Production: East, PRODUCTION; now West, PRODUCTION from 2025-01-01."
        in told.splitlines()
    )


def test_an_optional_entity_that_is_absent_is_no_broken_check(small: Tenant) -> None:
    del small.rows["gross_pay_items"]
    at = dt.datetime.combine(MONDAY, dt.time(20), dt.UTC)
    read_until(small, at, "gross_pay_items", "receipts")
    absent = frozenset({"gross_pay_items", "receipts"})

    def freshness(**settings: Any) -> int:
        checks = small.build(MONDAY, **settings).checks
        return next(check.failed_rows for check in checks if check.name == "freshness")

    assert freshness() == 2
    assert freshness(optional_entities=absent) == 0


def test_an_entity_that_is_optional_is_not_available() -> None:
    at = dt.datetime.combine(MONDAY, dt.time(20), dt.UTC)
    months = tuple(f"2020-{month:02}" for month in range(1, 13))

    def entity(name: str, known_until: dt.datetime | None, gaps: tuple[str, ...]) -> EntityStatus:
        return EntityStatus(name, 0, 0, 0, 0, 0, None, known_until, None, gaps, None)

    entities = (entity("jobs", at, ()), entity("receipts", None, months))
    zone = tenant_settings().zone
    found = status_table(Status(entities, None), optional={"receipts"}, zone=zone)
    lines = {line.split()[0]: line for line in found.splitlines() if line}
    assert lines["receipts"].endswith("not available")
    assert lines["jobs"].endswith("13:00  none"), "8 in the evening, UTC, by the tenant's clock"
    assert "Times are those of America/Phoenix." in found
    assert "12: 2020-01 .. 2020-12" in status_table(Status(entities, None))


def test_where_the_data_end_early_the_week_is_not_a_bad_one(small: Tenant) -> None:
    small.build(MONDAY + dt.timedelta(3))
    zone = tenant_settings().zone
    text = weekly_table(published.read(small.warehouse, zone=zone))
    assert (
        "As of 2025-01-23; all data up to 2025-01-20 13:00 America/Phoenix. Nothing new since: the week of"
        " 2025-01-20 is not whole. Run `st-kpi sync`." in text
    )
    old = weekly_table(published.read(small.warehouse, week=SMALL_WEEK, zone=zone))
    assert "Nothing new since" not in old


def test_times_are_the_tenants(small: Tenant) -> None:
    small.build(MONDAY)
    zone = tenant_settings().zone
    said = explained_table(explain(small.warehouse, "produced"), zone=zone)
    assert said.endswith("As of 2025-01-20; all data up to 2025-01-20 13:00 America/Phoenix.\n")
    assert explained_table(explain(small.warehouse, "produced")).endswith("20:00 UTC.\n")


def test_kpis_that_have_no_column_are_named(ask: Any) -> None:
    assert "Not in this table, shown by --kpi: Estimates Scheduled, Closed Average Sale." in ask(
        "show"
    )
