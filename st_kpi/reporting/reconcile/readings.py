"""The same comparison under each other reading that the product knows: which of them would make more rows agree.

A reading is other settings of the KPI's SQL, an alternative of its card, or the stored rows with other dates or amounts of
invoices. Nothing is changed by it: it is how a tenant's way of counting is found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from st_kpi.kpis.contributions import contributions_select
from st_kpi.kpis.definitions.cards import Alternative
from st_kpi.kpis.definitions.inline import depending, filling, upstream
from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Adds, Statement
from st_kpi.parameters import CostSource, ProjectMoney
from st_kpi.reporting.reconcile.facts import DATES
from st_kpi.reporting.reconcile.ours import Counted


@dataclass(frozen=True)
class Reading:
    """Another reading of a KPI: what it is called, and where its rows come from."""

    name: str
    counted: Counted


@dataclass(frozen=True)
class ReadingResult:
    """How many keys there are under a reading and how many of them differ, and which agree that do not under the settings."""

    name: str
    keys: int
    differing: int
    gained: frozenset[str]

    @property
    def agreeing(self) -> int:
        return self.keys - self.differing


#: The values that a setting of the KPI SQL may have, where another can be what a tenant goes by.
_SETTINGS: Mapping[str, Sequence[object]] = {
    "cost_source": get_args(CostSource),
    "include_tax": (True, False),
    "project_money": get_args(ProjectMoney),
    "produced_excludes": ([], ["excluded"]),
    "future_bookings_excludes": ([], ["excluded"]),
    "ar_skip_unstarted": (True, False),
}


def readings(kpi: str, project: Project, params: Mapping[str, object]) -> Iterator[Reading]:
    """Every reading of ``kpi`` but the one that the settings in ``params`` are."""
    statement = next(s for s in project.statements if s.kpi == kpi)
    above = upstream(statement, project.statements)
    read = statement.parameters.union(*(s.parameters for s in above))
    for name, values in _SETTINGS.items():
        for value in values:
            if name in read and value != params[name]:
                settings = {name: value}
                yield Reading(_told(settings), _under(settings, statement, project, params))
    for alternative in project.cards[kpi].alternatives:
        counted = _alternative(kpi, alternative, statement, project, params)
        if counted is not None:
            yield Reading(f"{kpi}/{alternative.name}", counted)
    yield from _of_invoices(statement)
    yield from _of_dates(statement)


def _told(settings: Mapping[str, object]) -> str:
    """Settings as they are written in ``st-kpi.toml``."""
    words = {True: "true", False: "false"}
    return ", ".join(
        f"{name} = {words[value] if isinstance(value, bool) else value}"
        for name, value in settings.items()
    )


def _under(
    settings: Mapping[str, object],
    statement: Statement,
    project: Project,
    params: Mapping[str, object],
) -> Counted:
    """The KPI's own SQL under other settings, with what has to be computed anew for them."""
    changed = depending(statement, project.statements, settings.keys())
    return Counted(contributions_select(statement), filling(changed), {**params, **settings})


def _alternative(
    kpi: str,
    alternative: Alternative,
    statement: Statement,
    project: Project,
    params: Mapping[str, object],
) -> Counted | None:
    """What an alternative counts; None for one that is among the settings, or counts distinct things."""
    if alternative.settings:
        return None
    name = f"kpis/{kpi}/alternatives/{alternative.name}"
    own = next(s for s in project.alternatives if s.name == name)
    if own.adds is Adds.DISTINCT:
        return None
    return Counted(contributions_select(own), None, params)


#: The stored rows, with another day or amount.
_STORED = (
    "SELECT one.tenant_id, one.part, {day} AS on_date, one.business_unit_id, one.source_entity, one.source_id,"
    f" one.job_id, {{amount}} AS amount, one.component FROM {CONTRIBUTIONS} AS one {{joined}} WHERE one.kpi = @kpi"
)


def _of_invoices(statement: Statement) -> Iterator[Reading]:
    """The stored rows without adjustment invoices, and with the tax of the invoices."""
    if "st_staging.invoices" not in statement.reads:
        return
    joined = (
        "LEFT JOIN st_staging.invoices AS invoice ON invoice.tenant_id = one.tenant_id"
        " AND invoice.invoice_id = one.source_id AND one.source_entity = 'invoices'"
    )
    stored = _STORED.format(day="one.on_date", amount="one.amount", joined=joined)
    without = f"{stored} AND NOT COALESCE(invoice.is_adjustment, FALSE)"
    yield Reading("without adjustment invoices", Counted(without))
    joined += (
        " LEFT JOIN st_raw.invoices AS raw"
        " ON raw.tenant_id = invoice.tenant_id AND raw.id = invoice.invoice_id"
    )
    taxed = "one.amount + COALESCE(raw.sales_tax, CAST(0 AS NUMERIC))"
    yield Reading(
        "invoices with tax",
        Counted(_STORED.format(day="one.on_date", amount=taxed, joined=joined)),
    )


def _of_dates(statement: Statement) -> Iterator[Reading]:
    """The stored rows of jobs, dated otherwise."""
    if statement.incremental_by != "job_id":
        return
    joined = (
        "JOIN st_dim.dim_jobs AS job ON job.tenant_id = one.tenant_id AND job.job_id = one.job_id"
    )
    for column in ("work_on_local", "completed_on_local", "created_on_local"):
        select = _STORED.format(day=f"job.{column}", amount="one.amount", joined=joined)
        yield Reading(f"dated by {DATES[column]}", Counted(select))
