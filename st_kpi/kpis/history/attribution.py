"""Why numbers changed with a build: every difference of the rows behind them, by cause.

Worked out inside the build, while the source rows are those it was made from. ``kpi_changes`` has the
change of each weekly value by cause, in amounts that add up to it exactly; ``contribution_changes``
has the rows that went and came, so that the rows of any build kept can be had again. Rules:

- Rows are matched by KPI, part, source entity and id, and the head of their reason (the text before
  the first comma, without digits), equal ones in turn. A matched pair changes in steps: its business
  unit, its day, its amount, so that each step has its own cause and the steps add up.
- A row without a match *became inactive or deleted* when its source row, its record or its job did;
  was *unmapped* or *remapped* when its unit's rollup or its job type's family is not as before; is
  of a *definition changed* when SQL or settings of the KPI did and its source row did not. A source
  row that no earlier build met *arrived late*, or is *new* when it is dated on the earlier build's
  day or after. Anything else that starts or stops counting is *status moved*.
- A part of what a job costs is summed from rows beneath it (the reason has "cost: " and the part). It
  *arrived late* when a document or pay line of that part came with this build that was not there
  before, else it was edited.
- A mapping that changed moves all rows of its units, changed or not: *remapped*, *unmapped*.
- The first snapshot of a week is *measured*. A difference left over is *not explained*.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from st_kpi.columns import ColumnType
from st_kpi.kpis.build_log import Build
from st_kpi.kpis.contributions import CHANGED
from st_kpi.kpis.history.attribution_sql import (
    CLASSIFIED,
    CLASSIFY,
    CONTRIBUTION_CHANGES,
    KPI_CHANGES,
    LATE_COSTS,
    LOG_MAPPINGS,
    LOG_ROWS,
    MAPPING_CHANGES,
    PREVIOUS,
    PREVIOUS_ROLLUPS,
    PREVIOUS_TYPES,
    PREVIOUS_WEEKLY,
    SEEN,
    SOURCES,
    STEPS,
    SUM_REST,
    SUM_STEPS,
    WALK,
)
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse

#: Documents whose rows make up what a job costs, with the parts of the cost they are; pay lines come beside.
_COST_DOCUMENTS = {
    "invoices": ("materials", "equipment"),
    "purchase_orders": ("purchases",),
    "receipts": ("purchases",),
    "inventory_bills": ("purchases",),
    "returns": ("returns",),
}
_LONG_AGO = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
_PAY = "gross_pay_items"
_PAY_PARTS = ("labour_pay", "payroll_adjustments")


@dataclass(frozen=True)
class Changed:
    """What the causes are judged by: both builds, and the KPIs whose definition is not as it was.

    ``newly_measured`` are the snapshots without an earlier day in the week, ``moved_on`` those whose
    week is now told by another day than before.
    """

    previous: Build
    build: int
    as_of: dt.date
    redefined: Sequence[str]
    newly_measured: Sequence[str]
    moved_on: Sequence[str]

    @property
    def params(self) -> Mapping[str, object]:
        return {
            "build": self.build,
            "as_of": self.as_of,
            "previous_as_of": self.previous.as_of,
            "previous_built_at": self.previous.built_at,
            "pay_known_until": self.previous.pay_known_until or _LONG_AGO,
            "redefined": list(self.redefined),
            "newly_measured": list(self.newly_measured),
            "moved_on": list(self.moved_on),
            "known_entities": list(_raw_ids()),
        }


def remember_before(warehouse: Warehouse) -> None:
    """Put aside what the build is about to replace and the causes need."""
    copies = {
        PREVIOUS_ROLLUPS: "SELECT tenant_id, business_unit_id, `rollup`, role, valid_from, valid_to"
        " FROM st_ref.dim_bu_rollup",
        PREVIOUS_TYPES: "SELECT tenant_id, job_type_id, family FROM st_ref.dim_job_types",
        PREVIOUS_WEEKLY: "SELECT tenant_id, kpi, `rollup`, role, week_start, numerator, denominator"
        " FROM st_kpi.kpi_weekly",
    }
    for table, select in copies.items():
        warehouse.replace_table(table, select)


def explain_changes(warehouse: Warehouse, changed: Changed) -> None:
    """Write both logs for the build under way; call it when every number of the build is there."""
    params = changed.params
    _look_up_sources(warehouse, params)
    warehouse.replace_table(CLASSIFIED, CLASSIFY, params)
    warehouse.execute(LOG_ROWS, params)
    warehouse.execute(LOG_MAPPINGS, params)
    warehouse.replace_table(STEPS, WALK, params)
    warehouse.execute(SUM_STEPS, params)
    warehouse.execute(SUM_REST, params)
    for table in (SOURCES, LATE_COSTS, CLASSIFIED, STEPS, *PREVIOUS):
        warehouse.write_table(table, [("tenant_id", ColumnType.INT64)], [])


def remember_rows(warehouse: Warehouse, tables: Iterable[str]) -> None:
    """Note which source rows this build met, so that a later one knows which are new."""
    for name in _identified(tables):
        warehouse.execute(
            f"INSERT INTO {SEEN} (entity, tenant_id, id)"
            f" SELECT '{name}' AS entity, tenant_id, id FROM st_raw.{name} AS met"
            f" WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {SEEN} AS seen"
            f" WHERE seen.entity = '{name}' AND seen.tenant_id = met.tenant_id AND seen.id = met.id)"
            " GROUP BY tenant_id, id"
        )


def pay_known_until(warehouse: Warehouse) -> dt.datetime | None:
    """The newest creation of a pay line there is."""
    newest: dt.datetime | None = warehouse.query(
        f"SELECT MAX(created_on) AS newest FROM st_raw.{_PAY}"
    )[0]["newest"]
    return newest


def forget(warehouse: Warehouse, oldest: int) -> None:
    """Let go of the changes that lead up to build ``oldest``; those after it stay."""
    for table in (KPI_CHANGES, CONTRIBUTION_CHANGES, MAPPING_CHANGES):
        warehouse.execute(f"DELETE FROM {table} WHERE build <= {oldest}")


def _look_up_sources(warehouse: Warehouse, params: Mapping[str, object]) -> None:
    """What has become of the source rows behind the differences, and of their jobs."""
    named = warehouse.query(f"SELECT DISTINCT source_entity AS name FROM {CHANGED}")
    warehouse.write_table(SOURCES, _SOURCE_COLUMNS, [])
    for name in _identified({"jobs", *(row["name"] for row in named)}):
        warehouse.execute(f"INSERT INTO {SOURCES} {_source_select(name)}", params)
    late = [_late(name) for name in _identified(_COST_DOCUMENTS)]
    late.append(
        f"SELECT tenant_id, job_id, part FROM st_raw.{_PAY} {_each(_PAY_PARTS)}"
        " WHERE job_id IS NOT NULL AND created_on > @pay_known_until"
    )
    warehouse.replace_table(
        LATE_COSTS,
        f"SELECT DISTINCT tenant_id, job_id, part FROM ({' UNION ALL '.join(late)}) AS late",
        params,
    )


_SOURCE_COLUMNS = (
    ("entity", ColumnType.STRING),
    ("tenant_id", ColumnType.INT64),
    ("id", ColumnType.INT64),
    ("is_active", ColumnType.BOOL),
    ("is_new", ColumnType.BOOL),
    ("is_edited", ColumnType.BOOL),
)


def _source_select(name: str) -> str:
    """Rows of a raw table that the differences name; a line counts with the record it is part of."""
    wanted = f"SELECT source_id AS id FROM {CHANGED} WHERE source_entity = '{name}'"
    if name == "jobs":
        wanted += f" UNION DISTINCT SELECT job_id AS id FROM {CHANGED}"
    parents = {e.lines: (e.name, e.parent_key) for e in REGISTRY.values() if e.lines}
    join, active = "", "COALESCE(source.active, TRUE)"
    if name in parents:
        parent, key = parents[name]
        join = (
            f" LEFT JOIN st_raw.{parent} AS parent"
            f" ON parent.tenant_id = source.tenant_id AND parent.id = source.{key}"
        )
        active += " AND COALESCE(parent.active, TRUE)"
    return (
        f"SELECT '{name}' AS entity, source.tenant_id, source.id,"
        f" LOGICAL_OR({active}) AS is_active, LOGICAL_AND(seen.id IS NULL) AS is_new,"
        " LOGICAL_OR(COALESCE(source._loaded_at > @previous_built_at, FALSE)) AS is_edited"
        f" FROM st_raw.{name} AS source{join}"
        f" LEFT JOIN {SEEN} AS seen ON seen.entity = '{name}'"
        " AND seen.tenant_id = source.tenant_id AND seen.id = source.id"
        f" WHERE source.id IN (SELECT wanted.id FROM ({wanted}) AS wanted)"
        " GROUP BY source.tenant_id, source.id"
    )


def _late(name: str) -> str:
    return (
        f"SELECT document.tenant_id, document.job_id, part FROM st_raw.{name} AS document"
        f" {_each(_COST_DOCUMENTS[name])} WHERE document.job_id IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {SEEN} AS seen WHERE seen.entity = '{name}'"
        " AND seen.tenant_id = document.tenant_id AND seen.id = document.id)"
    )


def _each(parts: Iterable[str]) -> str:
    listed = ", ".join(f"'{part}'" for part in parts)
    return f"CROSS JOIN UNNEST([{listed}]) AS part"


@lru_cache(maxsize=1)
def _raw_ids() -> tuple[str, ...]:
    """Raw tables whose rows have an id."""
    nameless = {e.name for e in REGISTRY.values() if e.key is None}
    return tuple(t.name for t in raw_tables() if t.name not in nameless and "id" in t.column_names)


def _identified(names: Iterable[str]) -> list[str]:
    """Those of the names that are raw tables whose rows have an id."""
    wanted = set(names)
    return [name for name in _raw_ids() if name in wanted]
