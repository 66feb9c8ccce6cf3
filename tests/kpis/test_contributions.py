"""The column ``component`` of the contributions: which part of a job's cost a row is."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.kpis import build_log, contributions
from st_kpi.kpis.definitions.columns import STORED_COLUMNS
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.reporting.diff import diff
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.bigquery_emulator import emptied
from tests.support.history import contributions_at

PROJECT = inspect()
TUESDAY = dt.date(2025, 1, 14)
WEEK = dt.date(2025, 1, 6)
LATE_BILL = {"id": 3, "purchase_order_id": 3, "job_id": 102, "bill_amount": 310}


def components(tenant: Any, kpi: str) -> dict[str | None, int]:
    rows = tenant.query(
        "SELECT kpi, component, COUNT(*) AS n FROM st_kpi.contributions GROUP BY 1, 2"
    )
    return {row["component"]: row["n"] for row in rows if row["kpi"] == kpi}


def rows_at(tenant: Any, build: int) -> list[str]:
    return sorted(str(row) for row in tenant.query(contributions_at(build)))


def stored(tenant: Any) -> list[str]:
    return sorted(str(row) for row in tenant.query("SELECT * FROM st_kpi.contributions"))


def forget_component(tenant: Any) -> None:
    """The tables as a version without the column left them."""
    for table in ("contributions", "contribution_changes"):
        tenant.warehouse.execute(f"ALTER TABLE st_kpi.{table} DROP COLUMN component")


def test_a_cost_says_which_part_of_the_cost_it_is(built: Any) -> None:
    assert set(components(built, "gpm")) == {
        "labour_pay", "payroll_adjustments", "materials", "purchases", "returns", None,
    }  # fmt: skip
    assert set(components(built, "warranty_pct")) == {"payroll_adjustments", None}
    assert set(components(built, "produced")) == {None}
    assert not built.query(
        "SELECT reason FROM st_kpi.contributions"
        " WHERE (component IS NOT NULL) <> (STRPOS(reason, 'cost: ') > 0)"
        " OR STRPOS(reason, COALESCE(component, '')) = 0"
    )


def test_a_warehouse_without_the_column_gets_it_with_the_next_build(built: Any) -> None:
    built.add({"purchase_orders": [{"id": 90, "job_id": 101, "status": "Sent", "total": 40}]})
    built.build(TUESDAY, run_id="two")
    first, second = rows_at(built, 1), rows_at(built, 2)
    forget_component(built)
    built.add({"inventory_bills": [LATE_BILL]})
    result = built.build(TUESDAY, run_id="three")
    (change,) = diff(built.warehouse, kpi="gpm").changes
    assert (change.week_start, change.part) == (WEEK, "numerator")
    assert [(c.cause, c.amount) for c in change.causes] == [("arrived late", -10)]
    assert (rows_at(built, 1), rows_at(built, 2)) == (first, second)
    log = built.query("SELECT component, copies FROM st_kpi.contribution_changes WHERE build = 3")
    assert sorted((row["component"], row["copies"]) for row in log) == [
        ("purchases", -1),
        ("purchases", 1),
    ]
    assert "kpis/leads/contributions" not in result.recomputed


@pytest.mark.parametrize("full", [False, True])
def test_with_the_column_alone_no_number_changes(built: Any, full: bool) -> None:
    before = stored(built)
    forget_component(built)
    result = built.build(TUESDAY, run_id="two", full=full)
    assert stored(built) == before
    assert bool(result.recomputed) is full
    assert diff(built.warehouse).changes == ()
    assert not built.query("SELECT * FROM st_kpi.contribution_changes")


def test_an_empty_table_gets_the_column_too(built: Any) -> None:
    forget_component(built)
    built.warehouse.execute("DELETE FROM st_kpi.contributions WHERE TRUE")
    built.build(TUESDAY, run_id="two", full=True)
    assert "purchases" in components(built, "gpm")


@pytest.fixture(params=["duckdb", pytest.param("bigquery", marks=pytest.mark.process)])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    engine: Warehouse
    if request.param == "duckdb":
        engine = DuckDBWarehouse(":memory:")
        engine.ensure(raw_tables())
    else:
        engine = emptied(request.getfixturevalue("bigquery_url"))
    yield engine
    engine.close()


def test_rows_of_an_older_version_get_it_from_their_reason_on_both_engines(
    warehouse: Warehouse,
) -> None:
    reasons = {
        1: "cost: labour_pay, completed",
        2: "revenue, completed",
        3: "warranty cost: purchases",
    }
    columns = {**STORED_COLUMNS}
    del columns["component"]
    values: dict[str, object] = {"tenant_id": 1, "kpi": "gpm", "amount": Decimal("1.5")}
    rows = [values | {"source_id": n, "reason": reason} for n, reason in reasons.items()]
    warehouse.write_table(
        "st_kpi.contributions",
        list(columns.items()),
        [[row.get(name) for name in columns] for row in rows],
    )
    warehouse.insert(
        "st_kpi.contribution_changes",
        [{"build": 1, "copies": -1, "cause": "new"} | row for row in rows],
    )
    assert contributions.lack_component(warehouse)
    with warehouse.transaction():
        contributions.add_component(warehouse)
    for table in ("contributions", "contribution_changes"):
        now = warehouse.query(
            f"SELECT source_id, component, amount FROM st_kpi.{table} ORDER BY source_id"
        )
        assert [row["component"] for row in now] == ["labour_pay", None, "purchases"]
        assert {row["amount"] for row in now} == {Decimal("1.5")}
    assert not contributions.lack_component(warehouse)
    assert dict(warehouse.tables()["st_kpi.contributions"]) == STORED_COLUMNS


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("cost.part AS component", "'cost' AS component", True),
        ("-cost.amount AS amount", "cost.amount AS amount", False),
    ],
    ids=["another component", "another amount"],
)
def test_the_component_is_no_definition(old: str, new: str, same: bool) -> None:
    edited = []
    for statement in PROJECT.statements:
        if statement.kpi == "gpm":
            assert old in statement.sql
            statement = replace(statement, sql=statement.sql.replace(old, new))
        edited.append(statement)
    before = build_log.definitions(PROJECT.statements, PROJECT.cards, {})
    after = build_log.definitions(edited, PROJECT.cards, {})
    assert {kpi for kpi in before if after[kpi] != before[kpi]} == (set() if same else {"gpm"})
