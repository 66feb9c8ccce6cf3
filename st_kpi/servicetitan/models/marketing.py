"""Campaigns (``marketing/v2``)."""

from st_kpi.servicetitan.models.base import Json, Nested, Personal, Record, Timestamp


class CampaignCategory(Nested):
    """The category of a campaign."""

    id: int | None = None
    name: str | None = None
    active: bool | None = None


class Campaign(Record):
    """A marketing campaign. ``business_unit`` is a name here, not an id."""

    id: int
    name: str | None = None
    modified_on: Timestamp | None = None
    created_on: Timestamp | None = None
    active: bool | None = None
    is_default_campaign: bool | None = None
    category: CampaignCategory | None = None
    source: str | None = None
    other_source: str | None = None
    business_unit: str | None = None
    medium: str | None = None
    other_medium: str | None = None
    campaign_phone_numbers: Personal[Json] = None
