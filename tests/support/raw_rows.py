"""A tenant in an in-memory warehouse whose raw rows a test writes out, naming only the columns that matter."""

import copy
import datetime as dt
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from st_kpi.columns import ColumnType
from st_kpi.kpis.build import BuildResult, build
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

Rows = Mapping[str, list[dict[str, Any]]]

TENANT = 1

UNITS = """\
business_unit,rollup,role,valid_from,valid_to
East Sales,East,SALES,,
East Production,East,PRODUCTION,,
West Sales,West,SALES,,
West Production,West,PRODUCTION,,
Z-DO NOT USE East,East,PRODUCTION,,
"""

TYPES = """\
job_type,family
RES-EXT,production
RES-INT,production
Warranty,warranty
Touchup,warranty
Window/Solar Washing,excluded
PM Inspection,excluded
Safety Inspection,excluded
"""


@dataclass
class Settings:
    """The settings a build reads, with the product's defaults."""

    timezone: str | None = "America/Phoenix"
    mappings: Path | None = None
    cost_source: str = "bill_else_po"
    include_tax: bool = True
    ar_minimum: Decimal = Decimal(10)
    ar_skip_unstarted: bool = True
    produced_excludes: list[str] = field(default_factory=list)
    future_bookings_excludes: list[str] = field(default_factory=lambda: ["excluded"])
    project_money: str = "left_out"
    optional_entities: frozenset[str] = frozenset()
    close_week_after_days: int = 2
    keep_builds: int = 400


class Tenant:
    """Raw rows in, published numbers out."""

    def __init__(self, folder: Path, database: str = ":memory:") -> None:
        self.warehouse = DuckDBWarehouse(database)
        # A handful of rows: to share them out among threads takes longer than to count them.
        self.warehouse.execute("SET threads = 1")
        if database == ":memory:" or not self.warehouse.table_exists("st_raw.jobs"):
            self.warehouse.ensure(raw_tables())
        self.folder = folder
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.sql_root: Path | None = None
        self._written: dict[str, list[dict[str, Any]]] = {}
        self.map(UNITS, TYPES)

    def map(self, units: str | None = None, types: str | None = None) -> None:
        if units is not None:
            (self.folder / "business_units.csv").write_text(units, encoding="utf-8")
        if types is not None:
            (self.folder / "job_types.csv").write_text(types, encoding="utf-8")

    def add(self, rows: Rows) -> None:
        for table, new in rows.items():
            self.rows.setdefault(table, []).extend(dict(row) for row in new)

    def edit(self, rows: Rows) -> None:
        """Change the columns named, of the row with the same id."""
        for table, changes in rows.items():
            for change in changes:
                (row,) = [r for r in self.rows[table] if r["id"] == change["id"]]
                row |= change

    def write(self) -> None:
        """Bring what was added or changed into the warehouse."""
        for table in raw_tables():
            rows = self.rows.get(table.name)
            if rows is not None and rows != self._written.get(table.name):
                kinds = {c.name: c.type for c in table.columns}
                self.warehouse.write_table(table.qualified, list(kinds.items()), ())
                # Only what the rows name: a table has up to sixty columns, and each value of a row costs its time.
                named = {"tenant_id", *(name for row in rows for name in row)}
                self.warehouse.insert(
                    table.qualified, [_typed(row, named, kinds, table.name) for row in rows]
                )
                self._written[table.name] = [dict(row) for row in rows]

    def build(
        self, as_of: dt.date, *, run_id: str = "run", full: bool = False, **settings: Any
    ) -> BuildResult:
        self.write()
        return build(
            self.warehouse,
            settings=Settings(mappings=self.folder, **settings),
            as_of=as_of,
            run_id=run_id,
            sql_root=self.sql_root,
            full=full,
        )

    def settings(self, **changes: Any) -> Settings:
        """The settings of its builds, with other values for some."""
        return Settings(mappings=self.folder, **changes)

    def query(self, sql: str) -> list[dict[str, Any]]:
        return self.warehouse.query(sql)

    def weekly(self, kpi: str) -> dict[tuple[dt.date, str], dict[str, Any]]:
        rows = self.query("SELECT * FROM st_kpi.kpi_weekly")
        return {(r["week_start"], r["rollup"]): r for r in rows if r["kpi"] == kpi}


def _typed(
    row: dict[str, Any], named: set[str], kinds: dict[str, ColumnType], table: str
) -> dict[str, object]:
    unknown = set(row) - set(kinds)
    assert not unknown, f"st_raw.{table} has no column {unknown}"
    return {
        name: _value(row.get(name, TENANT if name == "tenant_id" else None), kinds[name])
        for name in named
    }


def _value(value: Any, kind: ColumnType) -> object:
    """Times in the files are UTC, with or without seconds."""
    if value is None:
        return None
    if kind is ColumnType.TIMESTAMP:
        return dt.datetime.fromisoformat(str(value)).replace(tzinfo=dt.UTC)
    if kind is ColumnType.NUMERIC:
        return Decimal(str(value))
    if kind is ColumnType.DATE:
        return dt.date.fromisoformat(str(value))
    return value


def given_rows(name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one file of ``given``."""
    text = (Path(__file__).parents[1] / "kpi_sql" / "given" / f"{name}.yaml").read_text(
        encoding="utf-8"
    )
    rows: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)
    return rows


@pytest.fixture
def worked_weeks(tenant: Tenant) -> Tenant:
    """The weeks of kpis.md: sales, production and payments."""
    for name in ("company", "sales_week", "production_week", "collected_week"):
        tenant.add(given_rows(name))
    return tenant


@pytest.fixture(scope="session")
def first_build(tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    """The company with one build, in a file that each test gets a copy of."""
    folder = tmp_path_factory.mktemp("first")
    tenant = Tenant(folder, str(folder / "first.duckdb"))
    for name in ("company", "sales_week", "production_week", "collected_week"):
        tenant.add(given_rows(name))
    lead = {"id": 800, "customer_id": 1, "business_unit_id": 3, "job_type_id": 11}
    tenant.add({"jobs": [{**lead, "created_on": "2025-01-07 18:00"}]})
    tenant.build(dt.date(2025, 1, 14), run_id="one")
    tenant.warehouse.close()
    return tenant


@pytest.fixture
def built(first_build: Tenant, tmp_path: Path) -> Iterator[Tenant]:
    """The company as its first build, run ``one`` as of Tuesday 2025-01-14, left it."""
    shutil.copy(first_build.folder / "first.duckdb", tmp_path / "first.duckdb")
    tenant = Tenant(tmp_path, str(tmp_path / "first.duckdb"))
    tenant.rows = copy.deepcopy(first_build.rows)
    tenant._written = copy.deepcopy(first_build.rows)
    yield tenant
    tenant.warehouse.close()


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    tenant = Tenant(tmp_path)
    yield tenant
    tenant.warehouse.close()
