"""The small tables that a build takes from files: the mappings that people edit, and the cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from st_kpi.columns import Columns
from st_kpi.errors import ConfigurationError
from st_kpi.kpis.build_log import digest
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

#: The raw tables whose records carry money of a business unit.
_OF_UNITS = ("jobs", "invoices", "estimates", "payments", "credit_memos")

#: Whose units and job types the mapping files beside the SQL name: the made-up company's.
SAMPLE_TENANT = 4_200_042


def mappings_in(folder: Path | None, warehouse: Warehouse, samples: Path) -> Mappings:
    """Both mapping files, against the units and types that the loaded rows list or name; raises ``MappingError``.

    Without a ``folder`` they are the ``samples``, and ``ConfigurationError`` says so for any tenant but theirs.
    """
    return mappings_for(folder, samples, *units_and_types(warehouse))


def mappings_for(
    folder: Path | None,
    samples: Path,
    units: Sequence[SourceRecord],
    types: Sequence[SourceRecord],
) -> Mappings:
    """The same, of units and types that were read already."""
    others = sorted({unit.tenant_id for unit in units} - {SAMPLE_TENANT})
    if folder is None and others:
        raise ConfigurationError(
            f"No mapping files are set for tenant {others[0]}, and those in {samples} are the made-up company's: run"
            " `st-kpi init`, which writes a draft of yours, or set ST_KPI_MAPPINGS to the folder of your own."
        )
    return read_mappings(folder or samples, units=units, types=types)


def units_and_types(warehouse: Warehouse) -> tuple[list[SourceRecord], list[SourceRecord]]:
    """All business units, and all job types, that the loaded rows list or name."""
    return (
        _source_records(warehouse, "business_units", "business_unit_id", _OF_UNITS),
        _source_records(warehouse, "job_types", "job_type_id", ("jobs",)),
    )


@dataclass(frozen=True)
class ReferenceTable:
    """A small table that a build writes from files."""

    name: str
    columns: Columns
    rows: Sequence[tuple[object, ...]]

    @property
    def version(self) -> str:
        """A text that differs when any row does."""
        return digest([self.columns, *self.rows])


def tables(cards: Mapping[str, Card], mappings: Mappings) -> list[ReferenceTable]:
    """The reference tables as the files have them."""
    units = [
        (r.tenant_id, r.business_unit_id, r.rollup, r.role, r.valid_from, r.valid_to)
        for r in mappings.units
    ]
    types = [(r.tenant_id, r.job_type_id, r.family) for r in mappings.types]
    kpis = [
        (kpi, card.title, str(card.kind), card.unit, card.version, card.order)
        for kpi, card in cards.items()
    ]
    return [
        ReferenceTable(UNIT_TABLE, UNIT_COLUMNS, units),
        ReferenceTable(TYPE_TABLE, TYPE_COLUMNS, types),
        ReferenceTable(KPI_TABLE, KPI_COLUMNS, kpis),
    ]


def _source_records(
    warehouse: Warehouse, entity: str, key: str, used_by: Sequence[str]
) -> list[SourceRecord]:
    """What the source lists, and what the records of ``used_by`` name besides."""
    used = " UNION ALL ".join(f"SELECT tenant_id, {key} AS id FROM st_raw.{t}" for t in used_by)
    rows = warehouse.query(
        f"SELECT tenant_id, id, name, COALESCE(active, TRUE) AS active FROM st_raw.{entity} UNION ALL"
        f" SELECT used.tenant_id, used.id, '' AS name, FALSE AS active FROM ({used}) AS used"
        f" LEFT JOIN st_raw.{entity} AS listed"
        " ON listed.tenant_id = used.tenant_id AND listed.id = used.id"
        " WHERE used.id <> 0 AND listed.id IS NULL GROUP BY used.tenant_id, used.id"
    )
    return [
        SourceRecord(row["tenant_id"], row["id"], row["name"] or "", row["active"]) for row in rows
    ]
