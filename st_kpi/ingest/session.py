"""What one run works with: settings, the source, the warehouse and the typing of pages.

Opened once by the outermost flow or command; the subflows inside find it again, so that all of them share one token,
one rate limit and one connection to the warehouse.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.normalize import Typer
from st_kpi.servicetitan.auth import Credentials
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import Entity
from st_kpi.servicetitan.registry import entity as entity_named
from st_kpi.servicetitan.tables import fingerprint, raw_tables
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse import bigquery_options, open_warehouse
from st_kpi.warehouse.base import Warehouse

#: Told of rows as they become certain: ``(entity, promised, stored)``, each a number to add.
Progress = Callable[[str, int, int], None]


def no_progress(entity: str, promised: int, stored: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Session:
    """Everything a run shares. ``spool`` is a folder for pages on their way, gone when the run ends."""

    settings: Settings
    warehouse: Warehouse
    typer: Typer
    spool: Path
    client: ServiceTitan | None = None
    progress: Progress = field(default=no_progress)

    @property
    def source(self) -> ServiceTitan:
        """The API; raises ``ConfigurationError`` where the credentials for it are missing."""
        if self.client is None:
            self.settings.require_credentials()
            raise ConfigurationError("This session was opened without ServiceTitan.")
        return self.client

    def typing(self, entity: Entity) -> str:
        """How this run types the entity's records; see ``tables.fingerprint``."""
        settings = self.settings
        return fingerprint(entity, settings.personal_data, settings.test_customer_pattern)

    @property
    def tenant_id(self) -> int:
        return credentials(self.settings).tenant_id


_current: ContextVar[Session] = ContextVar("session")


def current_session() -> Session | None:
    """The session that is open around the caller, if any."""
    return _current.get(None)


@asynccontextmanager
async def open_session(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    reads_source: bool = True,
    creates: bool = True,
    google: Any = None,
) -> AsyncIterator[Session]:
    """Open what the settings name and make it the current session; closes it all at the end.

    Where it neither reads the source nor ``creates`` a warehouse that is not there yet, ``NothingLoaded`` says so.
    ``google`` are credentials of google-auth for BigQuery, by default the application's own.
    Raises ``ConfigurationError`` for a missing time zone, missing credentials where the source is read, an unknown
    entity in a setting and a warehouse that cannot be written, before anything is fetched.
    """
    settings.zone  # noqa: B018  fails here rather than half-way
    for name in settings.personal_data | settings.optional_entities:
        entity_named(name)
    client = _client(settings) if reads_source else None
    async with AsyncExitStack() as stack:
        warehouse = stack.enter_context(
            open_warehouse(
                settings.warehouse,
                create=creates and reads_source,
                bigquery=bigquery_options(settings, google),
            )
        )
        warehouse.ensure(raw_tables(settings.personal_data))
        spool = stack.enter_context(warehouse.spool())
        typer = stack.enter_context(closing(Typer()))
        if client is not None:
            await stack.enter_async_context(client)
        session = Session(settings, warehouse, typer, spool, client, progress)
        token = _current.set(session)
        stack.callback(_current.reset, token)
        yield session


def credentials(settings: Settings) -> Credentials:
    """The ServiceTitan credentials; raises ``ConfigurationError`` naming each one that is missing."""
    settings.require_credentials()
    secrets = (settings.client_id, settings.client_secret, settings.app_key)
    client_id, client_secret, app_key = (secret or SecretStr("") for secret in secrets)
    return Credentials(
        settings.tenant_id or 0, client_id.get_secret_value(), client_secret, app_key
    )


def _client(settings: Settings) -> ServiceTitan:
    api_url, auth_url = settings.hosts
    return ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        requests_per_second=settings.requests_per_second,
        max_concurrency=settings.max_concurrency,
    )


@asynccontextmanager
async def shared_session(
    *,
    reads_source: bool = True,
    creates: bool = True,
    google: Callable[[Settings], Awaitable[Any]] | None = None,
) -> AsyncIterator[Session]:
    """The session around the caller; opened from the environment's settings when there is none.

    ``google`` then finds the credentials for BigQuery.
    """
    session = current_session()
    if session is not None:
        yield session
        return
    settings = load_settings()
    credentials = await google(settings) if google else None
    async with open_session(
        settings, reads_source=reads_source, creates=creates, google=credentials
    ) as session:
        yield session
