"""Completing the settings that ``st-kpi init`` needs: by asking a person, or in one error where nobody can be asked."""

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from st_kpi.cli.progress import say
from st_kpi.errors import ConfigurationError
from st_kpi.servicetitan.zones import ZoneProposal
from st_kpi.setting_sources import PREFIX, folder
from st_kpi.settings import DUCKDB, load_settings

#: Settings without which nothing can be tried, in the order in which they are asked for.
NEEDED = {
    "client_id": "Client id",
    "client_secret": "Client secret (is not shown)",
    "app_key": "App key (is not shown)",
    "tenant_id": "Tenant id",
}
#: Those with a default, which a person is asked for all the same.
CHOSEN = {
    "environment": "Environment, production or integration",
    "warehouse": "Warehouse, duckdb:///FILE or bigquery://PROJECT?location=US",
}
_HIDDEN = ("client_secret", "app_key")


class Ask(Protocol):
    """Asks a person on the terminal, and returns the answer; what is hidden is not shown while it is typed."""

    def __call__(
        self, question: str, *, default: str | None = None, hidden: bool = False
    ) -> str: ...


def on_terminal() -> Ask | None:
    """How to ask; None where there is no terminal."""
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


class Asking:
    """The settings as they become complete: ``given`` on the command line, else asked for where that is possible."""

    def __init__(self, given: Mapping[str, Any], ask: Ask | None) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._ask = ask
        self.settings = load_settings(**self._given)

    def complete(self) -> None:
        """Know all but the time zone, or raise one ``ConfigurationError`` with the flag and variable of each that is missing."""
        missing = [name for name in NEEDED if getattr(self.settings, name) is None]
        if self._ask is None:
            if missing:  # without which no zone can be proposed either
                raise _missing([*missing, *["timezone"] * (self.settings.timezone is None)])
            return
        for name in missing:
            self._take(self._ask, name, NEEDED[name], hidden=name in _HIDDEN)
        for name, question in CHOSEN.items():
            if name not in self.settings.model_fields_set:
                default = from_here(str(getattr(self.settings, name)))
                self._take(self._ask, name, question, default=default)

    def know_zone(self, proposal: ZoneProposal | None) -> None:
        """Know the time zone: a proposal is said and confirmed, never taken without a word."""
        if self.settings.timezone is not None:
            return
        if self._ask is None:
            hint = f" It may be {proposal.zone}: {proposal.because}" if proposal else ""
            raise _missing(["timezone"], f" Every day and week depends on it.{hint}")
        if proposal:
            say(f"The time zone may be {proposal.zone}: {proposal.because}")
        self._take(self._ask, "timezone", "Time zone", default=proposal and proposal.zone)

    def _take(self, ask: Ask, name: str, question: str, **how: Any) -> None:
        """Ask until the answer can be used."""
        while getattr(self.settings, name) is None or name not in self._given:
            answer = ask(question, **how).strip()
            try:
                self.settings = load_settings(**self._given, **{name: answer or None})
                self._given |= {name: answer} if answer else {}
            except ConfigurationError as error:
                say(str(error))


def from_here(address: str) -> str:
    """A path or a warehouse in a file as seen from the folder of the settings, where it lies below."""
    start = DUCKDB if address.startswith(DUCKDB) else ""
    path = Path(address.removeprefix(start))
    return (
        start + path.relative_to(folder()).as_posix() if path.is_relative_to(folder()) else address
    )


def _missing(names: list[str], more: str = "") -> ConfigurationError:
    ways = ", ".join(f"--{n.replace('_', '-')} or {PREFIX}{n.upper()}" for n in names)
    return ConfigurationError(f"Missing, and there is no terminal to ask on: {ways}.{more}")


def _ask(question: str, *, default: str | None = None, hidden: bool = False) -> str:
    try:
        if hidden:
            return getpass.getpass(f"{question}: ")
        print(
            f"{question}{f' [{default}]' if default else ''}: ", end="", file=sys.stderr, flush=True
        )
        return input().strip() or default or ""
    except EOFError:
        raise ConfigurationError(f"There was no answer to: {question}.") from None
