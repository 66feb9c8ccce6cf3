"""A chunk between the source and the warehouse."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.normalized import Normalized
from st_kpi.servicetitan.registry import Entity
from st_kpi.windows import Window


@dataclass(frozen=True)
class Fetched:
    """A chunk that lies normalized on disk, and what the source said of it.

    ``promised`` is None of a feed, whose ``token`` says where to go on and ``has_more`` whether more is there now.
    ``read_at`` is when its first answer came, by the source's clock; ``started_at`` when it was asked for, by ours.
    """

    entity: Entity
    mode: ReadMode
    window: Window | None
    folder: Path
    slices: tuple[Normalized, ...]
    promised: int | None
    server_time: datetime | None
    read_at: datetime
    started_at: datetime
    token: str | None = None
    has_more: bool = False

    @property
    def rejected(self) -> int:
        return sum(part.rejected for part in self.slices)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.slices) + self.rejected

    @property
    def files(self) -> list[Path]:
        """The files of the records."""
        return [part.records for part in self.slices]

    @property
    def max_modified_on(self) -> datetime | None:
        return max((p.max_modified_on for p in self.slices if p.max_modified_on), default=None)

    def discard(self) -> None:
        """Remove the files; safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
