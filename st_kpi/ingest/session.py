"""What one run works with: settings, the source, the warehouse, and what turns pages into typed files.

Opened once by the outermost flow or command; the subflows inside find it again, so that all of them share one token,
one rate limit and one connection to the warehouse. A build, which reads no source, opens the warehouse alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.manifest import Manifest
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.rejects import Rejects
from st_kpi.ingest.stored import StoredRows
from st_kpi.ingest.watermarks import Watermarks
from st_kpi.local.proxies import prepare_proxies
from st_kpi.servicetitan.auth import Credentials
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY, REQUIRED
from st_kpi.servicetitan.registry import entity as entity_named
from st_kpi.servicetitan.tables import EntityTables, entity_tables, raw_tables
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse import bigquery_options, open_warehouse
from st_kpi.warehouse.base import Warehouse

#: Told of rows as they become certain: ``(entity, promised, stored)``, each a number to add.
Progress = Callable[[str, int, int], None]
#: Finds the credentials of google-auth for BigQuery; None stands for the application's own.
GoogleCredentials = Callable[[Settings], Awaitable[Any]]


def no_progress(entity: str, promised: int, stored: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class OpenWarehouse:
    """A warehouse that is open, and the settings it was opened with."""

    settings: Settings
    warehouse: Warehouse


@dataclass(frozen=True)
class Session:
    """Everything a run shares. ``spool`` is a folder for pages on their way, gone when the run ends."""

    settings: Settings
    warehouse: Warehouse
    normalizer: Normalizer
    spool: Path
    source: ServiceTitan
    progress: Progress = field(default=no_progress)

    @cached_property
    def tenant_id(self) -> int:
        return credentials(self.settings).tenant_id

    @cached_property
    def tables(self) -> dict[str, EntityTables]:
        """The raw tables of each entity, by its name."""
        personal, pattern = self.settings.personal_data, self.settings.test_customer_pattern
        return {e.name: entity_tables(e, personal, pattern) for e in REGISTRY.values()}

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest(self.warehouse, self.tenant_id)

    @cached_property
    def watermarks(self) -> Watermarks:
        return Watermarks(self.warehouse, self.tenant_id)

    @cached_property
    def rejects(self) -> Rejects:
        return Rejects(self.warehouse, self.tenant_id)

    @cached_property
    def stored(self) -> StoredRows:
        return StoredRows(self.warehouse, self.tenant_id)


_session: ContextVar[Session] = ContextVar("session")
_warehouse: ContextVar[OpenWarehouse] = ContextVar("warehouse")


def current_session() -> Session | None:
    """The session that is open around the caller, if any."""
    return _session.get(None)


def current_settings() -> Settings:
    """The settings of what is open around the caller, else those of the environment."""
    around = _warehouse.get(None)
    return around.settings if around else load_settings()


@asynccontextmanager
async def open_session(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    creates: bool = True,
    google: Any = None,
) -> AsyncIterator[Session]:
    """Open what the settings name and make it the current session; closes it all at the end.

    A warehouse that is not there yet is made, or, without ``creates``, ``NothingLoaded`` says so. ``google`` are
    credentials of google-auth for BigQuery, by default the application's own.
    Raises ``ConfigurationError`` for a missing time zone, missing credentials, an unknown entity in a setting and a
    warehouse that cannot be written, before anything is fetched.
    """
    _check(settings)
    source = client(settings)
    async with AsyncExitStack() as stack:
        warehouse = stack.enter_context(_opened(settings, creates, google)).warehouse
        spool = stack.enter_context(warehouse.spool())
        normalizer = stack.enter_context(closing(Normalizer()))
        await stack.enter_async_context(source)
        session = Session(settings, warehouse, normalizer, spool, source, progress)
        token = _session.set(session)
        stack.callback(_session.reset, token)
        yield session
        session.rejects.see_again()


@contextmanager
def open_for_build(settings: Settings, google: Any = None) -> Iterator[OpenWarehouse]:
    """Open the warehouse that the settings name, and nothing else, for whoever is inside; closes it at the end.

    Raises ``NothingLoaded`` where it is not there yet, and ``ConfigurationError`` as ``open_session`` does, though not for
    credentials of ServiceTitan.
    """
    _check(settings)
    with _opened(settings, False, google) as around:
        yield around


@asynccontextmanager
async def shared_session(
    *, creates: bool = True, google: GoogleCredentials | None = None
) -> AsyncIterator[Session]:
    """The session around the caller; opened from the environment's settings when there is none."""
    session = current_session()
    if session is not None:
        yield session
        return
    settings = load_settings()
    keys = await google(settings) if google else None
    async with open_session(settings, creates=creates, google=keys) as session:
        yield session


@asynccontextmanager
async def shared_warehouse(
    *, google: GoogleCredentials | None = None
) -> AsyncIterator[OpenWarehouse]:
    """The warehouse that is open around the caller, in a session or alone; opened for a build when there is none."""
    around = _warehouse.get(None)
    if around is not None:
        yield around
        return
    settings = load_settings()
    with open_for_build(settings, await google(settings) if google else None) as around:
        yield around


def credentials(settings: Settings) -> Credentials:
    """The ServiceTitan credentials; raises ``ConfigurationError`` naming each one that is missing."""
    settings.require_credentials()
    secrets = (settings.client_id, settings.client_secret, settings.app_key)
    client_id, client_secret, app_key = (secret or SecretStr("") for secret in secrets)
    return Credentials(
        settings.tenant_id or 0, client_id.get_secret_value(), client_secret, app_key
    )


def _check(settings: Settings) -> None:
    """Fail for a setting that no other use would tell of before half of the work is done."""
    settings.zone  # noqa: B018  raises where there is none
    prepare_proxies()
    check_entities(settings)


def check_entities(settings: Settings) -> None:
    """Raise ``UnknownEntity`` for a name in a setting that is none, ``ConfigurationError`` for one that cannot be optional."""
    for name in settings.personal_data | settings.optional_entities:
        entity_named(name)
    needed = [name for name in REQUIRED if name in settings.optional_entities]
    if needed:
        raise ConfigurationError(
            f"optional_entities names {', '.join(needed)}, which every KPI needs: take it out, and let the app read it"
            " (its scopes are set in ServiceTitan's developer portal)."
        )


@contextmanager
def _opened(settings: Settings, create: bool, google: Any) -> Iterator[OpenWarehouse]:
    """The warehouse with all its tables, found by ``shared_warehouse`` inside the block."""
    options = bigquery_options(settings, google)
    with open_warehouse(settings.warehouse, create=create, bigquery=options) as warehouse:
        warehouse.ensure(raw_tables(settings.personal_data))
        around = OpenWarehouse(settings, warehouse)
        token = _warehouse.set(around)
        try:
            yield around
        finally:
            _warehouse.reset(token)


def client(settings: Settings, **more: Any) -> ServiceTitan:
    """The source that the settings name; ``more`` is of ``ServiceTitan``. Raises as ``credentials`` does."""
    api_url, auth_url = settings.hosts
    return ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        requests_per_second=settings.requests_per_second,
        max_concurrency=settings.max_concurrency,
        **more,
    )
