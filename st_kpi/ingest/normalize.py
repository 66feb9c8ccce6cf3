"""The hot path: one page of raw JSON records to typed Parquet files, with no Python per row.

DuckDB reads the page as JSON, casts every field and says which rows do not fit; only those go through pydantic, which
says what exactly is wrong. Unknown fields are kept in ``_extra`` and reported.
"""

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ValidationError

from st_kpi.columns import Column, RawTable
from st_kpi.ingest import normalize_sql
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.registry import Entity
from st_kpi.servicetitan.schema import Lines, lines
from st_kpi.servicetitan.tables import EntityTables
from st_kpi.warehouse.duckdb.dialect import literal

_READ_AT_LEAST = 4 * 1024 * 1024
_MEMORY_LIMIT = "400MB"
_SHOWN_CHARACTERS = 100
_AT_ONCE = 2


@dataclass(frozen=True)
class Stamp:
    """What the loader writes beside every row, and the pattern by which it knows test customers."""

    tenant_id: int
    run_id: str
    loaded_at: datetime
    test_customer_pattern: str = "test"


@dataclass(frozen=True)
class Reject:
    """A field that keeps its record out of the warehouse; ``value`` is never a personal one."""

    source_id: str | None
    field: str
    value: str | None
    reason: str


@dataclass(frozen=True)
class NormalizedPage:
    """What one page became. ``drift`` names the fields that the model does not know, by their path."""

    records: Path
    lines: Path | None
    rows: int
    rejected: int
    max_modified_on: datetime | None
    rejects: tuple[Reject, ...]
    drift: frozenset[str]


class Normalizer:
    """Normalizes pages, two at a time; safe to use from several threads at once."""

    def __init__(self) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY_LIMIT,
            "threads": 1,
            "preserve_insertion_order": "false",
        }
        self._database = duckdb.connect(config=config)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def normalize(
        self,
        entity: Entity,
        tables: EntityTables,
        stamp: Stamp,
        page: Path,
        target: Path,
        longest: int,
    ) -> NormalizedPage:
        """Turn the NDJSON file ``page`` into the Parquet file ``target`` and a file of lines beside it.

        ``longest`` is the size of its longest record in bytes, which sets how much is read at a time. A record with
        anything wrong in it, its lines included, is left out whole and reported.
        """
        # Temporary tables are private to a cursor, so pages do not meet.
        with self._turns, self._database.cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return _Page(connection, entity, tables, stamp).normalize(page, target, longest)

    def distinct(self, files: list[Path], key: str) -> int:
        """How many different values of ``key`` the typed files hold."""
        with self._turns, self._database.cursor() as connection:
            names = [str(file) for file in files]
            row = connection.execute(
                f'SELECT COUNT(DISTINCT "{key}") FROM read_parquet(?)', [names]
            ).fetchone()
        assert row is not None
        return int(row[0])

    def present(self, files: list[Path], key: str, ids: list[str]) -> list[str]:
        """Those of the ``ids`` that are values of ``key`` in the typed files."""
        with self._turns, self._database.cursor() as connection:
            rows = connection.execute(
                f'SELECT DISTINCT CAST("{key}" AS VARCHAR) AS id FROM read_parquet($files)'
                f' WHERE list_contains($ids, CAST("{key}" AS VARCHAR)) ORDER BY id',
                {"files": [str(file) for file in files], "ids": ids},
            ).fetchall()
        return [id_ for (id_,) in rows]

    def created_days(self, files: list[Path], zone: str, since: datetime) -> list[date]:
        """The days of ``zone`` on which those records of the typed files were created, in order, that changed since."""
        with self._turns, self._database.cursor() as connection:
            rows = connection.execute(
                "SELECT DISTINCT CAST(created_on AT TIME ZONE $zone AS DATE) AS day"
                " FROM read_parquet($files) WHERE created_on IS NOT NULL"
                " AND COALESCE(modified_on >= $since, TRUE) ORDER BY day",
                {"files": [str(file) for file in files], "zone": zone, "since": since},
            ).fetchall()
        return [day for (day,) in rows]

    def close(self) -> None:
        """Give the memory back, once the pages in work are done: a run that is stopped may leave some.

        Also the object, which threads that outlive the run may still hold.
        """
        with ExitStack() as turns:
            for _ in range(_AT_ONCE):
                turns.enter_context(self._turns)
            self._database.close()
            del self._database


@dataclass(frozen=True)
class _Source:
    """A temporary table of raw objects, the model they should fit and the table they are for."""

    name: str
    model: type[Nested]
    table: RawTable


class _Page:
    """The statements that normalize one page."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        entity: Entity,
        tables: EntityTables,
        stamp: Stamp,
    ) -> None:
        self.connection = connection
        self.entity = entity
        self.schema_fingerprint = tables.fingerprint
        self.stamp = stamp
        self.records = _Source("record", entity.model, tables.records)
        self.nested = lines(entity.model)
        self.lines = (
            _Source("line", self.nested.model, tables.lines)
            if self.nested and tables.lines
            else None
        )

    def normalize(self, page: Path, target: Path, longest: int) -> NormalizedPage:
        self._read_records(page, longest)
        drift, rejects = self._cast(self.records)
        line_target = None
        if self.nested is not None and self.lines is not None:
            line_target = target.with_suffix(".lines.parquet")
            self._read_lines(self.nested)
            line_drift, line_rejects = self._cast(self.lines)
            drift |= {f"{self.nested.path}[].{name}" for name in line_drift}
            rejects += [(n, _below(self.nested.path, reject)) for n, reject in line_rejects]
        bad = sorted({n for n, _ in rejects})
        rows, newest = self._write(self.records, target, bad)
        if self.lines is not None and line_target is not None:
            self._write(self.lines, line_target, bad)
        return NormalizedPage(
            records=target,
            lines=line_target,
            rows=rows,
            rejected=len(bad),
            max_modified_on=newest,
            rejects=tuple(reject for _, reject in rejects),
            drift=frozenset(drift),
        )

    def _read_records(self, page: Path, longest: int) -> None:
        self.connection.execute(
            "CREATE TEMP TABLE record AS SELECT json,"
            f" json_transform(json, {normalize_sql.structure(self.entity.model)}) AS r"
            f" FROM read_ndjson_objects({literal(str(page))},"
            f" maximum_object_size = {max(longest + 1, _READ_AT_LEAST)})"
        )

    def _read_lines(self, nested: Lines) -> None:
        """One row per element of the nested list, numbered from 1 by its place in the record."""
        path = literal(normalize_sql.pointer((nested.path,)))
        inherited = ", ".join(
            f'"{name}" := r."{name}"' for name in _INHERITED if name in _fields(self.entity.model)
        )
        self.connection.execute(
            "CREATE TEMP TABLE line AS SELECT n, content_hash, parent, line, json,"
            f" json_transform(json, {normalize_sql.structure(nested.model)}) AS r FROM ("
            " SELECT n, content_hash, parent, unnest(list) AS json,"
            " unnest(range(1, len(list) + 1)) AS line FROM ("
            f"  SELECT t.n, t._content_hash AS content_hash, struct_pack({inherited}) AS parent,"
            f"  CASE json_type(json, {path}) WHEN 'ARRAY'"
            f"   THEN from_json(json_extract(json, {path}), '[\"JSON\"]') END AS list"
            "  FROM record JOIN typed_record AS t ON t.n = record.rowid))"
        )

    def _cast(self, source: _Source) -> tuple[set[str], list[tuple[int, Reject]]]:
        """Cast every column; returns the unknown fields and, by row number, what does not fit."""
        shape = normalize_sql.shape(
            source.model,
            self.connection.execute(normalize_sql.signatures(source.model, source.name)).fetchall(),
        )
        extra = normalize_sql.extra(
            shape.unknown - normalize_sql.personal_in_disguise(source.model, shape.unknown)
        )
        values = ", ".join(
            f'{self._value(source, column, extra)} AS "{column.name}"'
            for column in source.table.columns
        )
        conditions = self._wrong(source, shape)
        bad = " OR ".join(conditions.values()) or "FALSE"
        number = "rowid" if source is self.records else "n"
        self.connection.execute(
            f"CREATE TEMP TABLE typed_{source.name} AS"
            f" SELECT {number} AS n, {values}, COALESCE({bad}, FALSE) AS bad FROM {source.name}"
        )
        drift = {".".join(path) for path in shape.unknown}
        return drift, self._explain(source, conditions)

    def _value(self, source: _Source, column: Column, extra: str) -> str:
        """The SQL of one column of the raw table."""
        if source is self.lines and not column.path:
            if column.name == self.entity.parent_key:
                return "CAST(parent.id AS BIGINT)"
            if column.name == "line":
                return "line"
        stamped = {
            "tenant_id": f"CAST({self.stamp.tenant_id} AS BIGINT)",
            "_content_hash": "content_hash" if source is self.lines else self._content_hash(extra),
            "_loaded_at": f"TIMESTAMPTZ '{self.stamp.loaded_at.isoformat()}'",
            "_run_id": literal(self.stamp.run_id),
            "_extra": extra,
        }
        if column.name in stamped:
            return stamped[column.name]
        if column.derived:
            pattern = literal(self.stamp.test_customer_pattern)
            return f"regexp_matches(COALESCE({normalize_sql.text(column)}, ''), {pattern}, 'i')"
        if column.path[0] in _fields(source.model):
            value = normalize_sql.cast(column)
            # A list that has only live rows does not say so, its feed does: both are the same row.
            return f"COALESCE({value}, TRUE)" if column.path == _ACTIVE else value
        if source is self.lines and column.path[0] in _fields(self.entity.model):
            # A line without dates or a flag of its own has its record's.
            return normalize_sql.cast(column, "parent")
        return f"CAST(NULL AS {_NULL_TYPES[column.name]})"

    def _content_hash(self, extra: str) -> str:
        """Differs when the record says something else, or is typed in another way, and only then.

        A list and a feed may write one record in another order, and only one of them its ``active``.
        """
        parts = [literal(self.schema_fingerprint), f"COALESCE(CAST({extra} AS VARCHAR), '')"]
        if "active" in _fields(self.entity.model):
            record = "struct_update(r, active := COALESCE(r.active, 'true'))"
        else:
            record = "r"
        parts.append(f"CAST(to_json({record}) AS VARCHAR)")
        if self.nested is not None:
            path = literal(normalize_sql.pointer((self.nested.path,)))
            parts.append(f"COALESCE(CAST(json_extract(json, {path}) AS VARCHAR), '')")
        return f"md5({' || '.join(parts)})"

    def _wrong(self, source: _Source, shape: normalize_sql.Shape) -> dict[str, str]:
        """Field path to the condition under which it does not fit."""
        conditions = {
            ".".join(column.path): condition
            for column in source.table.columns
            if column.path and column.path[0] in _fields(source.model)
            if (condition := normalize_sql.wrong(column))
        }
        for path in shape.misshapen:
            is_list = self.nested is not None and path == (self.nested.path,)
            json_type = "ARRAY" if is_list else "OBJECT"
            conditions[".".join(path)] = normalize_sql.not_a(path, json_type)
        if source is self.records and self.entity.key is not None:
            conditions[_MISSING_KEY] = f'r."{self.entity.key}" IS NULL'
        return conditions

    def _explain(self, source: _Source, conditions: dict[str, str]) -> list[tuple[int, Reject]]:
        """Per row that does not fit: the fields, their values and pydantic's word on each."""
        if not conditions:
            return []
        cases = ", ".join(
            f"CASE WHEN {condition} THEN {literal(path)} END"
            for path, condition in conditions.items()
        )
        key = "r.id" if source is self.records else "parent.id"
        number = "s.rowid" if source is self.records else "s.n"
        rows = self.connection.execute(
            f"SELECT {number}, {key}, s.json, [{cases}] FROM {source.name} AS s"
            f" JOIN (SELECT DISTINCT n FROM typed_{source.name} WHERE bad) AS b ON b.n = {number} ORDER BY 1"
        ).fetchall()
        return [
            (n, Reject(key, path, value if path in _showable(source.table) else None, reason))
            for n, key, raw, fields in rows
            for path, value, reason in _reasons(
                source.model, raw, [f for f in fields if f is not None]
            )
        ]

    def _write(self, source: _Source, target: Path, bad: list[int]) -> tuple[int, datetime | None]:
        names = ", ".join(f'"{name}"' for name in source.table.column_names)
        keep = f"n NOT IN ({', '.join(str(n) for n in bad)})" if bad else "TRUE"
        self.connection.execute(
            f"COPY (SELECT {names} FROM typed_{source.name} WHERE {keep})"
            f" TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )
        row = self.connection.execute(
            f"SELECT COUNT(*), MAX(modified_on) FROM typed_{source.name} WHERE {keep}"
        ).fetchone()
        assert row is not None
        return int(row[0]), row[1]


#: Stands for "the record has no key" among the paths of fields, none of which is empty.
_MISSING_KEY = ""
_ACTIVE = ("active",)
_INHERITED = ("id", "active", "createdOn", "modifiedOn")
_NULL_TYPES = {"active": "BOOLEAN", "created_on": "TIMESTAMPTZ", "modified_on": "TIMESTAMPTZ"}


def _fields(model: type[Nested]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _showable(table: RawTable) -> set[str]:
    """The fields whose refused values may be kept: numbers, flags and dates that are not personal."""
    return {
        ".".join(column.path)
        for column in table.columns
        if column.path and not column.personal and column.type not in normalize_sql.NEVER_WRONG
    }


def _below(path: str, reject: Reject) -> Reject:
    return Reject(reject.source_id, f"{path}[].{reject.field}", reject.value, reject.reason)


def _reasons(model: type[Nested], raw: str, paths: list[str]) -> list[tuple[str, str | None, str]]:
    """Field, value and reason for each field of ``raw`` that the casts refused."""
    errors: dict[str, dict[str, Any]] = {}
    try:
        model.model_validate_json(raw)
    except ValidationError as error:
        errors = {".".join(str(part) for part in e["loc"]): dict(e) for e in error.errors()}
    reasons: list[tuple[str, str | None, str]] = []
    for path in paths:
        if path == _MISSING_KEY:
            reasons.append(("id", None, "is missing"))
            continue
        detail = errors.get(path)
        value = None if detail is None else str(detail["input"])[:_SHOWN_CHARACTERS]
        reason = "is not stored without loss" if detail is None else str(detail["msg"])
        reasons.append((path, value, reason))
    return reasons
