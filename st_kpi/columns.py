"""What a column and a raw table are: the one vocabulary of source, loader and warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Column types by their BigQuery names; each engine maps them to its own."""

    INT64 = "INT64"
    STRING = "STRING"
    BOOL = "BOOL"
    NUMERIC = "NUMERIC"
    FLOAT64 = "FLOAT64"
    TIMESTAMP = "TIMESTAMP"
    DATE = "DATE"
    JSON = "JSON"


#: A table's columns in their order, each with its type.
Columns = Sequence[tuple[str, ColumnType]]


@dataclass(frozen=True)
class Column:
    """One column: its name, its type and where its value stands in the source's JSON.

    ``path`` is empty for a column the loader fills itself. ``derived`` marks a flag computed from
    the field at ``path`` instead of a copy of it.
    """

    name: str
    type: ColumnType
    path: tuple[str, ...] = ()
    personal: bool = False
    derived: bool = False


@dataclass(frozen=True)
class RawTable:
    """A table of ``st_raw``: one row per record, or per line nested in one.

    ``key`` identifies a row of the source within a tenant, and is None where the source has no such thing.
    ``description`` says what one row is.
    """

    name: str
    columns: tuple[Column, ...]
    key: str | None
    description: str = ""

    @property
    def qualified(self) -> str:
        return f"st_raw.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def typed_columns(self) -> Columns:
        return tuple((column.name, column.type) for column in self.columns)
