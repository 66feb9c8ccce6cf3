"""The weekly review: everything of the last good build that the page shows, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from st_kpi.kpis.definitions.cards import Card, read_cards
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.reporting.weekly_report import attention, behind, moved, numbers
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class Review:
    """What the page shows, as it is in the warehouse; ``today`` is the day it is as of, in the tenant's ``zone``."""

    numbers: numbers.Numbers
    rows: Mapping[date, list[behind.Row]]
    left_out: Sequence[behind.Row]
    moved: moved.Moved
    attention: attention.Attention
    cards: Mapping[str, Card]
    today: date
    zone: ZoneInfo
    environment: str

    @property
    def known_until(self) -> datetime | None:
        """Until when everything behind the numbers is known, in the tenant's zone."""
        watermark = self.numbers.published.input_watermark
        return watermark.astimezone(self.zone) if watermark else None


def read(
    warehouse: Warehouse,
    settings: Settings,
    *,
    weeks: int = 8,
    rollup: str | None = None,
    as_of: date | None = None,
) -> Review:
    """The review of ``weeks`` weeks up to that of ``as_of``, by default the build's day, of all rollups or one.

    Raises ``NothingLoaded`` before the first build, ``ConfigurationError`` for a rollup or day that is not there and
    without a time zone.
    """
    zone = settings.zone
    cells = numbers.read(
        warehouse,
        weeks=weeks,
        rollup=rollup,
        as_of=as_of,
        tenant_id=settings.tenant_id,
        zone=zone,
    )
    shown = cells.published
    tenant, opened = shown.tenant_id, cells.weeks_opened
    today = as_of or shown.as_of
    return Review(
        numbers=cells,
        rows=behind.rows(warehouse, tenant, opened),
        left_out=behind.left_out(warehouse, tenant, opened),
        moved=moved.read(warehouse, tenant, opened, cells.rollups[0], today, zone),
        attention=attention.read(warehouse, shown, zone, settings.optional_entities),
        cards=read_cards(default_root()),
        today=today,
        zone=zone,
        environment=settings.environment,
    )
