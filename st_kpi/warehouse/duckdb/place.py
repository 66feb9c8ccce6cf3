"""Where the file of a warehouse lies: whether it can be written there, and how much room is left."""

import os
import shutil
from pathlib import Path

from st_kpi.errors import ConfigurationError, DiskFull

#: Bytes below which the next load may not get through: its pages, their Parquet files and the log of a transaction.
ROOM_NEEDED = 1_000_000_000


def require_folder(path: Path) -> None:
    """Raise ``ConfigurationError`` where the folder of the file is missing."""
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"The warehouse file {path} cannot be written: the folder {path.parent} does not exist."
        )


def require_room(path: Path) -> int:
    """The bytes that are free; raises ``ConfigurationError`` without the right to write, ``DiskFull`` without room."""
    require_folder(path)
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise ConfigurationError(
                f"The warehouse file {path} cannot be written: this user may not write {place}."
                " Give it the right, or name another file in ST_KPI_WAREHOUSE."
            )
    free = shutil.disk_usage(path.parent).free
    if free < ROOM_NEEDED:
        raise DiskFull(
            f"Only {free / 1e6:,.0f} MB are free where {path} lies, and a load may need"
            f" {ROOM_NEEDED / 1e6:,.0f}: make room there."
        )
    return free
