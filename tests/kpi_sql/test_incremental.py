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

TUESDAY = dt.date(2025, 1, 14)
WEDNESDAY = dt.date(2025, 1, 15)

#: Every published table and every log; run ids and the time of a build differ by nature.
TABLES = (
    "st_kpi.contributions",
    "st_kpi.kpi_daily",
    "st_kpi.kpi_weekly",
    "st_kpi.kpi_weekly_wide",
    "st_kpi.snapshot_days",
    "st_kpi.kpi_reported",
    "st_kpi.kpi_changes",
    "st_kpi.contribution_changes",
    "st_ops.mapping_changes",
    "st_ref.dim_bu_rollup",
    "st_ref.dim_business_units",
    "st_ref.dim_job_types",
    "st_dim.dim_jobs",
    "st_dim.fact_job_costs",
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
    "1,East,SALES,,\n2,East,PRODUCTION,,\n3,West,SALES,,\n4,West,PRODUCTION,,\n",
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
INVOICES = st.sampled_from([1001, 1002, 1003, 1004, 1005, 1006, 1008, 2001, 2002])
ESTIMATES = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8])

EDITS = st.one_of(
    st.tuples(st.just("edit"), st.just("invoices"), INVOICES, st.just("sub_total"), AMOUNTS),
    st.tuples(st.just("edit"), st.just("invoices"), INVOICES, st.just("balance"), AMOUNTS),
    st.tuples(st.just("edit"), st.just("invoices"), INVOICES, st.just("active"), st.booleans()),
    st.tuples(
        st.just("edit"),
        st.just("appointments"),
        st.sampled_from([1011, 1021, 1041, 1051, 1071, 1081]),
        st.just("start"),
        DAYS,
    ),
    st.tuples(st.just("edit"), st.just("jobs"), JOBS, st.just("job_status"), STATUSES),
    st.tuples(st.just("edit"), st.just("jobs"), JOBS, st.just("completed_on"), DAYS),
    st.tuples(st.just("edit"), st.just("jobs"), JOBS, st.just("active"), st.booleans()),
    st.tuples(
        st.just("edit"), st.just("jobs"), JOBS, st.just("business_unit_id"), st.integers(1, 4)
    ),
    st.tuples(st.just("edit"), st.just("estimates"), ESTIMATES, st.just("sold_on"), DAYS),
    st.tuples(
        st.just("edit"),
        st.just("estimates"),
        ESTIMATES,
        st.just("status_name"),
        st.sampled_from(["Sold", "Open"]),
    ),
    st.tuples(
        st.just("edit"), st.just("payments"), st.integers(1, 6), st.just("active"), st.booleans()
    ),
    st.tuples(
        st.just("edit"),
        st.just("payment_applications"),
        st.sampled_from([11, 12, 21, 31, 41]),
        st.just("applied_amount"),
        AMOUNTS,
    ),
    st.tuples(st.just("pay"), JOBS, AMOUNTS),
    st.tuples(st.just("unpay"), st.integers(0, 7)),
    st.tuples(st.just("invoice"), JOBS, AMOUNTS),
    st.tuples(st.just("units"), st.sampled_from(MAPPINGS)),
    st.tuples(st.just("types"), st.sampled_from(TYPES)),
)
#: Edits of a night, and by how many days the as-of day moves; it may go back.
NIGHTS = st.lists(
    st.tuples(st.lists(EDITS, min_size=0, max_size=6), st.integers(-1, 4)), min_size=1, max_size=3
)


def apply(tenant: Any, edits: list[tuple[Any, ...]]) -> None:
    for kind, *rest in edits:
        if kind == "edit":
            table, id, column, value = rest
            tenant.edit({table: [{"id": id, column: value}]})
        elif kind == "pay":
            line = {"job_id": rest[0], "gross_pay_item_type": "TimesheetTime", "amount": rest[1]}
            tenant.add({"gross_pay_items": [line]})
        elif kind == "unpay":
            lines = tenant.rows["gross_pay_items"]
            del lines[rest[0] : rest[0] + 1]
        elif kind == "invoice":
            id = 9000 + len(tenant.rows["invoices"])
            row = {"id": id, "job_id": rest[0], "business_unit_id": 2, "sub_total": rest[1]}
            tenant.add({"invoices": [row]})
        elif kind == "units":
            tenant.map(units="business_unit,rollup,role,valid_from,valid_to\n" + rest[0])
        else:
            tenant.map(types="job_type,family\n" + rest[0])


@contextmanager
def copied(first_build: Any, count: int) -> Iterator[list[Any]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = []
        for number in range(count):
            own = Path(folder) / str(number)
            own.mkdir()
            shutil.copy(first_build.folder / "first.duckdb", own / "first.duckdb")
            tenant = type(first_build)(own, str(own / "first.duckdb"))
            stack.enter_context(closing(tenant.warehouse))
            tenant.rows = copy.deepcopy(first_build.rows)
            tenant._written = copy.deepcopy(first_build.rows)
            made.append(tenant)
        yield made


def state(tenant: Any) -> dict[str, list[str]]:
    return {
        table: sorted(str(row) for row in tenant.query(f"SELECT * FROM {table}"))
        for table in TABLES
    }


def outcome(tenant: Any, as_of: dt.date, *, full: bool) -> str:
    """A failed check leaves everything as it was, so it has to fail in both."""
    try:
        tenant.build(as_of, full=full)
    except CheckFailed as error:
        return str(error)
    return "built"


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
        for edits, days in nights:
            as_of += dt.timedelta(days=days)
            apply(nightly, edits)
            apply(rebuilt, edits)
            told = outcome(nightly, as_of, full=False)
            assert outcome(rebuilt, as_of, full=True) == told
            assert state(nightly) == state(rebuilt)
        if told == "built":
            fresh = type(first_build)(nightly.folder)
            fresh.rows = nightly.rows
            with closing(fresh.warehouse):
                shutil.copy(rebuilt.folder / "business_units.csv", fresh.folder)
                shutil.copy(rebuilt.folder / "job_types.csv", fresh.folder)
                fresh.build(as_of)
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
        "rollup/snapshot_days",
    }


def test_an_edited_payment_leaves_jobs_alone(built: Any) -> None:
    built.edit({"payments": [{"id": 6, "unapplied_amount": 200}]})
    result = built.build(TUESDAY)
    assert "kpis/collected/contributions" in result.recomputed
    assert "dim/dim_jobs" not in result.recomputed
    assert "kpis/leads/contributions" not in result.recomputed


def test_a_failed_build_is_not_remembered(built: Any) -> None:
    kept = built.query("SELECT * FROM st_ops.statement_states ORDER BY name")
    built.map(units="business_unit,rollup,role,valid_from,valid_to\n1,East,SALES,,\n")
    with pytest.raises(CheckFailed):
        built.build(WEDNESDAY)
    assert built.query("SELECT * FROM st_ops.statement_states ORDER BY name") == kept


def test_rows_mended_by_hand_are_put_right_by_a_full_build(built: Any) -> None:
    built.warehouse.execute("DELETE FROM st_kpi.contributions WHERE source_id = 1004")
    with pytest.raises(CheckFailed, match="rollups_add_up"):
        built.build(TUESDAY)
    built.build(TUESDAY, full=True)
    assert built.weekly("produced")[dt.date(2025, 1, 6), "East"]["value"] == 4900
