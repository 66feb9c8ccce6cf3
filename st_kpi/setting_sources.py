"""Where settings come from beside arguments: the environment, ``.env`` and ``st-kpi.toml``.

What would be passed over without a word is refused here: a name that is no setting, a line that says nothing, a file that is
not UTF-8.
"""

import io
import os
import re
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from st_kpi.errors import ConfigurationError

PREFIX = "ST_KPI_"
#: Variables of ours that are no settings: where settings are, where ``scripts/up`` keeps its data, and one of the tests.
_NO_SETTINGS = ("CONFIG", "FOLDER", "STATE", "LIVE_BIGQUERY")
#: Kubernetes tells every container of every service in such variables, and one may be called ``st-kpi``.
_OF_A_SERVICE = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT)|PORT)(_\w+)?")


def folder() -> Path:
    """The folder whose files are read and from which relative paths count: ``ST_KPI_FOLDER``, else where we stand.

    Raises ``ConfigurationError`` where that has been removed.
    """
    try:
        return Path(os.environ.get("ST_KPI_FOLDER") or ".").absolute()
    except FileNotFoundError:
        raise ConfigurationError(
            "The folder that this was started in is not there any more: change to another one."
        ) from None


def env_file() -> Path:
    """The file of variables; it need not exist."""
    return folder() / ".env"


def config_file() -> Path:
    """The file of settings; it need not exist, unless ``ST_KPI_CONFIG`` names it."""
    return folder() / os.environ.get("ST_KPI_CONFIG", "st-kpi.toml")


def toml_values(file: Path) -> dict[str, Any]:
    """What ``file`` says, nothing where it is absent; raises ``ConfigurationError`` where it cannot be read."""
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}.") from None


def refuse_unknown(settings: Collection[str]) -> None:
    """Raise ``ConfigurationError`` for each name that looks like one of ``settings`` and is none, with the nearest of them."""
    if "ST_KPI_CONFIG" in os.environ and not config_file().is_file():
        raise ConfigurationError(f"ST_KPI_CONFIG names {config_file()}, which is not a file.")
    names = [PREFIX + name.upper() for name in (*settings, *_NO_SETTINGS)]
    wrong = [
        f"{config_file()}: {_unknown(n, settings)}"
        for n in toml_values(config_file())
        if n not in settings
    ]
    wrong += [f"{env_file()}: {_unknown(n, names)}" for n in _misspelt(_env_names(), names)]
    wrong += [f"The environment: {_unknown(n, names)}" for n in _misspelt(os.environ, names)]
    if wrong:
        raise ConfigurationError(" ".join(wrong))


def _misspelt(given: Iterable[str], names: Collection[str]) -> list[str]:
    """Those that begin as ours do and are none, and those that are one of ours but for a line or a dash."""
    plain = {_letters(name) for name in names}
    return [
        name
        for name in given
        if name.upper() not in names
        and (name.upper().startswith(PREFIX) or _letters(name) in plain)
        and not _OF_A_SERVICE.fullmatch(name.upper().removeprefix(PREFIX))
    ]


def _letters(name: str) -> str:
    """A name without what is easily mistaken in it."""
    return re.sub(r"[\W_]", "", name).upper()


def _own_letters(name: str) -> str:
    """Those by which one of our names differs from the others."""
    return _letters(name).removeprefix(_letters(PREFIX))


def _unknown(name: str, names: Collection[str]) -> str:
    import difflib

    by_letters = {_own_letters(n): n for n in names}
    nearest = difflib.get_close_matches(_own_letters(name), by_letters, n=1)
    meant = (
        f"the nearest is {by_letters[nearest[0]]}" if nearest else "docs/settings.md has them all"
    )
    return f"there is no setting {name}; {meant}."


def _env_names() -> list[str]:
    """The names that ``.env`` sets; raises ``ConfigurationError`` for a line that should set one of ours and does not."""
    from dotenv.parser import parse_stream

    file = env_file()
    if not file.is_file():  # a pipe would be empty when it is read for its values
        return []
    names = []
    for line in parse_stream(io.StringIO(_text(file))):
        text = line.original.string
        if PREFIX in text.upper() and (line.error or line.value is None):
            number = line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            raise ConfigurationError(f"{file}:{number}: not understood: write NAME=value.")
        names += [line.key] if line.key else []
    return names


def _text(file: Path) -> str:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConfigurationError(
            f"{file} is not UTF-8, maybe UTF-16, which a redirection of PowerShell writes: save it as UTF-8."
        )
    return text
