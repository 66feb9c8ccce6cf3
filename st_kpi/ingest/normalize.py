"""The hot path: records as bytes to typed Parquet files, in slices that are bounded in bytes, whatever a record weighs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from math import ceil
from pathlib import Path

import duckdb

from st_kpi.errors import RecordTooLarge
from st_kpi.ingest.normalized import Normalized, Stamp
from st_kpi.ingest.room import Room
from st_kpi.ingest.shape import len_of
from st_kpi.ingest.slice import Slice
from st_kpi.servicetitan.pages import Raw
from st_kpi.servicetitan.registry import Entity
from st_kpi.servicetitan.tables import EntityTables

#: The most that the engine takes of the machine's memory.
_SHARE = "20%"
#: What typing a slice takes of it: so much in any case, and for each byte; measured, see ``docs/benchmarks.md``.
_AT_LEAST = 120_000_000
_PER_BYTE = 10
#: Larger slices are hardly faster.
_LARGEST_SLICE = 10_000_000


class Normalizer:
    """Normalizes records; safe to use from several threads at once.

    ``memory`` is what the engine may use, in bytes, by default a part of the machine's. The size of a slice follows from
    it, and how many are in work at once, for which there is a processor each.
    """

    def __init__(self, memory: int | None = None) -> None:
        self._database = duckdb.connect(config={"memory_limit": f"{memory}B" if memory else _SHARE})
        self._memory, processors = _limits(self._database)
        self._database.execute("SET threads = 1")
        self._room = Room(min(self._memory, processors * _cost(_LARGEST_SLICE)))
        largest = (self._room.capacity - _AT_LEAST) // _PER_BYTE
        self._slice = max(1, min(_LARGEST_SLICE, largest))

    def normalize(
        self,
        entity: Entity,
        tables: EntityTables,
        stamp: Stamp,
        records: Sequence[Raw],
        target: Path,
    ) -> list[Normalized]:
        """Turn records into Parquet files named after ``target``, and into files of lines beside them.

        A record with anything wrong in it, its lines included, is left out whole and reported. Raises
        ``RecordTooLarge`` for a single record that cannot be typed in the memory there is.
        """
        return [
            normalized
            for number, part in enumerate(slices(records, self._slice))
            for normalized in self._normalize(
                entity, tables, stamp, part, target.with_stem(f"{target.stem}-{number:03}")
            )
        ]

    def distinct(self, files: list[Path], key: str) -> int:
        """How many different values of ``key`` the typed files hold."""
        with self._cursor(0) as connection:
            names = [str(file) for file in files]
            row = connection.execute(
                f'SELECT COUNT(DISTINCT "{key}") FROM read_parquet(?)', [names]
            ).fetchone()
        assert row is not None
        return int(row[0])

    def present(self, files: list[Path], key: str, ids: list[str]) -> list[str]:
        """Those of the ``ids`` that are values of ``key`` in the typed files."""
        with self._cursor(0) as connection:
            rows = connection.execute(
                f'SELECT DISTINCT CAST("{key}" AS VARCHAR) AS id FROM read_parquet($files)'
                f' WHERE list_contains($ids, CAST("{key}" AS VARCHAR)) ORDER BY id',
                {"files": [str(file) for file in files], "ids": ids},
            ).fetchall()
        return [id_ for (id_,) in rows]

    def created_days(self, files: list[Path], zone: str, since: datetime) -> list[date]:
        """The days of ``zone`` on which those records of the typed files were created, in order, that changed since."""
        with self._cursor(0) as connection:
            rows = connection.execute(
                "SELECT DISTINCT CAST(created_on AT TIME ZONE $zone AS DATE) AS day"
                " FROM read_parquet($files) WHERE created_on IS NOT NULL"
                " AND COALESCE(modified_on >= $since, TRUE) ORDER BY day",
                {"files": [str(file) for file in files], "zone": zone, "since": since},
            ).fetchall()
        return [day for (day,) in rows]

    def close(self) -> None:
        """Give the memory back, once what is in work is done: a run that is stopped may leave some.

        Also the object, which threads that outlive the run may still hold.
        """
        with self._room.taken(self._room.capacity):
            self._database.close()
            del self._database

    def _normalize(
        self,
        entity: Entity,
        tables: EntityTables,
        stamp: Stamp,
        records: Sequence[Raw],
        target: Path,
    ) -> list[Normalized]:
        """One slice, or its halves where the memory does not do for the whole."""
        size = sum(map(len_of, records))
        try:
            with self._cursor(size) as connection:
                return [Slice(connection, entity, tables, stamp, records).normalize(target)]
        except duckdb.OutOfMemoryException as error:
            if len(records) == 1:
                raise RecordTooLarge(entity.name, size, self._memory) from error
        middle = len(records) // 2
        return [
            normalized
            for half, part in (("a", records[:middle]), ("b", records[middle:]))
            for normalized in self._normalize(
                entity, tables, stamp, part, target.with_stem(f"{target.stem}{half}")
            )
        ]

    @contextmanager
    def _cursor(self, size: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor with temporary tables of its own, once there is room for so many bytes."""
        with self._room.taken(_cost(size)), self._database.cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def slices(records: Sequence[Raw], limit: int) -> Iterator[Sequence[Raw]]:
    """The records in runs of about equal size and at most ``limit`` bytes; a longer record is alone."""
    sizes = [len_of(record) for record in records]
    even = sum(sizes) / max(1, ceil(sum(sizes) / limit))
    start, size = 0, 0
    for number, length in enumerate(sizes):
        if number > start and (size + length > limit or size >= even):
            yield records[start:number]
            start, size = number, 0
        size += length
    if records:
        yield records[start:]


def _cost(size: int) -> int:
    """The memory that typing so many bytes takes, in bytes."""
    return _AT_LEAST + _PER_BYTE * size


def _limits(database: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """The bytes of memory that the engine may use, and the machine's processors."""
    row = database.execute(
        "SELECT parse_formatted_bytes(current_setting('memory_limit')), current_setting('threads')"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
