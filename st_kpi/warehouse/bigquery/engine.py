"""The warehouse for production: BigQuery, through Google's client and over REST alone.

KPI SQL runs as it is written. Rows come by load jobs and ``MERGE`` (``load``), never by streaming; a build is
published whole by shadows (``transaction``).
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from st_kpi.columns import Columns, RawTable
from st_kpi.errors import NothingLoaded, TooComplex
from st_kpi.warehouse.base import Merged, Params, Reading, Receipt, T, TypedFiles, counts_of
from st_kpi.warehouse.bigquery import export, load, schema
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.merge import with_counts
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.bigquery.transaction import Transaction
from st_kpi.warehouse.bigquery.values import (
    joinable,
    query_parameters,
    quoted,
    rows_parameter,
    rows_select,
    written_table,
)
from st_kpi.warehouse.system_tables import SYSTEM_TABLES
from st_kpi.windows import Window

#: Rows of one statement, so that a request stays below its ten megabytes.
_ROWS_AT_ONCE = 5_000
#: Requests at the same time.
_AT_ONCE = 8


class BigQueryWarehouse:
    """The datasets of one project in one location. Safe to use from several threads.

    A transaction belongs to the thread that opened it; two threads may load side by side, but not into one table.
    """

    def __init__(
        self,
        project: str,
        location: str = "US",
        options: BigQueryOptions | None = None,
        *,
        create: bool = True,
    ) -> None:
        self._jobs = Jobs(project, location, options or BigQueryOptions())
        self._local = threading.local()
        self._publishing = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        if not create and not self.table_exists("st_ops.chunks"):
            raise NothingLoaded(
                f"There is no warehouse in project {project} yet: run `st-kpi backfill` first."
            )

    def ensure(self, tables: Sequence[RawTable]) -> None:
        schema.ensure(self._jobs, tables)

    def query(self, sql: str, params: Params | None = None) -> list[dict[str, Any]]:
        asked = self._transaction or self._jobs
        return asked.rows(sql, query_parameters(sql, params))

    def query_each(self, selects: Sequence[str], params: Params) -> list[list[dict[str, Any]]]:
        """See ``Warehouse.query_each``. First all are asked together whether they have rows."""
        with self.transaction():
            return self._query_each(selects, params)

    def _query_each(self, selects: Sequence[str], params: Params) -> list[list[dict[str, Any]]]:
        if not selects:
            return []
        full = [n for n, has_rows in enumerate(self._have_rows(selects, params)) if has_rows]
        rows = self.side_by_side([partial(self.query, selects[n], params) for n in full])
        answered = dict(zip(full, rows, strict=True))
        return [answered.get(n, []) for n in range(len(selects))]

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        transaction = self._open

        def joined(task: Callable[[], T]) -> T:
            self._local.transaction = transaction
            return task()

        return transaction.side_by_side([partial(joined, task) for task in tasks])

    @contextmanager
    def transaction(self, *, of_one_moment: bool = False) -> Iterator[None]:
        if self._transaction is not None:
            yield
            return
        transaction = Transaction(self._jobs)
        self._local.transaction = transaction
        try:
            if of_one_moment:
                transaction.begin_at_one_moment()
            yield
            with (
                self._publishing
            ):  # BigQuery gives up one of two that write the same table at the same time
                transaction.publish()
        finally:
            self._local.transaction = None
            transaction.discard()

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
        """See ``Warehouse.merge``: one script, which does not wait for the end of a transaction around it.

        What was written to the operations tables before, in that transaction, goes with it. What comes later, or fails
        later, leaves the rows there; fetched and merged again, they change nothing.
        """
        if not records.files and everything is None and records.table.key is not None:
            nothing = Merged(0, 0, 0)
            if receipt:
                with self.transaction():
                    self.execute(receipt.sql, {**receipt.params, **counts_of(nothing)})
            return nothing
        name = records.table.name
        with self.transaction(), self._loading.setdefault(name, threading.Lock()):
            if receipt:
                told = with_counts(receipt.sql)
                self._open.write(
                    written_table(receipt.sql), told, query_parameters(told, receipt.params)
                )
            then, parameters = self._open.take_deferred()
            return load.merge(
                self._jobs,
                records,
                nested,
                tenant_id=tenant_id,
                window=window,
                everything=everything,
                expected=receipt.expected if receipt else None,
                then=then,
                parameters=parameters,
            )

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        with self.transaction():
            self._open.replace(table, select, query_parameters(select, params))

    def apply_differences(self, table: str, columns: Collection[str], differences: str) -> bool:
        with self.transaction():
            return self._open.apply(table, list(columns), differences)

    def drop(self, tables: Iterable[str]) -> None:
        """See ``Warehouse.drop``. Inside a transaction nothing: what is of no use after it never leaves it."""
        if self._transaction is None:
            for table in tables:
                self._jobs.drop(table)

    def write_table(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        with self.transaction():
            self._open.make(table, ", ".join(f"`{name}` {kind}" for name, kind in columns))
            self._append(table, columns, rows)

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        if not rows:
            return
        types = dict(SYSTEM_TABLES[table])
        columns = [(name, types[name]) for name in rows[0]]
        self._append(table, columns, [[row[name] for name, _ in columns] for row in rows])

    def execute(self, sql: str, params: Params | None = None) -> None:
        self._change(written_table(sql), joinable(sql), query_parameters(sql, params))

    def describe(self, table: str, text: str, columns: Mapping[str, str]) -> None:
        schema.describe(self._jobs, table, text, columns)

    def tables(self) -> dict[str, Columns]:
        return schema.columns_of_all(self._jobs)

    def export(self, table: str, columns: Columns, folder: Path) -> tuple[Path, ...]:
        return export.export(self._jobs, table, columns, folder)

    def load(self, table: str, columns: Columns, files: Sequence[Path]) -> None:
        schema.ensure_table(self._jobs, table, columns)
        load.replace(self._jobs, table, columns, files)

    def table_names(self) -> set[str]:
        names = schema.table_names(self._jobs)
        return names | self._transaction.written() if self._transaction else names

    def table_exists(self, table: str) -> bool:
        transaction = self._transaction
        if transaction is not None and table in transaction.written():
            return True
        return self._jobs.table(table) is not None

    def column_names(self, table: str) -> tuple[str, ...]:
        transaction = self._transaction
        if transaction is not None:
            transaction.run()
        there = self._jobs.table(transaction.name_of(table) if transaction else table)
        return tuple(field.name for field in there.schema) if there else ()

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        return self._jobs.estimate(select, query_parameters(select, params))

    def sql_version(self) -> str:
        return "bigquery"  # runs the SQL as it is written

    def versions(self, tables: Collection[str]) -> dict[str, str]:
        transaction = self._transaction
        return {
            table: (transaction and transaction.raw_version(table)) or self._fingerprint(table)
            for table in tables
        }

    def row_counts(self, tables: Collection[str]) -> dict[str, int]:
        transaction = self._transaction
        if transaction is not None:
            transaction.run()

        def count(table: str) -> int:
            found = self._jobs.table(transaction.name_of(table) if transaction else table)
            return int(found.num_rows or 0) if found else 0

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(tables, pool.map(count, tables), strict=True))

    def billed(self) -> Mapping[str, int]:
        return self._jobs.billed

    @contextmanager
    def spool(self) -> Iterator[Path]:
        with TemporaryDirectory(prefix="st-kpi-") as temporary:
            yield Path(temporary)

    def close(self) -> None:
        self._jobs.close()

    @property
    def _transaction(self) -> Transaction | None:
        transaction: Transaction | None = getattr(self._local, "transaction", None)
        return transaction

    @property
    def _open(self) -> Transaction:
        assert self._transaction is not None
        return self._transaction

    def _have_rows(self, selects: Sequence[str], params: Params) -> list[bool]:
        """Of each SELECT whether it has rows, in one statement, which is billed once for each table; if need be in more."""
        each = [
            f"SELECT {number} AS number, EXISTS (SELECT 1 FROM (\n{select}\n) AS asked) AS has_rows"
            for number, select in enumerate(selects)
        ]
        try:
            rows = self.query("\nUNION ALL\n".join(each), params)
        except TooComplex:
            if len(selects) == 1:
                raise
            halves = selects[: len(selects) // 2], selects[len(selects) // 2 :]
            return [has_rows for half in halves for has_rows in self._have_rows(half, params)]
        return [row["has_rows"] for row in sorted(rows, key=itemgetter("number"))]

    def _fingerprint(self, table: str) -> str:
        # A sum: equal rows count as often as they are there, and their order does not matter.
        (row,) = self.query(
            "SELECT COUNT(*) AS n, SUM(CAST(FARM_FINGERPRINT(TO_JSON_STRING(t)) AS NUMERIC)) AS total"
            f" FROM {table} AS t"
        )
        return f"{row['n']} {row['total']}"

    def _append(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        insert = (
            f"INSERT INTO {table} ({quoted(name for name, _ in columns)}) {rows_select(columns)}"
        )
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            batch = rows_parameter(columns, rows[start : start + _ROWS_AT_ONCE])
            self._change(table, insert, [batch])
            if self._transaction is not None and start + _ROWS_AT_ONCE < len(rows):
                self._transaction.run()

    def _change(self, table: str, sql: str, parameters: list[Any]) -> None:
        """Run a statement that writes a table: at once, on the table's shadow, or at the end of the transaction."""
        if self._transaction is None:
            self._jobs.run(sql, parameters)
        else:
            self._transaction.write(table, sql, parameters)
