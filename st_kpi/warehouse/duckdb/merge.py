"""Typed files into raw tables: the newest version per key, lines, windows, and what the source no longer has.

Every function runs inside a transaction of its caller, who also words the errors: all of them raise ``duckdb.Error``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from duckdb import DuckDBPyConnection

from st_kpi.columns import RawTable
from st_kpi.warehouse.base import Merged, Params, Reading, TypedFiles
from st_kpi.warehouse.duckdb.dialect import literal, quoted
from st_kpi.windows import Window

#: When a version was written: modified_on may be null in the source, and a null version is the oldest.
_VERSION = "COALESCE({0}.modified_on, {0}.created_on, TIMESTAMPTZ '1970-01-01 00:00:00+00')"


def merge(
    connection: DuckDBPyConnection,
    records: TypedFiles,
    nested: TypedFiles | None,
    *,
    tenant_id: int,
    window: Window | None,
    everything: Reading | None,
) -> Merged:
    """Bring the files in; see ``Warehouse.merge``."""
    if records.table.key is None:
        return _replace_window(connection, records, tenant_id, window)
    merged = _merge_newest(connection, records, nested)
    if everything is not None:
        vanished = _mark_vanished(connection, records.table, tenant_id, window, everything)
        merged = replace(merged, vanished=vanished)
    return merged


def parquet(files: Sequence[Path]) -> str:
    """The rows of Parquet files, of which there has to be one, as a FROM has them."""
    return f"read_parquet([{', '.join(literal(str(file)) for file in files)}])"


def _merge_newest(
    connection: DuckDBPyConnection, records: TypedFiles, nested: TypedFiles | None
) -> Merged:
    """Keep one version per key of the files, then take those that are newer, with their lines.

    Of two that differ at equal age, which the source cannot order, the one read later is the source's last word.
    """
    table, key = records.table.qualified, records.table.key
    # What decides is a few columns; the rest is read once, on its way into the table.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT tenant_id, {key}, _loaded_at, _content_hash,"
        f" {_VERSION.format('f')} AS version, filename, file_row_number FROM {_rows(records)} AS f"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, {key}"
        " ORDER BY version DESC, _loaded_at DESC, _content_hash DESC) = 1"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE accepted AS SELECT i.*, t.{key} IS NOT NULL AS known"
        f" FROM incoming AS i LEFT JOIN {table} AS t ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}"
        f" WHERE t.{key} IS NULL OR version > {_VERSION.format('t')}"
        f" OR (version = {_VERSION.format('t')}"
        " AND i._content_hash <> t._content_hash AND i._loaded_at >= t._loaded_at)"
    )
    known = _count(connection, "accepted WHERE known")
    accepted = _count(connection, "accepted")
    everything = not known and accepted == _count(connection, _rows(records))
    _write_records(connection, records, known > 0, everything)
    if nested is not None and nested.files:
        _replace_lines(connection, nested, everything)
    stored = _count(
        connection,
        f"incoming AS i SEMI JOIN {table} AS t ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}",
    )
    return Merged(_count(connection, "incoming"), stored, accepted)


def _write_records(
    connection: DuckDBPyConnection, records: TypedFiles, known: bool, everything: bool
) -> None:
    """Write the accepted rows; ``known`` where some of them are in the table, ``everything`` where all rows are new."""
    table, key = records.table.qualified, records.table.key
    names = quoted(records.table.column_names)
    rows = f"SELECT {names} FROM {_rows(records)} AS f" + (
        "" if everything else " SEMI JOIN accepted AS a USING (filename, file_row_number)"
    )
    if not known:
        connection.execute(f"INSERT INTO {table} ({names}) {rows}")
        return
    updates = ", ".join(f'"{name}" = i."{name}"' for name in records.table.column_names)
    values = ", ".join(f'i."{name}"' for name in records.table.column_names)
    connection.execute(
        f"MERGE INTO {table} AS t USING ({rows}) AS i"
        f" ON t.tenant_id = i.tenant_id AND t.{key} = i.{key}"
        f" WHEN MATCHED THEN UPDATE SET {updates}"
        f" WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def _replace_lines(connection: DuckDBPyConnection, nested: TypedFiles, everything: bool) -> None:
    """Lines belong to one version of their record and come and go with it."""
    table, parent = nested.table.qualified, nested.table.key
    names = quoted(nested.table.column_names)
    # Of a new record too: who deleted a record by hand has left its lines.
    connection.execute(
        f"DELETE FROM {table} AS t USING accepted AS a"
        f" WHERE t.tenant_id = a.tenant_id AND t.{parent} = a.id"
    )
    # One record may stand in the files twice, so the lines of the chosen version are taken once.
    chosen = (
        " SEMI JOIN accepted AS a ON l.tenant_id = a.tenant_id"
        f" AND l.{parent} = a.id AND l._content_hash = a._content_hash"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY l.tenant_id, l.{parent}, l.line) = 1"
    )
    connection.execute(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {parquet(nested.files)} AS l"
        + ("" if everything else chosen)
    )


def _mark_vanished(
    connection: DuckDBPyConnection,
    table: RawTable,
    tenant_id: int,
    window: Window | None,
    reading: Reading,
) -> int:
    """Rows of the window that the source, just merged, no longer has; one that comes back is taken again."""
    within, params = _within(tenant_id, window)
    condition = (
        f"{within} AND COALESCE(active, TRUE) AND _loaded_at < $read_at"
        f" AND {table.key} NOT IN (SELECT {table.key} FROM incoming)"
    )
    params |= {"read_at": reading.read_at}
    vanished = _count(connection, f"{table.qualified} WHERE {condition}", params)
    if vanished:
        connection.execute(
            f"UPDATE {table.qualified} SET active = FALSE, _content_hash = 'vanished',"
            f" _loaded_at = $read_at, _run_id = $run_id WHERE {condition}",
            params | {"run_id": reading.run_id},
        )
    return vanished


def _replace_window(
    connection: DuckDBPyConnection, records: TypedFiles, tenant_id: int, window: Window | None
) -> Merged:
    """Rows without a key: the window's rows become those of the files; equal rows are told apart by number."""
    table, names = records.table.qualified, quoted(records.table.column_names)
    where, params = _within(tenant_id, window)
    number = "ROW_NUMBER() OVER (PARTITION BY _content_hash) AS occurrence"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT {names}, {number} FROM {_rows(records)}"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE present AS"
        f" SELECT rowid AS row, _content_hash, {number} FROM {table} WHERE {where}",
        params,
    )
    removed = "SELECT row FROM present ANTI JOIN incoming USING (_content_hash, occurrence)"
    added = "incoming ANTI JOIN present USING (_content_hash, occurrence)"
    changed = _count(connection, added)
    vanished = _count(connection, f"({removed})")
    connection.execute(f"DELETE FROM {table} WHERE rowid IN ({removed})")
    connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {added}")
    stored = _count(connection, f"{table} WHERE {where}", params)
    return Merged(_count(connection, "incoming"), stored, changed, vanished)


def _count(connection: DuckDBPyConnection, rows: str, params: Params | None = None) -> int:
    row = connection.execute(f"SELECT COUNT(*) FROM {rows}", params or None).fetchone()
    assert row is not None
    return int(row[0])


def _within(tenant_id: int, window: Window | None) -> tuple[str, dict[str, object]]:
    """The condition, with its parameters, for a tenant's rows created within the window."""
    if window is None:
        return "tenant_id = $tenant_id", {"tenant_id": tenant_id}
    return (
        "tenant_id = $tenant_id AND created_on >= $start AND created_on < $end",
        {"tenant_id": tenant_id, "start": window.start, "end": window.end},
    )


def _rows(typed: TypedFiles) -> str:
    """The rows of the files, with the place of each; where there are none, no rows of the table's shape."""
    if typed.files:
        return parquet(typed.files)
    return (
        "(SELECT *, NULL::VARCHAR AS filename, NULL::BIGINT AS file_row_number"
        f" FROM {typed.table.qualified} LIMIT 0)"
    )
