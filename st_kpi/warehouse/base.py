"""What every warehouse engine can do. SQL that reaches it is BigQuery dialect with ``@named`` parameters."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from st_kpi.columns import Columns, RawTable
from st_kpi.windows import Window

Params = Mapping[str, object]
T = TypeVar("T")


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


@dataclass(frozen=True)
class Receipt:
    """What records a merge in an operations table: kept with its rows, or neither is.

    The INSERT ``sql`` may name the counts of the merge, as ``counts_of`` names them. ``expected`` is how many different
    keys the files have to have, None where nobody said.
    """

    sql: str
    params: Params
    expected: int | None


def counts_of(merged: Merged) -> dict[str, int]:
    """The counts of a merge as the parameters of its receipt."""
    return {
        "distinct_rows": merged.distinct,
        "stored_rows": merged.stored,
        "changed_rows": merged.changed,
        "vanished_rows": merged.vanished,
    }


class Warehouse(Protocol):
    """A place that holds the raw tables, runs the KPI SQL and keeps the manifest."""

    def ensure(self, tables: Sequence[RawTable]) -> None:
        """Create the schemas, these raw tables and the operations tables, and add columns that are new."""

    def query(self, sql: str, params: Params | None = None) -> list[dict[str, Any]]:
        """Run one SELECT and return its rows; NUMERIC as Decimal, TIMESTAMP as aware UTC datetime."""

    def query_each(self, selects: Sequence[str], params: Params) -> list[list[dict[str, Any]]]:
        """The rows of several SELECTs, of which most are expected to have none."""

    def transaction(self, *, of_one_moment: bool = False) -> AbstractContextManager[None]:
        """All statements inside become visible together, or none does.

        ``of_one_moment``: all read the raw rows as they were when the transaction began, however long it takes. What is
        written to a system table may be put off to the end, so nothing is to be read from one that was written before.
        """

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """The results of pieces of work that write different tables, done at the same time where that is faster."""

    def merge(
        self,
        records: TypedFiles,
        nested: TypedFiles | None,
        *,
        tenant_id: int,
        window: Window | None,
        everything: Reading | None = None,
        receipt: Receipt | None = None,
    ) -> Merged:
        """Bring records and their lines in: the newest version per key wins, an older one never overwrites.

        Of two versions with one ``modified_on`` the one that was read later wins. A table without a key is replaced
        for ``window`` (by ``created_on``), or whole when that is None. With ``everything`` the files are all rows that
        the source has in the window: those that the table has beside them, and had before the reading, are marked
        inactive. Where the counts are not as they should be, neither the rows nor the ``receipt`` need be kept: the
        caller sees it by them, and raises within its transaction.
        """

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        """Create or replace ``table`` from a SELECT."""

    def apply_differences(self, table: str, columns: Collection[str], differences: str) -> bool:
        """Change the rows of ``table`` as a table of differences says; returns whether it says anything.

        That has a row for each row of which the table has too many or too few: its ``columns``, how many equal ones
        there are ``before``, and how many there have to be ``after``.
        """

    def drop(self, tables: Iterable[str]) -> None:
        """Give back the room of tables that nobody needs any more."""

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

    def table_names(self) -> set[str]:
        """Every table there is, as ``schema.name``; inside a transaction also those that it has made."""

    def table_exists(self, table: str) -> bool:
        """Whether ``schema.name`` is there."""

    def column_names(self, table: str) -> tuple[str, ...]:
        """The columns of a table in their order; none where there is no such table."""

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        """How many bytes a SELECT will be billed for, without running it; None where reading costs nothing."""

    def sql_version(self) -> str:
        """A text that changes when this engine may read the same SQL in another way than before."""

    def versions(self, tables: Collection[str]) -> dict[str, str]:
        """Per table a short text that differs when any row does, whatever the order of the rows.

        It may differ where no row does: an engine may go by when a table was written last.
        """

    def row_counts(self, tables: Collection[str]) -> dict[str, int]:
        """How many rows each table has."""

    def billed(self) -> Mapping[str, int]:
        """Bytes that work under each label ``kpi`` was billed for since the warehouse was opened; empty where nothing is."""

    def spool(self) -> AbstractContextManager[Path]:
        """An empty folder for files on their way in; gone at the end, and so is what a killed run left in it."""

    def close(self) -> None:
        """Let go of the warehouse; safe to call twice."""
