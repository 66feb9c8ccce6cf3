"""Other readings of a KPI, beside the published one, computed on request.

They are made of the tables of the last build, and where it stores none (`-- inline:`) of the raw rows there are now.
An alternative returns contributions too, so it rolls up as the KPI does. One that counts distinct
things counts them anew in every period and for all rollups together: such numbers do not add up.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from st_kpi.kpis.contributions import contributions_select
from st_kpi.kpis.definitions.cards import Alternative
from st_kpi.kpis.definitions.inline import depending, filling, inlined
from st_kpi.kpis.definitions.lint import Project, refuse
from st_kpi.kpis.definitions.statements import Adds, Statement
from st_kpi.parameters import BuildSettings, parameters
from st_kpi.reporting.published import ALL, UNASSIGNED, Cell, Kpi, Published, ratio, totals
from st_kpi.warehouse.base import Warehouse

_PER_WEEK = """
SELECT placed.week_start, placed.rollup_name, placed.part, {amount} AS amount
FROM (
  SELECT
    DATE_TRUNC(counted.on_date, WEEK(MONDAY)) AS week_start,
    {rollup} AS rollup_name,
    counted.part,
    counted.source_id,
    counted.amount
  FROM (
{select}
  ) AS counted
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = counted.tenant_id
    AND unit.business_unit_id = counted.business_unit_id
    AND counted.on_date BETWEEN unit.valid_from AND unit.valid_to
  WHERE counted.tenant_id = @tenant_id
    AND counted.on_date BETWEEN @first_day AND @last_day
) AS placed
WHERE placed.rollup_name IS NOT NULL
GROUP BY placed.week_start, placed.rollup_name, placed.part
"""
_SUM = "SUM(placed.amount)"
_DISTINCT = "CAST(COUNT(DISTINCT placed.source_id) AS NUMERIC)"
_EACH = f"COALESCE(unit.`rollup`, '{UNASSIGNED}')"
_TOGETHER = f"IF(unit.`rollup` IS NULL, NULL, '{ALL}')"
_ROLLUPS = (_EACH, _TOGETHER)


def beside(
    warehouse: Warehouse, published: Published, project: Project, settings: BuildSettings
) -> Published:
    """``published`` with the alternatives of its KPIs, each after its KPI and named ``kpi/alternative``.

    Raises ``SqlError`` for SQL the lint refuses.
    """
    refuse(project.findings)
    kpis: list[Kpi] = []
    cells = dict(published.cells)
    for kpi in published.kpis:
        kpis.append(kpi)
        card = project.cards.get(kpi.name)
        for alternative in card.alternatives if card else ():
            named = replace(kpi, name=f"{kpi.name}/{alternative.name}", title=alternative.title)
            kpis.append(named)
            for cell in _cells(warehouse, published, named, alternative, project, settings):
                cells[cell.kpi, cell.week_start, cell.rollup] = cell
    return replace(published, kpis=tuple(kpis), cells=cells)


def _cells(
    warehouse: Warehouse,
    published: Published,
    kpi: Kpi,
    alternative: Alternative,
    project: Project,
    settings: BuildSettings,
) -> list[Cell]:
    statement, read = _source(kpi.name.split("/")[0], alternative, project)
    params = parameters(settings, published.as_of, published.input_watermark) | dict(
        alternative.settings
    )
    params |= {
        "tenant_id": published.tenant_id,
        "first_day": min(published.weeks),
        "last_day": max(published.weeks) + dt.timedelta(days=6),
    }
    select = contributions_select(statement)
    if statement.adds is Adds.DISTINCT:
        texts = [_PER_WEEK.format(select=select, rollup=r, amount=_DISTINCT) for r in _ROLLUPS]
    else:
        texts = [_PER_WEEK.format(select=select, rollup=_EACH, amount=_SUM)]
    rows = [row for text in texts for row in warehouse.query(inlined(text, read), params)]
    cells = _divided(kpi, rows)
    return cells if statement.adds is Adds.DISTINCT else [*cells, *totals(cells)]


def _source(
    kpi: str, alternative: Alternative, project: Project
) -> tuple[Statement, dict[str, str]]:
    """What counts the alternative, and what has to be computed anew for its settings."""
    if not alternative.settings:
        name = f"kpis/{kpi}/alternatives/{alternative.name}"
        return next(s for s in project.alternatives if s.name == name), {}
    statement = next(s for s in project.statements if s.kpi == kpi)
    changed = depending(statement, project.statements, alternative.settings.keys())
    return statement, filling(changed)


def _divided(kpi: Kpi, rows: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """A cell per week and rollup from the sums of its parts."""
    sums: dict[tuple[dt.date, str], dict[str, Decimal]] = {}
    for row in rows:
        part = "denominator" if row["part"] == "denominator" else "numerator"
        sums.setdefault((row["week_start"], row["rollup_name"]), {})[part] = row["amount"]
    cells = []
    for (week, rollup), parts in sums.items():
        numerator = parts.get("numerator", Decimal(0))
        denominator = parts.get("denominator", Decimal(0)) if kpi.kind == "ratio" else None
        value = ratio(numerator, denominator)
        if value is not None:  # as many decimals as the published ones
            value = value.quantize(Decimal("1e-9"), ROUND_HALF_UP)
        cells.append(Cell(kpi.name, week, rollup, numerator, denominator, value))
    return cells
