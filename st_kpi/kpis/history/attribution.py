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

from st_kpi.kpis.build_log import Build
from st_kpi.kpis.definitions.columns import CHANGED_CONTRIBUTIONS, CHANGED_SOURCES
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
#: Rows that a build meets as the first.
UNSEEN = "st_staging.unseen_rows"

#: The statements of ``kpi_sql/history`` in their order: before the build replaces anything, and at its end.
BEFORE = ("previous_bu_rollup", "previous_job_types", "previous_weekly")
AT_THE_END = (
    "late_costs",
    "classified_changes",
    "contribution_changes",
    "mapping_changes",
    "change_steps",
    "kpi_changes",
    "kpi_changes_rest",
)
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
    """

    previous: Build
    previous_loaded_until: dt.datetime
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


def explain_changes(warehouse: Warehouse, project: Project, change: BuildChange) -> None:
    """Write both logs for the build under way; call it when every number of the build is there."""
    _look_up_sources(warehouse, change.params)
    run(warehouse, project.history, AT_THE_END, change.params)


def remember_rows(warehouse: Warehouse, tables: Iterable[str]) -> None:
    """Note which source rows this build met, so that a later one knows which are new."""
    unseen = [
        f"SELECT '{name}' AS entity, tenant_id, id FROM st_raw.{name} AS met"
        f" WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {SEEN} AS seen"
        f" WHERE seen.entity = '{name}' AND seen.tenant_id = met.tenant_id AND seen.id = met.id)"
        " GROUP BY tenant_id, id"
        for name in _identified(tables)
    ]
    if unseen:
        warehouse.replace_table(UNSEEN, " UNION ALL ".join(unseen))
        warehouse.execute(
            f"INSERT INTO {SEEN} (entity, tenant_id, id) SELECT entity, tenant_id, id FROM {UNSEEN}"
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


def loaded_until(
    warehouse: Warehouse, tables: Iterable[str], before: dt.datetime | None
) -> dt.datetime | None:
    """When the newest raw row was read, by the source's clock.

    ``before`` says so of the build before, since when only ``tables`` have changed; without it all are asked.
    """
    names = _identified(tables) if before else _raw_ids()
    if not names:
        return before
    newest = " UNION ALL ".join(
        f"SELECT MAX(_loaded_at) AS newest FROM st_raw.{name}" for name in names
    )
    (row,) = warehouse.query(f"SELECT MAX(newest) AS newest FROM ({newest}) AS tables")
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
        f" LOGICAL_OR({active}) AS is_active, LOGICAL_AND(seen.id IS NULL) AS is_new,"
        " LOGICAL_OR(COALESCE(source._loaded_at > @previous_loaded_until, FALSE)) AS is_edited"
        f" FROM st_raw.{name} AS source{join}"
        f" LEFT JOIN {SEEN} AS seen ON seen.entity = '{name}'"
        " AND seen.tenant_id = source.tenant_id AND seen.id = source.id"
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
