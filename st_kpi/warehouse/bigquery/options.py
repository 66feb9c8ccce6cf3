"""How BigQuery is reached: read before, and without, Google's client, which takes a second to import."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from st_kpi.errors import ConfigurationError

SCHEME = "bigquery://"


@dataclass(frozen=True)
class BigQueryOptions:
    """How BigQuery is reached and what it may cost.

    ``url`` is another REST address than Google's, an emulator's if it begins with ``http://127.0.0.1``. A file that is
    loaded has at most about ``load_megabytes``; a statement that would read more than ``maximum_bytes_billed`` is
    refused; what fails for a passing reason is repeated for ``retry_seconds``. A request is answered within
    ``request_seconds`` or asked again, a job is done within ``job_seconds`` or cancelled. ``credentials`` are those of
    google-auth, without which the application's own are used.
    """

    url: str | None = None
    load_megabytes: int = 32
    maximum_bytes_billed: int = 20 * 1000**3
    retry_seconds: float = 300
    request_seconds: float = 120
    job_seconds: float = 1800
    credentials: Any = field(default=None, repr=False)


def project_and_location(address: str) -> tuple[str, str]:
    """What ``bigquery://project?location=EU`` names; raises ``ConfigurationError`` for an address of another form."""
    project, _, query = address.removeprefix(SCHEME).partition("?")
    others = parse_qs(query, keep_blank_values=True)
    locations = others.pop("location", ["US"])
    if (
        not re.fullmatch(r"([a-z0-9.-]+:)?[a-z0-9-]+", project)
        or others
        or len(locations) != 1
        or not re.fullmatch(r"[A-Za-z0-9-]+", locations[0])
    ):
        raise ConfigurationError(
            f"The warehouse {address!r} is not understood: use bigquery://project?location=US."
        )
    return project, locations[0]
