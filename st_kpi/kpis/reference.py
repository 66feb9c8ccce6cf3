"""The small tables that a build takes from files: the mappings that people edit, and the cards."""

from collections.abc import Mapping
from pathlib import Path

from st_kpi.kpis.definitions.cards import Card
from st_kpi.kpis.definitions.columns import KPI_COLUMNS, KPI_TABLE
from st_kpi.kpis.mappings import (
    TYPE_COLUMNS,
    TYPE_TABLE,
    UNIT_COLUMNS,
    UNIT_TABLE,
    Mappings,
    SourceRecord,
    read_mappings,
)
from st_kpi.warehouse.base import Warehouse


def mappings_in(folder: Path, warehouse: Warehouse) -> Mappings:
    """Both mapping files, against the units and types that were loaded; raises ``MappingError``."""
    return read_mappings(
        folder,
        units=_source_records(warehouse, "business_units"),
        types=_source_records(warehouse, "job_types"),
    )


def write(warehouse: Warehouse, cards: Mapping[str, Card], mappings: Mappings) -> None:
    """Fill the reference tables."""
    units = [
        (r.tenant_id, r.business_unit_id, r.rollup, r.role, r.valid_from, r.valid_to)
        for r in mappings.units
    ]
    types = [(r.tenant_id, r.job_type_id, r.family) for r in mappings.types]
    kpis = [
        (kpi, card.title, str(card.kind), card.unit, card.version, card.order)
        for kpi, card in cards.items()
    ]
    warehouse.write_table(UNIT_TABLE, UNIT_COLUMNS, units)
    warehouse.write_table(TYPE_TABLE, TYPE_COLUMNS, types)
    warehouse.write_table(KPI_TABLE, KPI_COLUMNS, kpis)


def _source_records(warehouse: Warehouse, entity: str) -> list[SourceRecord]:
    rows = warehouse.query(f"SELECT tenant_id, id, name FROM st_raw.{entity}")
    return [SourceRecord(row["tenant_id"], row["id"], row["name"] or "") for row in rows]
