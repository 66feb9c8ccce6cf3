"""How the rows behind the numbers are written: only those that differ, and each difference is kept.

A build computes the rows of all KPIs that have to run beside the stored ones, finds which were removed and which added
(equal rows by their number), and changes just those. ``st_staging.changed_contributions`` holds the differences
of the build under way, ``before`` and ``after`` being the number of equal rows, for
``st_kpi.kpis.history.attribution`` to tell their causes.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from st_kpi.kpis.definitions.cards import Aggregation
from st_kpi.kpis.definitions.columns import (
    CHANGED_COLUMNS,
    CHANGED_CONTRIBUTIONS,
    CONTRIBUTION_COLUMNS,
    STORED_COLUMNS,
)
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.incremental.compare import compare
from st_kpi.kpis.incremental.keys import KeySlice
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import differences_of

#: The rows of the snapshots, counted before they are compared.
COUNTED = "st_staging.counted"
_LISTED = ", ".join(STORED_COLUMNS)
_LOG = "st_kpi.contribution_changes"


@dataclass(frozen=True)
class KpiRun:
    """A KPI's statement that has to run, and for which keys."""

    statement: Statement
    kind: Aggregation
    key_slice: KeySlice | None

    @property
    def kpi(self) -> str:
        assert self.statement.kpi is not None
        return self.statement.kpi

    @property
    def select(self) -> str:
        """The SELECT of its rows, or of the slice of them."""
        select = contributions_select(self.statement)
        return self.key_slice.of(select) if self.key_slice else select


def contributions_select(statement: Statement) -> str:
    """The SELECT of one KPI's contributions with the KPI's name and fixed types around it."""
    columns = [f"CAST(counted.{n} AS {t}) AS {n}" for n, t in CONTRIBUTION_COLUMNS.items()]
    columns.insert(1, f"'{statement.kpi}' AS kpi")
    listed = ",\n  ".join(columns)
    return f"SELECT\n  {listed}\nFROM (\n{statement.sql}\n) AS counted"


def begin(warehouse: Warehouse) -> None:
    """Forget the differences of an earlier build."""
    warehouse.write_table(CHANGED_CONTRIBUTIONS, CHANGED_COLUMNS, [])


def lack_component(warehouse: Warehouse) -> bool:
    """Whether the stored rows are those of an older version, without the column ``component``."""
    columns = warehouse.column_names(CONTRIBUTIONS)
    return bool(columns) and "component" not in columns


def add_component(warehouse: Warehouse) -> None:
    """Give the rows of an older version their ``component``, in the table and in the log.

    Until then the reason of a cost named it. Without this the next build would take every cost for changed.
    """
    listed = ", ".join(name for name in STORED_COLUMNS if name != "component")
    component = "REGEXP_EXTRACT(reason, r'cost: ([a-z_]+)')"
    warehouse.replace_table(
        CONTRIBUTIONS, f"SELECT {listed}, {component} AS component FROM {CONTRIBUTIONS}"
    )
    warehouse.execute(f"UPDATE {_LOG} SET component = {component} WHERE component IS NULL")


def stored_kpis(warehouse: Warehouse, as_of: dt.date) -> dict[str, bool]:
    """The KPIs that have stored rows, each with whether it has some on the day ``as_of``."""
    if not warehouse.table_exists(CONTRIBUTIONS):
        return {}
    stored = warehouse.query(
        f"SELECT kpi, LOGICAL_OR(COALESCE(on_date = @as_of, FALSE)) AS has_the_day FROM {CONTRIBUTIONS} GROUP BY kpi",
        {"as_of": as_of},
    )
    return {row["kpi"]: row["has_the_day"] for row in stored}


def write(
    warehouse: Warehouse,
    runs: Sequence[KpiRun],
    unknown: Sequence[str],
    stored: Mapping[str, bool],
    params: Mapping[str, object],
    measured_before: dt.date | None,
) -> bool:
    """Bring the stored rows to what the KPIs' SQL returns now; returns whether any row changed.

    Rows of ``unknown`` KPIs go; ``stored`` is what ``stored_kpis`` says. Of a snapshot only the rows of ``@as_of`` are
    written. What is noted of it is how they differ from those of the day that stood for the week until now
    (``measured_before``), as if both had the same date.
    The first build, before which there is no table, has nothing to compare with.
    """
    if not warehouse.table_exists(CONTRIBUTIONS):
        _write_first(warehouse, [run.select for run in runs], params)
        return True
    params = {**params, "measured_before": measured_before}
    snapshots = [run for run in runs if run.kind is Aggregation.SNAPSHOT]
    flows = _asking_for_the_same_keys([run for run in runs if run not in snapshots])
    old, new = _stored(flows, unknown), [run.select for run in flows]
    if snapshots:
        warehouse.replace_table(COUNTED, _union([run.select for run in snapshots]), params)
        new.append(f"SELECT {_LISTED} FROM {COUNTED}")
    if snapshots and measured_before:
        listed = _LISTED.replace("on_date", "@as_of AS on_date")
        day = f"kpi IN ({_quoted(run.kpi for run in snapshots)}) AND on_date = @measured_before"
        old.append(f"SELECT {listed} FROM {CONTRIBUTIONS} WHERE {day}")
    noted = compare(_union(old), _union(new), STORED_COLUMNS)
    warehouse.replace_table(CHANGED_CONTRIBUTIONS, noted, params)
    differences = CHANGED_CONTRIBUTIONS
    if snapshots:
        differences = differences_of(CONTRIBUTIONS)
        is_stored = any(stored.get(run.kpi) for run in snapshots)
        warehouse.replace_table(differences, _with_the_day(snapshots, is_stored=is_stored), params)
    return warehouse.apply_differences(CONTRIBUTIONS, STORED_COLUMNS, differences)


def _write_first(
    warehouse: Warehouse, selects: Sequence[str], params: Mapping[str, object]
) -> None:
    """One after the other: together they need more memory than there may be."""
    first, *others = selects
    warehouse.replace_table(CONTRIBUTIONS, first, params)
    for select in others:
        warehouse.execute(f"INSERT INTO {CONTRIBUTIONS} ({_LISTED})\n{select}", params)


def _asking_for_the_same_keys(runs: Sequence[KpiRun]) -> list[KpiRun]:
    """The runs, those that are cut down by one column with the keys of all of them: then the stored rows are read once."""
    slices = [run.key_slice for run in runs if run.key_slice]
    return [
        replace(run, key_slice=run.key_slice and run.key_slice.with_keys_of(slices)) for run in runs
    ]


def _stored(runs: Sequence[KpiRun], unknown: Sequence[str]) -> list[str]:
    """SELECTs of the stored rows that the runs' rows are compared with, one for each way to cut them down."""
    kpis: dict[str, list[str]] = {}
    for run in runs:
        condition = run.key_slice.condition if run.key_slice else "TRUE"
        kpis.setdefault(condition, []).append(run.kpi)
    if unknown:
        kpis.setdefault("TRUE", []).extend(unknown)
    return [
        f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE kpi IN ({_quoted(names)}) AND {condition}"
        for condition, names in kpis.items()
    ]


def _with_the_day(snapshots: Sequence[KpiRun], *, is_stored: bool) -> str:
    """What has to change in the table: as noted, but of the snapshots the rows of ``@as_of`` itself.

    Of a day of which nothing ``is_stored``, as it is each first time, the table is not read.
    """
    names = _quoted(run.kpi for run in snapshots)
    listed = ", ".join(name for name, _ in CHANGED_COLUMNS)
    day = f"SELECT {_LISTED} FROM {COUNTED} WHERE FALSE"
    if is_stored:
        day = f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE kpi IN ({names}) AND on_date = @as_of"
    of_the_day = compare(day, f"SELECT {_LISTED} FROM {COUNTED}", STORED_COLUMNS)
    return (
        f"SELECT {listed} FROM {CHANGED_CONTRIBUTIONS} WHERE kpi NOT IN ({names})"
        f" UNION ALL SELECT {listed} FROM (\n{of_the_day}\n) AS of_the_day"
    )


def _union(selects: Sequence[str]) -> str:
    """All rows of SELECTs of stored columns; without any SELECT none."""
    if not selects:
        return f"SELECT {_LISTED} FROM {CONTRIBUTIONS} WHERE FALSE"
    return "\nUNION ALL\n".join(
        f"SELECT {_LISTED} FROM (\n{select}\n) AS part_{number}"
        for number, select in enumerate(selects)
    )


def _quoted(kpis: Iterable[str]) -> str:
    return ", ".join(f"'{kpi}'" for kpi in kpis)
