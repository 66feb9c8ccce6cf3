"""Tables and columns derived from the models: the one contract that the loader and the warehouses share."""

import datetime as dt
import types
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from st_kpi.columns import Column, ColumnType
from st_kpi.servicetitan.models.base import JSON, PERSONAL, DerivedFrom, Line, Nested

_SCALARS: dict[type, ColumnType] = {
    int: ColumnType.INT64,
    str: ColumnType.STRING,
    bool: ColumnType.BOOL,
    Decimal: ColumnType.NUMERIC,
    float: ColumnType.FLOAT64,
    dt.datetime: ColumnType.TIMESTAMP,
    dt.date: ColumnType.DATE,
}


@dataclass(frozen=True)
class Lines:
    """A list nested in a record whose elements are rows of a table of their own."""

    path: str
    model: type[Line]


#: Every raw table has these, whatever the model says: who, whether it counts, when, and how it got
#: here.
COMMON = (
    Column("tenant_id", ColumnType.INT64),
    Column("active", ColumnType.BOOL, ("active",)),
    Column("created_on", ColumnType.TIMESTAMP, ("createdOn",)),
    Column("modified_on", ColumnType.TIMESTAMP, ("modifiedOn",)),
    Column("_content_hash", ColumnType.STRING),
    Column("_loaded_at", ColumnType.TIMESTAMP),
    Column("_run_id", ColumnType.STRING),
    Column("_extra", ColumnType.JSON),
)


@cache
def columns(model: type[Nested], *, personal: bool = False) -> tuple[Column, ...]:
    """The columns that a record's or line's own fields become; personal ones only on request."""
    found = tuple(_walk(model, "", ()))
    return found if personal else tuple(c for c in found if not c.personal)


@cache
def known_fields(model: type[Nested]) -> dict[str, Any]:
    """The JSON fields the model knows, nested objects as dicts and all else as None."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = _strip(field.annotation)
        if not _marker(field, DerivedFrom):
            nested = isinstance(inner, type) and issubclass(inner, Nested)
            fields[field.alias or name] = known_fields(inner) if nested else None
    return fields


@cache
def lines(model: type[Nested]) -> Lines | None:
    """The nested list that gets a table of its own, if the model has one."""
    for name, field in model.model_fields.items():
        inner = _strip(field.annotation)
        if get_origin(inner) is list and issubclass(get_args(inner)[0], Line):
            return Lines(field.alias or name, get_args(inner)[0])
    return None


@cache
def personal_paths(model: type[Nested]) -> frozenset[str]:
    """The personal fields and what holds them, by dotted path in lower case: another case does not make them public."""
    return frozenset(
        ".".join(column.path[: depth + 1]).lower()
        for column in columns(model, personal=True)
        if column.personal
        for depth in range(len(column.path))
    )


def _walk(model: type[Nested], prefix: str, path: tuple[str, ...]) -> Iterator[Column]:
    for name, field in model.model_fields.items():
        where = (*path, field.alias or name)
        personal = any(m is PERSONAL for m in _markers(field))
        column = f"{prefix}{name.rstrip('_')}"
        derived = _marker(field, DerivedFrom)
        inner = _strip(field.annotation)
        if derived:
            yield Column(column, ColumnType.BOOL, (*path, derived.field), derived=True)
        elif any(m is JSON for m in _markers(field)):
            yield Column(column, ColumnType.JSON, where, personal)
        elif get_origin(inner) is list:
            continue
        elif issubclass(inner, Nested):
            yield from _walk(inner, f"{column}_", where)
        else:
            yield Column(column, _SCALARS[inner], where, personal)


def _markers(field: FieldInfo) -> list[Any]:
    """Markers of a field, also those inside ``Personal[Json]`` and ``Personal[X] | None``."""
    return [*field.metadata, *_annotations(field.annotation)]


def _annotations(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        inner, *markers = get_args(annotation)
        return [*markers, *_annotations(inner)]
    return [m for arg in get_args(annotation) for m in _annotations(arg)]


def _marker(field: FieldInfo, kind: type[DerivedFrom]) -> DerivedFrom | None:
    return next((m for m in _markers(field) if isinstance(m, kind)), None)


def _strip(annotation: Any) -> Any:
    """The bare type inside ``Annotated[X | None, ...]``."""
    if get_origin(annotation) is Annotated:
        return _strip(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _strip(next(a for a in get_args(annotation) if a is not type(None)))
    return annotation
