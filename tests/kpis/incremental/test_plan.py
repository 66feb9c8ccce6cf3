"""A build that skips what it can equals one that skips nothing, whatever was edited in between."""

import copy
import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st_kpi.errors import CheckFailed
from st_kpi.kpis.definitions.lint import inspect

pytestmark = pytest.mark.long

TUESDAY = dt.date(2025, 1, 14)
WEDNESDAY = dt.date(2025, 1, 15)

#: Every table a file fills and every log; run ids and the time of a build differ by nature.
TABLES = (
    *sorted({s.table for s in inspect().compiled if s.table}),
    "st_kpi.kpi_reported",
    "st_kpi.kpi_changes",
    "st_kpi.contribution_changes",
    "st_ops.mapping_changes",
)
#: What a build without any history has to have too.
CURRENT = (
    "SELECT * FROM st_kpi.contributions WHERE kpi NOT IN ('future_bookings', 'outstanding_ar')",
    "SELECT kpi, `rollup`, role, day, numerator, denominator, value, definition_version"
    " FROM st_kpi.kpi_daily WHERE kpi NOT IN ('future_bookings', 'outstanding_ar')",
    "SELECT kpi, `rollup`, role, week_start, numerator, denominator, value, definition_version"
    " FROM st_kpi.kpi_weekly WHERE kpi NOT IN ('future_bookings', 'outstanding_ar')",
)

MAPPINGS = (
    "1,East,SALES,,\n2,East,PRODUCTION,,\n3,West,SALES,,\n4,West,BOTH,,\n",
    "1,East,SALES,,\n2,East,PRODUCTION,,\n3,East,SALES,,\n4,East,PRODUCTION,,\n",
    "1,East,SALES,,2025-01-08\n1,New,SALES,2025-01-09,\n2,East,PRODUCTION,,\n3,West,SALES,,\n"
    "4,Far,PRODUCTION,,\n",
)
TYPES = (
    "21,production\n22,production\n31,warranty\n41,excluded\n",
    "21,production\n22,warranty\n31,other\n41,production\n13,other\n",
)

DAYS = st.dates(dt.date(2024, 12, 28), dt.date(2025, 1, 20)).map(lambda day: f"{day} 06:45")
AMOUNTS = st.decimals(-500, 5000, places=2).map(str)
STATUSES = st.sampled_from(["Completed", "Scheduled", "Canceled", "Hold"])
JOBS = st.sampled_from([1, 2, 3, 4, 7, 8, 9, 10, 101, 102, 104, 105, 106, 107, 108, 800])
#: Where a row can belong: a job there is, one there is not, or none, which the source also writes as 0.
OWNERS = st.one_of(JOBS, st.sampled_from([0, 999, None]))
APPOINTMENTS = st.sampled_from([1011, 1021, 1041, 1051, 1071, 1081])
INVOICES = st.sampled_from([1001, 1002, 1003, 1004, 1005, 1006, 1008, 2001, 2002])
ESTIMATES = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8])
BOOLS = st.booleans()
PROJECTS = st.sampled_from([None, 0, 7, 8])
PAY = ("TimesheetTime", "CustomBonus", "Salary")

#: Per table, the ids and what may be written into which column.
COLUMNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "invoices": (
        INVOICES,
        {
            "sub_total": AMOUNTS,
            "balance": AMOUNTS,
            "active": BOOLS,
            "job_id": OWNERS,
            "business_unit_id": st.integers(0, 4),
            "adjustment_to_id": st.sampled_from([None, 1001]),
            "project_id": PROJECTS,
        },
    ),
    "appointments": (APPOINTMENTS, {"start": DAYS, "active": BOOLS, "job_id": OWNERS}),
    "jobs": (
        JOBS,
        {
            "job_status": STATUSES,
            "completed_on": DAYS,
            "created_on": DAYS,
            "active": BOOLS,
            "business_unit_id": st.integers(0, 4),
            "project_id": PROJECTS,
            "job_type_id": st.sampled_from([11, 13, 21, 22, 31, 41]),
            "customer_id": st.integers(1, 9),
            "first_appointment_id": st.one_of(APPOINTMENTS, st.just(0)),
            "no_charge": BOOLS,
        },
    ),
    "customers": (st.integers(1, 9), {"is_test": BOOLS}),
    "job_types": (st.sampled_from([11, 21]), {"sold_threshold": AMOUNTS, "no_charge": BOOLS}),
    "estimates": (
        ESTIMATES,
        {
            "sold_on": DAYS,
            "status_name": st.sampled_from(["Sold", "Open"]),
            "subtotal": AMOUNTS,
            "job_id": OWNERS,
            "project_id": PROJECTS,
            "business_unit_id": st.integers(0, 4),
        },
    ),
    "payments": (st.integers(1, 6), {"active": BOOLS, "unapplied_amount": AMOUNTS}),
    "payment_applications": (
        st.sampled_from([11, 12, 21, 31, 41]),
        {"applied_amount": AMOUNTS, "applied_to": INVOICES},
    ),
    "purchase_orders": (
        st.integers(1, 5),
        {"job_id": OWNERS, "project_id": PROJECTS, "status": STATUSES, "total": AMOUNTS},
    ),
    "inventory_bills": (st.integers(1, 5), {"job_id": OWNERS, "bill_amount": AMOUNTS}),
}
CELLS = [
    st.tuples(st.just("edit"), st.just(table), ids, st.just(column), values)
    for table, (ids, columns) in COLUMNS.items()
    for column, values in columns.items()
]
#: A job type that the mapping names has to be there.
DELETIONS = [
    st.tuples(st.just("delete"), st.just(table), ids)
    for table, (ids, _) in COLUMNS.items()
    if table != "job_types"
]
EDITS = st.one_of(
    *CELLS,
    *DELETIONS,
    st.tuples(st.just("pay"), OWNERS, AMOUNTS, st.sampled_from(PAY), st.integers(1, 2)),
    st.tuples(st.just("unpay"), st.integers(0, 7)),
    st.tuples(st.just("repay"), st.integers(0, 7), OWNERS),
    st.tuples(st.just("invoice"), OWNERS, AMOUNTS),
    st.tuples(st.just("item"), INVOICES, AMOUNTS),
    st.tuples(st.just("job"), st.integers(1, 9), DAYS),
    st.tuples(st.just("units"), st.sampled_from(MAPPINGS)),
    st.tuples(st.just("types"), st.sampled_from(TYPES)),
)
#: Most nights have the product's settings.
SETTINGS = st.one_of(
    st.just({}),
    st.just({}),
    st.sampled_from(
        [
            {"timezone": "Pacific/Auckland"},
            {"include_tax": False},
            {"cost_source": "purchase_orders"},
            {"produced_excludes": ["warranty"]},
            {"ar_skip_unstarted": False},
            {"project_money": "counted"},
        ]
    ),
)
#: Edits of a night, by how many days the as-of day moves (it may go back), and the settings.
NIGHTS = st.lists(
    st.tuples(st.lists(EDITS, min_size=0, max_size=6), st.integers(-1, 4), SETTINGS),
    min_size=1,
    max_size=4,
)


def apply(tenant: Any, edits: list[tuple[Any, ...]]) -> None:
    for kind, *rest in edits:
        if kind == "edit":
            table, id, column, value = rest
            for row in tenant.rows.get(table, ()):
                if row["id"] == id:
                    row[column] = value
        elif kind == "delete":
            table, id = rest
            remaining = [row for row in tenant.rows.get(table, ()) if row["id"] != id]
            if table in tenant.rows and (remaining or table != "jobs"):
                tenant.rows[table] = remaining
        elif kind == "pay":
            owner, amount, type, copies = rest
            line = {"job_id": owner, "gross_pay_item_type": type, "amount": amount}
            tenant.add({"gross_pay_items": [line] * copies})
        elif kind == "unpay":
            lines = tenant.rows["gross_pay_items"]
            del lines[rest[0] : rest[0] + 1]
        elif kind == "repay":
            for line in tenant.rows["gross_pay_items"][rest[0] : rest[0] + 1]:
                line["job_id"] = rest[1]
        elif kind == "invoice":
            id = unused(tenant, "invoices")
            row = {"id": id, "job_id": rest[0], "business_unit_id": 2, "sub_total": rest[1]}
            tenant.add({"invoices": [row]})
        elif kind == "item":
            id = unused(tenant, "invoice_items")
            row = {"id": id, "invoice_id": rest[0], "type": "Material", "total_cost": rest[1]}
            tenant.add({"invoice_items": [row]})
        elif kind == "job":
            id = unused(tenant, "jobs")
            lead = {"id": id, "customer_id": rest[0], "business_unit_id": 1, "job_type_id": 11}
            tenant.add({"jobs": [{**lead, "created_on": rest[1]}]})
        elif kind == "units":
            tenant.map(units="business_unit,rollup,role,valid_from,valid_to\n" + rest[0])
        else:
            tenant.map(types="job_type,family\n" + rest[0])


def unused(tenant: Any, table: str) -> int:
    return max((9000, *(row["id"] for row in tenant.rows[table]))) + 1


@contextmanager
def copied(first_build: Any, count: int) -> Iterator[list[Any]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        tenants = []
        for number in range(count):
            own = Path(folder) / str(number)
            own.mkdir()
            shutil.copy(first_build.folder / "first.duckdb", own / "first.duckdb")
            tenant = type(first_build)(own, str(own / "first.duckdb"))
            stack.enter_context(closing(tenant.warehouse))
            tenant.rows = copy.deepcopy(first_build.rows)
            tenant._written = copy.deepcopy(first_build.rows)
            tenants.append(tenant)
        yield tenants


def state(tenant: Any) -> dict[str, list[str]]:
    return {
        table: sorted(str(row) for row in tenant.query(f"SELECT * FROM {table}"))
        for table in TABLES
    }


def outcome(tenant: Any, as_of: dt.date, chosen: dict[str, Any], *, full: bool) -> str:
    """A failed check leaves everything as it was, so it has to fail in both."""
    try:
        tenant.build(as_of, full=full, **chosen)
    except CheckFailed as error:
        return str(error)
    return "built"


@pytest.mark.long
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(nights=NIGHTS)
def test_an_incremental_chain_equals_full_rebuilds(first_build: Any, nights: Any) -> None:
    with copied(first_build, 2) as (nightly, rebuilt):
        as_of = TUESDAY
        for edits, days, chosen in nights:
            as_of += dt.timedelta(days=days)
            apply(nightly, edits)
            apply(rebuilt, edits)
            result = outcome(nightly, as_of, chosen, full=False)
            assert outcome(rebuilt, as_of, chosen, full=True) == result
            assert "money_accounted" not in result
            assert state(nightly) == state(rebuilt)
        if result == "built":
            fresh = type(first_build)(nightly.folder)
            fresh.rows = nightly.rows
            with closing(fresh.warehouse):
                shutil.copy(rebuilt.folder / "business_units.csv", fresh.folder)
                shutil.copy(rebuilt.folder / "job_types.csv", fresh.folder)
                fresh.build(as_of, **chosen)
                for sql in CURRENT:
                    ours = sorted(str(r) for r in nightly.query(sql))
                    assert ours == sorted(str(r) for r in fresh.query(sql))
        unexplained = nightly.query(
            "SELECT * FROM st_kpi.kpi_changes WHERE cause = 'not explained'"
        )
        assert not unexplained


def test_nothing_changed_runs_nothing(built: Any) -> None:
    result = built.build(TUESDAY)
    assert result.recomputed == ()
    assert built.build(TUESDAY, full=True).recomputed


def test_a_new_day_runs_only_what_knows_the_day(built: Any) -> None:
    result = built.build(WEDNESDAY)
    assert set(result.recomputed) == {
        "dim/dim_business_units",
        "kpis/future_bookings/contributions",
        "kpis/outstanding_ar/contributions",
        "rollup/kpi_daily",
        "rollup/kpi_weekly",
        "rollup/kpi_weekly_wide",
        "rollup/left_out_snapshots",
        "rollup/snapshot_days",
        "staging/receivables",
    }


def test_an_edited_payment_leaves_jobs_alone(built: Any) -> None:
    built.edit({"payments": [{"id": 6, "unapplied_amount": 200}]})
    result = built.build(TUESDAY)
    assert "kpis/collected/contributions" in result.recomputed
    assert "dim/dim_jobs" not in result.recomputed
    assert "kpis/leads/contributions" not in result.recomputed


def test_an_edited_invoice_recomputes_its_job_alone(built: Any) -> None:
    # What is wrong about another job stays so: nobody looked at it.
    built.warehouse.execute("UPDATE st_dim.fact_job_costs SET revenue = 7 WHERE job_id = 102")
    built.edit({"invoices": [{"id": 1001, "sub_total": 1500}]})
    result = built.build(TUESDAY)
    assert result.in_part == {
        "dim/fact_job_costs",
        "kpis/gpm/contributions",
        "kpis/produced/contributions",
        "kpis/warranty_pct/contributions",
    }
    costs = built.query("SELECT job_id, revenue FROM st_dim.fact_job_costs")
    revenue = {row["job_id"]: row["revenue"] for row in costs}
    assert (revenue[101], revenue[102]) == (1300, 7)


def test_a_row_that_moves_touches_both_jobs(built: Any) -> None:
    built.edit({"invoices": [{"id": 1001, "job_id": 102}]})
    built.build(TUESDAY)
    costs = built.query("SELECT job_id, revenue FROM st_dim.fact_job_costs")
    revenue = {row["job_id"]: row["revenue"] for row in costs}
    assert (revenue[101], revenue[102]) == (-200, 4000)


def test_what_stands_beside_the_jobs_runs_a_statement_whole(built: Any) -> None:
    built.edit({"customers": [{"id": 1, "is_test": True}]})
    result = built.build(TUESDAY)
    assert {"dim/dim_jobs"} & set(result.recomputed) - result.in_part
    assert "kpis/leads/contributions" in result.in_part


def test_a_changed_setting_runs_a_statement_whole(built: Any) -> None:
    result = built.build(TUESDAY, produced_excludes=["warranty"])
    assert {"staging/project_jobs", "kpis/produced/contributions"} <= set(result.recomputed)
    assert not result.in_part


def test_a_failed_build_is_not_remembered(built: Any) -> None:
    states = built.query("SELECT * FROM st_ops.statement_states ORDER BY name")
    built.map(units="business_unit,rollup,role,valid_from,valid_to\n1,East,SALES,,\n")
    with pytest.raises(CheckFailed):
        built.build(WEDNESDAY)
    assert built.query("SELECT * FROM st_ops.statement_states ORDER BY name") == states


def test_rows_mended_by_hand_are_put_right_by_a_full_build(built: Any) -> None:
    built.warehouse.execute("DELETE FROM st_kpi.contributions WHERE source_id = 1004")
    with pytest.raises(CheckFailed, match="rollups_add_up"):
        built.build(TUESDAY)
    built.build(TUESDAY, full=True)
    assert built.weekly("produced")[dt.date(2025, 1, 6), "East"]["value"] == 4900
