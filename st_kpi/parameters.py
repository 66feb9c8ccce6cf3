"""The parameters of the KPI SQL, and the settings that they come from."""

import datetime as dt
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol, get_args

from st_kpi.errors import ConfigurationError

#: Parameters a statement of the build may use, with their BigQuery types.
PARAMETERS: dict[str, str] = {
    "timezone": "STRING",
    "as_of": "DATE",
    "cost_source": "STRING",
    "include_tax": "BOOL",
    "ar_minimum": "NUMERIC",
    "ar_skip_unstarted": "BOOL",
    "produced_excludes": "ARRAY<STRING>",
    "future_bookings_excludes": "ARRAY<STRING>",
    "project_money": "STRING",
    "input_watermark": "TIMESTAMP",
    "entities_read": "ARRAY<STRING>",
    "optional_entities": "ARRAY<STRING>",
}

#: Those of them that change no number: the day, how the load went, and what may be absent from it.
NO_SETTINGS = frozenset({"as_of", "input_watermark", "entities_read", "optional_entities"})

#: Those of a build's history (``kpi_sql/history``) besides, each set by ``st_kpi.kpis.history``.
HISTORY_PARAMETERS: dict[str, str] = {
    "build": "INT64",
    "run_id": "STRING",
    "as_of": "DATE",
    "previous_as_of": "DATE",
    "previous_loaded_until": "TIMESTAMP",
    "pay_known_until": "TIMESTAMP",
    "redefined": "ARRAY<STRING>",
    "newly_measured": "ARRAY<STRING>",
    "moved_on": "ARRAY<STRING>",
    "known_entities": "ARRAY<STRING>",
    "closed_until": "DATE",
}

#: Whether what was sold, billed or spent on a project without naming a job counts.
ProjectMoney = Literal["left_out", "counted"]

CostSource = Literal["bill_else_po", "purchase_orders", "receipts", "inventory_bills"]

#: What a job type can count as; jobs of one that is ``none`` leave every number.
FAMILIES = ("estimate", "production", "warranty", "excluded", "other", "none")


class BuildSettings(Protocol):
    """The settings that a build reads; ``st_kpi.settings.Settings`` has them."""

    @property
    def timezone(self) -> str | None: ...
    @property
    def mappings(self) -> Path | None: ...
    @property
    def cost_source(self) -> str: ...
    @property
    def include_tax(self) -> bool: ...
    @property
    def ar_minimum(self) -> Decimal: ...
    @property
    def ar_skip_unstarted(self) -> bool: ...
    @property
    def produced_excludes(self) -> Sequence[str]: ...
    @property
    def future_bookings_excludes(self) -> Sequence[str]: ...
    @property
    def project_money(self) -> str: ...
    @property
    def optional_entities(self) -> Collection[str]: ...
    @property
    def close_week_after_days(self) -> int: ...
    @property
    def keep_builds(self) -> int: ...


def parameters(
    settings: BuildSettings,
    as_of: dt.date,
    watermark: dt.datetime | None,
    entities_read: Sequence[str] = (),
) -> dict[str, object]:
    """Values of the declared parameters; raises ``ConfigurationError`` for a setting no number can be built with.

    ``watermark`` says until when the raw rows are known, ``entities_read`` of which entities they were read at all.
    """
    if settings.timezone is None:
        raise ConfigurationError(
            "The tenant's time zone is not set: every day and week depends on it."
            " Set ST_KPI_TIMEZONE, for example to America/Phoenix."
        )
    if settings.cost_source not in get_args(CostSource):
        raise ConfigurationError(
            f"cost_source {settings.cost_source!r} is not one of {', '.join(get_args(CostSource))}."
        )
    if settings.project_money not in get_args(ProjectMoney):
        raise ConfigurationError(
            f"project_money {settings.project_money!r} is not one of {', '.join(get_args(ProjectMoney))}."
        )
    for name in ("produced_excludes", "future_bookings_excludes"):
        unknown = sorted(set(getattr(settings, name)) - set(FAMILIES))
        if unknown:
            raise ConfigurationError(
                f"{name} names {unknown[0]!r}, which is no job family; they are {', '.join(FAMILIES)}."
            )
    return {
        "timezone": settings.timezone,
        "as_of": as_of,
        "cost_source": settings.cost_source,
        "include_tax": settings.include_tax,
        "ar_minimum": settings.ar_minimum,
        "ar_skip_unstarted": settings.ar_skip_unstarted,
        "produced_excludes": list(settings.produced_excludes),
        "future_bookings_excludes": list(settings.future_bookings_excludes),
        "project_money": settings.project_money,
        "input_watermark": watermark,
        "entities_read": list(entities_read),
        "optional_entities": sorted(settings.optional_entities),
    }
