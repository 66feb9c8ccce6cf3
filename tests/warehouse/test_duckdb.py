"""The DuckDB warehouse: merging versions, replacing lines and windows, transactions, locks."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from st_kpi.errors import ConfigurationError, NothingLoaded, WarehouseLocked
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.schema import ColumnType
from st_kpi.typed import Stamp, TypedPage, Typer
from st_kpi.warehouse import open_warehouse
from st_kpi.warehouse.base import Merged, Reading, TypedFiles
from st_kpi.warehouse.duckdb import DuckDBWarehouse
from st_kpi.warehouse.tables import line_table, record_table
from st_kpi.windows import Window


class Loader:
    """Types records and merges them, as a chunk would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = DuckDBWarehouse(":memory:")
        self.warehouse.ensure_raw()
        self.typer = Typer()
        self.pages = 0
        self.read_at = datetime(2025, 10, 21, tzinfo=UTC)

    def page(self, entity: str, rows: list[dict[str, Any]]) -> TypedPage:
        self.pages += 1
        raw = self.folder / f"{self.pages}.ndjson"
        raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
        stamp = Stamp(77, f"run-{self.pages}", self.read_at)
        return self.typer.type_page(
            REGISTRY[entity], stamp, raw, raw.with_suffix(".parquet"), 10_000
        )

    def load(
        self,
        entity: str,
        *pages: list[dict[str, Any]],
        window: Window | None = None,
        everything: Reading | None = None,
    ) -> Merged:
        typed = [self.page(entity, rows) for rows in pages if rows]
        records = TypedFiles(record_table(REGISTRY[entity]), tuple(p.records for p in typed))
        table = line_table(REGISTRY[entity])
        nested = TypedFiles(table, tuple(p.lines for p in typed if p.lines)) if table else None
        return self.warehouse.merge(
            records, nested, tenant_id=77, window=window, everything=everything
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.warehouse.query(sql)]


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


def invoice(number: int, modified: int, total: str, *items: str) -> dict[str, Any]:
    """An invoice modified in January's day ``modified``, with an item per cost."""
    return {
        "id": number,
        "createdOn": "2025-01-01T00:00:00Z",
        "modifiedOn": f"2025-01-{modified:02}T00:00:00Z" if modified else None,
        "subTotal": total,
        "items": [{"id": 10 * number + n, "totalCost": cost} for n, cost in enumerate(items)],
    }


INVOICES = "SELECT id, sub_total FROM st_raw.invoices ORDER BY id"
ITEMS = "SELECT invoice_id, line, total_cost FROM st_raw.invoice_items ORDER BY invoice_id, line"


def test_loading_twice_changes_nothing(loader: Loader) -> None:
    rows = [invoice(1, 5, "100", "7", "7"), invoice(2, 5, "200")]
    assert loader.load("invoices", rows) == Merged(distinct=2, stored=2, changed=2)
    before = loader.warehouse.query("SELECT * FROM st_raw.invoices ORDER BY id")
    assert loader.load("invoices", rows) == Merged(distinct=2, stored=2, changed=0)
    assert loader.warehouse.query("SELECT * FROM st_raw.invoices ORDER BY id") == before
    assert loader.rows(ITEMS) == [(1, 1, Decimal(7)), (1, 2, Decimal(7))]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(5, 6, "200", id="a newer version replaces"),
        pytest.param(6, 5, "100", id="an older version never overwrites"),
        pytest.param(5, 5, "200", id="at equal age the later fetch is right"),
        pytest.param(0, 5, "200", id="a version without a date is the oldest"),
        pytest.param(5, 0, "100", id="and does not overwrite one with a date"),
        pytest.param(0, 0, "200", id="two without a date are of equal age"),
    ],
)
def test_which_version_stays(loader: Loader, first: int, second: int, kept: str) -> None:
    loader.load("invoices", [invoice(1, first, "100", "1")])
    loader.load("invoices", [invoice(1, second, "200", "2", "3")])
    lines = {"100": [(1, 1, Decimal(1))], "200": [(1, 1, Decimal(2)), (1, 2, Decimal(3))]}
    assert loader.rows(INVOICES) == [(1, Decimal(kept))]
    assert loader.rows(ITEMS) == lines[kept]


def test_of_equally_old_versions_the_one_read_later_stays_in_whatever_order_they_come(
    loader: Loader,
) -> None:
    """A list read before the record was deleted is merged after the feed that says so."""
    deleted = invoice(1, 5, "100") | {"active": False}
    loader.read_at += timedelta(seconds=2)
    loader.load("invoices", [deleted])
    loader.read_at -= timedelta(seconds=1)
    assert loader.load("invoices", [invoice(1, 5, "100")]).changed == 0
    assert loader.rows("SELECT active FROM st_raw.invoices") == [(False,)]


def test_what_a_complete_reading_no_longer_has_turns_inactive(loader: Loader) -> None:
    live = "SELECT id FROM st_raw.invoices WHERE active ORDER BY id"
    loader.load("invoices", [invoice(n, 5, "1") for n in (1, 2, 3)])
    reading = Reading(loader.read_at + timedelta(hours=1), "run-9")
    kept = [invoice(1, 5, "1"), invoice(3, 5, "1")]
    # A window of other days does not speak of these, nor does a reading begun before they came.
    assert loader.load("invoices", window=FEBRUARY, everything=reading).vanished == 0
    early = Reading(loader.read_at, "run-9")
    assert loader.load("invoices", kept, window=JANUARY, everything=early).vanished == 0
    assert loader.load("invoices", kept, window=JANUARY, everything=reading).vanished == 1
    assert loader.rows(live) == [(1,), (3,)]
    assert loader.load("invoices", kept, window=JANUARY, everything=reading).vanished == 0
    loader.read_at += timedelta(hours=2)
    assert loader.load("invoices", [invoice(2, 5, "1")]).changed == 1  # it is there again
    assert loader.rows(live) == [(1,), (2,), (3,)]


@pytest.mark.parametrize("flipped", [False, True], ids=["newest last", "newest first"])
def test_one_version_per_key_within_a_chunk(loader: Loader, flipped: bool) -> None:
    pages = [[invoice(1, 5, "100", "1", "2")], [invoice(1, 6, "200", "9"), invoice(2, 1, "5")]]
    merged = loader.load("invoices", *(reversed(pages) if flipped else pages))
    assert merged == Merged(distinct=2, stored=2, changed=2)
    assert loader.rows(INVOICES) == [(1, Decimal(200)), (2, Decimal(5))]
    assert loader.rows(ITEMS) == [(1, 1, Decimal(9))]


def test_the_same_record_on_two_pages_brings_its_lines_once(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100", "1", "2")], [invoice(1, 5, "100", "1", "2")])
    assert loader.rows(ITEMS) == [(1, 1, Decimal(1)), (1, 2, Decimal(2))]


def test_lines_that_are_gone_from_a_newer_version_go(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100", "1", "2"), invoice(2, 5, "50", "8")])
    loader.load("invoices", [invoice(1, 6, "100")])
    assert loader.rows(ITEMS) == [(2, 1, Decimal(8))]


JANUARY = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))
FEBRUARY = Window(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))


def pay(day: str, amount: int) -> dict[str, Any]:
    return {"id": None, "createdOn": f"{day}T00:00:00Z", "jobId": 1, "amount": amount}


def test_equal_pay_lines_all_stay_and_windows_are_replaced(loader: Loader) -> None:
    amounts = "SELECT amount FROM st_raw.gross_pay_items ORDER BY created_on, amount"
    january = [pay("2025-01-05", 125), pay("2025-01-05", 125), pay("2025-01-31", 50)]
    assert loader.load("gross_pay_items", january, window=JANUARY) == Merged(3, 3, 3)
    loader.load("gross_pay_items", [pay("2025-02-01", 9)], window=FEBRUARY)
    assert loader.load("gross_pay_items", january, window=JANUARY) == Merged(3, 3, 0)
    assert loader.rows(amounts) == [(125,), (125,), (50,), (9,)]
    loader.load("gross_pay_items", [pay("2025-01-05", 125)], window=JANUARY)
    assert loader.rows(amounts) == [(125,), (9,)]
    loader.read_at += timedelta(hours=1)
    corrected = [pay("2025-01-05", 125), pay("2025-01-06", 9)]
    assert loader.load("gross_pay_items", corrected, window=JANUARY) == Merged(2, 2, 1)
    rows = loader.rows("SELECT COUNT(DISTINCT _loaded_at) AS n FROM st_raw.gross_pay_items")
    assert rows == [(2,)]  # lines that stay are not written again
    loader.load("gross_pay_items", [pay("2025-01-05", 125)], window=JANUARY)
    assert loader.load("gross_pay_items", [], window=JANUARY) == Merged(0, 0, 0, vanished=1)
    assert loader.rows(amounts) == [(9,)]


def test_tenants_do_not_meet(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    loader.warehouse.execute("UPDATE st_raw.invoices SET tenant_id = 78 WHERE id = 1")
    loader.load("invoices", [invoice(1, 4, "300")])
    rows = loader.rows("SELECT tenant_id, sub_total FROM st_raw.invoices ORDER BY tenant_id")
    assert rows == [(77, Decimal(300)), (78, Decimal(100))]


def test_a_transaction_is_all_or_nothing(loader: Loader) -> None:
    class Stop(Exception):
        pass

    columns = [("n", ColumnType.INT64)]
    loader.warehouse.write_table("st_ref.kept", columns, [[1]])

    def half_way() -> None:
        with loader.warehouse.transaction():
            loader.warehouse.write_table("st_ref.kept", columns, [[2]])
            loader.load("invoices", [invoice(1, 5, "100")])
            raise Stop

    with pytest.raises(Stop):
        half_way()
    assert loader.rows("SELECT n FROM st_ref.kept") == [(1,)]
    assert loader.rows(INVOICES) == []


def test_replace_rows_replaces_what_matches(loader: Loader) -> None:
    for day in ("2025-01-06", "2025-01-07", "2025-01-07"):
        loader.warehouse.replace_rows(
            "st_kpi.snapshots",
            "on_date = @day",
            "SELECT CAST(@day AS DATE) AS on_date, CAST(1.5 AS NUMERIC) AS amount",
            {"day": datetime.fromisoformat(day).date(), "unused": 1},
        )
    rows = loader.rows("SELECT on_date, amount FROM st_kpi.snapshots ORDER BY on_date")
    assert [(str(day), amount) for day, amount in rows] == [
        ("2025-01-06", Decimal("1.5")),
        ("2025-01-07", Decimal("1.5")),
    ]


def test_new_columns_are_added_and_rows_kept(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/a.duckdb"
    with open_warehouse(url) as warehouse:
        warehouse.ensure_raw()
        warehouse.insert("st_raw.customers", [{"tenant_id": 77, "id": 1}])
    with open_warehouse(url) as warehouse:
        warehouse.ensure_raw(frozenset({"customers"}))
        assert warehouse.query("SELECT id, name FROM st_raw.customers") == [{"id": 1, "name": None}]


def test_times_come_back_in_utc(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    (row,) = loader.warehouse.query("SELECT modified_on FROM st_raw.invoices")
    assert row["modified_on"] == datetime(2025, 1, 5, tzinfo=UTC)
    assert row["modified_on"].utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", ["st_kpi", "st_raw", "temp", "it's"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """DuckDB names a database after its file, and the default one shares its name with a schema."""
    url = f"duckdb:///{tmp_path}/{name}.duckdb"
    with open_warehouse(url) as warehouse:
        warehouse.ensure_raw()
        warehouse.replace_table("st_kpi.kpi_weekly", "SELECT 1 AS n")
    with open_warehouse(url, read_only=True) as warehouse:
        assert warehouse.table_exists("st_kpi.kpi_weekly")
        assert warehouse.query("SELECT n FROM st_kpi.kpi_weekly") == [{"n": 1}]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.duckdb"]


@pytest.mark.parametrize(
    "url",
    ["bigquery://project", "duckdb://", "duckdb:///", "postgres:///x", "st_kpi.duckdb", ""],
)
def test_an_address_that_is_not_understood_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=repr(url)), open_warehouse(url):
        pass


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/nowhere/a.duckdb"
    with pytest.raises(ConfigurationError, match="nowhere"), open_warehouse(url):
        pass


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.duckdb"
    file.write_text("not a database, but longer than the header of one" * 200)
    with (
        pytest.raises(ConfigurationError, match=r"notes\.duckdb"),
        open_warehouse(f"duckdb:///{file}"),
    ):
        pass
    assert file.read_text().startswith("not a database")


def test_reading_before_the_first_load_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(NothingLoaded, match="st-kpi backfill"),
        open_warehouse(f"duckdb:///{tmp_path}/a.duckdb", read_only=True),
    ):
        pass
    assert not (tmp_path / "a.duckdb").exists()


def test_a_file_that_another_process_holds_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.duckdb"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with (
            pytest.raises(WarehouseLocked, match="another process"),
            open_warehouse(f"duckdb:///{file}"),
        ):
            pass
    finally:
        holder.communicate(b"\n")
