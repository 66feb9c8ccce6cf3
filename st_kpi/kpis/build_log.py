"""The builds there were: one row each in ``st_ops.builds``, and what a KPI's definition was in each.

A build has a number that rises by one; people name it by its number or by the id of its run. What
changed with each build stands in the logs of ``st_kpi.kpis.history.attribution``, for the last ``keep_builds``.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from st_kpi.errors import ConfigurationError, NothingLoaded
from st_kpi.kpis.definitions.cards import Card
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.parameters import NO_SETTINGS
from st_kpi.warehouse.base import Warehouse

BUILDS = "st_ops.builds"

_SHOWN = 10


@dataclass(frozen=True)
class Build:
    """One good build. ``as_of`` is its local day; the other times are UTC.

    ``definitions`` has, per KPI, the version on its card and a digest of its SQL and settings.
    ``pay_known_until`` is the newest ``createdOn`` of the pay lines, which have no id to know them by.
    """

    number: int
    run_id: str
    as_of: dt.date
    built_at: dt.datetime
    input_watermark: dt.datetime | None
    measured: bool
    definitions: Mapping[str, str]
    settings: str
    mappings: str
    pay_known_until: dt.datetime | None

    def __str__(self) -> str:
        return f"{self.number} (run {self.run_id}, as of {self.as_of})"


def builds(warehouse: Warehouse) -> list[Build]:
    """Every build that is kept, oldest first."""
    if not warehouse.table_exists(BUILDS):
        return []
    rows = warehouse.query(
        "SELECT build, run_id, as_of, built_at, input_watermark, measured, definitions, settings,"
        f" mappings, pay_known_until FROM {BUILDS} ORDER BY build"
    )
    return [
        Build(
            int(r["build"]),
            r["run_id"],
            r["as_of"],
            r["built_at"],
            r["input_watermark"],
            r["measured"],
            json.loads(r["definitions"]),
            r["settings"],
            r["mappings"],
            r["pay_known_until"],
        )
        for r in rows
    ]


def loaded_until(warehouse: Warehouse, build: Build) -> dt.datetime | None:
    """When the newest raw row was read that a build met; None where that was not kept yet."""
    (row,) = warehouse.query(
        f"SELECT loaded_until FROM {BUILDS} WHERE build = @build", {"build": build.number}
    )
    kept: dt.datetime | None = row["loaded_until"]
    return kept


def find(candidates: Sequence[Build], name: str) -> Build:
    """The build with this run id, else with this number; the newest where runs share an id.

    Raises ``ConfigurationError`` naming the newest ones there are.
    """
    same_run = [b for b in candidates if b.run_id == name]
    matches = same_run or [b for b in candidates if str(b.number) == name]
    if matches:
        return matches[-1]
    listed = ", ".join(str(b) for b in candidates[-_SHOWN:])
    count = len(candidates)
    which = f"the last {_SHOWN} of {count}" if count > _SHOWN else "the builds kept"
    raise ConfigurationError(f"There is no build {name!r}; {which} are: {listed}.")


def pair(warehouse: Warehouse, first: str | None, second: str | None) -> tuple[Build, Build]:
    """The two builds to compare, by default the one before the last and the last.

    Raises ``NothingLoaded`` before the second build, ``ConfigurationError`` for a build that is not
    kept and for a pair in the wrong order.
    """
    recorded = builds(warehouse)
    if not recorded:
        raise NothingLoaded("Nothing is built yet: run `st-kpi backfill`, then `st-kpi build`.")
    to = find(recorded, second) if second else recorded[-1]
    earlier = [b for b in recorded if b.number < to.number]
    if first is None and not earlier:
        raise NothingLoaded(
            f"Build {to} is the oldest one kept: there is nothing to compare it with yet."
            " Run `st-kpi build` again after the next sync."
        )
    start = find(recorded, first) if first else earlier[-1]
    if start.number > to.number:
        raise ConfigurationError(
            f"Build {start} came after build {to}: name the earlier one with --from."
        )
    return start, to


def record(
    warehouse: Warehouse, build: Build, *, loaded_until: dt.datetime | None, keep: int
) -> None:
    """Add the build, which met raw rows read until then, and let go of all but the last ``keep``."""
    row = {
        "build": build.number,
        "run_id": build.run_id,
        "as_of": build.as_of,
        "built_at": build.built_at,
        "input_watermark": build.input_watermark,
        "measured": build.measured,
        "definitions": json.dumps(build.definitions, sort_keys=True),
        "settings": build.settings,
        "mappings": build.mappings,
        "pay_known_until": build.pay_known_until,
        "loaded_until": loaded_until,
    }
    warehouse.insert(BUILDS, [row])
    if build.number > keep:
        warehouse.execute(f"DELETE FROM {BUILDS} WHERE build <= {build.number - keep}")


def definitions(
    statements: Sequence[Statement], cards: Mapping[str, Card], params: Mapping[str, object]
) -> dict[str, str]:
    """Per KPI, its version and a digest of all SQL behind its numbers and the settings that SQL uses.

    Comments and layout do not count, nor does what a contribution's ``component`` is: it changes no number.
    """
    by_table: dict[str, list[Statement]] = {}
    for statement in statements:
        if statement.table and statement.kpi is None:
            by_table.setdefault(statement.table, []).append(statement)
    digests = {}
    for statement in statements:
        if statement.kpi:
            parts: dict[str, str] = {}
            _collect(statement, by_table, params, parts)
            version = cards[statement.kpi].version
            digests[statement.kpi] = f"{version}:{digest(sorted(parts.items()))}"
    return digests


def _collect(
    statement: Statement,
    by_table: Mapping[str, Sequence[Statement]],
    params: Mapping[str, object],
    parts: dict[str, str],
) -> None:
    if statement.name in parts:
        return
    # Which day it is and how fresh the rows are belong to a build, not to a definition.
    used = sorted(statement.parameters - NO_SETTINGS)
    values = [(name, str(params.get(name))) for name in used]
    parts[statement.name] = f"{_plain(statement.sql)} {values}"
    for table in statement.reads:
        for upstream in by_table.get(table, ()):
            _collect(upstream, by_table, params, parts)


@lru_cache(maxsize=256)
def _plain(sql: str) -> str:
    tree = sqlglot.parse_one(sql, read="bigquery")
    for select in _outermost(tree):
        columns = [c for c in select.expressions if c.alias_or_name != "component"]
        select.set("expressions", columns)
    return tree.sql("bigquery", comments=False, copy=False)


def _outermost(tree: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs whose columns are those of the statement."""
    if isinstance(tree, exp.SetOperation):
        yield from _outermost(tree.left)
        yield from _outermost(tree.right)
    elif isinstance(tree, exp.Select):
        yield tree


def digest(parts: Iterable[object]) -> str:
    """A short text that differs when any part does."""
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()[:16]
