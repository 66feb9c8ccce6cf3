"""Every error a person can meet, each holding the values needed to act on it.

- StKpiError
  - ConfigurationError: a setting is missing or wrong (exit 2)
    - UnknownEntity
    - MappingError
    - SqlError
  - SourceError: ServiceTitan answered with an error
    - AuthenticationError
    - EntityUnavailable: the tenant does not give this entity
    - RateLimited
    - MalformedResponse
  - WarehouseError
    - WarehouseLocked
    - DiskFull
  - RecordTooLarge
  - IncompleteChunk
  - SourceEmptied: an entity that had rows is said to have none
  - RunFailed
    - CheckFailed
  - NothingLoaded
  - OutputFailed: what a command has to say cannot be written
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any


class StKpiError(Exception):
    """Base of all errors raised on purpose; its text is one sentence fit for a person."""

    exit_code = 1


class ConfigurationError(StKpiError):
    """A setting, argument or file is missing or wrong."""

    exit_code = 2


class UnknownEntity(ConfigurationError):
    """An entity name that the registry does not have."""

    def __init__(self, name: str, entities: tuple[str, ...]) -> None:
        self.name = name
        self.entities = entities
        super().__init__(f"There is no entity {name!r}. The entities are: {', '.join(entities)}.")


class MappingError(ConfigurationError):
    """A mapping file that cannot be used; names the file and the line, and after it the ``others`` on lines of their own."""

    def __init__(
        self, file: Path, line: int, reason: str, others: "tuple[MappingError, ...]" = ()
    ) -> None:
        self.file = file
        self.line = line
        self.reason = reason
        self.others = others
        super().__init__("\n".join(f"{e.file}:{e.line}: {e.reason}" for e in (self, *others)))


class SqlError(ConfigurationError):
    """SQL in kpi_sql that cannot be used; names the file and the line."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        self.file = file
        self.line = line
        self.reason = reason
        super().__init__(f"{file}:{line}: {reason}")


class ReportError(ConfigurationError):
    """A report of ServiceTitan that cannot be compared: no report, another one, not of this week, or not whole."""


class SourceError(StKpiError):
    """ServiceTitan answered with an error, or not at all; the token endpoint has no entity."""

    def __init__(
        self,
        message: str,
        *,
        url: str,
        entity: str | None = None,
        status: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        self.message = message
        self.entity = entity
        self.url = url
        self.status = status
        self.trace_id = trace_id
        details = [f"entity {entity}"] if entity else []
        details.append(url)
        if status is not None:
            details.append(f"status {status}")
        if trace_id:
            details.append(f"traceId {trace_id}")
        super().__init__(f"{message.rstrip('.')} ({', '.join(details)}).")

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is rebuilt from ``args`` alone, which has no keywords: it could not cross a
        # process.
        keywords = {name: getattr(self, name) for name in ("url", "entity", "status", "trace_id")}
        return partial(type(self), self.message, **keywords), ()


class AuthenticationError(SourceError):
    """The credentials were refused."""

    exit_code = 2


class EntityUnavailable(SourceError):
    """This tenant does not give this entity: its scope is missing (403) or the endpoint (404)."""


class RateLimited(SourceError):
    """The rate limit was still exceeded after every retry."""


class MalformedResponse(SourceError):
    """The body was not the JSON it had to be: cut off, HTML, or without a list of records."""


class WarehouseError(StKpiError):
    """The warehouse cannot be opened or refused a statement."""


class TooComplex(WarehouseError):
    """A statement is more than the warehouse can plan: it may take it in parts."""


class WarehouseLocked(WarehouseError):
    """Another process holds the DuckDB file."""


class DiskFull(WarehouseError):
    """There is no room for more; nothing else can be done in this run."""


#: How Linux, macOS and Windows say it, and the engines after them.
_NO_ROOM = (
    "No space left on device",
    "Disk quota exceeded",
    "Disc quota exceeded",
    "not enough space on the disk",
)


@contextmanager
def room_needed(place: str | Path) -> Iterator[None]:
    """Turn whatever says that the disk is full, the system or the engine, into ``DiskFull`` for ``place``."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if not any(words in str(error) for words in _NO_ROOM):
            raise
        raise DiskFull(
            f"The disk is full: {place} cannot be written. Make room there and run the same command"
            " again; what is complete stays and is not fetched again."
        ) from error


class RecordTooLarge(StKpiError):
    """One record does not fit into the memory that typing may use."""

    def __init__(self, entity: str, size: int, memory: int) -> None:
        self.entity = entity
        self.size = size
        self.memory = memory
        super().__init__(
            f"{entity}: one record of {size / 1e6:,.1f} MB cannot be typed in {memory / 1e6:,.0f} MB, a fifth of this"
            " machine's memory; run this on a machine with more."
        )


class IncompleteChunk(StKpiError):
    """What was fetched is not what the source promised."""

    def __init__(
        self, entity: str, window: str, promised: int, fetched: int, distinct: int
    ) -> None:
        self.entity = entity
        self.window = window
        self.promised = promised
        self.fetched = fetched
        self.distinct = distinct
        super().__init__(
            f"{entity} {window}: the source promised {promised:,} rows, {fetched:,} were fetched"
            f" and {distinct:,} of them are distinct; nothing was recorded as complete."
        )


class SourceEmptied(StKpiError):
    """The source says that an entity has no rows at all, and the warehouse holds some."""

    def __init__(self, entity: str, stored: int) -> None:
        self.entity = entity
        self.stored = stored
        super().__init__(
            f"{entity}: the source now says it has no rows, and {stored:,} are stored; nothing was changed."
            " Check that the app still has the scope for it."
        )


class RunFailed(StKpiError):
    """A flow ended with something missing; says what."""


class CheckFailed(RunFailed):
    """A check on the built numbers failed; nothing was published."""


class NothingLoaded(StKpiError):
    """The warehouse holds nothing to answer from yet."""


class OutputFailed(StKpiError):
    """Standard output is closed, or leads to where there is no room."""
