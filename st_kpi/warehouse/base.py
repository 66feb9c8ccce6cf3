"""What every warehouse engine can do. SQL that reaches it is BigQuery dialect with ``@named`` parameters."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from st_kpi.columns import Columns, RawTable
from st_kpi.windows import Window

Params = Mapping[str, object]


@dataclass(frozen=True)
class TypedFiles:
    """Typed Parquet files of one raw table, columns as in ``table``; several files make one chunk."""

    table: RawTable
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Merged:
    """What a merge met and did, in rows: different keys in the files, of them in the table now, changed.

    ``vanished`` are rows marked inactive because a list of everything no longer has them.
    """

    distinct: int
    stored: int
    changed: int
    vanished: int = 0


@dataclass(frozen=True)
class Reading:
    """When and by which run all rows of a window were read; ``read_at`` is when the first page came, as ``_loaded_at`` tells it."""

    read_at: datetime
    run_id: str


class Warehouse(Protocol):
    """A place that holds the raw tables, runs the KPI SQL and keeps the manifest."""

    def ensure(self, tables: Sequence[RawTable]) -> None:
        """Create the schemas, these raw tables and the operations tables, and add columns that are new."""

    def query(self, sql: str, params: Params | None = None) -> list[dict[str, Any]]:
        """Run one SELECT and return its rows; NUMERIC as Decimal, TIMESTAMP as aware UTC datetime."""

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside become visible together, or none does."""

    def merge(
        self,
        records: TypedFiles,
        nested: TypedFiles | None,
        *,
        tenant_id: int,
        window: Window | None,
        everything: Reading | None = None,
    ) -> Merged:
        """Bring records and their lines in: the newest version per key wins, an older one never overwrites.

        Of two versions with one ``modified_on`` the one that was read later wins. A table without a key is replaced
        for ``window`` (by ``created_on``), or whole when that is None. With ``everything`` the files are all rows that
        the source has in the window: those that the table has beside them, and had before the reading, are marked
        inactive.
        """

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        """Create or replace ``table`` from a SELECT."""

    def replace_rows(
        self, table: str, where: str, select: str, params: Params | None = None
    ) -> None:
        """Replace the rows of ``table`` that ``where`` matches by those of a SELECT; creates the table."""

    def write_table(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        """Create or replace a small table from rows at hand."""

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Append rows to an operations table."""

    def execute(self, sql: str, params: Params | None = None) -> None:
        """Run one statement that returns nothing, such as an UPDATE of an operations table."""

    def describe(self, table: str, text: str, columns: Mapping[str, str]) -> None:
        """Write what a table and its columns mean where the engine keeps such things."""

    def tables(self) -> dict[str, Columns]:
        """Every table with its columns, by ``schema.name``, without the scratch tables of a build."""

    def export(self, table: str, columns: Columns, folder: Path) -> tuple[Path, ...]:
        """Write the rows of a table into typed Parquet files in an empty folder."""

    def load(self, table: str, columns: Columns, files: Sequence[Path]) -> None:
        """Replace the rows of ``table`` by those of such files; creates the table and columns that it lacks."""

    def table_exists(self, table: str) -> bool:
        """Whether ``schema.name`` is there."""

    def column_names(self, table: str) -> tuple[str, ...]:
        """The columns of a table in their order; none where there is no such table."""

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        """How many bytes a SELECT will be billed for, without running it; None where reading costs nothing."""

    def sql_version(self) -> str:
        """A text that changes when this engine may read the same SQL in another way than before."""

    def version(self, table: str) -> str:
        """A short text that differs when any row of ``table`` does, whatever the order of the rows."""

    def spool(self) -> AbstractContextManager[Path]:
        """An empty folder for files on their way in; gone at the end, and so is what a killed run left in it."""

    def close(self) -> None:
        """Let go of the warehouse; safe to call twice."""
