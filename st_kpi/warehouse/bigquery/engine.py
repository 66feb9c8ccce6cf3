"""The warehouse for production: BigQuery, through Google's client and over REST alone.

KPI SQL runs as it is written. Rows come by load jobs and ``MERGE`` (``load``), never by streaming; a build is
published whole by shadows (``transaction``).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from st_kpi.columns import Columns, RawTable
from st_kpi.errors import NothingLoaded
from st_kpi.warehouse.base import Merged, Params, Reading, TypedFiles
from st_kpi.warehouse.bigquery import export, load, schema
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.bigquery.transaction import Transaction, expiration
from st_kpi.warehouse.bigquery.values import (
    joinable,
    query_parameters,
    quoted,
    rows_parameter,
    rows_select,
    selected_columns,
    written_table,
)
from st_kpi.warehouse.system_tables import OPERATIONS, SYSTEM_TABLES
from st_kpi.windows import Window

#: Rows of one statement, so that a request stays below its ten megabytes.
_ROWS_AT_ONCE = 5_000


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
        return self._jobs.rows(self._rewritten(sql), query_parameters(sql, params))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._transaction is not None:
            yield
            return
        transaction = Transaction(self._jobs)
        self._local.transaction = transaction
        try:
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
    ) -> Merged:
        """See ``Warehouse.merge``. It does not wait for the end of a transaction around it.

        So the rows are there before the manifest says so; after a failure in between they are fetched and merged again,
        which changes nothing.
        """
        name = records.table.name
        with self._loading.setdefault(name, threading.Lock()):
            return load.merge(
                self._jobs,
                records,
                nested,
                tenant_id=tenant_id,
                window=window,
                everything=everything,
            )

    def replace_table(self, table: str, select: str, params: Params | None = None) -> None:
        with self.transaction():
            body, parameters = self._rewritten(select), query_parameters(select, params)
            shadow = self._open.new_shadow(table)
            self._jobs.run(
                f"CREATE OR REPLACE TABLE {shadow} {expiration()} AS\n{body}", parameters
            )

    def replace_rows(
        self, table: str, where: str, select: str, params: Params | None = None
    ) -> None:
        with self.transaction():
            if not self.table_exists(table):
                self.replace_table(table, select, params)
                return
            names = quoted(selected_columns(select))
            self.execute(f"DELETE FROM {table} WHERE {where}", params)
            self.execute(f"INSERT INTO {table} ({names})\n{select}", params)

    def write_table(
        self,
        table: str,
        columns: Columns,
        rows: Sequence[Sequence[object]],
    ) -> None:
        with self.transaction():
            shadow = self._open.new_shadow(table)
            definitions = ", ".join(f"`{name}` {kind}" for name, kind in columns)
            self._jobs.run(f"CREATE OR REPLACE TABLE {shadow} ({definitions}) {expiration()}")
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

    def table_exists(self, table: str) -> bool:
        transaction = self._transaction
        if transaction is not None and transaction.has(table):
            return True
        return self._jobs.table(table) is not None

    def column_names(self, table: str) -> tuple[str, ...]:
        transaction = self._transaction
        there = self._jobs.table(transaction.name_of(table) if transaction else table)
        return tuple(field.name for field in there.schema) if there else ()

    def estimate(self, select: str, params: Params | None = None) -> int | None:
        return self._jobs.estimate(self._rewritten(select), query_parameters(select, params))

    def sql_version(self) -> str:
        return "bigquery"  # runs the SQL as it is written

    def version(self, table: str) -> str:
        # A sum: equal rows count as often as they are there, and their order does not matter.
        (row,) = self.query(
            "SELECT COUNT(*) AS n, SUM(CAST(FARM_FINGERPRINT(TO_JSON_STRING(t)) AS NUMERIC)) AS total"
            f" FROM {table} AS t"
        )
        return f"{row['n']} {row['total']}"

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

    def _rewritten(self, sql: str) -> str:
        return sql if self._transaction is None else self._transaction.rewritten(sql)

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

    def _change(self, table: str, sql: str, parameters: list[Any]) -> None:
        """Run a statement that writes a table: at once, on the table's shadow, or at the end of the transaction."""
        transaction = self._transaction
        if transaction is None:
            self._jobs.run(sql, parameters)
        elif table in OPERATIONS:
            transaction.defer(sql, parameters)
        else:
            transaction.copy_to_shadow(table)
            self._jobs.run(transaction.rewritten(sql), parameters)
