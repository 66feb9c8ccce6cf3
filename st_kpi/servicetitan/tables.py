"""The raw tables an entity becomes, derived from its model."""

import hashlib

from st_kpi.columns import Column, ColumnType, RawTable
from st_kpi.servicetitan.registry import REGISTRY, Entity
from st_kpi.servicetitan.schema import COMMON, columns, lines


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
