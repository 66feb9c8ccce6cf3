"""What must hold before numbers can be believed, asked in the order in which it would fail: ``st-kpi doctor``.

A check returns what it found in a sentence, or raises one that says the way out. Nothing is written anywhere.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

import httpx

from st_kpi.errors import (
    AuthenticationError,
    ConfigurationError,
    EntityUnavailable,
    NothingLoaded,
    RunFailed,
    SourceError,
    StKpiError,
)
from st_kpi.ingest.manifest import of_tenant
from st_kpi.ingest.session import check_entities, client
from st_kpi.kpis.accepted import FILE as ACCEPTED_FILE
from st_kpi.kpis.accepted import read_accepted
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.kpis.inputs import cost_of_absence
from st_kpi.kpis.loaded import require_loaded
from st_kpi.kpis.reference import mappings_in
from st_kpi.local.proxies import prepare_proxies
from st_kpi.servicetitan.client import Count, ServiceTitan
from st_kpi.servicetitan.failure import check_the_app
from st_kpi.servicetitan.registry import REGISTRY, REQUIRED
from st_kpi.servicetitan.retry import RetryPolicy
from st_kpi.setting_sources import PREFIX, config_file, env_file
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse import Warehouse, bigquery_options, open_warehouse
from st_kpi.warehouse.condition import require_place, require_rights
from st_kpi.warehouse.system_tables import KNOWN_UNTIL
from st_kpi.windows import local_time

#: Whom every tenant has, and who is asked first.
_PROBE = "business_units"
_CLOCKS_DIFFER = timedelta(minutes=5)
#: A nightly sync that was missed once; the check ``freshness`` of a build has the same hours.
_STALE_AFTER = timedelta(hours=36)
#: A person waits: what fails twice within seconds fails, and a run would try for longer.
_RETRY = RetryPolicy(attempts=2, rate_limit_wait=5.0)
_ANSWERS_WITHIN = 15.0


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILS = "fails"
    NOT_ASKED = "not asked"


class Doubtful(StKpiError):
    """It works, and yet a person should know."""


class NotNeeded(StKpiError):
    """There is nothing to ask here, and that is no failure."""


@dataclass(frozen=True)
class Finding:
    """One line: what was asked, how it is, and in a sentence what was found and the way out."""

    check: str
    verdict: Verdict
    says: str
    #: The check for which this one, and those after it, could not be asked.
    because: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that must hold. It is asked once what it ``needs`` does, beside all others."""

    name: str
    ask: Callable[[], Awaitable[str]]
    needs: tuple[str, ...] = ()


async def examine(checks: Sequence[Check]) -> AsyncIterator[Finding]:
    """The finding of each check, in their order, each as soon as it and those before it are known."""
    asked: dict[str, asyncio.Task[Finding]] = {}

    async def find(check: Check) -> Finding:
        for need in check.needs:
            earlier = await asked[need]
            if earlier.verdict in (Verdict.FAILS, Verdict.NOT_ASKED):
                because = earlier.because or need
                return Finding(
                    check.name,
                    Verdict.NOT_ASKED,
                    f"Cannot be asked before {because!r} holds.",
                    because,
                )
        try:
            return Finding(check.name, Verdict.OK, await check.ask())
        except Doubtful as error:
            return Finding(check.name, Verdict.WARNING, str(error))
        except (NotNeeded, NothingLoaded) as error:
            return Finding(check.name, Verdict.NOT_ASKED, str(error))
        except StKpiError as error:
            return Finding(check.name, Verdict.FAILS, str(error))

    for check in checks:
        asked[check.name] = asyncio.create_task(find(check))
    for task in asked.values():
        yield await task


class Patient:
    """Settings, source and warehouse under examination; each check leaves here what later ones need.

    ``transport`` is another way to ServiceTitan than the network, ``read`` another to the settings. Close it with
    ``close``.
    """

    settings: Settings
    source: ServiceTitan
    warehouse: Warehouse

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        read: Callable[[], Settings] = load_settings,
    ) -> None:
        self._transport = transport
        self._read = read
        self._open = AsyncExitStack()
        self._answers: dict[str, Count | SourceError] = {}

    async def close(self) -> None:
        """Let go of source and warehouse."""
        await self._open.aclose()

    def checks(self) -> list[Check]:
        """Up to the mappings; what is Prefect's comes next, and ``freshness`` last."""
        scopes = [
            Check(f"scope of {name}", partial(self._scope, name), ("app key and tenant",))
            for name in REGISTRY
        ]
        return [
            Check("settings", self._read_settings),
            Check("token", self._token, ("settings",)),
            Check("app key and tenant", self._tenant, ("token",)),
            *scopes,
            Check("clock", self._clock, ("app key and tenant",)),
            Check("zone", self._zone, ("settings",)),
            Check("warehouse", self._place, ("settings",)),
            Check("data", self._data, ("warehouse",)),
            Check("mappings", self._mappings, ("data",)),
        ]

    def freshness(self) -> Check:
        """How old the data are; by the clock of ServiceTitan, where that is known."""
        return Check("freshness", self._fresh, ("data",))

    async def _read_settings(self) -> str:
        self.settings = self._read()
        check_entities(self.settings)
        prepare_proxies()
        given = sum(name.upper().startswith(PREFIX) for name in os.environ)
        files = [str(file) for file in (env_file(), config_file()) if file.is_file()]
        return f"Read from {', '.join([*files, f'{given} variables of the environment'])}."

    async def _token(self) -> str:
        self.source = client(
            self.settings, transport=self._transport, retry=_RETRY, timeout=_ANSWERS_WITHIN
        )
        await self._open.enter_async_context(self.source)
        answer = await self._count(_PROBE)
        if isinstance(answer, SourceError):
            of_api = answer.status is not None and not answer.url.endswith("/connect/token")
            if not of_api:
                raise answer
        return f"{self.settings.hosts[1]} gave one."

    async def _tenant(self) -> str:
        await asyncio.gather(*(self._count(name) for name in REGISTRY if name != _PROBE))
        answers = list(self._answers.values())
        if any(isinstance(answer, Count) for answer in answers):
            return f"The app may ask tenant {self.settings.tenant_id}."
        first = self._answers[_PROBE]
        assert isinstance(first, SourceError)
        if all(isinstance(answer, EntityUnavailable) for answer in answers):
            raise AuthenticationError(
                f"ServiceTitan lets the app read nothing at all. {check_the_app(first.url)}, with a scope at least",
                url=first.url,
                status=first.status,
                trace_id=first.trace_id,
            )
        raise first

    async def _count(self, name: str) -> Count | SourceError:
        try:
            self._answers[name] = await self.source.count(REGISTRY[name])
        except SourceError as error:
            self._answers[name] = error
        return self._answers[name]

    def unreadable(self) -> list[str]:
        """The entities that the app may not read, of those that were asked for."""
        return [n for n in REGISTRY if isinstance(self._answers.get(n), EntityUnavailable)]

    async def _scope(self, name: str) -> str:
        answer = self._answers[name]
        if isinstance(answer, Count):
            return f"{answer.total:,} rows."
        if not isinstance(answer, EntityUnavailable):
            raise answer
        cost = await asyncio.to_thread(cost_of_absence, name, self.settings.cost_source)
        if name in self.settings.optional_entities:
            raise Doubtful(f"{answer} It is declared optional. {cost}")
        way_out = "" if name in REQUIRED else f", or name {name} in ST_KPI_OPTIONAL_ENTITIES"
        raise ConfigurationError(
            f"{answer} Every run fails of it: grant the scope in ServiceTitan's developer portal{way_out}. {cost}"
        )

    @property
    def _source_time(self) -> datetime | None:
        """The clock of ServiceTitan, in UTC, as it was a moment ago."""
        counts = [answer for answer in self._answers.values() if isinstance(answer, Count)]
        return next((count.server_time for count in counts if count.server_time), None)

    async def _clock(self) -> str:
        theirs = self._source_time
        if theirs is None:
            raise ConfigurationError(
                "ServiceTitan's answers have no Date header, or one far ahead of this machine's clock, so nobody can know"
                f" until when rows are there: a proxy on the way may remove it. Here it is {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
            )
        apart = abs(datetime.now(UTC) - theirs)
        if apart > _CLOCKS_DIFFER:
            raise Doubtful(
                f"It is {theirs:%Y-%m-%d %H:%M} UTC at ServiceTitan and {datetime.now(UTC):%Y-%m-%d %H:%M} here. Loads go"
                " by theirs, schedules and the day of a build by ours: set this machine's clock, or build with --as-of."
            )
        return f"{theirs:%Y-%m-%d %H:%M} UTC, as here."

    async def _zone(self) -> str:
        return (
            f"{self.settings.zone}, where it is {datetime.now(self.settings.zone):%Y-%m-%d %H:%M}."
        )

    async def _place(self) -> str:
        place = await asyncio.to_thread(
            require_place, self.settings.warehouse, bigquery_options(self.settings)
        )
        return f"{place}."

    async def _data(self) -> str:
        """Raises ``NothingLoaded`` before the first backfill, and what the engine says of locks and rights."""
        opened = open_warehouse(
            self.settings.warehouse, read_only=True, bigquery=bigquery_options(self.settings)
        )
        self.warehouse = await asyncio.to_thread(self._open.enter_context, opened)
        await asyncio.to_thread(require_rights, self.warehouse)
        require_loaded(self.warehouse)
        return "Loaded, and free to be read and written."

    async def _mappings(self) -> str:
        samples = default_root() / "mappings"
        found = await asyncio.to_thread(
            mappings_in, self.settings.mappings, self.warehouse, samples
        )
        folder = self.settings.mappings or samples
        accepted = await asyncio.to_thread(lambda: read_accepted(folder, inspect().statements))
        and_accepted = f"; {len(accepted)} accepted in {ACCEPTED_FILE}" if accepted else ""
        return f"{folder}: {len(found.units)} lines of units, {len(found.types)} of job types{and_accepted}."

    async def _fresh(self) -> str:
        (row,) = self.warehouse.query(
            f"SELECT MIN(known_until) AS oldest FROM ({KNOWN_UNTIL}) AS known"
            f" WHERE {of_tenant(self.settings.tenant_id)}",
            {"tenant_id": self.settings.tenant_id},
        )
        if row["oldest"] is None:
            raise NothingLoaded("No load is recorded for this tenant: run `st-kpi backfill`.")
        age = (self._source_time or datetime.now(UTC)) - row["oldest"]
        zone = ZoneInfo(self.settings.timezone) if self.settings.timezone else None
        known = f"Everything is known until {local_time(row['oldest'], zone)}"
        if age > _STALE_AFTER:
            raise RunFailed(
                f"{known}, {age / timedelta(hours=1):,.0f} hours ago: run `st-kpi sync`, and see to the schedule"
                " (`prefect deployment ls`). `st-kpi status` shows which entity is behind."
            )
        return f"{known}."
