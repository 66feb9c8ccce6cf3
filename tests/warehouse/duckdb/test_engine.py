"""The DuckDB warehouse: files, locks, and the one transaction for all."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from st_kpi.errors import ConfigurationError, NothingLoaded, WarehouseError, WarehouseLocked
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse import open_warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.loader import Loader, invoice


def test_a_merge_is_part_of_the_transaction_around_it(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(":memory:")
    warehouse.ensure(raw_tables())
    loader = Loader(tmp_path, warehouse)

    class Stop(Exception):
        pass

    def half_way() -> None:
        with warehouse.transaction():
            loader.load("invoices", [invoice(1, 5, "100")])
            raise Stop

    with pytest.raises(Stop):
        half_way()
    assert loader.rows("SELECT id FROM st_raw.invoices") == []


@pytest.mark.parametrize("name", ["st_kpi", "st_raw", "temp", "it's"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """DuckDB names a database after its file, and the default one shares its name with a schema."""
    url = f"duckdb:///{tmp_path}/{name}.duckdb"
    with open_warehouse(url) as warehouse:
        warehouse.ensure(raw_tables())
        warehouse.replace_table("st_kpi.kpi_weekly", "SELECT 1 AS n")
    with open_warehouse(url, read_only=True) as warehouse:
        assert warehouse.table_exists("st_kpi.kpi_weekly")
        assert warehouse.query("SELECT n FROM st_kpi.kpi_weekly") == [{"n": 1}]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.duckdb"]


@pytest.mark.parametrize(
    "url",
    [
        "bigquery://",
        "bigquery://p?region=EU",
        "bigquery://p/x",
        "duckdb://",
        "duckdb:///",
        "postgres:///x",
        "st_kpi.duckdb",
        "",
    ],
)
def test_an_address_that_is_not_understood_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(url))), open_warehouse(url):
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


def test_importing_the_engine_does_nothing_at_the_end_of_the_process() -> None:
    """Whoever imports it may still have something to say then."""
    program = """
import atexit, os
atexit.register(os.write, 2, b"last words")
stderr, register, modules = os.fstat(2).st_ino, atexit.register, []
atexit.register = lambda run, *args: (modules.append(run.__module__ or ""), register(run, *args))[1]
import st_kpi.warehouse.duckdb.engine
assert os.fstat(2).st_ino == stderr
assert not [name for name in modules if name.startswith("st_kpi")], modules
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"last words")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A warehouse file with all raw tables in it."""
    file = tmp_path_factory.mktemp("sound") / "a.duckdb"
    with open_warehouse(f"duckdb:///{file}") as warehouse:
        warehouse.ensure(raw_tables())
    return file.read_bytes()


def _sqlite(folder: Path) -> bytes:
    with closing(sqlite3.connect(folder / "a.db")) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    return (folder / "a.db").read_bytes()


def _foreign(folder: Path) -> bytes:
    with duckdb.connect(folder / "b.duckdb") as connection:
        connection.execute("CREATE SCHEMA st_ops; CREATE VIEW st_ops.chunks AS SELECT 1 AS n")
    return (folder / "b.duckdb").read_bytes()


BROKEN: dict[str, Callable[[bytes, Path], bytes]] = {
    "empty": lambda sound, folder: b"",
    "its first bytes": lambda sound, folder: sound[:100],
    "its header": lambda sound, folder: sound[:12_288],
    "half of it": lambda sound, folder: sound[: len(sound) // 2],
    "all but a byte": lambda sound, folder: sound[:-1],
    "zeros in it": lambda sound, folder: sound[:40_000] + bytes(200) + sound[40_200:],
    "an archive": lambda sound, folder: b"PK\x03\x04" + bytes(5_000),
    "of SQLite": lambda sound, folder: _sqlite(folder),
    "another's": lambda sound, folder: _foreign(folder),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_broken_or_anothers_is_named_and_left_as_it_is(
    broken: Callable[[bytes, Path], bytes], sound: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "mine.duckdb"
    content = broken(sound, tmp_path)
    file.write_bytes(content)
    with (
        pytest.raises((ConfigurationError, WarehouseError), match=r"mine\.duckdb") as failed,
        open_warehouse(f"duckdb:///{file}") as warehouse,
    ):
        warehouse.ensure(raw_tables())
    assert "extension" not in str(failed.value)
    assert file.read_bytes() == content
