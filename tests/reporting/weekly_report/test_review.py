"""What the weekly review reads: numbers that its rows add up to, weeks that are over, and why numbers moved."""

import datetime as dt
import re
from collections import defaultdict
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook

from st_kpi.errors import CheckFailed, ConfigurationError, NothingLoaded
from st_kpi.reporting import published, weekly_report
from st_kpi.reporting.published import ALL, UNASSIGNED
from st_kpi.reporting.weekly_report import document, page
from st_kpi.reporting.weekly_report.workbook import workbook
from st_kpi.settings import Settings, load_settings
from tests.support import field
from tests.support.raw_rows import TENANT, UNITS

WEEK = dt.date(2025, 1, 6)
TUESDAY = dt.date(2025, 1, 14)


def settings(**more: Any) -> Settings:
    return load_settings(tenant_id=TENANT, timezone="America/Phoenix", **more)


def sums_of_rows(rows: document.Plain) -> dict[tuple[str, str], dict[str, Decimal]]:
    """By KPI and rollup the sums of numerator and denominator, with the totals."""
    sums: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    names = {c: [rows[c][0][at] for at in rows[c][1]] for c in ("kpi", "rollup_name", "part")}
    for kpi, rollup, part, amount in zip(*names.values(), rows["amount"], strict=True):
        side = "denominator" if part == "denominator" else "numerator"
        sums[kpi, rollup][side] += Decimal(amount)
        if rollup != UNASSIGNED:
            sums[kpi, ALL][side] += Decimal(amount)
    return sums


def test_the_rows_of_every_opened_number_add_up_to_it(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings())
    shown, opened = document.overview(review), document.opened_weeks(review)
    compared = 0
    for week, behind in opened.items():
        sums = sums_of_rows(behind["rows"])
        for kpi in shown["kpis"]:
            for rollup, line in zip(shown["rollups"], shown["cells"][kpi["name"]], strict=True):
                cell = line[shown["weeks"].index(week)]
                if cell is None:
                    assert (kpi["name"], rollup) not in sums
                    continue
                of = sums.get((kpi["name"], rollup), defaultdict(Decimal))
                assert Decimal(cell[0]) == of["numerator"], (kpi["name"], week, rollup)
                assert Decimal(cell[1] if len(cell) > 1 else 0) == of["denominator"]
                compared += of != {}
    assert compared > 40


def test_the_newest_week_that_is_over_is_chosen(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings())
    assert review.numbers.chosen == WEEK
    assert review.numbers.published.weeks[-1] == TUESDAY - dt.timedelta(days=1)
    assert TUESDAY - dt.timedelta(days=1) not in review.numbers.over
    before = weekly_report.read(built.warehouse, settings(), as_of=dt.date(2025, 1, 8))
    assert before.numbers.published.weeks[-1] == WEEK
    assert document.overview(before)["asOf"] == "2025-01-08"


def test_a_week_that_the_data_do_not_reach_is_not_over(small: Any) -> None:
    field.read_until(small, dt.datetime(2025, 1, 17, tzinfo=dt.UTC))
    small.build(dt.date(2025, 1, 20))
    review = weekly_report.read(small.warehouse, settings())
    assert dt.date(2025, 1, 13) not in review.numbers.over
    assert review.attention.matters[0].what.startswith("Nothing new since 2025-01-16 17:00")
    assert review.numbers.chosen == WEEK


def test_one_rollup_alone_has_no_total_and_no_rows_of_others(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings(), rollup="east", weeks=2)
    assert document.overview(review)["rollups"] == ("East",)
    rows = document.opened_weeks(review)[str(WEEK)]["rows"]
    assert rows["rollup_name"][0] == ["East"]


def test_why_a_week_changed_since_it_was_reported(built: Any) -> None:
    built.edit({"invoices": [{"id": 1001, "sub_total": 1100}]})
    built.build(TUESDAY, run_id="two")
    review = weekly_report.read(built.warehouse, settings())
    shown = document.overview(review)
    at = shown["weeks"].index(str(WEEK))
    places = {rollup: place for place, rollup in enumerate(shown["rollups"])}
    assert shown["reported"]["produced"][places["East"]] == {at: ("4900", None)}
    assert shown["reported"]["gpm"][places[ALL]][at] == ("2615", "4900")
    assert "leads" not in shown["reported"]
    changes = document.opened_weeks(review)[str(WEEK)]["changes"]
    assert ["produced", "East", "value", "amount edited", "100", 1] in changes
    ((week, cause, moves),) = shown["moved"]["changes"]
    assert (week, cause) == (str(WEEK), "amount edited")
    assert ("produced", "value", "100") in moves
    assert (shown["moved"]["more"], shown["moved"]["weeks"]) == (0, 1)


def test_of_one_rollup_nothing_is_told_that_moved_in_another(built: Any) -> None:
    built.edit({"invoices": [{"id": 1001, "sub_total": 1100}]})
    built.build(TUESDAY, run_id="two")
    east, west = (
        document.overview(weekly_report.read(built.warehouse, settings(), rollup=rollup))
        for rollup in ("East", "West")
    )
    assert east["moved"]["weeks"] == 1
    assert (west["moved"]["changes"], west["reported"]) == ([], {})


def test_what_is_left_out_is_told_by_rule(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings())
    left_out = document.opened_weeks(review)[str(WEEK)]["leftOut"]
    told = {(rule, amount) for kpi, _, _, rule, amount, _ in left_out if kpi == "total_booked"}
    assert told == {("without a job", "999"), ("of a PRODUCTION unit", "400")}


def test_a_refused_build_and_refused_records_need_a_person(built: Any) -> None:
    built.warehouse.insert(
        "st_ops.rejects",
        [{"tenant_id": TENANT, "entity": "invoices", "source_id": "7", "field": "total",
          "reason": "not a number", "rejected_at": dt.datetime.now(dt.UTC)}],
    )  # fmt: skip
    built.map(units=UNITS.replace("West Production,West,PRODUCTION,,\n", ""))
    with pytest.raises(CheckFailed):
        built.build(TUESDAY, run_id="refused")
    matters = weekly_report.read(built.warehouse, settings()).attention.matters
    assert matters[0].what.startswith("The last build was refused on ")
    assert matters[0].severe
    assert "those of build 1" in matters[0].detail
    (unmapped,) = [m for m in matters if m.what.startswith("Check unmapped_units: 1 row.")]
    assert "West Production" in unmapped.detail
    assert "business_units.csv" in unmapped.detail  # the way on
    (refused,) = [m for m in matters if m.what == "invoices: 1 record refused."]
    assert refused.command == "st-kpi repair --entity invoices"


def test_an_entity_that_was_never_read_is_missed_unless_it_is_optional(small: Any) -> None:
    read = dt.datetime.combine(field.MONDAY, dt.time(20), dt.UTC)
    field.read_until(small, read, "returns")
    small.build(field.MONDAY)
    missed = weekly_report.read(small.warehouse, settings()).attention
    assert ("returns", None, False) in {
        (i.entity, i.known_until, i.optional) for i in missed.inputs
    }
    assert any(m.what.startswith("G.P.M is not complete: returns") for m in missed.matters)
    optional = weekly_report.read(
        small.warehouse, settings(optional_entities=["returns"])
    ).attention
    assert ("returns", None, True) in {
        (i.entity, i.known_until, i.optional) for i in optional.inputs
    }
    assert not any("is not complete" in matter.what for matter in optional.matters)


def test_what_is_accepted_is_said_with_its_reason(small: Any) -> None:
    pieces = "gross_pay_items.gross_pay_item_type TimesheetTime"
    small.rows["gross_pay_items"] = [
        {"job_id": 101, "gross_pay_item_type": "CustomBonus", "amount": 1, "created_on": "2025-01-09 18:00"}
    ] * 1000  # fmt: skip
    (small.folder / "accepted_checks.csv").write_text(
        f"check,subject,reason,valid_to\nliterals_required,{pieces},We pay by the piece.,\n",
        encoding="utf-8",
    )
    small.build(field.MONDAY, run_id="one")
    attention = weekly_report.read(small.warehouse, settings()).attention
    assert attention.accepted == (f"literals_required, {pieces}: We pay by the piece.",)
    assert not any("literals_required" in matter.what for matter in attention.matters)


def test_a_name_in_any_script_stays_a_name(built: Any) -> None:
    name = '</script><b>"Øst" & 東"'
    built.map(units=UNITS.replace(",East,", f',"{name.replace(chr(34), chr(34) * 2)}",'))
    built.build(TUESDAY, run_id="two")
    text = page.html(weekly_report.read(built.warehouse, settings()))
    assert len(re.findall("</script", text)) == len(re.findall("<script", text))
    assert "<b>" not in text
    assert "東" in text


def test_the_workbook_has_the_numbers_of_each_week(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings())
    book = load_workbook(BytesIO(workbook(review.numbers)))
    assert book.sheetnames[:2] == ["Week of 2025-01-13", "Week of 2025-01-06"]
    rows = list(book["Week of 2025-01-06"].iter_rows(values_only=True))
    east = dict(zip(rows[0], next(r for r in rows if r[0] == "East"), strict=True))
    cell = review.numbers.published.cells["gpm", WEEK, "East"]
    assert (east["$ Produced"], east["G.P.M"]) == (4900, pytest.approx(float(cell.value or 0)))
    assert rows[1][0] == "All rollups"


def test_a_name_that_begins_like_a_formula_is_none(built: Any) -> None:
    built.map(units=UNITS.replace(",East,", ",=1+1,"))
    built.build(TUESDAY, run_id="two")
    review = weekly_report.read(built.warehouse, settings())
    sheet = load_workbook(BytesIO(workbook(review.numbers))).worksheets[0]
    cells = {cell.value: cell.data_type for cell in sheet["A"]}
    assert cells["=1+1"] == "s"


def test_what_is_not_there_is_said(built: Any, tenant: Any, tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="as of 2025-01-14: for 2025-02-01 run"):
        weekly_report.read(built.warehouse, settings(), as_of=dt.date(2025, 2, 1))
    with pytest.raises(
        ConfigurationError, match=r"no rollup 'North'\. The rollups are: East, West"
    ):
        weekly_report.read(built.warehouse, settings(), rollup="North")
    with pytest.raises(ConfigurationError, match="time zone is not set"):
        weekly_report.read(built.warehouse, load_settings())
    with pytest.raises(NothingLoaded, match="st-kpi backfill"):
        weekly_report.read(tenant.warehouse, settings())
    (tmp_path / "file").write_text("")
    review = weekly_report.read(built.warehouse, settings())
    with pytest.raises(ConfigurationError, match=r"The report .*page.html cannot be written"):
        weekly_report.write(review, tmp_path / "file" / "page.html")


def test_every_number_is_the_published_one(built: Any) -> None:
    review = weekly_report.read(built.warehouse, settings())
    shown = published.read(built.warehouse, week=WEEK)
    cells = document.overview(review)["cells"]
    at = review.numbers.published.weeks.index(WEEK)
    for kpi in shown.kpis:
        for rollup in (ALL, "East", "West"):
            line = cells[kpi.name][review.numbers.rollups.index(rollup)][at]
            value = shown.value(kpi, WEEK, rollup)
            numerator, denominator = (*map(Decimal, line or ()), None, None)[:2]
            assert published.ratio(numerator, denominator) == value
