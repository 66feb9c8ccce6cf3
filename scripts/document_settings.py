"""``docs/settings.md`` from the settings model; with ``--check`` it writes nothing and exits with 1 where the page is stale."""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from st_kpi.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """\
# Settings

Written from `st_kpi/settings.py` by `scripts/document_settings.py`: change the model, not this page.

A setting comes from the command's arguments, then the environment (`ST_KPI_` and the name in upper case), then `.env`, then
`st-kpi.toml` (`ST_KPI_CONFIG` names another file). Both files are UTF-8 and are read in the folder where a command, or the worker of a run, was
started, from which relative paths count too; `ST_KPI_FOLDER` names another one. In variables a list is written with commas,
`ST_KPI_OPTIONAL_ENTITIES=receipts,returns`, or as JSON. A name that is no setting is refused. Secrets are never shown, logged or passed as
parameters of a flow.

| Setting | Meaning | Default |
|---|---|---|
"""


def text() -> str:
    """The whole page."""
    return _HEAD + "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{name}` | {meaning}{_bounds(field)} | {_default(field.get_default())} |"


def _bounds(field: FieldInfo) -> str:
    """The least and the most that it may be, where it is bounded."""
    bounds = {
        key: getattr(rule, key)
        for rule in field.metadata
        for key in ("ge", "le")
        if getattr(rule, key, None) is not None
    }
    words = [f"at {'least' if key == 'ge' else 'most'} {limit:,}" for key, limit in bounds.items()]
    return f" {' and '.join(words).capitalize()}." if words else ""


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, list | frozenset):
        return f"`{json.dumps(sorted(value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:f}`" if isinstance(value, Decimal) else f"`{value}`"


def main(arguments: list[str]) -> int:
    """Write the page or, with ``--check``, say whether it is stale; returns the exit code."""
    if "--check" not in arguments:
        PAGE.write_text(text(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text():
        return 0
    print("docs/settings.md:1: stale: run python scripts/document_settings.py.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
