"""What a request asks for: windows of time and query parameters, as pure functions.

ServiceTitan ignores parameters it does not know and answers with everything, so no name is written
anywhere else. A window has one kind by its type, because the API ANDs a created and a modified
filter and then leaves out every change to an older record.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import quote, urlencode

from st_kpi.servicetitan.registry import Entity, History


@dataclass(frozen=True)
class _Range:
    """A half-open range of instants, ``start <= t < end``; None leaves that side open."""

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        for instant in (self.start, self.end):
            if instant is not None and instant.tzinfo is None:
                raise ValueError(f"{instant} has no time zone, so it names no instant")
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"the window ends at {self.end}, before its start {self.start}")


@dataclass(frozen=True)
class Created(_Range):
    """Records created within the range; a closed one never gains or loses members by edits."""


@dataclass(frozen=True)
class Modified(_Range):
    """Records last modified within the range."""


Filter = Created | Modified


def instant(moment: datetime) -> str:
    """A UTC timestamp ending in ``Z``: the ``+`` of an offset would arrive as a space."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def list_query(
    entity: Entity, window: Filter | None, page: int, size: int, include_total: bool
) -> dict[str, str]:
    """The parameters of one page of a list, rows of every state included; pages count from 1.

    Raises ``ValueError`` for a window on an entity that can only be read whole: there the filter
    would miss rows or be ignored.
    """
    if window is not None and entity.history is History.WHOLE:
        raise ValueError(f"{entity.name} is read whole; a window would miss rows")
    query = {"page": str(page), "pageSize": str(size)}
    if include_total:
        query["includeTotal"] = "true"
    if entity.all_rows:
        query.update([entity.all_rows])
    if entity.sort:
        query["sort"] = entity.sort
    if window is not None:
        kind = "created" if isinstance(window, Created) else "modified"
        if window.start is not None:
            query[f"{kind}OnOrAfter"] = instant(window.start)
        if window.end is not None:
            query[f"{kind}Before"] = instant(window.end)
    return query


def export_query(since: str | date) -> dict[str, str]:
    """The parameters of one page of an export feed, from a token, a day or an instant on."""
    if isinstance(since, datetime):
        return {"from": instant(since)}
    return {"from": since.isoformat() if isinstance(since, date) else since}


def url(api_url: str, module: str, tenant_id: int, path: str, query: dict[str, str]) -> str:
    """The address of a request, percent-encoded: a bare ``+`` would arrive as a space."""
    encoded = urlencode(query, safe=":", quote_via=quote)
    return f"{api_url.rstrip('/')}/{module}/v2/tenant/{tenant_id}/{path}?{encoded}"
