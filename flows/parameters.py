"""Parameters that several flows take, as a person meets them in the dashboard's form."""

from datetime import date
from typing import Annotated

from pydantic import Field

from st_kpi.servicetitan.registry import REGISTRY

#: The name of an entity; the form offers a choice, and a run with another name is refused before it starts.
EntityName = Annotated[str, Field(json_schema_extra={"enum": list(REGISTRY)})]

Entities = Annotated[
    list[EntityName] | None,
    Field(title="Entities", description="Only these; nothing means all of them."),
]
FirstDay = Annotated[
    date | None,
    Field(
        title="First day",
        description="The tenant's day of creation to begin with; nothing means the first of the history.",
    ),
]
LastDay = Annotated[
    date | None,
    Field(
        title="Last day",
        description="The tenant's day of creation to end with; nothing means until now.",
    ),
]
AskedBy = Annotated[
    str | None,
    Field(title="Asked by", description="The run that asked for this one; leave it empty."),
]
