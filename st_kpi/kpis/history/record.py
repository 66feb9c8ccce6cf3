"""The history of a build from its begin to its end: its number, what it is compared with, what it leaves behind."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.kpis import build_log
from st_kpi.kpis.build_log import Build
from st_kpi.kpis.definitions.cards import Aggregation
from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.history import attribution, restatements
from st_kpi.kpis.mappings import Mappings
from st_kpi.parameters import NO_SETTINGS, BuildSettings
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class BuildUnderWay:
    """The build being made, the one before it, and the snapshot day that stood for the week until now."""

    build: Build
    previous: Build | None
    measured_before: dt.date | None


def begin(
    warehouse: Warehouse,
    project: Project,
    params: Mapping[str, Any],
    run_id: str,
    mappings: Mappings,
) -> BuildUnderWay:
    """Number the build, decide what it may measure, and put aside what it is compared with."""
    recorded = build_log.builds(warehouse)
    previous = recorded[-1] if recorded else None
    as_of: dt.date = params["as_of"]
    last = restatements.last_measured(warehouse)
    measured = restatements.may_measure(
        as_of,
        last=last,
        input_watermark=params["input_watermark"],
        zone=ZoneInfo(params["timezone"]),
    )
    monday = as_of - dt.timedelta(days=as_of.weekday())
    build = Build(
        number=previous.number + 1 if previous else 1,
        run_id=run_id,
        as_of=as_of,
        built_at=dt.datetime.now(dt.UTC),
        input_watermark=params["input_watermark"],
        measured=measured,
        definitions=build_log.definitions(project.statements, project.cards, params),
        settings=build_log.digest((k, str(v)) for k, v in params.items() if k not in NO_SETTINGS),
        mappings=build_log.digest([*mappings.units, *mappings.types]),
        pay_known_until=attribution.pay_known_until(warehouse),
    )
    if previous:
        attribution.remember_before(warehouse, project)
    return BuildUnderWay(
        build=build,
        previous=previous,
        measured_before=last.day if last is not None and monday <= last.day <= as_of else None,
    )


def end(
    warehouse: Warehouse,
    project: Project,
    under_way: BuildUnderWay,
    settings: BuildSettings,
    loaded: Sequence[str],
    *,
    is_remapped: bool,
) -> None:
    """Keep why numbers changed, what was reported, and the build itself.

    ``loaded`` are the raw tables whose rows are not those that the build before met; ``is_remapped`` says whether the
    mapping of business units was written anew.
    """
    build, previous = under_way.build, under_way.previous
    met = build_log.loaded_until(warehouse, previous) if previous else None
    attribution.look_for_new_rows(warehouse, loaded, of_all_the_newest=met is None)
    if previous:
        change = _change(
            project, under_way, previous, met or previous.built_at, is_remapped=is_remapped
        )
        attribution.explain_changes(warehouse, project, change)
    restatements.freeze(
        warehouse,
        project,
        build=build.number,
        run_id=build.run_id,
        as_of=build.as_of,
        closed_until=restatements.closed_until(
            build.as_of,
            settings.close_week_after_days,
            build.input_watermark,
            ZoneInfo(settings.timezone or "UTC"),
        ),
    )
    attribution.remember_rows(warehouse)
    attribution.forget(warehouse, build.number - settings.keep_builds + 1)
    build_log.record(
        warehouse,
        build,
        loaded_until=attribution.loaded_until(warehouse, met),
        keep=settings.keep_builds,
    )


def _change(
    project: Project,
    under_way: BuildUnderWay,
    previous: Build,
    previous_loaded_until: dt.datetime,
    *,
    is_remapped: bool,
) -> attribution.BuildChange:
    """What the causes of the build's changes are judged by."""
    build, before = under_way.build, under_way.measured_before
    snapshots = [k for k, card in project.cards.items() if card.kind is Aggregation.SNAPSHOT]
    measured = snapshots if build.measured else []
    return attribution.BuildChange(
        previous=previous,
        previous_loaded_until=previous_loaded_until,
        build=build.number,
        as_of=build.as_of,
        redefined=[
            kpi
            for kpi, digest in build.definitions.items()
            if previous.definitions.get(kpi) != digest
        ],
        newly_measured=measured if before is None else [],
        moved_on=measured if before not in (None, build.as_of) else [],
        is_remapped=is_remapped,
    )
