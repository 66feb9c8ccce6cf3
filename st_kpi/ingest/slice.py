"""The statements that normalize one slice of records, with no Python object per field.

DuckDB reads the slice as text in the frame of the model and casts every field once, on its way into Parquet. The first value
that does not fit ends that; then the misfits are found and explained, and the slice is written without their records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from st_kpi.columns import Column, RawTable
from st_kpi.ingest.digits import exact, suspect
from st_kpi.ingest.normalize_sql import (
    EMPTY_DATE,
    MISFIT,
    NEVER_WRONG,
    Cast,
    Texts,
    read_columns,
    texts_of,
)
from st_kpi.ingest.normalized import Normalized, Reject, Stamp
from st_kpi.ingest.shape import EXTRA, FieldPath, len_of, shape_of, twice
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.pages import Raw, ndjson
from st_kpi.servicetitan.registry import Entity
from st_kpi.servicetitan.schema import lines
from st_kpi.servicetitan.tables import EntityTables
from st_kpi.warehouse.duckdb.dialect import TYPES, literal

_READ_AT_LEAST = 1_000_000
_SHOWN_CHARACTERS = 100

#: In the engine's error where an object names a field twice.
_TWICE = "has duplicate key"

#: A value that is refused: the number of its record in the slice, and where it stands in it.
_Place = tuple[int, FieldPath]


@dataclass(frozen=True)
class _Source:
    """Records or lines: the model they should fit and the table they are for."""

    model: type[Nested]
    table: RawTable

    @property
    def texts(self) -> Texts:
        return texts_of(self.model)

    @property
    def own(self) -> list[Column]:
        """The columns that are copies of its own fields."""
        fields = {field.alias or name for name, field in self.model.model_fields.items()}
        return [c for c in self.table.columns if c.path and not c.derived and c.path[0] in fields]


class Slice:
    """Normalizes some records of one entity with a cursor that nothing else uses."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        entity: Entity,
        tables: EntityTables,
        stamp: Stamp,
        records: Sequence[Raw],
    ) -> None:
        self.connection = connection
        self.entity = entity
        self.schema_fingerprint = tables.fingerprint
        self.stamp = stamp
        self.raw = records
        self.records = _Source(entity.model, tables.records)
        nested = lines(entity.model) if tables.lines else None
        self.list = nested.path if nested else None
        self.lines = _Source(nested.model, tables.lines) if nested and tables.lines else None
        sources = [self.records] + ([self.lines] if self.lines else [])
        personal = any(column.personal for source in sources for column in source.table.columns)
        self._shape = shape_of(entity.model, personal)
        self._doubled: set[_Place] = set()

    def normalize(self, target: Path) -> Normalized:
        """Write the Parquet file ``target``, and one of the lines beside it where there may be such."""
        framed, drift, refused = self._framed()
        text, file = ndjson(framed), target.with_suffix(".ndjson")
        if suspect(text):
            framed = [exact(record) if suspect(record) else record for record in framed]
            text = ndjson(framed)
        try:
            file.write_bytes(text)
            rejects = self._write_all(framed, refused, file, target)
        finally:
            file.unlink(missing_ok=True)
        ((rows, newest),) = self._rows(
            f"SELECT COUNT(*), MAX(modified_on) FROM read_parquet({literal(str(target))})"
        )
        return Normalized(
            records=target,
            lines=_lines_beside(target) if self.lines else None,
            rows=rows,
            rejected=len(self.raw) - rows,
            max_modified_on=newest,
            rejects=tuple(rejects),
            drift=frozenset(drift),
            empty_dates=text.count(_EMPTY_DATE),
        )

    def _framed(self) -> tuple[list[Raw], set[str], list[_Place]]:
        """Every record in the frame of the model; the unknown fields, and where no object or list was."""
        framed, drift, refused = list(self.raw), set[str](), list[_Place]()
        for n, record in enumerate(self.raw):
            if not self._shape.fits(record):
                mended = self._shape.mend(record)
                framed[n] = mended.record
                drift |= mended.unknown
                refused += [(n, path) for path in mended.misshapen]
                refused += [(n, path) for path in self._twice(n)] if mended.twice else []
        return framed, drift, refused

    def _write_all(
        self, framed: Sequence[Raw], refused: list[_Place], file: Path, target: Path
    ) -> list[Reject]:
        """Write what fits of the records, which are in ``file``; returns the reasons why the rest does not."""
        if not refused and self._fits(file, target):
            return []
        once: list[Raw] = [exact(record) for record in framed]
        refused += self._once(once)
        file.write_bytes(ndjson(once))
        refused += self._misfits(file)
        rejects = list(self._explained(refused))
        bad = {n for n, _ in refused}
        file.write_bytes(ndjson([record for n, record in enumerate(once) if n not in bad]))
        self._write(file, target, Texts.cast)
        return rejects

    def _once(self, framed: list[Raw]) -> list[_Place]:
        """Where a field is there twice; the engine reads no such record, so afterwards each is there once."""
        places = [(n, path) for n in range(len(framed)) for path in self._twice(n)]
        for n in {n for n, _ in places}:
            framed[n] = exact(self._shape.mend(self.raw[n], deep=True).record)
        self._doubled = set(places)
        return places

    def _twice(self, n: int) -> list[FieldPath]:
        return twice(self.entity.model, self.raw[n])

    def _fits(self, file: Path, target: Path) -> bool:
        """Write the slice; False where a value does not fit its column, and nothing written is to be used."""
        try:
            self._write(file, target, Texts.plain)
        except (duckdb.ConversionException, duckdb.OutOfRangeException):
            return False
        except duckdb.InvalidInputException as error:
            if MISFIT not in str(error) and _TWICE not in str(error):
                raise
            return False
        return True

    def _write(self, file: Path, target: Path, cast: Cast) -> None:
        """Cast every field and write records and lines."""
        content = self.records.texts.content(self.schema_fingerprint)
        values = self._values(self.records, cast, self._stamped(content))
        rows = self._texts(self.records, cast, f"SELECT r FROM {self._read(file)}")
        if self.lines is None:
            self._copy(f"SELECT {values} FROM {rows}", target)
            return
        self.connection.execute(
            f'CREATE OR REPLACE TEMP TABLE record AS SELECT {values}, r."{self.list}" AS _lines FROM {rows}'
        )
        self._copy("SELECT * EXCLUDE (_lines) FROM record", target)
        # A line without dates or a flag of its own has its record's.
        inherited = {name: f't."{name}"' for name in ("active", "created_on", "modified_on")}
        stamped = self._stamped("t._content_hash") | {
            str(self.entity.parent_key): "t.id",
            "line": "line",
        }
        values = self._values(self.lines, cast, inherited | stamped)
        listed = (
            "SELECT t, unnest(_lines) AS r, generate_subscripts(_lines, 1) AS line FROM record AS t"
        )
        self._copy(
            f"SELECT {values} FROM {self._texts(self.lines, cast, listed)}", _lines_beside(target)
        )

    def _texts(self, source: _Source, cast: Cast, rows: str) -> str:
        """Rows with a struct ``r`` as texts, for a FROM; with ``Texts.plain`` an error where the casts would not see a misfit."""
        texts = f"(SELECT *, {source.texts.select()} FROM ({rows}))"
        if cast is not Texts.plain:
            return texts
        conditions = [source.texts.plainly(source.own)]
        if source is self.records and self.entity.key is not None:
            conditions.append(
                f"CASE WHEN r.\"{self.entity.key}\" <> '' THEN TRUE ELSE error('{MISFIT}') END"
            )
        return f"{texts} WHERE {' AND '.join(conditions)}"

    def _values(self, source: _Source, cast: Cast, others: dict[str, str]) -> str:
        """The SQL of every column of a table: its own fields by ``cast``, ``others`` by name, else NULL."""
        own = {column.name for column in source.own}

        def value(column: Column) -> str:
            if column.name in own:
                return cast(source.texts, column)
            if column.derived:
                pattern = literal(self.stamp.test_customer_pattern)
                return f"regexp_matches(COALESCE({source.texts.text(column)}, ''), {pattern}, 'i')"
            return others.get(column.name, f"CAST(NULL AS {TYPES[column.type]})")

        return ", ".join(f'{value(column)} AS "{column.name}"' for column in source.table.columns)

    def _stamped(self, content: str) -> dict[str, str]:
        """The SQL of the columns that the loader fills itself."""
        return {
            "tenant_id": f"CAST({self.stamp.tenant_id} AS BIGINT)",
            "_content_hash": content,
            "_loaded_at": f"TIMESTAMPTZ '{self.stamp.loaded_at.isoformat()}'",
            "_run_id": literal(self.stamp.run_id),
            "_extra": f'r."{EXTRA}"',
        }

    def _read(self, file: Path) -> str:
        """The records of the file as a FROM has them, each the struct ``r``."""
        largest = max(max(map(len_of, self.raw)) * 2, _READ_AT_LEAST)
        return (
            f"read_json({literal(str(file))}, format = 'newline_delimited',"
            f" columns = {read_columns(self.entity.model)},"
            f" maximum_object_size = {largest}) AS r"
        )

    def _copy(self, select: str, target: Path) -> None:
        self.connection.execute(
            f"COPY ({select}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )

    def _misfits(self, file: Path) -> list[_Place]:
        """Where a value is that does not fit its column, or a record that does not say which it is."""
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE misfit AS"
            f" SELECT row_number() OVER () - 1 AS n, r FROM {self._read(file)}"
        )
        places = self._misfits_of(self.records, "SELECT n, NULL AS place, r FROM misfit")
        if self.entity.key is not None:
            keyless = self._rows(
                f"SELECT n FROM misfit WHERE COALESCE(r.\"{self.entity.key}\", '') = ''"
            )
            places += [(n, (self.entity.key,)) for (n,) in keyless]
        if self.lines is not None:
            listed = f'r."{self.list}"'
            places += self._misfits_of(
                self.lines,
                f"SELECT n, unnest({listed}) AS r, generate_subscripts({listed}, 1) - 1 AS place"
                " FROM misfit",
            )
        return places

    def _misfits_of(self, source: _Source, rows: str) -> list[_Place]:
        columns = [c for c in source.own if c.type not in NEVER_WRONG]
        conditions = ", ".join(source.texts.misfit(column) for column in columns)
        found = self._rows(
            f"SELECT n, place, [{conditions}] AS wrong FROM {self._texts(source, Texts.cast, rows)}"
            " WHERE list_contains(wrong, TRUE) ORDER BY n, place"
        )
        return [
            (n, self._path(column, place))
            for n, place, wrong in found
            for column, is_wrong in zip(columns, wrong, strict=True)
            if is_wrong
        ]

    def _path(self, column: Column, place: int | None) -> FieldPath:
        """Where the column's value stands in its record: a line's has its place in the list in it."""
        return column.path if place is None else (str(self.list), str(place), *column.path)

    def _explained(self, refused: Sequence[_Place]) -> Iterator[Reject]:
        """A reject per refused value, in the order of the records, with pydantic's word on each."""
        keys = dict(self._rows('SELECT n, r."id" FROM misfit'))
        errors: dict[int, dict[FieldPath, ErrorDetails]] = {}
        for n, path in sorted(dict.fromkeys(refused), key=lambda place: place[0]):
            if (n, path) in self._doubled:
                key = None if path == (self.entity.key,) else keys[n]
                yield Reject(key, self._field(path), None, "is there twice")
                continue
            if n not in errors:
                errors = {n: _errors(self.entity.model, self.raw[n])}
            yield self._reject(keys[n], path, errors[n].get(path))

    def _reject(self, key: str | None, path: FieldPath, error: ErrorDetails | None) -> Reject:
        if path == (self.entity.key,) and not key:
            return Reject(None, ".".join(path), None, "is missing")
        field = self._field(path)
        if error is None:
            return Reject(key, field, None, "is not stored without loss")
        shown = str(error["input"])[:_SHOWN_CHARACTERS] if field in self._showable() else None
        return Reject(key, field, shown, str(error["msg"]))

    def _field(self, path: FieldPath) -> str:
        """The path in a person's words: without the place of a line in its list."""
        if path[0] == self.list and len(path) > 1:
            return ".".join((f"{path[0]}[]", *path[2:]))
        return ".".join(path)

    def _showable(self) -> set[str]:
        """The fields whose refused values may be kept: numbers, flags and dates that are not personal."""
        places = [(self.records, None), (self.lines, 0)]
        return {
            self._field(self._path(column, place))
            for source, place in places
            if source is not None
            for column in source.own
            if not column.personal and column.type not in NEVER_WRONG
        }

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


#: As it begins a value.
_EMPTY_DATE = f'"{EMPTY_DATE}'.encode()


def _lines_beside(target: Path) -> Path:
    return target.with_suffix(".lines.parquet")


def _errors(model: type[Nested], raw: Raw) -> dict[FieldPath, ErrorDetails]:
    """What pydantic says of a record, by the place of the fault."""
    try:
        model.model_validate_json(bytes(raw))
    except ValidationError as error:
        return {tuple(str(part) for part in e["loc"]): e for e in error.errors()}
    return {}
