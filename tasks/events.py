"""What the product tells the world: events that automations, and people, can act on.

Each says what happened to what, with counts and days. None holds a record, a name of a person or a secret.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event

from st_kpi.ingest.manifest import Completeness
from st_kpi.ingest.plan import Gap
from st_kpi.kpis.history.restatements import RestatedWeek
from st_kpi.reporting.reconcile.result import Reconciliation

ENTITY_LOADED = "st-kpi.entity.loaded"
SYNC_COMPLETED = "st-kpi.sync.completed"
KPIS_REFRESHED = "st-kpi.kpis.refreshed"
GAP_FOUND = "st-kpi.gap.found"
WEEK_RESTATED = "st-kpi.week.restated"
REPORT_WRITTEN = "st-kpi.report.written"
WEEK_RECONCILED = "st-kpi.week.reconciled"
WEBHOOK_RECEIVED = "st-kpi.webhook.received"

_COUNTS = ("chunks", "fetched", "stored", "changed", "vanished", "missed", "rejected")


def data_loaded(
    *,
    flow: str,
    tenant_id: int,
    run_id: str,
    rows: Iterable[Completeness],
    window: tuple[datetime | None, datetime],
    complete: bool,
) -> None:
    """Tell of each entity that brought something, then, where nothing failed, that all of it is there.

    ``window`` is the time the run was asked for.
    """
    start, end = window
    request = {
        "flow": flow,
        "run_id": run_id,
        "start": start.isoformat() if start else None,
        "end": end.isoformat(),
    }
    loaded = [row for row in rows if row.chunks]
    for row in loaded:
        counts = {name: getattr(row, name) for name in _COUNTS}
        _emit(ENTITY_LOADED, _entity(tenant_id, row.entity), request | counts)
    if complete:
        totals = {name: sum(getattr(row, name) for row in loaded) for name in _COUNTS}
        names = [row.entity for row in loaded]
        _emit(SYNC_COMPLETED, _tenant(tenant_id), request | totals | {"entities": names})


def gap_found(tenant_id: int, run_id: str, gap: Gap) -> None:
    """Tell that source and warehouse do not hold the same of an entity, and on which days."""
    payload = {
        "run_id": run_id,
        "start": gap.first.isoformat(),
        "end": gap.last.isoformat(),
        "promised": gap.promised,
        "stored": gap.stored,
    }
    _emit(GAP_FOUND, _entity(tenant_id, gap.entity.name), payload)


def kpis_refreshed(
    tenant_id: int | None, *, build: int, run_id: str, as_of: date, rows: int, warnings: list[str]
) -> None:
    """Tell that a build was published."""
    payload = {
        "build": build,
        "run_id": run_id,
        "as_of": as_of.isoformat(),
        "contributions": rows,
        "warnings": warnings,
    }
    _emit(KPIS_REFRESHED, _tenant(tenant_id), payload)


def weeks_restated(tenant_id: int | None, build: int, weeks: Iterable[RestatedWeek]) -> None:
    """Tell of each closed week whose numbers are not those that were reported."""
    for week in weeks:
        day = week.week_start.isoformat()
        payload = {"week": day, "build": build, "kpis": week.kpis, "causes": week.causes}
        _emit(WEEK_RESTATED, _week(tenant_id, day), payload)


def week_reconciled(result: Reconciliation) -> None:
    """Tell that a week of a KPI was compared with ServiceTitan's report, and how many rows differ."""
    payload = {
        "week": result.week_start.isoformat(),
        "kpi": result.kpi.name,
        "rollup": result.rollup,
        "build": result.build,
        "agrees": result.agrees,
        "verdicts": {verdict.value: count for verdict, count in result.verdicts.items()},
    }
    _emit(WEEK_RECONCILED, _week(result.tenant_id, result.week_start.isoformat()), payload)


def report_written(tenant_id: int | None, *, as_of: date, link: str) -> None:
    """Tell that the weekly review was written; of its resource a trigger can tell the weekday, 1 being Monday."""
    resource = _tenant(tenant_id) | {"st-kpi.weekday": str(as_of.isoweekday())}
    _emit(REPORT_WRITTEN, resource, {"as_of": as_of.isoformat(), "link": link})


def webhook_received(tenant_id: int, entity: str, event_id: str) -> None:
    """Tell that ServiceTitan has something new of an entity; the same ``event_id`` twice is one event."""
    _emit(WEBHOOK_RECEIVED, _entity(tenant_id, entity), {}, event_id)


def _emit(
    event: str, resource: dict[str, str], payload: dict[str, Any], event_id: str | None = None
) -> None:
    entity = resource.get("st-kpi.entity")
    emit_event(
        event=event,
        resource=resource,
        payload=payload | ({"entity": entity} if entity else {}),
        id=uuid5(NAMESPACE_URL, f"st-kpi:{event_id}") if event_id else None,
    )


def _tenant(tenant_id: int | None) -> dict[str, str]:
    name = tenant_id or "all"
    return {
        "prefect.resource.id": f"st-kpi.tenant.{name}",
        "prefect.resource.name": f"Tenant {name}",
    }


def _week(tenant_id: int | None, day: str) -> dict[str, str]:
    return {
        "prefect.resource.id": f"st-kpi.week.{tenant_id or 'all'}.{day}",
        "prefect.resource.name": f"Week of {day}",
    }


def _entity(tenant_id: int, entity: str) -> dict[str, str]:
    return {
        "prefect.resource.id": f"st-kpi.entity.{tenant_id}.{entity}",
        "prefect.resource.name": entity,
        "st-kpi.entity": entity,
    }
