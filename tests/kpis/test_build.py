"""The build as a whole: all or nothing, snapshots kept, checks told, rollups that add up."""

import datetime as dt
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from st_kpi.errors import CheckFailed, ConfigurationError, MappingError, NothingLoaded, SqlError
from st_kpi.kpis.build import build
from st_kpi.kpis.definitions.columns import CONTRIBUTION_COLUMNS
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import Severity, default_root
from st_kpi.kpis.reference import SAMPLE_TENANT
from st_kpi.sandbox import SandboxCredentials

WEDNESDAY = dt.date(2025, 1, 8)
THURSDAY = dt.date(2025, 1, 9)
MONDAY = dt.date(2025, 1, 6)

GIVEN = Path(__file__).parents[1] / "kpi_sql" / "given"
PUBLISHED = ("contributions", "kpi_daily", "kpi_weekly", "kpi_weekly_wide", "snapshot_days")


@pytest.fixture
def loaded(tenant: Any) -> Any:
    for name in (
        "company",
        "sales_week",
        "production_week",
        "collected_week",
        "receivables",
        "visits",
    ):
        rows = yaml.safe_load((GIVEN / f"{name}.yaml").read_text(encoding="utf-8"))
        if name == "receivables":  # the collected week has customers and payments with these ids
            rows = {
                t: [r for r in rs if (t, r["id"]) not in _taken(tenant)] for t, rs in rows.items()
            }
        tenant.add(rows)
    return tenant


def _taken(tenant: Any) -> set[tuple[str, int]]:
    return {
        (table, row["id"]) for table, rows in tenant.rows.items() for row in rows if "id" in row
    }


def published(tenant: Any) -> dict[str, list[str]]:
    return {t: sorted(str(r) for r in tenant.query(f"SELECT * FROM st_kpi.{t}")) for t in PUBLISHED}


def test_every_cell_is_the_sum_of_its_contributions(loaded: Any) -> None:
    result = loaded.build(WEDNESDAY)
    cells = loaded.query(
        "SELECT kpi, rollup, day, numerator, denominator, value FROM st_kpi.kpi_daily"
    )
    rows = loaded.query(
        "SELECT c.kpi, c.part, c.on_date, c.amount, COALESCE(b.`rollup`, '(unassigned)') AS `rollup`"
        " FROM st_kpi.contributions AS c LEFT JOIN st_ref.dim_bu_rollup AS b"
        " ON b.tenant_id = c.tenant_id AND b.business_unit_id = c.business_unit_id"
    )
    sums: dict[tuple[Any, ...], Decimal] = {}
    for row in rows:
        part = "denominator" if row["part"] == "denominator" else "numerator"
        key = (row["kpi"], row["rollup"], row["on_date"], part)
        sums[key] = sums.get(key, Decimal(0)) + row["amount"]
    assert {c["kpi"] for c in cells} == set(inspect().cards)
    for cell in cells:
        key = (cell["kpi"], cell["rollup"], cell["day"])
        assert cell["numerator"] == sums.pop((*key, "numerator"), Decimal(0))
        assert (cell["denominator"] or Decimal(0)) == sums.pop((*key, "denominator"), Decimal(0))
    assert not sums
    assert result.rows["st_kpi.contributions"] == len(rows)


def test_the_tables_have_the_columns_others_rely_on(loaded: Any) -> None:
    result = loaded.build(WEDNESDAY)
    (row, *_) = loaded.query("SELECT * FROM st_kpi.contributions")
    assert list(row) == ["tenant_id", "kpi", *list(CONTRIBUTION_COLUMNS)[1:]]
    after = ["numerator", "denominator", "value", "as_of", "input_watermark", "definition_version"]
    (daily, *_) = loaded.query("SELECT * FROM st_kpi.kpi_daily")
    assert list(daily) == ["tenant_id", "kpi", "rollup", "role", "day", *after]
    (weekly, *_) = loaded.query("SELECT * FROM st_kpi.kpi_weekly")
    assert list(weekly) == ["tenant_id", "kpi", "rollup", "role", "week_start", *after]
    assert (daily["definition_version"], daily["role"] in ("SALES", "PRODUCTION")) == (3, True)
    assert set(result.recomputed) == {s.name for s in inspect().compiled if s.table}
    assert result.statements == len(result.recomputed)
    kpis = loaded.query("SELECT kpi, kind, unit FROM st_ref.dim_kpis ORDER BY display_order")
    assert [k["kpi"] for k in kpis][:3] == ["leads", "total_booked", "produced"]


def test_days_and_weeks_of_a_ratio_are_divided_last(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    daily = loaded.query(
        "SELECT numerator, denominator, value FROM st_kpi.kpi_daily WHERE kpi = 'gpm' AND day = DATE '2025-01-07'"
    )
    assert daily == [{"numerator": Decimal(-150), "denominator": Decimal(0), "value": None}]
    assert loaded.weekly("gpm")[MONDAY, "East"]["value"] == Decimal("0.533673469")


def test_the_wide_table_is_filled_from_the_first_week_to_this_one_and_later_where_data_are(
    loaded: Any,
) -> None:
    loaded.build(WEDNESDAY)
    wide = loaded.query("SELECT * FROM st_kpi.kpi_weekly_wide ORDER BY week_start, `rollup`")
    weeks = sorted({r["week_start"] for r in wide})
    assert weeks[0] == dt.date(2024, 7, 8)
    assert weeks[-1] == dt.date(2025, 1, 20)
    assert len(weeks) == (weeks[-1] - weeks[0]).days // 7 + 1
    assert len(wide) == 2 * len(weeks)
    (east,) = [r for r in wide if (r["week_start"], r["rollup"]) == (MONDAY, "East")]
    assert (east["leads"], east["total_booked"], east["produced"]) == (5, 9200, 4900)
    assert (east["gpm_numerator"], east["gpm_denominator"]) == (2615, 4900)
    assert east["success_rate"] == Decimal("0.666666667")
    assert east["outstanding_ar"] is not None
    (west,) = [r for r in wide if (r["week_start"], r["rollup"]) == (dt.date(2024, 12, 30), "West")]
    assert (west["leads"], west["gpm"], west["gpm_denominator"], west["outstanding_ar"]) == (
        0,
        None,
        0,
        None,
    )


def test_a_snapshot_day_is_kept_and_the_week_shows_its_last(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    wednesday = loaded.weekly("outstanding_ar")[MONDAY, "East"]["value"]
    loaded.edit({"invoices": [{"id": 31, "balance": 1000}]})
    loaded.build(THURSDAY)
    assert loaded.weekly("outstanding_ar")[MONDAY, "East"]["value"] == wednesday + 600
    days = loaded.query(
        "SELECT day, value FROM st_kpi.kpi_daily WHERE kpi = 'outstanding_ar' ORDER BY day"
    )
    assert days == [
        {"day": WEDNESDAY, "value": wednesday},
        {"day": THURSDAY, "value": wednesday + 600},
    ]
    loaded.edit({"invoices": [{"id": 31, "balance": 700}]})
    loaded.build(WEDNESDAY)
    assert loaded.weekly("outstanding_ar")[MONDAY, "East"]["value"] == wednesday + 600


def test_a_snapshot_of_nothing_is_zero_and_not_the_day_before(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    loaded.edit({"invoices": [{"id": i, "balance": 0} for i in (31, 32, 33, 34)]})
    loaded.build(THURSDAY)
    assert (MONDAY, "East") not in loaded.weekly("outstanding_ar")
    wide = loaded.query(
        "SELECT week_start, outstanding_ar AS v FROM st_kpi.kpi_weekly_wide WHERE `rollup` = 'East'"
    )
    assert {r["week_start"]: r["v"] for r in wide}[MONDAY] == 0
    assert {r["week_start"]: r["v"] for r in wide}[dt.date(2024, 12, 30)] is None


def test_a_row_that_turns_inactive_leaves_every_number(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    loaded.edit({"jobs": [{"id": i, "active": False} for i in (1, 101)]})
    loaded.build(WEDNESDAY)
    assert loaded.weekly("leads")[MONDAY, "East"]["value"] == 4
    assert loaded.weekly("total_booked")[MONDAY, "East"]["value"] == 3500
    assert loaded.weekly("produced")[MONDAY, "East"]["value"] == 4100
    assert not loaded.query("SELECT job_id FROM st_dim.fact_job_costs WHERE job_id = 101")


def test_an_edited_mapping_folds_history(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    loaded.map(
        units="business_unit,rollup,role,valid_from,valid_to\n1,One,SALES,,\n2,One,PRODUCTION,,\n3,One,SALES,,\n4,One,PRODUCTION,,\n"
    )
    loaded.build(WEDNESDAY)
    assert loaded.weekly("collected")[MONDAY, "One"]["value"] == 950
    assert {rollup for _, rollup in loaded.weekly("leads")} == {"One"}


def test_an_unmapped_unit_with_money_fails_and_leaves_what_was_there(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    before = published(loaded)
    loaded.map(
        units="business_unit,rollup,role,valid_from,valid_to\n1,East,SALES,,\n2,East,PRODUCTION,,2025-01-07\n3,W,SALES,,\n4,W,PRODUCTION,,\n"
    )
    with pytest.raises(
        CheckFailed, match=r"unmapped_units failed on 1 row .*business_unit East Production, amount"
    ) as caught:
        loaded.build(THURSDAY)
    assert "Nothing was published" in str(caught.value)
    assert published(loaded) == before
    rows = loaded.query(
        "SELECT check_name, severity, failed_rows, detail FROM st_ops.check_results"
    )
    (last,) = [r for r in rows if r["failed_rows"] and r["severity"] == "fail"]
    assert last["check_name"] == "unmapped_units"
    assert "amount" in last["detail"]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            {
                "jobs": [{"id": 900, "business_unit_id": 9, "completed_on": "2025-01-08 18:00"}],
                "gross_pay_items": [
                    {"job_id": 900, "gross_pay_item_type": "TimesheetTime", "amount": 5000}
                ],
            },
            id="only pay",
        ),
        pytest.param(
            {"payments": [{"id": 900, "business_unit_id": 9, "unapplied_amount": 5000}]},
            id="only an unapplied payment",
        ),
        pytest.param(
            {"credit_memos": [{"id": 900, "business_unit_id": 9, "balance": 5000}]},
            id="only a credit",
        ),
    ],
)
def test_every_kind_of_money_needs_a_mapped_unit(loaded: Any, rows: Any) -> None:
    loaded.add({"business_units": [{"id": 9, "name": "New"}]} | rows)
    with pytest.raises(CheckFailed, match=r"business_unit New, amount 5,?000"):
        loaded.build(WEDNESDAY)


def test_an_unmapped_unit_without_money_does_not_fail(loaded: Any) -> None:
    loaded.add(
        {"business_units": [{"id": 9, "name": "New"}], "jobs": [{"id": 900, "business_unit_id": 9}]}
    )
    loaded.add(
        {
            "invoices": [
                {"id": 900, "job_id": 900, "business_unit_id": 9, "sub_total": 0, "balance": 0}
            ]
        }
    )
    assert all(c.passed or c.severity is Severity.WARN for c in loaded.build(WEDNESDAY).checks)


def test_warnings_are_told_and_do_not_stop(loaded: Any) -> None:
    loaded.add(
        {"jobs": [{"id": 901, "business_unit_id": 1, "job_type_id": 51, "job_status": "Paused"}]}
    )
    failed = {c.name: c for c in loaded.build(WEDNESDAY).checks if not c.passed}
    assert (
        failed["unmapped_job_types"].detail
        == "tenant_id 1, job_type_id 51, job_type Something new, jobs 1"
    )
    assert failed["unknown_job_statuses"].failed_rows == 1
    assert loaded.weekly("leads")


def test_nothing_loaded(tenant: Any) -> None:
    with pytest.raises(NothingLoaded, match="Nothing is loaded yet: run st-kpi backfill first"):
        tenant.build(WEDNESDAY)


def test_an_entity_that_was_not_loaded_is_not_taken_for_a_wrong_mapping(loaded: Any) -> None:
    """As after a backfill of some entities, whose event starts a build."""
    del loaded.rows["business_units"]
    with pytest.raises(
        NothingLoaded, match=r"every KPI needs it: business_units\. Run `st-kpi backf"
    ):
        loaded.build(WEDNESDAY)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"timezone": None}, "time zone is not set"),
        ({"cost_source": "guess"}, "cost_source 'guess' is not one of bill_else_po"),
        ({"produced_excludes": ["washing"]}, "produced_excludes names 'washing'"),
    ],
    ids=["no zone", "unknown cost source", "unknown family"],
)
def test_a_setting_no_number_can_be_built_with(
    loaded: Any, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        loaded.build(WEDNESDAY, **settings)
    assert not loaded.warehouse.table_exists("st_kpi.contributions")


def test_a_malformed_mapping_stops_before_anything_is_written(loaded: Any) -> None:
    loaded.map(units="business_unit,rollup,role,valid_from,valid_to\nNowhere,East,SALES,,\n")
    with pytest.raises(MappingError, match=r"business_units\.csv:2"):
        loaded.build(WEDNESDAY)
    assert not loaded.warehouse.table_exists("st_dim.dim_jobs")


def test_what_is_inline_is_no_table_and_that_of_an_older_version_goes(loaded: Any) -> None:
    loaded.warehouse.execute("CREATE TABLE st_staging.customers AS SELECT 1 AS tenant_id")
    loaded.build(WEDNESDAY)
    tables = {name for name in loaded.warehouse.table_names() if name.startswith("st_staging.")}
    inline = {s.table for s in inspect().statements if s.is_inline}
    assert "st_staging.customers" in inline
    assert not tables & inline
    assert "st_staging.invoices" in tables


@pytest.mark.parametrize("full", [False, True])
def test_what_is_owed_stands_once_where_no_job_counts(loaded: Any, full: bool) -> None:
    """Days are measured for tenants with jobs that count; an open invoice may be of none."""
    loaded.edit({"jobs": [{"id": job["id"], "active": False} for job in loaded.rows["jobs"]]})
    invoice = {
        "id": 77001,
        "business_unit_id": 2,
        "customer_id": 1,
        "location_id": 1,
        "sub_total": "100",
    }
    loaded.add({"invoices": [invoice | {"balance": "500", "invoice_date": "2025-01-06 10:00"}]})
    loaded.build(WEDNESDAY, ar_skip_unstarted=False)
    loaded.edit({"invoices": [{"id": 77001, "balance": "555"}]})
    loaded.build(WEDNESDAY, ar_skip_unstarted=False, full=full)
    owed = (
        "SELECT amount FROM st_kpi.contributions WHERE source_id = 77001 AND kpi = 'outstanding_ar'"
    )
    assert loaded.query(owed) == [{"amount": 555}]


def test_the_files_of_the_made_up_company_are_no_other_tenants(loaded: Any) -> None:
    loaded.build(MONDAY)
    ours = loaded.settings()
    ours.mappings = None
    with pytest.raises(
        ConfigurationError, match=r"set for tenant 1, .* made-up company's: run `st-kpi init`"
    ):
        build(loaded.warehouse, settings=ours, as_of=WEDNESDAY, run_id="run")
    ours.mappings = default_root() / "mappings"  # said by a person, they are judged like any others
    with pytest.raises(MappingError, match=r"business_units\.csv:2: No business unit"):
        build(loaded.warehouse, settings=ours, as_of=WEDNESDAY, run_id="run")
    assert SAMPLE_TENANT == SandboxCredentials.TENANT_ID


def test_sql_the_lint_refuses_stops_with_file_and_line(loaded: Any, tmp_path: Path) -> None:
    root = Path(shutil.copytree(default_root(), tmp_path / "sql"))
    (root / "kpis/leads/contributions.sql").write_text(
        "-- Leads.\n-- table: st_kpi.contributions\nSELECT (\n"
    )
    with pytest.raises(SqlError, match=r"contributions\.sql:\d+: statement: Syntax error"):
        build(loaded.warehouse, settings=None, as_of=WEDNESDAY, run_id="run", sql_root=root)  # type: ignore[arg-type]


def test_a_new_kpi_is_a_folder(loaded: Any, tmp_path: Path) -> None:
    root = Path(shutil.copytree(default_root(), tmp_path / "sql"))
    shutil.copytree(root / "kpis/leads", root / "kpis/canceled_leads")
    file = root / "kpis/canceled_leads/contributions.sql"
    file.write_text(
        file.read_text().replace("AND job.family = 'estimate'", "AND job.job_status = 'Canceled'")
    )
    wide = root / "rollup/kpi_weekly_wide.sql"
    wide.write_text(
        wide.read_text().replace(
            " AS leads,\n  COALESCE(", " AS leads,\n  spread.leads AS canceled_leads,\n  COALESCE("
        )
    )
    loaded.sql_root = root
    loaded.build(WEDNESDAY)
    assert loaded.weekly("canceled_leads")[MONDAY, "East"]["value"] == 1
    shutil.rmtree(root / "kpis/canceled_leads")
    shutil.copy(default_root() / "rollup/kpi_weekly_wide.sql", wide)
    gone = loaded.build(WEDNESDAY)
    assert loaded.weekly("canceled_leads") == {}
    rows = loaded.query(
        "SELECT part, cause, amount FROM st_kpi.kpi_changes"
        f" WHERE kpi = 'canceled_leads' AND build = {gone.number} AND week_start = '{MONDAY}'"
    )
    assert rows == [{"part": "value", "cause": "status moved", "amount": -1}]


def test_two_builds_of_the_same_rows_are_equal(loaded: Any) -> None:
    first = loaded.build(WEDNESDAY)
    before = published(loaded)
    second = loaded.build(WEDNESDAY)
    assert published(loaded) == before
    assert first.rows == second.rows


def test_the_watermark_is_that_of_the_entity_read_longest_ago(loaded: Any) -> None:
    assert loaded.build(WEDNESDAY).input_watermark is None
    watermark = dt.datetime(2025, 1, 9, 1, tzinfo=dt.UTC)
    # An entity read by windows is known since its first one, one read whole as of its last.
    fetched = {
        "jobs": ("created", [1, 9]),
        "job_types": ("whole", [-5, 0]),
        "materials": ("whole", [-9]),  # no KPI reads them
    }
    loaded.warehouse.insert(
        "st_ops.chunks",
        [
            {
                "tenant_id": 1,
                "entity": name,
                "kind": kind,
                "server_time": watermark + dt.timedelta(hours=hour),
            }
            for name, (kind, hours) in fetched.items()
            for hour in hours
        ],
    )
    assert loaded.build(THURSDAY).input_watermark == watermark
    daily = loaded.query("SELECT kpi, day, as_of, input_watermark FROM st_kpi.kpi_daily")
    seen = {(r["kpi"], r["as_of"]): r["input_watermark"] for r in daily}
    assert seen["leads", THURSDAY] == watermark
    assert seen["outstanding_ar", THURSDAY] == watermark
    assert seen["outstanding_ar", WEDNESDAY] is None  # measured before anything was fetched


def test_a_contribution_is_told_apart_by_what_it_comes_from_and_why(loaded: Any) -> None:
    loaded.build(WEDNESDAY)
    keys = "tenant_id, kpi, part, on_date, source_entity, source_id, reason"
    assert not loaded.query(
        f"SELECT {keys} FROM st_kpi.contributions GROUP BY {keys} HAVING COUNT(*) > 1"
    )
