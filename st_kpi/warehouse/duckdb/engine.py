"""The default warehouse: one DuckDB file, one writing process.

KPI SQL is transpiled by ``st_kpi.warehouse.duckdb.dialect``. The session time zone is UTC on every connection.
"""

import hashlib
import importlib.metadata
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from st_kpi.columns import Columns, ColumnType, RawTable
from st_kpi.errors import (
    ConfigurationError,
    NothingLoaded,
    WarehouseError,
    WarehouseLocked,
    room_needed,
)
from st_kpi.warehouse.base import Merged, Params, Reading, TypedFiles
from st_kpi.warehouse.duckdb import dialect
from st_kpi.warehouse.duckdb.dialect import TYPES, literal, parameters, quoted, to_duckdb
from st_kpi.warehouse.duckdb.merge import merge, parquet
from st_kpi.warehouse.duckdb.place import require_folder
from st_kpi.warehouse.system_tables import SCHEMAS, SYSTEM_TABLES
from st_kpi.windows import Window

_KINDS = {text: kind for kind, text in TYPES.items()}
#: About as much as one load job takes elsewhere.
_EXPORT_FILE = "32MB"
#: Peak memory of a backfill is this plus the pages in flight.
_MEMORY_LIMIT = "350MB"


class DuckDBWarehouse:
    """A DuckDB file, or ``:memory:``. Safe to use from several threads; writes take turns."""

    def __init__(self, path: str | Path, *, read_only: bool = False, create: bool = True) -> None:
        self.path = str(path)
        self._connection = _connect(self.path, read_only, create and not read_only)
        self._lock = threading.RLock()
        self._in_transaction = False

    def ensure(self, tables: Sequence[RawTable]) -> None:
        with self.transaction():
            for schema in SCHEMAS:
                self._execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for table in tables:
                self._ensure_table(table.qualified, table.typed_columns)
            for name, columns in SYSTEM_TABLES.items():
                self._ensure_table(name, columns)

    def query(self, sql: str, params: Params | None = None) -> list[dict[str, Any]]:
        with self._lock:
            result = self._execute(to_duckdb(sql), _used(sql, params))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            if self._in_transaction:
                yield
                return
            self._execute("BEGIN TRANSACTION")
            self._in_transaction = True
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):  # a failed commit has rolled back already
                    self._connection.rollback()
                raise
            finally:
                self._in_transaction = False

    def merge(
        self,
        records: TypedFiles,
        nested: TypedFiles | None,
        *,
        tenant_id: int,
        window: Window | None,
        everything: Reading | None = None,
    ) -> Merged:
        with self.transaction(), self._translate_errors():
            return merge(
                self._connection,
                records,
                nested,
                tenant_id=tenant_id,
                window=window,
                everything=everything,
            )

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        with self._lock:
            self._execute(
                f"CREATE OR REPLACE TABLE {table} AS {to_duckdb(select)}", _used(select, params)
            )

    def replace_rows(
        self, table: str, where: str, select: str, params: Params | None = None
    ) -> None:
        body = to_duckdb(select)
        with self.transaction():
            if not self.table_exists(table):
                self._execute(f"CREATE TABLE {table} AS {body}", _used(select, params))
                return
            delete = f"DELETE FROM {table} WHERE {where}"
            self._execute(to_duckdb(delete), _used(delete, params))
            self._execute(f"INSERT INTO {table} BY NAME {body}", _used(select, params))

    def write_table(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        with self.transaction():
            self._execute(f"CREATE OR REPLACE TABLE {table} ({_definitions(columns)})")
            if rows:
                marks = ", ".join("?" for _ in columns)
                self._execute_many(f"INSERT INTO {table} VALUES ({marks})", rows)

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        if not rows:
            return
        names = list(rows[0])
        marks = ", ".join("?" for _ in names)
        with self.transaction():
            self._execute_many(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
                [[row[name] for name in names] for row in rows],
            )

    def execute(self, sql: str, params: Params | None = None) -> None:
        with self._lock:
            self._execute(to_duckdb(sql), _used(sql, params))

    def describe(self, table: str, text: str, columns: Mapping[str, str]) -> None:
        # Without a look at what they say now: asking the catalog takes longer than writing all of it.
        with self.transaction():
            self._execute(f"COMMENT ON TABLE {table} IS {literal(text)}")
            for name, meaning in columns.items():
                self._execute(f'COMMENT ON COLUMN {table}."{name}" IS {literal(meaning)}')

    def tables(self) -> dict[str, Columns]:
        with self._lock:
            rows = self._execute(
                "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns()"
                " WHERE database_name = current_database() AND list_contains($schemas, schema_name)"
                " AND schema_name <> 'st_staging' ORDER BY schema_name, table_name, column_index",
                {"schemas": list(SCHEMAS)},
            ).fetchall()
        tables: dict[str, list[tuple[str, ColumnType]]] = {}
        for table, column, type_name in rows:
            if type_name not in _KINDS:
                raise WarehouseError(f"{table}.{column} is {type_name}, which no table of ours is.")
            tables.setdefault(table, []).append((column, _KINDS[type_name]))
        return dict(tables)

    def export(self, table: str, columns: Columns, folder: Path) -> tuple[Path, ...]:
        target = folder / "rows"
        with self._lock:
            self._execute(
                f"COPY (SELECT {quoted(name for name, _ in columns)} FROM {table})"
                f" TO {literal(str(target))}"
                f" (FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '{_EXPORT_FILE}')"
            )
        return tuple(sorted(target.glob("*.parquet")))

    def load(self, table: str, columns: Columns, files: Sequence[Path]) -> None:
        names = quoted(name for name, _ in columns)
        with self.transaction():
            self._ensure_table(table, columns)
            self._execute(f"DELETE FROM {table}")
            if files:
                self._execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {parquet(files)}")

    def table_exists(self, table: str) -> bool:
        schema, name = table.split(".")
        with self._lock:
            result = self._execute(
                "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database()"
                " AND schema_name = $schema AND table_name = $name",
                {"schema": schema, "name": name},
            )
            return result.fetchone() is not None

    def column_names(self, table: str) -> tuple[str, ...]:
        schema, name = table.split(".")
        with self._lock:
            result = self._execute(
                "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database()"
                " AND schema_name = $schema AND table_name = $name ORDER BY column_index",
                {"schema": schema, "name": name},
            )
            return tuple(column for (column,) in result.fetchall())

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        return None

    def sql_version(self) -> str:
        versions = [importlib.metadata.version(name) for name in ("sqlglot", "duckdb")]
        rules = hashlib.sha256(Path(dialect.__file__).read_bytes()).hexdigest()
        return " ".join([*versions, rules])

    def version(self, table: str) -> str:
        # Whole rows and not _content_hash: a row that somebody mended by hand counts as changed too.
        result = self._execute(f"SELECT COUNT(*), SUM(HASH(t)) FROM {table} AS t")
        return str(result.fetchone())

    @contextmanager
    def spool(self) -> Iterator[Path]:
        if self.path == ":memory:":
            with TemporaryDirectory(prefix="st-kpi-") as temporary:
                yield Path(temporary)
            return
        # Who holds the file is its only writer, so whatever lies there belongs to nobody any more.
        folder = Path(f"{self.path}.spool")
        shutil.rmtree(folder, ignore_errors=True)
        with room_needed(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Let the file go once a transaction in work has ended; also the object, which threads may still hold."""
        with self._lock:
            if hasattr(self, "_connection"):
                self._connection.close()
                del self._connection

    def _execute(self, sql: str, params: Params | None = None) -> duckdb.DuckDBPyConnection:
        with self._translate_errors():
            return self._connection.execute(sql, params or None)

    def _execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with self._translate_errors():
            self._connection.executemany(sql, rows)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn the engine's errors into ones that name the file."""
        try:
            with room_needed(self.path):
                yield
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB refused a statement on {self.path}: {error}") from error

    def _ensure_table(self, name: str, columns: Columns) -> None:
        self._execute(f"CREATE TABLE IF NOT EXISTS {name} ({_definitions(columns)})")
        shape = self._execute(f"SELECT * FROM {name} LIMIT 0").description or ()
        there = {column[0] for column in shape}
        for column, kind in columns:
            if column not in there:
                self._execute(
                    f'ALTER TABLE {name} ADD COLUMN IF NOT EXISTS "{column}" {TYPES[kind]}'
                )


def _connect(path: str, read_only: bool, create: bool) -> duckdb.DuckDBPyConnection:
    if path != ":memory:":
        require_folder(Path(path))
    if not create and path != ":memory:" and not Path(path).is_file():
        raise NothingLoaded(f"There is no warehouse at {path} yet: run `st-kpi backfill` first.")
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY_LIMIT,
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
    }
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    if path != ":memory:":
        _attach(connection, path, read_only)
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, path: str, read_only: bool) -> None:
    """Make the file the current database, under a name of its own.

    Opened directly it would be named after itself, and ``st_kpi.duckdb`` holds a schema ``st_kpi``: every
    ``st_kpi.kpi_weekly`` would be ambiguous.
    """
    try:
        mode = "READ_ONLY" if read_only else "READ_WRITE"
        # With its type: for a file of another kind the engine would fetch an extension from the network.
        connection.execute(f"ATTACH {literal(path)} AS warehouse (TYPE duckdb, {mode})")
        connection.execute("USE warehouse")
    except duckdb.IOException as error:
        text = str(error)
        if "lock" in text.lower():
            raise WarehouseLocked(
                f"The warehouse file {path} is held by another process: wait until that run ends,"
                " or stop it."
            ) from None
        raise ConfigurationError(f"The warehouse file {path} cannot be opened: {text}") from None
    except duckdb.Error as error:
        raise ConfigurationError(f"{path} is not a DuckDB database: {error}") from None


def _used(sql: str, params: Params | None) -> dict[str, object] | None:
    """Only the parameters that the statement names: DuckDB refuses any other."""
    names = parameters(sql)
    return {name: (params or {})[name] for name in names} if names else None


def _definitions(columns: Columns) -> str:
    return ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in columns)
