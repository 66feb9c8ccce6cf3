"""Every statement before Google's analyzer, and every number beside Google's reference executor.

The executor shares neither the transpile nor the engine with the build, so a construct that DuckDB reads in
another way shows as a row that differs.
"""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest

from st_kpi.kpis.contributions import contributions_select
from st_kpi.kpis.definitions.columns import KPI_COLUMNS, KPI_TABLE, STORED_COLUMNS
from st_kpi.kpis.definitions.inline import filling, inlined, upstream
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Adds, Statement
from st_kpi.kpis.mappings import TYPE_COLUMNS, TYPE_TABLE, UNIT_COLUMNS, UNIT_TABLE
from st_kpi.parameters import HISTORY_PARAMETERS, PARAMETERS
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import googlesql, seeded

pytestmark = pytest.mark.long

PROJECT = inspect()
STATEMENTS = {s.name: s for s in (*PROJECT.statements, *PROJECT.alternatives)}
COUNTED = {name: s for name, s in STATEMENTS.items() if s.kpi or s.adds}
ROLLUPS = [name for name, s in STATEMENTS.items() if name.startswith("rollup/")]

PARAMETER_SETS: dict[str, dict[str, Any]] = {
    "defaults": {
        "timezone": "America/Phoenix",
        "as_of": seeded.AS_OF,
        "cost_source": "bill_else_po",
        "include_tax": True,
        "ar_minimum": Decimal(10),
        "ar_skip_unstarted": True,
        "produced_excludes": [],
        "future_bookings_excludes": ["excluded"],
        "project_money": "left_out",
        "input_watermark": dt.datetime(2025, 1, 12, 9, 30, tzinfo=dt.UTC),
        "entities_read": ["jobs", "invoices"],
        "optional_entities": ["receipts"],
    },
}
PARAMETER_SETS["other settings"] = PARAMETER_SETS["defaults"] | {
    "timezone": "America/New_York",
    "cost_source": "receipts",
    "include_tax": False,
    "ar_minimum": Decimal("0.01"),
    "ar_skip_unstarted": False,
    "produced_excludes": ["excluded", "warranty"],
    "future_bookings_excludes": [],
    "project_money": "counted",
    "input_watermark": None,
    "entities_read": ["jobs", "payments"],
    "optional_entities": [],
}
RUNS = [(3, "defaults"), (6, "other settings")]


class Built:
    """Seeded rows in DuckDB and every table built from them, without the checks that would refuse such rows."""

    def __init__(self, seed: int, settings: str) -> None:
        self.params = PARAMETER_SETS[settings]
        self.rows = seeded.rows(seed)
        self.warehouse = DuckDBWarehouse(":memory:")
        self.warehouse.ensure(raw_tables())
        self.raw: dict[str, str] = {}
        for table in raw_tables():
            kinds = {c.name: c.type for c in table.columns}
            rows = self.rows.get(table.name, [])
            self.warehouse.write_table(
                table.qualified,
                list(kinds.items()),
                [[row.get(name) for name in kinds] for row in rows],
            )
            named = {name for row in rows for name in row}
            used = {name: str(kind) for name, kind in kinds.items() if name in named}
            if rows:
                self.raw[table.qualified] = googlesql.table_of(used, rows)
        self._reference()
        for statement in PROJECT.statements:
            self._fill(statement)

    def _reference(self) -> None:
        cards = [
            (kpi, card.title, str(card.kind), card.unit, card.version, card.order)
            for kpi, card in PROJECT.cards.items()
        ]
        for table, columns, rows in (
            (UNIT_TABLE, UNIT_COLUMNS, seeded.units()),
            (TYPE_TABLE, TYPE_COLUMNS, seeded.families()),
            (KPI_TABLE, KPI_COLUMNS, cards),
        ):
            self.warehouse.write_table(table, columns, rows)
            names = [name for name, _ in columns]
            self.raw[table] = googlesql.table_of(
                {name: str(kind) for name, kind in columns},
                [dict(zip(names, row, strict=True)) for row in rows],
            )

    def _fill(self, statement: Statement) -> None:
        if statement.kpi:
            select = contributions_select(statement)
            if not self.warehouse.table_exists(CONTRIBUTIONS):
                self.warehouse.replace_table(CONTRIBUTIONS, select, self.params)
            else:
                listed = ", ".join(STORED_COLUMNS)
                self.warehouse.execute(
                    f"INSERT INTO {CONTRIBUTIONS} ({listed}) {select}", self.params
                )
        elif statement.table:
            self.warehouse.replace_table(statement.table, statement.sql, self.params)

    def ours(self, select: str) -> list[str]:
        """Rows of DuckDB, in a fixed order and as JSON."""
        rows = self.warehouse.query(select, self.params)
        return _sorted([{k: googlesql.comparable(v) for k, v in row.items()} for row in rows])

    def theirs(self, select: str, read: Mapping[str, str]) -> list[str]:
        """The same of the reference executor, from nothing but the texts in ``read``."""
        literals = {
            name: googlesql.literal(self.params[name], kind) for name, kind in PARAMETERS.items()
        }
        literals["input_watermark"] = f"CAST({literals['input_watermark']} AS TIMESTAMP)"
        return _sorted(googlesql.executed(inlined(select, read), literals))

    def as_text(self, table: str, where: str = "TRUE") -> str:
        """A table of DuckDB written out for the reference executor."""
        rows = self.warehouse.query(f"SELECT * FROM {table} WHERE {where}", self.params)
        return googlesql.table_of(PROJECT.tables[table], rows)


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@lru_cache(maxsize=len(RUNS))
def _built(seed: int, settings: str) -> Built:
    return Built(seed, settings)


@pytest.fixture(scope="module", params=RUNS, ids=[f"seed {n}, {s}" for n, s in RUNS])
def built(request: pytest.FixtureRequest) -> Built:
    return _built(*request.param)


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_analyzer_knows_every_name_and_agrees_on_every_type(name: str) -> None:
    statement = STATEMENTS[name]
    columns = googlesql.analyzed(statement.sql, PROJECT.tables, PARAMETERS)
    if statement.table and statement.table != CONTRIBUTIONS:
        assert columns == PROJECT.tables[statement.table]
    if name in COUNTED:
        required = {k: v for k, v in PROJECT.tables[CONTRIBUTIONS].items() if k != "kpi"}
        assert columns == required


@pytest.mark.parametrize("name", PROJECT.history)
def test_the_analyzer_knows_the_history_too(name: str) -> None:
    statement = PROJECT.history[name]
    columns = googlesql.analyzed(statement.sql, PROJECT.history_tables, HISTORY_PARAMETERS)
    assert columns == PROJECT.history_tables[statement.table or ""]


@pytest.mark.parametrize("name", COUNTED)
def test_contributions_are_those_of_the_reference_executor(built: Built, name: str) -> None:
    statement = COUNTED[name]
    select = contributions_select(statement)
    chain = upstream(statement, PROJECT.statements)
    loaded = {t for s in (*chain, statement) for t in s.reads} & built.raw.keys()
    texts = {table: built.raw[table] for table in sorted(loaded)}
    ours = built.ours(select)
    assert ours == built.theirs(select, texts | filling(chain))
    if statement.adds is not Adds.DISTINCT:
        assert ours, "the seeded rows give this KPI nothing to count"


@pytest.mark.parametrize("name", ROLLUPS)
def test_rollups_are_those_of_the_reference_executor(built: Built, name: str) -> None:
    statement = STATEMENTS[name]
    chain = [s for s in upstream(statement, PROJECT.statements) if s.name in ROLLUPS]
    texts = {
        table: built.as_text(
            table,
            "week_start BETWEEN '2024-01-01' AND '2026-12-31'"
            if table.endswith("weeks")
            else "TRUE",
        )
        for table in sorted(
            {t for s in (*chain, statement) for t in s.reads} - {s.table for s in chain}
        )
    }
    columns = ", ".join(f"answer_rows.`{c}`" for c in PROJECT.tables[statement.table or ""])
    select = f"SELECT {columns} FROM (\n{statement.sql}\n) AS answer_rows"
    ours = built.ours(select)
    assert ours == built.theirs(select, texts | filling(chain))
    assert ours


@pytest.mark.parametrize("name", ["rollup/left_out", "rollup/left_out_snapshots"])
def test_what_is_left_out_is_that_of_the_reference_executor(built: Built, name: str) -> None:
    """From the raw rows on, where a rollup begins with what was built from them."""
    statement = STATEMENTS[name]
    chain = upstream(statement, PROJECT.statements)
    loaded = {t for s in (*chain, statement) for t in s.reads} & built.raw.keys()
    texts = {table: built.raw[table] for table in sorted(loaded)}
    columns = ", ".join(f"answer_rows.{c}" for c in PROJECT.tables[statement.table or ""])
    select = f"SELECT {columns} FROM (\n{statement.sql}\n) AS answer_rows"
    assert built.ours(select) == built.theirs(select, texts | filling(chain))


def test_all_money_of_rows_by_chance_is_counted_or_left_out_by_a_rule(built: Built) -> None:
    accounted = STATEMENTS["checks/money_accounted"]
    assert built.warehouse.query(accounted.sql, built.params) == []
    rules = built.warehouse.query("SELECT DISTINCT kpi, rule FROM st_kpi.left_out")
    assert len(rules) > 30


def test_what_the_analyzer_refuses_is_told_with_its_place() -> None:
    with pytest.raises(Exception, match=r"\[at 2:4\]"):
        googlesql.analyzed("SELECT id\n + 'x' AS y FROM st_raw.jobs", PROJECT.tables, PARAMETERS)


def test_the_seeded_rows_reach_the_edges(built: Built) -> None:
    days = built.warehouse.query(
        "SELECT kpi, `rollup`, numerator, denominator, value FROM st_kpi.kpi_daily"
    )
    assert {row["kpi"] for row in days} == set(PROJECT.cards)
    assert any(row["denominator"] == 0 and row["value"] is None for row in days)
    assert any(row["numerator"] < 0 for row in days)
    assert any(row["rollup"] == "(unassigned)" for row in days)
    assert {dt.date(2025, 1, 5), dt.date(2025, 1, 6), dt.date(2025, 1, 31), dt.date(2025, 2, 1)} & {
        row["on_date"] for row in built.warehouse.query("SELECT on_date FROM st_kpi.contributions")
    }
