"""Each check on a company that keeps its claim and, one edit later, does not; and what the checks have to list."""

import datetime as dt
from typing import Any

import pytest
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from st_kpi.errors import CheckFailed
from st_kpi.kpis.checks import CheckResult, results_of, run_checks
from st_kpi.kpis.definitions import document_checks
from st_kpi.kpis.definitions.columns import typed
from st_kpi.kpis.definitions.document import CHECKS_DOCUMENT
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import Severity, Statement, default_root
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables

TUESDAY = dt.date(2025, 1, 14)
PARAMETERS = {
    "as_of": TUESDAY,
    "optional_entities": [],
    "timezone": "America/Phoenix",
    "cost_source": "bill_else_po",
    "include_tax": True,
    "input_watermark": None,
}
PROJECT = inspect()
CHECKS = {s.name: s for s in PROJECT.compiled if s.severity}
#: What two checks read instead of the rows of the source.
(MISSING_WORDS,) = (s for s in PROJECT.statements if s.name == "staging/missing_words")


def again(kpi: str, part: str = "value") -> str:
    """The contributions of a KPI a second time."""
    return f"INSERT INTO st_kpi.contributions SELECT * FROM st_kpi.contributions WHERE kpi = '{kpi}' AND part = '{part}'"


def many(table: str, **values: str) -> str:
    """Eleven hundred rows of a raw table, all with the same values."""
    names, listed = ", ".join(values), ", ".join(values.values())
    return (
        f"INSERT INTO st_raw.{table} (tenant_id, id, {names})"
        f" SELECT 1, number, {listed} FROM UNNEST(GENERATE_ARRAY(100000, 101099)) AS number"
    )


def leads_a_day(times: int) -> tuple[str, ...]:
    """That many leads on each day of the eight weeks before the one that closed last."""
    insert = (
        "INSERT INTO st_kpi.contributions (tenant_id, kpi, on_date) SELECT 1, 'leads', day"
        " FROM UNNEST(GENERATE_DATE_ARRAY('2024-11-11', '2025-01-05')) AS day"
    )
    return (insert,) * times


def weeks(kpi: str, numerator: int, denominator: str = "NULL") -> str:
    """The same value in each of the eight weeks before the one that closed last."""
    return (
        "INSERT INTO st_kpi.kpi_weekly (tenant_id, kpi, `rollup`, week_start, numerator, denominator)"
        f" SELECT 1, '{kpi}', 'East', monday, {numerator}, {denominator}"
        " FROM UNNEST(GENERATE_DATE_ARRAY('2024-11-11', '2024-12-30', INTERVAL 7 DAY)) AS monday"
    )


NOON = "TIMESTAMP '2025-01-08 19:00:00+00'"
BROKEN_BY: dict[str, tuple[str, ...]] = {
    "checks/columns_filled": (many("credit_memos", balance="NULL", customer_id="1"),),
    "checks/contributions_complete": ("UPDATE st_kpi.contributions SET part = 'half' WHERE kpi = 'leads'",),
    "checks/contributions_outside_calendar": ("UPDATE st_kpi.contributions SET on_date = NULL WHERE kpi = 'leads'",),
    "checks/contributions_units": ("UPDATE st_kpi.contributions SET business_unit_id = 77 WHERE kpi = 'leads'",),
    "checks/empty_dates": ("UPDATE st_raw.estimates SET sold_on = TIMESTAMP '0001-01-01 00:00:00+00' WHERE TRUE",),
    "checks/freshness": (
        "INSERT INTO st_ops.chunks (tenant_id, entity, server_time) VALUES (1, 'jobs', TIMESTAMP '2025-01-14 00:00:00+00')",
        "INSERT INTO st_ops.chunks (tenant_id, entity, server_time) VALUES (1, 'invoices', TIMESTAMP '2025-01-12 00:00:00+00')",
    ),
    "checks/history_holds_all": (
        "INSERT INTO st_ops.outside_history (tenant_id, entity, older, undated, counted_at)"
        " VALUES (1, 'invoices', 2, 0, TIMESTAMP '2025-01-14 00:00:00+00')",
    ),
    "checks/inputs_read": ("INSERT INTO st_kpi.missing_inputs (tenant_id, kpi, entity) VALUES (1, 'gpm', 'returns')",),
    "checks/jobs_once": ("INSERT INTO st_dim.dim_jobs SELECT * FROM st_dim.dim_jobs WHERE job_id = 1",),
    "checks/literals_in_use": ("UPDATE st_raw.purchase_orders SET status = 'Cancelled' WHERE status = 'Canceled'",),
    "checks/literals_required": (
        "UPDATE st_raw.jobs SET job_status = 'Done' WHERE job_status = 'Completed'",
        many("jobs", job_status="'Done'", created_on=NOON),
    ),
    "checks/money_accounted": ("DELETE FROM st_kpi.contributions WHERE kpi = 'collected'",),
    "checks/money_without_place": (
        "INSERT INTO st_kpi.left_out (tenant_id, kpi, part, on_date, source_entity, amount, rule)"
        " VALUES (1, 'produced', 'value', DATE '2025-01-08', 'invoices', 490, 'without a job')",
    ),
    "checks/open_invoices_without_location": ("UPDATE st_staging.invoices SET balance = 5, location_id = NULL WHERE invoice_id = 1001",),
    "checks/payments_without_day": ("UPDATE st_raw.payments SET date = NULL WHERE TRUE",),
    "checks/references_resolve": ("DELETE FROM st_raw.jobs WHERE id = 1",),
    "checks/rollups_add_up": ("DELETE FROM st_kpi.kpi_daily WHERE kpi = 'produced'",),
    "checks/jobs_without_created_day": ("UPDATE st_raw.jobs SET created_on = NULL WHERE TRUE",),
    "checks/sold_estimates_without_day": ("UPDATE st_raw.estimates SET sold_on = NULL WHERE TRUE",),
    "checks/unknown_job_statuses": ("UPDATE st_dim.dim_jobs SET job_status = 'Paused' WHERE job_id = 1",),
    "checks/unmapped_job_types": ("UPDATE st_dim.dim_jobs SET job_type_id = 51, family = 'other' WHERE job_id = 1",),
    "checks/unmapped_units": ("DELETE FROM st_ref.dim_bu_rollup WHERE business_unit_id = 2",),
    "checks/weekly_rows_in_line": leads_a_day(4),
    "checks/weekly_value_in_line": (weeks("leads", 100), *leads_a_day(3)),
    "kpis/closed_average_sale/checks/closed_have_a_sale": (
        "DELETE FROM st_kpi.contributions WHERE kpi = 'closed_average_sale' AND part = 'numerator'",
    ),
    "kpis/closed_average_sale/checks/same_as_success_rate": (again("closed_average_sale", "denominator"),),
    "kpis/collected/checks/counted_once": (again("collected"),),
    "kpis/collected/checks/lines_add_up": ("UPDATE st_raw.payments SET total = 1 WHERE TRUE",),
    "kpis/estimates/checks/completed_have_a_day": ("UPDATE st_dim.dim_jobs SET completed_on_local = NULL WHERE TRUE",),
    "kpis/estimates/checks/counted_once": (again("estimates"),),
    "kpis/estimates_scheduled/checks/counted_once": (
        "UPDATE st_kpi.contributions SET kpi = 'estimates_scheduled' WHERE kpi = 'leads'", again("estimates_scheduled"),
    ),
    "kpis/future_bookings/checks/counted_once": (
        "UPDATE st_kpi.contributions SET kpi = 'future_bookings' WHERE kpi = 'produced'", again("future_bookings"),
    ),
    "kpis/gpm/checks/not_above_one": ("UPDATE st_kpi.kpi_weekly SET numerator = 2 * denominator WHERE kpi = 'gpm'",),
    "kpis/gpm/checks/same_revenue_as_produced": (again("gpm", "denominator"),),
    "kpis/gpm/checks/work_has_cost": ("UPDATE st_kpi.kpi_weekly SET numerator = denominator WHERE kpi = 'gpm'",),
    "kpis/leads/checks/canceled_ones_counted": (
        "UPDATE st_dim.dim_jobs SET job_status = 'Hold' WHERE TRUE", *([again("leads")] * 6),
    ),
    "kpis/leads/checks/counted_once": (again("leads"),),
    "kpis/outstanding_ar/checks/counted_once": (
        "UPDATE st_kpi.contributions SET kpi = 'outstanding_ar' WHERE kpi = 'produced'", again("outstanding_ar"),
    ),
    "kpis/outstanding_ar/checks/not_negative": (
        "UPDATE st_kpi.contributions SET kpi = 'outstanding_ar', amount = -1 WHERE kpi = 'produced'",
    ),
    "kpis/produced/checks/counted_once": (again("produced"),),
    "kpis/produced/checks/dated_by_appointment": (
        "UPDATE st_kpi.contributions SET reason = 'invoice, no appointment' WHERE kpi = 'produced'", *([again("produced")] * 6),
    ),
    "kpis/success_rate/checks/between_zero_and_one": ("UPDATE st_kpi.kpi_weekly SET value = 1.5 WHERE kpi = 'success_rate'",),
    "kpis/success_rate/checks/closed_are_opportunities": (
        "DELETE FROM st_kpi.contributions WHERE kpi = 'success_rate' AND part = 'denominator'",
    ),
    "kpis/success_rate/checks/counted_once": (again("success_rate", "numerator"),),
    "kpis/success_rate/checks/sold_free_of_charge": (
        "UPDATE st_dim.dim_jobs SET is_no_charge = TRUE WHERE TRUE",
    ),
    "kpis/total_booked/checks/counted_once": (again("total_booked"),),
    "kpis/total_booked/checks/not_in_the_future": (
        "UPDATE st_kpi.contributions SET on_date = DATE '2031-01-01' WHERE kpi = 'total_booked'",
    ),
    "kpis/total_booked/checks/not_negative": ("UPDATE st_kpi.contributions SET amount = -5 WHERE kpi = 'total_booked'",),
    "kpis/warranty_pct/checks/below_one": ("UPDATE st_kpi.kpi_weekly SET numerator = 3 * denominator WHERE kpi = 'warranty_pct'",),
    "kpis/warranty_pct/checks/same_revenue_as_produced": (again("warranty_pct", "denominator"),),
}  # fmt: skip

#: What the made-up company of the tests does not have, and its checks therefore tell.
TOLD = {
    "checks/literals_in_use", "checks/unknown_job_statuses", "checks/open_invoices_without_location", "checks/money_without_place",
    "kpis/collected/checks/lines_add_up", "kpis/gpm/checks/work_has_cost",
}  # fmt: skip


def failed_rows(tenant: Any, name: str) -> int:
    return asked(tenant, name).failed_rows


def asked(tenant: Any, name: str) -> CheckResult:
    if MISSING_WORDS.table in CHECKS[name].reads:
        tenant.warehouse.replace_table(MISSING_WORDS.table, MISSING_WORDS.sql)
    (result,) = run_checks(tenant.warehouse, [CHECKS[name]], PARAMETERS)
    return result


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_holds_until_its_claim_is_broken(built: Any, name: str) -> None:
    before = failed_rows(built, name)
    assert before == 0 or name in TOLD
    for statement in BROKEN_BY[name]:
        built.warehouse.execute(statement)
    broken = asked(built, name)
    assert broken.failed_rows > before
    assert CHECKS[name].way_on
    assert broken.told.endswith(broken.way_on)  # whoever reads it knows what to do
    assert CHECKS[name].way_on in broken.way_on
    if CHECKS[name].accepted_by:
        assert f"{CHECKS[name].check_name}," in broken.way_on  # the line to write


def test_each_check_is_on_the_page_with_its_way_on() -> None:
    page = (default_root().parent / CHECKS_DOCUMENT).read_text(encoding="utf-8")
    assert page == document_checks.text(PROJECT)
    for statement in CHECKS.values():
        assert f"| `{statement.check_name}` | {statement.purpose} | {statement.way_on} |" in page


def test_only_what_is_no_lie_can_be_accepted() -> None:
    failing = [s for s in CHECKS.values() if s.severity is Severity.FAIL]
    accepted = {s.check_name for s in failing if s.accepted_by}
    assert accepted == {"columns_filled", "literals_required"}


def test_a_column_that_is_suddenly_empty_is_told(built: Any) -> None:
    """Sixty jobs of a later day without a location, where nearly every earlier one has one."""
    later = "TIMESTAMP '2025-01-13 09:00:00+00'"
    before = many("jobs", location_id="7", completed_on=NOON, job_type_id="1", _loaded_at=NOON)
    built.warehouse.execute(before)
    insert = "INSERT INTO st_raw.jobs (tenant_id, id, location_id, _loaded_at) SELECT 1, number,"
    numbers = "FROM UNNEST(GENERATE_ARRAY(200000, 200059)) AS number"
    built.warehouse.execute(f"{insert} IF(number = 200000, 7, NULL), {later} {numbers}")
    assert "jobs.location_id" not in empty_columns(built)
    built.warehouse.execute(f"UPDATE st_raw.jobs SET location_id = NULL WHERE _loaded_at = {later}")
    assert "jobs.location_id" in empty_columns(built)


def empty_columns(tenant: Any) -> set[str]:
    return {
        row["column_name"] for row in tenant.warehouse.query(CHECKS["checks/columns_filled"].sql)
    }


def test_every_check_of_an_empty_warehouse_holds(built: Any) -> None:
    tables = {t for s in PROJECT.compiled for t in (*s.reads, s.table) if t}
    for table in sorted(tables):
        built.warehouse.execute(f"DELETE FROM {table} WHERE TRUE")
    assert {name for name in CHECKS if failed_rows(built, name)} == set()


def test_a_broken_claim_of_a_kpi_stops_the_build_and_is_kept(built: Any) -> None:
    before = built.query("SELECT * FROM st_kpi.kpi_weekly ORDER BY kpi, `rollup`, week_start")
    built.add(
        {
            "jobs": [
                {
                    "id": 1,
                    "business_unit_id": 1,
                    "job_type_id": 11,
                    "created_on": "2025-01-07 18:00",
                }
            ]
        }
    )
    with pytest.raises(CheckFailed, match=r"Check jobs_once failed on .* Nothing was published\."):
        built.build(TUESDAY, run_id="two", full=True)
    assert (
        built.query("SELECT * FROM st_kpi.kpi_weekly ORDER BY kpi, `rollup`, week_start") == before
    )
    results = {str(row["check"]): row for row in results_of(built.warehouse, "two")}
    assert len(results) == len(CHECKS)
    assert (results["leads/counted_once"]["severity"], results["leads/counted_once"]["result"]) == (
        "fail",
        "broken",
    )
    assert next(iter(results.values()))["result"] == "broken"
    assert {row["result"] for row in results_of(built.warehouse, "one")} <= {"holds", "broken"}


# What the lists in the shared checks have to hold, found in the SQL itself.


def _raw_columns() -> set[str]:
    """Columns of raw tables that a statement reads for the numbers."""
    columns = set()
    for statement in (s for s in PROJECT.statements if s.table and s is not MISSING_WORDS):
        for scope in traverse_scope(typed(statement, PROJECT.tables)):
            for column in scope.columns:
                source = scope.sources.get(column.table)
                if isinstance(source, exp.Table) and source.db == "st_raw":
                    columns.add(f"{source.name}.{column.name}")
    return columns


def _listed(statement: Statement) -> set[str]:
    return {literal.this for literal in statement.tree.find_all(exp.Literal) if literal.is_string}


def test_every_column_the_numbers_are_made_of_is_checked_or_named_as_optional() -> None:
    check = CHECKS["checks/columns_filled"]
    lines = [line for line in check.sql.splitlines() if line.startswith("-- optional: ")]
    optional = {name.strip() for line in lines for name in line.split(": ")[1].split(",")}
    needed = {
        column
        for column in _raw_columns()
        if not {column, column.split(".")[1]} & optional
        and column.split(".")[1] not in ("tenant_id", "id", "line", "invoice_id", "payment_id")
    }
    assert needed <= _listed(CHECKS["checks/columns_filled"])


def test_every_word_of_the_source_in_the_sql_is_checked() -> None:
    texts = {c.name for t in raw_tables() for c in t.columns if c.type == "STRING"}
    used = set()
    numbers = (s for s in PROJECT.statements if not s.severity and s is not MISSING_WORDS)
    for statement in (*numbers, *PROJECT.alternatives):
        for node in statement.tree.find_all(exp.EQ, exp.NEQ, exp.In):
            columns = {c.name for c in node.find_all(exp.Column)} & texts
            words = {w.this for w in node.find_all(exp.Literal) if w.is_string and w.this}
            used |= words if columns else set()
    assert used >= {"Completed", "Canceled", "Sold", "TimesheetTime"}
    assert used <= _listed(MISSING_WORDS)


def test_every_entity_the_numbers_are_made_of_has_a_limit_of_age() -> None:
    tables = {t.removeprefix("st_raw.") for s in PROJECT.statements if s.table for t in s.reads}
    entities = {e.name for e in REGISTRY.values() if {e.name, e.lines} & tables}
    assert _listed(CHECKS["checks/freshness"]) == entities


def test_severities() -> None:
    assert {s.severity for s in CHECKS.values()} == {Severity.FAIL, Severity.WARN}
