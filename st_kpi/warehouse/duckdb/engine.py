"""The default warehouse: one DuckDB file, one writing process.

KPI SQL is transpiled by ``st_kpi.warehouse.duckdb.dialect``. The session time zone is UTC on every connection.
"""

import hashlib
import importlib.metadata
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
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
from st_kpi.warehouse.base import Merged, Params, Reading, Receipt, T, TypedFiles, counts_of
from st_kpi.warehouse.differences import rows_to_add, same_row
from st_kpi.warehouse.duckdb import dialect
from st_kpi.warehouse.duckdb.dialect import TYPES, literal, parameters, quoted, to_duckdb
from st_kpi.warehouse.duckdb.merge import merge, parquet
from st_kpi.warehouse.duckdb.place import require_folder
from st_kpi.warehouse.system_tables import SCHEMAS, SYSTEM_TABLES
from st_kpi.windows import Window

_KINDS = {text: kind for kind, text in TYPES.items()}
#: As what a column of values is handed over: decimals as texts, for a list of them would be of one scale.
_LISTS = TYPES | {ColumnType.NUMERIC: f"VARCHAR[]::{TYPES[ColumnType.NUMERIC]}"}
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

    def query_each(self, selects: Sequence[str], params: Params) -> list[list[dict[str, Any]]]:
        return [self.query(select, params) for select in selects]

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        return [task() for task in tasks]  # each statement uses all cores

    @contextmanager
    def transaction(self, *, of_one_moment: bool = False) -> Iterator[None]:
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
        receipt: Receipt | None = None,
    ) -> Merged:
        with self.transaction(), self._translate_errors():
            merged = merge(
                self._connection,
                records,
                nested,
                tenant_id=tenant_id,
                window=window,
                everything=everything,
            )
            if receipt:
                self.execute(receipt.sql, {**receipt.params, **counts_of(merged)})
            return merged

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        with self._lock:
            self._execute(
                f"CREATE OR REPLACE TABLE {table} AS {to_duckdb(select)}", _used(select, params)
            )

    def apply_differences(self, table: str, columns: Collection[str], differences: str) -> bool:
        if not self.query(f"SELECT 1 AS one FROM {differences} LIMIT 1"):
            return False
        listed = ", ".join(f"`{name}`" for name in columns)
        with self.transaction():
            self.execute(
                f"DELETE FROM {table} AS stored WHERE EXISTS"
                f" (SELECT 1 FROM {differences} AS changed WHERE changed.before > 0 AND {same_row(columns)})"
            )
            self.execute(f"INSERT INTO {table} ({listed}) {rows_to_add(columns, differences)}")
        return True

    def drop(self, tables: Iterable[str]) -> None:
        with self.transaction():
            for table in tables:
                self._execute(f"DROP TABLE IF EXISTS {table}")

    def write_table(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        with self.transaction():
            self._execute(f"CREATE OR REPLACE TABLE {table} ({_definitions(columns)})")
            if rows:
                self._append(table, columns, rows)

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        if not rows:
            return
        with self.transaction():
            shape = self._execute(f"SELECT * FROM {table} LIMIT 0").description or ()
            kinds = {name: _KINDS[str(kind)] for name, kind, *_ in shape}
            columns = [(name, kinds[name]) for name in rows[0]]
            self._append(table, columns, [[row[name] for name, _ in columns] for row in rows])

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

    def table_names(self) -> set[str]:
        with self._lock:
            result = self._execute(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
                " WHERE database_name = current_database()"
            )
            return {name for (name,) in result.fetchall()}

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

    def versions(self, tables: Collection[str]) -> dict[str, str]:
        # Whole rows and not _content_hash: a row that somebody mended by hand counts as changed too.
        return {
            table: str(self._execute(f"SELECT COUNT(*), SUM(HASH(t)) FROM {table} AS t").fetchone())
            for table in tables
        }

    def row_counts(self, tables: Collection[str]) -> dict[str, int]:
        return {t: self.query(f"SELECT COUNT(*) AS n FROM {t}")[0]["n"] for t in tables}

    def billed(self) -> Mapping[str, int]:
        return {}

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

    def _execute(
        self, sql: str, params: Params | Sequence[object] | None = None
    ) -> duckdb.DuckDBPyConnection:
        with self._translate_errors():
            return self._connection.execute(sql, params or None)

    def _append(self, table: str, columns: Columns, rows: Sequence[Sequence[object]]) -> None:
        """One statement whose parameters are whole columns: a statement per row takes milliseconds for each."""
        values = ", ".join(f"UNNEST(?::{_LISTS[kind]}[])" for _, kind in columns)
        self._execute(
            f"INSERT INTO {table} ({quoted(name for name, _ in columns)}) SELECT {values}",
            [
                _column(kind, column)
                for (_, kind), column in zip(columns, zip(*rows, strict=True), strict=True)
            ],
        )

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


def _column(kind: ColumnType, values: Sequence[Any]) -> list[Any]:
    """The values of a column as one parameter."""
    if kind is not ColumnType.NUMERIC:
        return list(values)
    texts = (f"{value:f}" if isinstance(value, Decimal) else value for value in values)
    return [None if text is None else str(text) for text in texts]


def _definitions(columns: Columns) -> str:
    return ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in columns)
