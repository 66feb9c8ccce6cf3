"""``st-kpi init``: from credentials to settings that were tried, and drafts of the mapping files.

Everything is tried before anything is written, and each file is written whole or not at all, so that the command may be
killed and run again: it then adds what is new, and changes no line that is there.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from st_kpi.cli.asking import Ask, Asking, from_here
from st_kpi.cli.progress import log_on_stderr, say
from st_kpi.errors import ConfigurationError, NothingLoaded, StKpiError
from st_kpi.kpis import activity
from st_kpi.kpis.drafts import Draft, draft_types, draft_units
from st_kpi.kpis.guesses import JobKind, Unit
from st_kpi.kpis.inputs import cost_of_absence
from st_kpi.kpis.reference import units_and_types
from st_kpi.reporting.doctor import Doubtful, Patient
from st_kpi.reporting.first_look import FirstLook, look
from st_kpi.servicetitan.registry import REQUIRED
from st_kpi.setting_files import SECRETS, add_secrets, add_settings, keep_out_of_git, said_in_files
from st_kpi.setting_sources import config_file, env_file, folder
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse.base import Warehouse

_TRIED = ("settings", "token", "app key and tenant", "clock", "warehouse")
#: What ``st-kpi.toml`` says in any case, and what only where it was given.
_WRITTEN = ("tenant_id", "timezone", "warehouse", "mappings")
_IF_GIVEN = ("environment", "api_url", "auth_url")


def run_init(
    given: Mapping[str, Any], ask: Ask | None, transport: httpx.AsyncBaseTransport | None = None
) -> list[str]:
    """Complete the settings, try them, and write the files; returns what was done, a sentence each.

    ``given`` are settings of the command line, ``transport`` another way to ServiceTitan than the network. Raises
    ``ConfigurationError`` for what is missing or contradicts a file, and whatever a try raises, before anything is
    written; ``MappingError`` for a mapping file that cannot be read.
    """
    asking = Asking(given, ask)
    asking.complete()
    _refuse_contradictions(asking.settings)
    with log_on_stderr():
        return asyncio.run(_tried_and_written(asking, transport))


def _refuse_contradictions(settings: Settings) -> None:
    """Raise ``ConfigurationError`` where a file says something else than what was given: its line would stay, and hold."""
    for name, (file, value) in said_in_files().items():
        if name not in (*SECRETS, *_WRITTEN, *_IF_GIVEN):
            continue
        if getattr(load_settings(**{name: value}), name) != getattr(settings, name):
            raise ConfigurationError(
                f"{file} has another {name} than the command line or the environment, and no line of it is changed:"
                " change it there, or leave the other out."
            )


async def _tried_and_written(
    asking: Asking, transport: httpx.AsyncBaseTransport | None
) -> list[str]:
    patient = Patient(transport, lambda: asking.settings)
    try:
        await _try(patient)
        optional = _not_readable(patient)
        seen = await look(patient.source)
        asking.know_zone(seen.zone)
        loaded = await _is_loaded(patient)
        drafts = _draft(asking.settings, seen, patient.warehouse if loaded else None)
    finally:
        await patient.close()
    told = [*map(_told, drafts), *_write_settings(asking.settings, optional)]
    return [*told, *_next(drafts)]


async def _try(patient: Patient) -> None:
    """Ask what ``st-kpi doctor`` asks of settings, ServiceTitan and warehouse; raises what fails."""
    checks = {check.name: check for check in patient.checks()}
    for name in _TRIED:
        try:
            say(f"{name}: {await checks[name].ask()}")
        except Doubtful as error:
            say(f"{name}: {error}")


def _not_readable(patient: Patient) -> list[str]:
    """The entities that are proposed as optional; raises ``ConfigurationError`` for one that no KPI can do without."""
    names = patient.unreadable()
    for name in names:
        cost = cost_of_absence(name, patient.settings.cost_source)
        if name in REQUIRED:
            raise ConfigurationError(
                f"The app may not read {name}. {cost} Grant the scope in ServiceTitan's developer portal."
            )
        is_declared = name in patient.settings.optional_entities
        state = "and it is declared optional" if is_declared else "so it is proposed as optional"
        say(f"The app may not read {name}, {state}. {cost}")
    return names


async def _is_loaded(patient: Patient) -> bool:
    """Whether the drafts can say what hangs on each line."""
    checks = {check.name: check for check in patient.checks()}
    try:
        await checks["data"].ask()
    except NothingLoaded:
        return False
    except StKpiError as error:
        say(f"The drafts do not say what hangs on each line: {error}")
        return False
    return True


def _draft(settings: Settings, seen: FirstLook, warehouse: Warehouse | None) -> list[Draft]:
    """Both drafts, in a folder that git leaves out; with what hangs on each line, where a warehouse knows it."""
    mappings, tenant_id = _mappings(settings), settings.tenant_id
    assert tenant_id is not None
    units, kinds = seen.units, seen.kinds
    of_units = of_types = None
    if warehouse:
        of_units, of_types = (
            ask(warehouse, tenant_id) for ask in (activity.of_units, activity.of_types)
        )
        named, used = (
            {record.id for record in records if record.tenant_id == tenant_id}
            for records in units_and_types(warehouse)
        )
        units = [*units, *(Unit(n, "", False) for n in sorted(named - {u.id for u in units}))]
        kinds = [*kinds, *(JobKind(n, "", False) for n in sorted(used - {k.id for k in kinds}))]
    beside = ["/" + from_here(str(mappings)) + "/"] * mappings.is_relative_to(folder())
    keep_out_of_git(".env", *beside)
    return [draft_units(mappings, units, of_units), draft_types(mappings, kinds, of_types)]


def _mappings(settings: Settings) -> Path:
    return settings.mappings or folder() / "mappings"


def _told(draft: Draft) -> str:
    doubts = f", {draft.unsure} of them not sure" if draft.unsure else ""
    file = from_here(str(draft.file))
    if not draft.was_there:
        return f"Wrote {file}: {draft.lines} lines{doubts}."
    if not draft.lines:
        return f"{file} has a line for everything, and stays as it is."
    lines = f"{draft.lines} line{'s' * (draft.lines != 1)}"
    return f"Added {lines} for what is new to {file}{doubts}."


def _next(drafts: list[Draft]) -> list[str]:
    """What a person does now, where there is anything to do."""
    if any(not draft.was_there for draft in drafts):
        return ["Look through the mapping files, then run `st-kpi doctor` and `st-kpi backfill`."]
    if any(draft.lines for draft in drafts):
        return ["Look through what was added, then run `st-kpi build`."]
    return []


def _write_settings(settings: Settings, optional: list[str]) -> list[str]:
    """Add to ``.env`` and ``st-kpi.toml`` what they do not say yet."""
    said = said_in_files()
    secrets = {n: getattr(settings, n).get_secret_value() for n in SECRETS if n not in said}
    add_secrets(secrets)
    plain = {name: getattr(settings, name) for name in _WRITTEN}
    plain |= {
        name: getattr(settings, name) for name in _IF_GIVEN if name in settings.model_fields_set
    }
    plain |= {
        "warehouse": from_here(settings.warehouse),
        "mappings": from_here(str(_mappings(settings))),
    }
    if optional:
        plain["optional_entities"] = sorted({*settings.optional_entities, *optional})
    new = {name: value for name, value in plain.items() if name not in said}
    add_settings(new)
    told = [_added(env_file(), secrets, "which only you may read"), _added(config_file(), new)]
    if os.name == "posix" and env_file().is_file() and env_file().stat().st_mode & 0o077:
        told.append(f"Others can read {from_here(str(env_file()))}: `chmod 600` keeps it yours.")
    forgotten = sorted(set(optional) - settings.optional_entities)
    if forgotten and "optional_entities" not in new:
        told.append(
            f"Add to optional_entities in {said['optional_entities'][0]}: {', '.join(forgotten)}."
        )
    return [sentence for sentence in told if sentence]


def _added(file: Path, names: Mapping[str, object], more: str = "") -> str:
    if not names:
        return ""
    return f"Wrote into {from_here(str(file))}{f', {more}' if more else ''}: {', '.join(names)}."
