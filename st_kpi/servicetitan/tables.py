"""The raw tables an entity becomes, derived from its model."""

import hashlib
from dataclasses import dataclass

from st_kpi.columns import Column, ColumnType, RawTable
from st_kpi.servicetitan.registry import REGISTRY, Entity
from st_kpi.servicetitan.schema import COMMON, columns, lines


@dataclass(frozen=True)
class EntityTables:
    """The raw tables of an entity: of its records, and of the lines nested in them where it has such.

    ``fingerprint`` changes when the same record would become other columns or values than before.
    """

    records: RawTable
    lines: RawTable | None
    fingerprint: str


def entity_tables(
    entity: Entity, personal: frozenset[str] = frozenset(), test_customer_pattern: str = ""
) -> EntityTables:
    """Derive an entity's tables; ``personal`` names the entities whose personal fields are loaded."""
    records, nested = record_table(entity, personal), line_table(entity, personal)
    columns = [*records.columns, *(nested.columns if nested else ())]
    return EntityTables(records, nested, _schema_fingerprint(columns, test_customer_pattern))


def record_table(entity: Entity, personal: frozenset[str] = frozenset()) -> RawTable:
    """The table of the entity's records; ``personal`` names the entities whose personal fields are loaded."""
    own = columns(entity.model, personal=entity.name in personal)
    description = f"One record of the ServiceTitan entity {entity.name}, in its newest version."
    return RawTable(entity.name, _with_common((), own), entity.key, description)


def line_table(entity: Entity, personal: frozenset[str] = frozenset()) -> RawTable | None:
    """The table of the lines nested in the entity's records, keyed by the record; None when it has none."""
    nested = lines(entity.model)
    if nested is None or entity.lines is None or entity.parent_key is None:
        return None
    head = (Column(entity.parent_key, ColumnType.INT64), Column("line", ColumnType.INT64))
    own = columns(nested.model, personal=entity.name in personal)
    description = (
        f"One line within a record of the ServiceTitan entity {entity.name}, in its newest version."
    )
    return RawTable(entity.lines, _with_common(head, own), entity.parent_key, description)


def raw_tables(personal: frozenset[str] = frozenset()) -> list[RawTable]:
    """Every raw table there is."""
    tables = [
        (record_table(entity, personal), line_table(entity, personal))
        for entity in REGISTRY.values()
    ]
    return [table for pair in tables for table in pair if table is not None]


def _schema_fingerprint(columns: list[Column], test_customer_pattern: str) -> str:
    """A short text for the columns and, where a flag is computed from it, the pattern of test customers."""
    parts = [(c.name, c.type, c.path, c.derived) for c in columns]
    pattern = test_customer_pattern if any(c.derived for c in columns) else ""
    return hashlib.md5(repr((parts, pattern)).encode(), usedforsecurity=False).hexdigest()


def _with_common(head: tuple[Column, ...], own: tuple[Column, ...]) -> tuple[Column, ...]:
    tenant, *rest = COMMON
    names = {column.name for column in own}
    return (tenant, *head, *own, *(column for column in rest if column.name not in names))
