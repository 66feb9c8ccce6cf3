"""Why numbers changed with a build: every difference of the rows behind them, by cause.

Worked out inside the build, while the source rows are those it was made from. ``kpi_changes`` has the
change of each weekly value by cause, in amounts that add up to it exactly; ``contribution_changes``
has the rows that were removed and added, so that the rows of any build kept can be had again. Rules:

- Rows are matched by KPI, part, source entity and id, and by the component of a job's cost or else the
  head of their reason (the text before the first comma, without digits), equal ones in turn. A matched
  pair changes in steps: its business unit, its day, its amount, so that each step has its own cause and
  the steps add up.
- A row without a match *became inactive or deleted* when its source row, its record or its job did;
  was *unmapped* or *remapped* when its unit's rollup or its job type's family is not as before; is
  of a *definition changed* when SQL or settings of the KPI did and its source row did not. A source
  row that no earlier build met *arrived late*, or is *new* when it is dated on the earlier build's
  day or after. Anything else that starts or stops counting is *status moved*.
- A component of what a job costs is summed from rows beneath it. It *arrived late* when a document or
  pay line of that component came with this build that was not there before, else it was edited.
- A mapping that changed moves all rows of its units, changed or not: *remapped*, *unmapped*.
- The first snapshot of a week is *measured*. A difference left over is *not explained*.

The SQL stands in ``kpi_sql/history``. Made here are the statements that say the same of each raw table,
which a plain file cannot: what has become of the source rows, and which of them a build met.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from st_kpi.columns import ColumnType
from st_kpi.kpis.build_log import Build
from st_kpi.kpis.definitions.columns import (
    CHANGED_CONTRIBUTIONS,
    CHANGED_SOURCES,
    UNSEEN,
    UNSEEN_COLUMNS,
)
from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.history import statements
from st_kpi.kpis.history.statements import (
    CONTRIBUTION_CHANGES,
    KPI_CHANGES,
    MAPPING_CHANGES,
    run,
)
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse

SEEN = "st_ops.seen_rows"
MOVED_ROWS = "st_staging.moved_rows"
#: The mapping of business units, as numbers go by it.
MAPPING = "st_ref.dim_bu_rollup"

#: The statements of ``kpi_sql/history`` in their order: before the build replaces anything, and at its end.
BEFORE = ("previous_bu_rollup", "previous_job_types", "previous_weekly")
AT_THE_END = (
    "late_costs",
    "classified_changes",
    "contribution_changes",
    "mapping_changes",
    "moved_rows",
    "change_steps",
    "kpi_changes",
    "kpi_changes_rest",
)
#: Those of them that say something only where the mapping is not as it was, which read all contributions.
_OF_A_MAPPING = ("mapping_changes", "moved_rows")
_LONG_AGO = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)


class Cause(StrEnum):
    """Why a value changed, in the words of ``kpi_sql/history``."""

    NEW = "new"
    ARRIVED_LATE = "arrived late"
    AMOUNT_EDITED = "amount edited"
    STATUS_MOVED = "status moved"
    RE_DATED = "re-dated"
    UNIT_MOVED = "business unit moved"
    INACTIVE = "became inactive or deleted"
    UNMAPPED = "unmapped"
    REMAPPED = "remapped"
    DEFINITION = "definition changed"
    MEASURED = "measured"
    NOT_EXPLAINED = "not explained"


@dataclass(frozen=True)
class BuildChange:
    """What the causes are judged by: both builds, and the KPIs whose definition is not as it was.

    ``previous_loaded_until`` is when the newest row that the previous build met was read. ``newly_measured`` are the
    snapshots without an earlier day in the week, ``moved_on`` those for whose week another day stands now than before.
    ``is_remapped`` says whether the mapping of business units may be another.
    """

    previous: Build
    previous_loaded_until: dt.datetime
    build: int
    as_of: dt.date
    redefined: Sequence[str]
    newly_measured: Sequence[str]
    moved_on: Sequence[str]
    is_remapped: bool

    @property
    def params(self) -> Mapping[str, object]:
        return {
            "build": self.build,
            "as_of": self.as_of,
            "previous_as_of": self.previous.as_of,
            "previous_loaded_until": self.previous_loaded_until,
            "pay_known_until": self.previous.pay_known_until or _LONG_AGO,
            "redefined": list(self.redefined),
            "newly_measured": list(self.newly_measured),
            "moved_on": list(self.moved_on),
            "known_entities": list(_raw_ids()),
        }


def remember_before(warehouse: Warehouse, project: Project) -> None:
    """Put aside what the build is about to replace and the causes need."""
    run(warehouse, project.history, BEFORE, {})


def look_for_new_rows(
    warehouse: Warehouse, tables: Iterable[str], *, of_all_the_newest: bool
) -> None:
    """Put aside which rows of the raw ``tables`` no build has met, and when the newest of each was read.

    ``of_all_the_newest`` asks every raw table for its newest, not just these.
    """
    names = _identified(tables)
    selects = [
        f"SELECT '{name}' AS entity, tenant_id, id, CAST(NULL AS TIMESTAMP) AS newest FROM st_raw.{name} AS met"
        f" WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {SEEN} AS seen"
        f" WHERE seen.entity = '{name}' AND seen.tenant_id = met.tenant_id AND seen.id = met.id)"
        " GROUP BY tenant_id, id"
        for name in names
    ]
    selects += [
        f"SELECT '{name}' AS entity, CAST(NULL AS INT64) AS tenant_id, CAST(NULL AS INT64) AS id,"
        f" MAX(_loaded_at) AS newest FROM st_raw.{name}"
        for name in (_raw_ids() if of_all_the_newest else names)
    ]
    if selects:
        warehouse.replace_table(UNSEEN, " UNION ALL ".join(selects))
    else:
        warehouse.write_table(UNSEEN, UNSEEN_COLUMNS, [])


def explain_changes(warehouse: Warehouse, project: Project, change: BuildChange) -> None:
    """Write both logs for the build under way; call it when every number of the build is there."""
    _look_up_sources(warehouse, change.params)
    names = [n for n in AT_THE_END if change.is_remapped or n not in _OF_A_MAPPING]
    if not change.is_remapped:
        columns = project.history_tables[MOVED_ROWS]
        warehouse.write_table(MOVED_ROWS, tuple((n, ColumnType(t)) for n, t in columns.items()), [])
    run(warehouse, project.history, names, change.params)


def remember_rows(warehouse: Warehouse) -> None:
    """Note which source rows this build met, so that a later one knows which are new."""
    warehouse.execute(
        f"INSERT INTO {SEEN} (entity, tenant_id, id)"
        f" SELECT entity, tenant_id, id FROM {UNSEEN} WHERE id IS NOT NULL"
    )


def scratch_tables(project: Project) -> list[str]:
    """The tables that the history of a build is worked out in."""
    return [UNSEEN, CHANGED_SOURCES, *statements.scratch_tables(project.history)]


def pay_known_until(warehouse: Warehouse) -> dt.datetime | None:
    """The newest creation of a pay line there is."""
    newest: dt.datetime | None = warehouse.query(
        "SELECT MAX(created_on) AS newest FROM st_raw.gross_pay_items"
    )[0]["newest"]
    return newest


def loaded_until(warehouse: Warehouse, before: dt.datetime | None) -> dt.datetime | None:
    """When the newest raw row was read, by the source's clock, as it was put aside; ``before`` says so of the build before."""
    (row,) = warehouse.query(f"SELECT MAX(newest) AS newest FROM {UNSEEN}")
    return max((at for at in (row["newest"], before) if at), default=None)


def forget(warehouse: Warehouse, oldest: int) -> None:
    """Let go of the changes that lead up to build ``oldest``; those after it stay."""
    if oldest < 1:  # there is none: the first build is 1
        return
    for table in (KPI_CHANGES, CONTRIBUTION_CHANGES, MAPPING_CHANGES):
        warehouse.execute(f"DELETE FROM {table} WHERE build <= {oldest}")


def _look_up_sources(warehouse: Warehouse, params: Mapping[str, object]) -> None:
    """What has become of the source rows behind the differences, and of their jobs."""
    rows = warehouse.query(f"SELECT DISTINCT source_entity AS name FROM {CHANGED_CONTRIBUTIONS}")
    selects = [_source_select(name) for name in _identified({"jobs", *(r["name"] for r in rows)})]
    warehouse.replace_table(CHANGED_SOURCES, " UNION ALL ".join(selects), params)


def _source_select(name: str) -> str:
    """Rows of a raw table that the differences name; a line counts with the record it is part of."""
    ids = f"SELECT source_id AS id FROM {CHANGED_CONTRIBUTIONS} WHERE source_entity = '{name}'"
    if name == "jobs":
        ids += f" UNION DISTINCT SELECT job_id AS id FROM {CHANGED_CONTRIBUTIONS}"
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
        f" LOGICAL_OR({active}) AS is_active, LOGICAL_OR(unseen.id IS NOT NULL) AS is_new,"
        " LOGICAL_OR(COALESCE(source._loaded_at > @previous_loaded_until, FALSE)) AS is_edited"
        f" FROM st_raw.{name} AS source{join}"
        f" LEFT JOIN {UNSEEN} AS unseen ON unseen.entity = '{name}'"
        " AND unseen.tenant_id = source.tenant_id AND unseen.id = source.id"
        f" WHERE source.id IN (SELECT named.id FROM ({ids}) AS named)"
        " GROUP BY source.tenant_id, source.id"
    )


@lru_cache(maxsize=1)
def _raw_ids() -> tuple[str, ...]:
    """Raw tables whose rows have an id."""
    nameless = {e.name for e in REGISTRY.values() if e.key is None}
    return tuple(t.name for t in raw_tables() if t.name not in nameless and "id" in t.column_names)


def _identified(names: Iterable[str]) -> list[str]:
    """Those of the names that are raw tables whose rows have an id."""
    chosen = set(names)
    return [name for name in _raw_ids() if name in chosen]
