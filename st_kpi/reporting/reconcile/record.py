"""The record of a comparison, without which nobody may say that a number is validated."""

import datetime as dt
import uuid
from collections.abc import Iterable
from decimal import Decimal

from st_kpi.reporting.reconcile.compare import Verdict
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.reporting.reconciled import RECONCILIATIONS
from st_kpi.warehouse.base import Warehouse

RECONCILIATION_ROWS = "st_ops.reconciliation_rows"


def save(warehouse: Warehouse, result: Reconciliation) -> str:
    """Keep a comparison and its rows that differ, keys and amounts only; returns its id."""
    if not warehouse.table_exists(RECONCILIATIONS):
        warehouse.ensure(())  # a warehouse of an older version
    id_ = str(uuid.uuid4())
    source, verdicts = result.source, result.verdicts
    row = {
        "reconciliation_id": id_,
        "tenant_id": result.tenant_id,
        "kpi": result.kpi.name,
        "week_start": result.week_start,
        "first_day": result.period[0],
        "last_day": result.period[1],
        "rollup": result.rollup,
        "kind": result.kind,
        "report": source.name,
        "report_identity": source.identity,
        "filters": source.filters,
        "date_type": source.date_type,
        "pulled_at": source.pulled_at,
        "compared_at": dt.datetime.now(dt.UTC),
        "build": result.build,
        "known_until": result.known_until,
        "set_aside": sum(aside.rows for aside in result.aside.values()),
        **{column: verdicts.get(verdict, 0) for verdict, column in _COLUMNS.items()},
        "there": result.value(result.there),
        "here": result.value(result.here),
        **{f"gap_{part}": result.gap.get(part) for part in ("value", "numerator", "denominator")},
    }
    # The rows first: a comparison that is listed has all of them.
    rows = [{**each, "reconciliation_id": id_} for each in _rows(result)]
    if rows:
        warehouse.insert(RECONCILIATION_ROWS, rows)
    warehouse.insert(RECONCILIATIONS, [row])
    return id_


_COLUMNS = {verdict: verdict.name.lower() for verdict in Verdict}


def _rows(result: Reconciliation) -> Iterable[dict[str, object]]:
    for line in result.lines:
        for measure in line.differing:
            yield {
                "tenant_id": result.tenant_id,
                "row_key": line.key,
                "business_unit": line.unit,
                "verdict": line.verdict.value,
                "measure": measure,
                "there": line.there.get(measure, Decimal(0)),
                "here": line.here.get(measure, Decimal(0)),
                "cause": line.cause,
            }
