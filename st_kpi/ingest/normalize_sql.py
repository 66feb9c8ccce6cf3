"""SQL that casts raw JSON into typed columns and says what does not fit: text in, text out.

A source here is a table with ``json`` (the raw object) and ``r`` (the object as a struct of text fields). Every trap of
reading JSON into columns is closed in this module: a fraction is not an integer, ``true`` is not a number, a key in
another case is an unknown field and not a NULL, a timestamp without an offset is UTC.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from st_kpi.columns import Column, ColumnType
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.schema import columns, known_fields, lines
from st_kpi.warehouse.duckdb.dialect import literal

_CASTS: dict[ColumnType, str] = {
    ColumnType.INT64: (
        "CASE WHEN regexp_full_match({0}, '-?[0-9]+') THEN TRY_CAST({0} AS BIGINT) END"
    ),
    ColumnType.STRING: "{0}",
    ColumnType.BOOL: "CASE {0} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END",
    ColumnType.NUMERIC: "TRY_CAST({0} AS DECIMAL(38, 9))",
    ColumnType.FLOAT64: "TRY_CAST({0} AS DOUBLE)",
    # DuckDB also knows words such as "infinity" and "epoch"; a date begins with its year.
    ColumnType.TIMESTAMP: "CASE WHEN {0}[1] BETWEEN '0' AND '9' THEN TRY_CAST({0} AS TIMESTAMPTZ) END",
    ColumnType.DATE: "CASE WHEN {0}[1] BETWEEN '0' AND '9' THEN TRY_CAST({0} AS DATE) END",
    ColumnType.JSON: "{0}",
}
#: Types that any text fits.
NEVER_WRONG = (ColumnType.STRING, ColumnType.JSON)

Path = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """Where a page's records differ from the model: fields it does not know, objects that are no objects."""

    unknown: frozenset[Path]
    misshapen: frozenset[Path]


def structure(model: type[Nested]) -> str:
    """The argument of ``json_transform`` that reads every known field as text, as a SQL literal."""
    json_paths = {column.path for column in _json_columns(model)}

    def walk(fields: dict[str, Any], prefix: Path) -> dict[str, Any]:
        return {
            name: walk(inner, (*prefix, name))
            if inner is not None
            else ("JSON" if (*prefix, name) in json_paths else "VARCHAR")
            for name, inner in fields.items()
        }

    return literal(json.dumps(walk(known_fields(model), ())))


def signatures(model: type[Nested], source: str) -> str:
    """A query for the distinct shapes in ``source``: per object of the model, its JSON type and its keys."""
    paths = ", ".join(literal(pointer(path)) for path, _ in objects(model))
    nested = lines(model)
    listed = f", json_type(json, {literal(pointer((nested.path,)))})" if nested else ", NULL"
    return f"SELECT DISTINCT json_type(json, [{paths}]), json_keys(json, [{paths}]){listed} FROM {source}"


def shape(model: type[Nested], rows: Iterable[tuple[Any, ...]]) -> Shape:
    """What the rows of ``signatures`` say about the page."""
    unknown: set[Path] = set()
    misshapen: set[Path] = set()
    nested = lines(model)
    for types, keys, list_type in rows:
        for (path, fields), json_type, present in zip(objects(model), types, keys, strict=True):
            unknown |= {(*path, key) for key in present or () if key not in fields}
            if json_type not in ("OBJECT", "NULL", None) or (json_type != "OBJECT" and not path):
                misshapen.add(path)
        if nested and list_type not in ("ARRAY", "NULL", None):
            misshapen.add((nested.path,))
    return Shape(frozenset(unknown), frozenset(misshapen))


def objects(model: type[Nested]) -> list[tuple[Path, dict[str, Any]]]:
    """The model's object and each object nested in it, with the fields it may have."""
    pairs: list[tuple[Path, dict[str, Any]]] = []

    def walk(path: Path, fields: dict[str, Any]) -> None:
        pairs.append((path, fields))
        for name, inner in fields.items():
            if inner is not None:
                walk((*path, name), inner)

    walk((), known_fields(model))
    return pairs


def cast(column: Column, struct: str = "r") -> str:
    """The column's typed value, NULL where the text does not fit; an empty text is no number or date."""
    return _CASTS[column.type].format(text(column, struct))


def wrong(column: Column) -> str | None:
    """A condition that is true where the value is there and does not fit; None where anything does."""
    if column.type is ColumnType.JSON or not column.path or column.derived:
        return None
    raw = text(column)
    if column.type is ColumnType.STRING:
        # Looking closer costs a parse, so only at what begins like an object or a list.
        nested = f"json_type(json, {literal(pointer(column.path))}) IN ('OBJECT', 'ARRAY')"
        return f"(CASE WHEN {raw}[1] IN ('{{', '[') THEN {nested} ELSE FALSE END)"
    return f"({raw} IS NOT NULL AND ({cast(column)}) IS NULL)"


def text(column: Column, struct: str = "r") -> str:
    """The field of the struct ``struct`` as it came, as text."""
    raw = f"{struct}." + ".".join(f'"{part}"' for part in column.path)
    return raw if column.type in NEVER_WRONG else f"NULLIF({raw}, '')"


def not_a(path: Path, json_type: str) -> str:
    """A condition that is true where the value at ``path`` is neither a ``json_type`` nor null."""
    return (
        f"COALESCE(json_type(json, {literal(pointer(path))}), 'NULL')"
        f" NOT IN ('{json_type}', 'NULL')"
    )


def extra(unknown: Iterable[Path]) -> str:
    """A JSON object of the unknown fields by their dotted path, NULL where the record has none of them."""
    pairs = ", ".join(
        f"{literal('.'.join(path))}, json_extract(json, {literal(pointer(path))})"
        for path in sorted(unknown)
    )
    if not pairs:
        return "NULL"
    # Merging into an empty object drops the fields that this record does not have.
    return f"NULLIF(json_merge_patch('{{}}'::JSON, json_object({pairs})), '{{}}'::JSON)"


def personal_in_disguise(model: type[Nested], unknown: Iterable[Path]) -> frozenset[Path]:
    """The unknown fields that are known personal ones, or hold them, but for upper and lower case."""
    personal = {
        tuple(part.lower() for part in column.path[: depth + 1])
        for column in columns(model, personal=True)
        if column.personal
        for depth in range(len(column.path))
    }
    return frozenset(path for path in unknown if tuple(part.lower() for part in path) in personal)


def pointer(path: Path) -> str:
    """A JSON pointer (RFC 6901): safe for any field name, which a dotted path is not."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _json_columns(model: type[Nested]) -> list[Column]:
    return [c for c in columns(model, personal=True) if c.type is ColumnType.JSON]
