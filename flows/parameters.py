"""Parameters that several flows take, as a person meets them in the dashboard's form.

The form's descriptions are the ``Args`` of each flow's docstring: Prefect takes them from nowhere else.
"""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import current_settings
from st_kpi.servicetitan.registry import REGISTRY

#: The name of an entity; the form offers a choice, and a run with another name is refused before it starts.
EntityName = Annotated[str, Field(json_schema_extra={"enum": list(REGISTRY)})]


def zone_for_a_name() -> ZoneInfo | None:
    """The tenant's zone; None where the settings are wrong, which the run itself says: over its name it would crash."""
    try:
        return current_settings().zone
    except ConfigurationError:
        return None


def days_in_a_name(start: object, end: object) -> str:
    """The days of a run, as a part of its name: nothing where it has none, for then it is about all of them.

    >>> days_in_a_name("2023-01-01", "2023-12-31"), days_in_a_name("2023-01-01", None), days_in_a_name(None, None)
    (' 2023-01-01..2023-12-31', ' 2023-01-01..now', '')
    """
    return f" {start or ''}..{end or 'now'}" if start or end else ""
