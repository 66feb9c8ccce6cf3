"""What was compared is kept, without a person's name, and told wherever the number is shown afterwards."""

import datetime as dt
import json
from decimal import Decimal

from st_kpi.cli.render import diff_json, diff_table
from st_kpi.cli.render_weekly import as_json, weekly_table
from st_kpi.reporting import published
from st_kpi.reporting.diff import diff
from st_kpi.reporting.reconcile.compare import Verdict
from st_kpi.reporting.reconcile.record import save
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.reporting.reconcile.test_causes import RIGHT, TUESDAY, WEEK, compared
from tests.support.raw_rows import Tenant


def test_a_comparison_and_its_rows_are_kept(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY)
    rows = {"104": "104,East Production,1/9/2025,RES-EXT,500,75,0,0,0", "106": ""}
    (result,) = compared(worked_weeks, rows=rows)
    id_ = save(worked_weeks.warehouse, result)
    (kept,) = worked_weeks.query("SELECT * FROM st_ops.reconciliations")
    assert kept["reconciliation_id"] == id_
    assert {
        name: kept[name]
        for name in ("kpi", "week_start", "rollup", "kind", "report", "build", "matched")
    } == {
        "kpi": "gpm",
        "week_start": WEEK,
        "rollup": "All",
        "kind": "job_costing",
        "report": "report.csv",
        "build": 1,
        "matched": 5,
    }
    assert (kept["amount_differs"], kept["only_here"], kept["only_there"]) == (1, 1, 0)
    assert (kept["gap_numerator"], kept["gap_denominator"], kept["gap_value"]) == (-325, -400, None)
    assert kept["report_identity"].startswith("sha256:")
    stored = worked_weeks.query(
        "SELECT * FROM st_ops.reconciliation_rows ORDER BY row_key, measure"
    )
    assert [(r["row_key"], r["verdict"], r["measure"], r["there"], r["here"]) for r in stored] == [
        ("104", "amount differs", "labour_pay", 75, 0),
        ("106", "only here", "labour_pay", 0, 150),
        ("106", "only here", "revenue", 0, 400),
    ]


def test_each_verdict_has_its_column(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY)
    (result,) = compared(worked_weeks)
    save(worked_weeks.warehouse, result)
    (kept,) = worked_weeks.query("SELECT * FROM st_ops.reconciliations")
    assert {verdict.name.lower() for verdict in Verdict} <= kept.keys()


def test_a_number_that_was_compared_says_so(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY)
    shown = published.read(worked_weeks.warehouse, week=WEEK)
    assert "Compared" not in weekly_table(shown)
    for rows in ({"104": ""}, {}):  # the latest counts
        (result,) = compared(worked_weeks, rows=rows)
        save(worked_weeks.warehouse, result)
    (other,) = compared(worked_weeks, "produced", rows={"104": ""}, rollup="East")
    save(worked_weeks.warehouse, other)
    shown = published.read(worked_weeks.warehouse, week=WEEK)
    today = dt.datetime.now(dt.UTC).date()
    text = weekly_table(shown)
    assert (
        f"Compared with ServiceTitan's report on {today}: G.P.M of all rollups, week of 2025-01-06:"
        " equal row by row, 53.37%."
    ) in text
    assert (
        "$ Produced of East, week of 2025-01-06: 4,900.00 here, 4,400.00 there, 1 row differs."
        in text
    )
    records = json.loads(as_json(shown))["reconciled"]
    assert [(r["kpi"], r["rollup"], r["there"], r["differing"]) for r in records] == [
        ("gpm", "All", "0.533673469", 0),
        ("produced", "East", "4400", 1),
    ]
    only = published.read(worked_weeks.warehouse, week=WEEK, kpi="produced", rollup="All")
    assert only.reconciled == ()


def test_a_restated_week_says_that_it_was_compared_before(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY, run_id="one")
    (result,) = compared(worked_weeks, "produced")
    save(worked_weeks.warehouse, result)
    worked_weeks.add(
        {"invoices": [{"id": 990, "job_id": 104, "business_unit_id": 2, "sub_total": Decimal(11)}]}
    )
    worked_weeks.build(TUESDAY + dt.timedelta(days=1), run_id="two")
    found = diff(worked_weeks.warehouse, kpi="produced")
    assert [each.here for each in found.reconciled] == [4900]
    assert "week of 2025-01-06: equal row by row, 4,900.00." in diff_table(found)
    assert json.loads(diff_json(found))["reconciled"][0]["kpi"] == "produced"
    (again,) = compared(worked_weeks, "produced", rows={"104": RIGHT["104"].replace("500", "511")})
    save(worked_weeks.warehouse, again)
    assert diff(worked_weeks.warehouse, kpi="produced").reconciled == ()


def test_a_warehouse_of_an_older_version_gets_the_tables(worked_weeks: Tenant) -> None:
    worked_weeks.build(TUESDAY)
    warehouse = worked_weeks.warehouse
    assert isinstance(warehouse, DuckDBWarehouse)
    for table in ("reconciliations", "reconciliation_rows"):
        warehouse.execute(f"DROP TABLE st_ops.{table}")
    assert published.read(warehouse, week=WEEK).reconciled == ()
    (result,) = compared(worked_weeks)
    save(warehouse, result)
    assert len(published.read(warehouse, week=WEEK).reconciled) == 1
