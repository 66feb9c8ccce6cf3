"""The default warehouse: one DuckDB file, one writing process.

KPI SQL is transpiled by ``st_kpi.warehouse.duckdb.dialect``. The session time zone is UTC on every connection.
"""

import atexit
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
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
from st_kpi.warehouse.duckdb.dialect import literal, parameters, to_duckdb
from st_kpi.warehouse.system_tables import SCHEMAS, SYSTEM_TABLES
from st_kpi.windows import Window

#: As DuckDB itself spells them.
TYPES: dict[ColumnType, str] = {
    ColumnType.INT64: "BIGINT",
    ColumnType.STRING: "VARCHAR",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.NUMERIC: "DECIMAL(38,9)",
    ColumnType.FLOAT64: "DOUBLE",
    ColumnType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnType.DATE: "DATE",
    ColumnType.JSON: "JSON",
}

_KINDS = {text: kind for kind, text in TYPES.items()}
#: About as much as one load job takes elsewhere.
_EXPORT_FILE = "32MB"
#: Peak memory of a backfill is this plus the pages in flight.
MEMORY_LIMIT = "350MB"

#: When a version was written: modified_on may be null in the source, and a null version is the oldest.
_VERSION = "COALESCE({0}.modified_on, {0}.created_on, TIMESTAMPTZ '1970-01-01 00:00:00+00')"


@atexit.register
def _say_no_more() -> None:
    """As a process ends under Prefect's daemon threads, DuckDB's binding prints a page of leaks, which means nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


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
                self._ensure_table(table.qualified, [(c.name, c.type) for c in table.columns])
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
        with self.transaction():
            if records.table.key is None:
                return self._replace_window(records, tenant_id, window)
            merged = self._merge_newest(records)
            if nested is not None and nested.files:
                self._replace_lines(nested)
            if everything is not None:
                vanished = self._mark_vanished(records.table, tenant_id, window, everything)
                merged = replace(merged, vanished=vanished)
            return merged

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
        with self.transaction():
            self._execute(f"COMMENT ON TABLE {table} IS {literal(text)}")
            for name, said in columns.items():
                self._execute(f'COMMENT ON COLUMN {table}."{name}" IS {literal(said)}')

    def tables(self) -> dict[str, tuple[tuple[str, ColumnType], ...]]:
        with self._lock:
            rows = self._execute(
                "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns()"
                " WHERE database_name = current_database() AND list_contains($schemas, schema_name)"
                " AND schema_name <> 'st_staging' ORDER BY schema_name, table_name, column_index",
                {"schemas": list(SCHEMAS)},
            ).fetchall()
        found: dict[str, tuple[tuple[str, ColumnType], ...]] = {}
        for table, column, kind in rows:
            if kind not in _KINDS:
                raise WarehouseError(f"{table}.{column} is {kind}, which no table of ours is.")
            found[table] = (*found.get(table, ()), (column, _KINDS[kind]))
        return found

    def export(self, table: str, columns: Columns, folder: Path) -> tuple[Path, ...]:
        target = literal(str(folder / "rows"))
        listed = ", ".join(f'"{name}"' for name, _ in columns)
        with self._lock:
            self._execute(
                f"COPY (SELECT {listed} FROM {table}) TO {target}"
                f" (FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '{_EXPORT_FILE}')"
            )
        return tuple(sorted((folder / "rows").glob("*.parquet")))

    def load(self, table: str, columns: Columns, files: Sequence[Path]) -> None:
        listed = ", ".join(f'"{name}"' for name, _ in columns)
        with self.transaction():
            self._ensure_table(table, columns)
            self._execute(f"DELETE FROM {table}")
            if files:
                self._execute(
                    f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {_parquet(files)}"
                )

    def table_exists(self, table: str) -> bool:
        schema, name = table.split(".")
        with self._lock:
            found = self._execute(
                "SELECT 1 FROM information_schema.tables WHERE table_catalog = current_database()"
                " AND table_schema = $schema AND table_name = $name",
                {"schema": schema, "name": name},
            )
            return found.fetchone() is not None

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        return None

    def engine(self) -> str:
        versions = [version("sqlglot"), version("duckdb")]
        rules = hashlib.sha256(Path(dialect.__file__).read_bytes()).hexdigest()
        return " ".join([*versions, rules])

    def fingerprint(self, table: str) -> str:
        # Whole rows and not _content_hash: a row that somebody mended by hand counts as changed too.
        found = self._execute(f"SELECT COUNT(*), SUM(HASH(t)) FROM {table} AS t").fetchone()
        return str(found)

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
        with self._told():
            return self._connection.execute(sql, params or None)

    def _execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with self._told():
            self._connection.executemany(sql, rows)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the engine's errors into ones that name the file."""
        try:
            with room_needed(self.path):
                yield
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB refused a statement on {self.path}: {error}") from error

    def _ensure_table(self, name: str, columns: Columns) -> None:
        self._execute(f"CREATE TABLE IF NOT EXISTS {name} ({_definitions(columns)})")
        for column, kind in columns:
            self._execute(f'ALTER TABLE {name} ADD COLUMN IF NOT EXISTS "{column}" {TYPES[kind]}')

    def _merge_newest(self, records: TypedFiles) -> Merged:
        """Keep one version per key of the files, then take those that are newer.

        Of two that differ at equal age, which the source cannot order, the one read later is the source's last word.
        """
        table, key = records.table.qualified, records.table.key
        names = _names(records.table)
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT {names} FROM {_rows(records)} AS f"
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, {key}"
            f" ORDER BY {_VERSION.format('f')} DESC, _loaded_at DESC, _content_hash DESC) = 1"
        )
        self._execute(
            "CREATE OR REPLACE TEMP TABLE accepted AS SELECT i.* FROM incoming AS i"
            f" LEFT JOIN {table} AS t ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}"
            f" WHERE t.{key} IS NULL OR {_VERSION.format('i')} > {_VERSION.format('t')}"
            f" OR ({_VERSION.format('i')} = {_VERSION.format('t')}"
            " AND i._content_hash <> t._content_hash AND i._loaded_at >= t._loaded_at)"
        )
        updates = ", ".join(f'"{c}" = i."{c}"' for c in records.table.column_names)
        values = ", ".join(f'i."{c}"' for c in records.table.column_names)
        self._execute(
            f"MERGE INTO {table} AS t USING accepted AS i"
            f" ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}"
            f" WHEN MATCHED THEN UPDATE SET {updates}"
            f" WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
        )
        stored = self._count(
            f"SELECT COUNT(*) FROM incoming AS i SEMI JOIN {table} AS t"
            f" ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}"
        )
        distinct = self._count("SELECT COUNT(*) FROM incoming")
        return Merged(distinct, stored, self._count("SELECT COUNT(*) FROM accepted"))

    def _mark_vanished(
        self, table: RawTable, tenant_id: int, window: Window | None, reading: Reading
    ) -> int:
        """Rows of the window that the source, just merged, no longer has; one that comes back is taken again."""
        within, params = _within(tenant_id, window)
        gone = (
            f"{within} AND COALESCE(active, TRUE) AND _loaded_at < $read_at"
            f" AND {table.key} NOT IN (SELECT {table.key} FROM incoming)"
        )
        params |= {"read_at": reading.read_at}
        vanished = self._count(f"SELECT COUNT(*) FROM {table.qualified} WHERE {gone}", params)
        if vanished:
            self._execute(
                f"UPDATE {table.qualified} SET active = FALSE, _content_hash = 'vanished',"
                f" _loaded_at = $read_at, _run_id = $run_id WHERE {gone}",
                params | {"run_id": reading.run_id},
            )
        return vanished

    def _replace_lines(self, nested: TypedFiles) -> None:
        """Lines belong to one version of their record and come and go with it."""
        table, parent = nested.table.qualified, nested.table.key
        names = _names(nested.table)
        self._execute(
            f"DELETE FROM {table} AS t USING accepted AS a"
            f" WHERE t.tenant_id = a.tenant_id AND t.{parent} = a.id"
        )
        # One record may stand in the files twice, so the lines of the chosen version are taken once.
        self._execute(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM {_parquet(nested.files)} AS l"
            " SEMI JOIN accepted AS a ON l.tenant_id = a.tenant_id"
            f" AND l.{parent} = a.id AND l._content_hash = a._content_hash"
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY l.tenant_id, l.{parent}, l.line) = 1"
        )

    def _replace_window(self, records: TypedFiles, tenant_id: int, window: Window | None) -> Merged:
        """Rows without a key: the window's rows become those of the files; equal rows are told apart by number."""
        table, names = records.table.qualified, _names(records.table)
        where, params = _within(tenant_id, window)
        number = "ROW_NUMBER() OVER (PARTITION BY _content_hash) AS occurrence"
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT {names}, {number} FROM {_rows(records)}"
        )
        self._execute(
            "CREATE OR REPLACE TEMP TABLE kept AS"
            f" SELECT rowid AS row, _content_hash, {number} FROM {table} WHERE {where}",
            params,
        )
        gone = "SELECT row FROM kept ANTI JOIN incoming USING (_content_hash, occurrence)"
        new = "FROM incoming ANTI JOIN kept USING (_content_hash, occurrence)"
        changed = self._count(f"SELECT COUNT(*) {new}")
        vanished = self._count(f"SELECT COUNT(*) FROM ({gone})")
        self._execute(f"DELETE FROM {table} WHERE rowid IN ({gone})")
        self._execute(f"INSERT INTO {table} ({names}) SELECT {names} {new}")
        count = self._count("SELECT COUNT(*) FROM incoming")
        stored = self._count(f"SELECT COUNT(*) FROM {table} WHERE {where}", params)
        return Merged(count, stored, changed, vanished)

    def _count(self, sql: str, params: Params | None = None) -> int:
        row = self._execute(sql, params).fetchone()
        assert row is not None
        return int(row[0])


def _connect(path: str, read_only: bool, create: bool) -> duckdb.DuckDBPyConnection:
    if path != ":memory:" and not Path(path).parent.is_dir():
        raise ConfigurationError(
            f"The warehouse file {path} cannot be written: the folder {Path(path).parent} does not exist."
        )
    if not create and path != ":memory:" and not Path(path).is_file():
        raise NothingLoaded(f"There is no warehouse at {path} yet: run `st-kpi backfill` first.")
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "preserve_insertion_order": "false",
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
    quoted = path.replace("'", "''")
    try:
        mode = "READ_ONLY" if read_only else "READ_WRITE"
        connection.execute(f"ATTACH '{quoted}' AS warehouse ({mode})")
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


def _names(table: RawTable) -> str:
    return ", ".join(f'"{name}"' for name in table.column_names)


def _within(tenant_id: int, window: Window | None) -> tuple[str, dict[str, object]]:
    """The condition, with its parameters, for a tenant's rows created within the window."""
    if window is None:
        return "tenant_id = $tenant_id", {"tenant_id": tenant_id}
    return (
        "tenant_id = $tenant_id AND created_on >= $start AND created_on < $end",
        {"tenant_id": tenant_id, "start": window.start, "end": window.end},
    )


def _rows(typed: TypedFiles) -> str:
    """The rows of the files; where there are none, no rows of the table's shape."""
    return _parquet(typed.files) if typed.files else f"(FROM {typed.table.qualified} LIMIT 0)"


def _parquet(files: Sequence[Path]) -> str:
    listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}])"
