"""What the published tables and their columns mean, in the tables themselves, where a BI tool shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from st_kpi.kpis.definitions.cards import Aggregation, Card
from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS
from st_kpi.warehouse.base import Warehouse

WIDE = "st_kpi.kpi_weekly_wide"

#: Of the columns that several published tables have.
_SHARED = {
    "tenant_id": "The ServiceTitan tenant.",
    "kpi": "The KPI's name; st_ref.dim_kpis has its title.",
    "rollup": "The market, from the mapping of business units.",
    "role": "SALES, PRODUCTION or BOTH: what the mapping says of the unit; NONE of one that does not count.",
    "day": "The tenant's local day.",
    "week_start": "The Monday of the week; days are the tenant's local days.",
    "numerator": "Additive over rollups, and over days and weeks unless the KPI is a snapshot.",
    "denominator": "Of a ratio: additive as the numerator is; NULL for sums.",
    "value": "The number to show. Of a ratio, never sum or average it: divide the sum of numerators by that of denominators.",
    "as_of": "The day for which the build was made.",
    "input_watermark": "Until when everything the numbers are made of is known, UTC.",
    "definition_version": "The version of the KPI's definition.",
    "on_date": "The local day on which this counts.",
    "amount": "What this adds to the KPI; their sum is the number.",
    "reason": "Why this counts, and by which rule it is dated.",
    "rule": "By which rule this is not counted.",
    "component": "Of a cost, which part of the job's cost it is; empty where this is no cost.",
    "source_entity": "The ServiceTitan entity that this comes from.",
    "source_id": "The id of the record in that entity.",
    "job_id": "The job in ServiceTitan.",
    "business_unit_id": "The business unit that this counts for.",
}
_ADDS = {
    Aggregation.SUM: "Additive over weeks and rollups.",
    Aggregation.SNAPSHOT: "A snapshot of one day: additive over rollups, never over weeks.",
}


@dataclass(frozen=True)
class Described:
    """A table's meaning, and that of the columns there is something to say about."""

    text: str
    columns: Mapping[str, str]


def described(project: Project) -> dict[str, Described]:
    """Every table for readers that the SQL fills, by ``schema.name``."""
    tables: dict[str, Described] = {}
    for statement in project.statements:
        table = statement.table
        if table is None or table.startswith("st_staging.") or table in tables:
            continue
        columns = {c: _SHARED[c] for c in project.tables.get(table, {}) if c in _SHARED}
        if table == WIDE:
            columns |= _wide(project.cards)
        text = "One row is one thing counted: the sum of the amounts is the KPI."
        tables[table] = Described(text if table == CONTRIBUTIONS else statement.meaning, columns)
    return tables


def describe(warehouse: Warehouse, project: Project) -> None:
    """Write the descriptions into the warehouse."""
    existing = warehouse.table_names()
    with warehouse.transaction():  # on DuckDB each statement would be flushed to the disk by itself
        for table, meant in described(project).items():
            if table in existing:
                warehouse.describe(table, meant.text, meant.columns)


def _wide(cards: Mapping[str, Card]) -> dict[str, str]:
    """A column per KPI, and two more for each that is a ratio."""
    columns = {}
    for kpi, card in cards.items():
        if card.kind is not Aggregation.RATIO:
            columns[kpi] = f"{card.title}: {card.meaning} {_ADDS[card.kind]}"
            continue
        columns[kpi] = (
            f"{card.title}: {card.meaning} A ratio, 0.5 is 50%. Never sum or average it:"
            f" SUM({kpi}_numerator) / SUM({kpi}_denominator)."
        )
        for part in ("numerator", "denominator"):
            columns[f"{kpi}_{part}"] = f"The {part} of {card.title}. {_ADDS[Aggregation.SUM]}"
    return columns
