"""The raw tables an entity becomes, derived from its model."""

import hashlib
from dataclasses import dataclass

from st_kpi.servicetitan.registry import REGISTRY, Entity
from st_kpi.servicetitan.schema import COMMON, Column, ColumnType, columns, lines

#: The schemas of a warehouse; datasets, as BigQuery calls them.
SCHEMAS = ("st_raw", "st_staging", "st_ref", "st_dim", "st_kpi", "st_ops")


@dataclass(frozen=True)
class RawTable:
    """A table of ``st_raw``: one row per record, or per line nested in one.

    ``key`` identifies a row of the source within a tenant, and is None where the source has no such thing.
    """

    name: str
    columns: tuple[Column, ...]
    key: str | None

    @property
    def qualified(self) -> str:
        return f"st_raw.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def record_table(entity: Entity, personal: frozenset[str] = frozenset()) -> RawTable:
    """The table of the entity's records; ``personal`` names the entities whose personal fields are loaded."""
    own = columns(entity.model, personal=entity.name in personal)
    return RawTable(entity.name, _with_common((), own), entity.key)


def line_table(entity: Entity, personal: frozenset[str] = frozenset()) -> RawTable | None:
    """The table of the lines nested in the entity's records, keyed by the record; None when it has none."""
    nested = lines(entity.model)
    if nested is None or entity.lines is None or entity.parent_key is None:
        return None
    head = (Column(entity.parent_key, ColumnType.INT64), Column("line", ColumnType.INT64))
    own = columns(nested.model, personal=entity.name in personal)
    return RawTable(entity.lines, _with_common(head, own), entity.parent_key)


def fingerprint(entity: Entity, personal: frozenset[str], test_customer_pattern: str) -> str:
    """Changes when the same record would be typed into other columns or values than before."""
    tables = [record_table(entity, personal), line_table(entity, personal)]
    columns = [(c.name, c.type, c.path, c.derived) for t in tables if t for c in t.columns]
    pattern = test_customer_pattern if any(derived for *_, derived in columns) else ""
    return hashlib.md5(repr((columns, pattern)).encode(), usedforsecurity=False).hexdigest()


def raw_tables(personal: frozenset[str] = frozenset()) -> list[RawTable]:
    """Every raw table there is."""
    tables = []
    for entity in REGISTRY.values():
        tables.append(record_table(entity, personal))
        nested = line_table(entity, personal)
        if nested is not None:
            tables.append(nested)
    return tables


def _with_common(head: tuple[Column, ...], own: tuple[Column, ...]) -> tuple[Column, ...]:
    tenant, *rest = COMMON
    names = {column.name for column in own}
    return (tenant, *head, *own, *(column for column in rest if column.name not in names))
