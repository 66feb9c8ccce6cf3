"""Writing ``.env`` and ``st-kpi.toml``: what they do not say yet is added, and no line that is there is changed."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

from st_kpi.errors import ConfigurationError
from st_kpi.files import replace_file
from st_kpi.setting_sources import PREFIX, config_file, env_file, folder, toml_values

#: What stands in ``.env``, which nobody else may read, and never in ``st-kpi.toml``.
SECRETS = ("client_id", "client_secret", "app_key")


def said_in_files() -> dict[str, tuple[Path, object]]:
    """The settings that either file has, with the file and what it says; of both, ``.env`` goes first."""
    from dotenv import dotenv_values

    said: dict[str, tuple[Path, object]] = {
        name: (config_file(), value) for name, value in toml_values(config_file()).items()
    }
    if env_file().is_file():
        for name, value in dotenv_values(env_file(), encoding="utf-8-sig").items():
            if name.upper().startswith(PREFIX) and value:
                said[name.upper().removeprefix(PREFIX).lower()] = (env_file(), value)
    return said


def add_secrets(secrets: Mapping[str, str]) -> None:
    """Add them to ``.env``, which only its owner may read; raises ``ConfigurationError`` for one that cannot stand there."""
    from dotenv import dotenv_values

    lines = []
    for name, secret in secrets.items():
        quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
        line = f"{PREFIX}{name.upper()}='{quoted}'"
        if dotenv_values(stream=io.StringIO(line)) != {f"{PREFIX}{name.upper()}": secret}:
            raise ConfigurationError(
                f"The {name} has signs that {env_file()} cannot hold: set {PREFIX}{name.upper()} instead."
            )
        lines.append(line)
    _append(env_file(), lines, 0o600)


def add_settings(settings: Mapping[str, object]) -> None:
    """Add them to ``st-kpi.toml``."""
    _append(
        config_file(),
        [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()],
    )


def keep_out_of_git(*names: str) -> None:
    """Add these to the ``.gitignore`` beside the files, where they are not in it yet."""
    file = folder() / ".gitignore"
    there = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    _append(file, [name for name in names if name not in there])


def _append(file: Path, lines: list[str], mode: int = 0o644) -> None:
    if not lines:
        return
    before = file.read_bytes() if file.is_file() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    replace_file(file, before + "".join(f"{line}\n" for line in lines).encode(), mode)
