"""What BigQuery has no transaction for: a build of many statements that is published whole or not at all.

Inside a transaction every table that is written gets a shadow in ``st_staging``, and all later statements mean the shadow.
Statements wait until an answer is asked for, and then run as one script. At the end another script, a transaction of
BigQuery's own, brings the tables to what their shadows are: by the rows that differ where these are known, else whole.
What is written to a system table is part of that script too, and never has a shadow. A reader sees the old rows until
it commits; a transaction that fails or is killed leaves nothing but shadows, which expire.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import uuid4

from google.cloud.bigquery import ScalarQueryParameter, SchemaField, Table

from st_kpi.errors import WarehouseError
from st_kpi.warehouse.base import T
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.schema import (
    PUBLICATIONS,
    add_columns,
    clauses,
    create,
    expiry,
    laid_out,
    sql_type,
)
from st_kpi.warehouse.bigquery.script import Script
from st_kpi.warehouse.bigquery.values import Parameter, as_of, joinable, quoted, renamed, tables_in
from st_kpi.warehouse.differences import rows_to_add, same_row
from st_kpi.warehouse.labels import labels
from st_kpi.warehouse.system_tables import OPERATIONS, SYSTEM_TABLES, is_scratch

_AT_ONCE = 8
_OTHER = "Another run has published since this one began"


class Transaction:
    """The shadows of one transaction and what waits to run in it.

    Several threads may work in it at the same time, each on tables of its own and with statements of its own that wait.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.id = uuid4().hex[:12]
        self._jobs = jobs
        self._local = threading.local()
        self._shadows: dict[str, str] = {}
        #: Of shadows that were made by their differences, the columns and the table of these.
        self._differences: dict[str, tuple[Sequence[str], str]] = {}
        self._at_the_end: list[tuple[str, Sequence[Parameter]]] = []
        #: Tables that are written at the end, and how they are called there.
        self._written_late: dict[str, str] = {}
        self._token: str | None = None
        self._moment: str | None = None
        self._raw_versions: dict[str, str] = {}

    def begin_at_one_moment(self) -> None:
        """Read raw rows and operations as they are now from here on, in one job with what tells their versions.

        The versions are older than the moment: what is written in between has a version that no build has met.
        """
        script = Script()
        script.add(
            "CREATE TEMP TABLE versions AS"
            " SELECT table_id, last_modified_time, row_count FROM st_raw.__TABLES__"
        )
        script.add(
            "SELECT version.table_id, version.last_modified_time, version.row_count, publication.token,"
            " FORMAT_TIMESTAMP('%F %H:%M:%E6S+00', CURRENT_TIMESTAMP()) AS moment"
            f" FROM versions AS version CROSS JOIN {PUBLICATIONS} AS publication"
        )
        rows = self._run(script)
        self._raw_versions = {
            f"st_raw.{row['table_id']}": f"{row['last_modified_time']} {row['row_count']}"
            for row in rows
        }
        self._token, self._moment = str(rows[0]["token"]), rows[0]["moment"]

    def raw_version(self, table: str) -> str | None:
        """The version of a raw table when the transaction began, if it began at one moment."""
        return self._raw_versions.get(table)

    def rows(self, sql: str, parameters: Sequence[Parameter] = ()) -> list[dict[str, Any]]:
        """Run what waits, and a SELECT after it."""
        script = self._waiting
        if not len(script):
            return self._jobs.rows(self._read(sql), parameters)
        script.add(self._read(sql), parameters)
        return self._run(script)

    def run(self) -> None:
        """Run what waits."""
        if len(self._waiting):
            with labels(**self._waiting.labels):
                self._run(self._waiting)

    def written(self) -> set[str]:
        """The tables that were written in this transaction."""
        return set(self._shadows)

    def name_of(self, table: str) -> str:
        """The table as it has to be asked for inside the transaction."""
        return self._shadows.get(table, table)

    def replace(self, table: str, select: str, parameters: Sequence[Parameter] = ()) -> None:
        """Make the rows of a SELECT those of the table."""
        if self._written_late.keys() & tables_in(select):
            name = table.split(".")[1]
            sql = f"CREATE TEMP TABLE {name} AS\n{self._read_late(select)}"
            self._at_the_end.append((sql, parameters))
            self._written_late[table] = name
            return
        body = self._read(select)
        shadow = self._new_shadow(table)
        self._waiting.add(
            f"CREATE OR REPLACE TABLE {shadow} {_expiration()} AS\n{body}", parameters
        )

    def make(self, table: str, definitions: str) -> None:
        """Make the table with these columns and no rows; a system table is emptied at the end."""
        if table in SYSTEM_TABLES:
            self.write(table, f"DELETE FROM {table} WHERE TRUE")
            return
        shadow = self._new_shadow(table)
        self._waiting.add(f"CREATE OR REPLACE TABLE {shadow} ({definitions}) {_expiration()}")

    def write(self, table: str, sql: str, parameters: Sequence[Parameter] = ()) -> None:
        """Run a statement that changes rows of the table."""
        if table in SYSTEM_TABLES:
            self._at_the_end.append((self._read_late(sql), parameters))
            self._written_late[table] = table
            return
        if table not in self._shadows:
            self._begin()
            self._shadows[table] = self._shadow_name(table)
            self._waiting.add(
                f"CREATE TABLE {self._shadows[table]} {_expiration()} AS SELECT * FROM {table}"
            )
        self._differences.pop(table, None)
        self._waiting.add(renamed(sql, self._shadows), parameters)

    def take_deferred(self) -> tuple[list[str], list[Parameter]]:
        """The statements that wait for the end, and their parameters: whoever takes them runs them."""
        script = Script()
        for sql, parameters in self._at_the_end:
            script.add(sql, parameters)
        self._at_the_end = []
        self._written_late = {}
        return script.take()

    def apply(self, table: str, columns: Sequence[str], differences: str) -> bool:
        """Give the table a shadow with the rows that the differences say, if they say any; returns whether they do."""
        noted, stored = self.name_of(differences), self.name_of(table)
        shadow = self._shadow_name(table)
        self._waiting.add(
            f"IF EXISTS (SELECT 1 FROM {noted}) THEN\n"
            f"CREATE OR REPLACE TABLE {shadow} {_expiration()} AS\n"
            f"{with_differences(stored, columns, noted)};\n"
            "END IF"
        )
        self._waiting.add(f"SELECT EXISTS (SELECT 1 FROM {noted}) AS changed")
        (row,) = self._run(self._waiting)
        if row["changed"]:
            if table not in self._shadows:
                self._differences[table] = (columns, noted)
            self._shadows[table] = shadow
        return bool(row["changed"])

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """The results of tasks that work in this transaction, several at the same time."""
        self.run()

        def work(task: Callable[[], T]) -> T:
            result = task()
            self.run()
            return result

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            started = [pool.submit(copy_context().run, work, task) for task in tasks]
            try:
                return [future.result() for future in started]
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if not isinstance(
                    error, Exception
                ):  # who is interrupted does not wait for their ends
                    self._jobs.cancel_running()
                raise

    def publish(self) -> None:
        """Make everything visible at once; raises ``WarehouseError``, with nothing written, where another run did so before."""
        self.run()
        shadows = {t: s for t, s in self._shadows.items() if not is_scratch(t)}
        if not shadows and not self._at_the_end:
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            columns = dict(zip(shadows, pool.map(self._prepare, shadows.items()), strict=True))
        script = Script()
        script.add("BEGIN TRANSACTION")
        if shadows or any(_published(table) for table in self._written_late):
            self._begin()
            script.add(
                f"UPDATE {PUBLICATIONS} SET token = @token_after, published_at = CURRENT_TIMESTAMP()"
                " WHERE token = @token_before",
                [
                    ScalarQueryParameter("token_before", "STRING", self._token),
                    ScalarQueryParameter("token_after", "STRING", self.id),
                ],
            )
            script.add(f"IF @@row_count <> 1 THEN RAISE USING MESSAGE = '{_OTHER}'; END IF")
        for table, shadow in shadows.items():
            for statement in self._publication(table, shadow, columns[table]):
                script.add(statement)
        for sql, parameters in self._at_the_end:
            script.add(sql, parameters)
        script.add("COMMIT TRANSACTION")
        self._commit(script)

    def discard(self) -> None:
        """Drop the shadows; what cannot be dropped now expires."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._jobs.drop, self._shadows.values()))

    @property
    def _waiting(self) -> Script:
        """The statements of this thread that wait."""
        if not hasattr(self._local, "waiting"):
            self._local.waiting = Script()
        waiting: Script = self._local.waiting
        return waiting

    def _read(self, sql: str) -> str:
        """The SELECT as it has to run inside the transaction."""
        tables = tables_in(sql)
        if late := sorted(tables & self._written_late.keys()):
            raise ValueError(
                f"{', '.join(late)} is written when the transaction ends: read it before"
            )
        if any(_published(table) for table in tables):
            self._begin()
        sql = renamed(sql, self._shadows)
        if self._moment is None:
            return sql
        return as_of(sql, self._moment, lambda table: not _published(table))

    def _read_late(self, sql: str) -> str:
        """The statement as it has to run at the end, when the tables are as their shadows."""
        scratch = {t: s for t, s in self._shadows.items() if is_scratch(t)}
        return renamed(sql, scratch | self._written_late)

    def _begin(self) -> None:
        """Remember which publication this transaction builds upon."""
        if self._token is None:
            self._token = self._published_token()

    def _published_token(self) -> str:
        (row,) = self._jobs.rows(f"SELECT token FROM {PUBLICATIONS}")
        return str(row["token"])

    def _new_shadow(self, table: str) -> str:
        """The name of the shadow that will be the table from now on; it has rows of its own."""
        self._begin()
        self._differences.pop(table, None)
        return self._shadows.setdefault(table, self._shadow_name(table))

    def _shadow_name(self, table: str) -> str:
        return f"st_staging.shadow_{self.id}_{table.replace('.', '_')}"

    def _prepare(self, item: tuple[str, str]) -> tuple[str, ...]:
        """The columns of a shadow, once its table can take them."""
        name, shadow = item
        made = self._jobs.table(shadow)
        assert made is not None
        fields = made.schema
        table = self._jobs.table(name)
        if table is None:
            create(self._jobs, laid_out(self._jobs, name, fields))
        elif not {(f.name, f.field_type) for f in table.schema} <= {
            (f.name, f.field_type) for f in fields
        }:
            self._reshape(name, table, fields)
        else:
            existing = {field.name for field in table.schema}
            if new := [field for field in fields if field.name not in existing]:
                add_columns(self._jobs, name, new)
        return tuple(field.name for field in fields)

    def _reshape(self, name: str, table: Table, fields: Sequence[SchemaField]) -> None:
        """Give the table these columns, with its rows as far as they can have them, before it gets others.

        At once, because BigQuery replaces a table only by one that is clustered alike.
        """
        types = {field.name: field.field_type for field in fields}
        kept = [f.name for f in table.schema if types.get(f.name) == f.field_type]
        clustered = [column for column in table.clustering_fields or [] if column in kept]
        if clustered != (table.clustering_fields or []):
            table.clustering_fields = clustered or None
            with self._jobs.translate_errors():
                self._jobs.client.update_table(table, ["clustering_fields"], retry=self._jobs.retry)
        existing = {field.name for field in table.schema}
        listed = ", ".join(
            f"SAFE_CAST({f'`{field.name}`' if field.name in existing else 'NULL'} AS {sql_type(field)})"
            f" AS `{field.name}`"
            for field in fields
        )
        self._jobs.run(
            f"CREATE OR REPLACE TABLE {name} {clauses(table)} AS SELECT {listed} FROM {name}"
        )

    def _publication(self, table: str, shadow: str, columns: Sequence[str]) -> list[str]:
        """The statements that give the table the rows of its shadow."""
        names = quoted(columns)
        if table not in self._differences:
            return [
                f"TRUNCATE TABLE {table}",
                f"INSERT INTO {table} ({names}) SELECT {names} FROM {shadow}",
            ]
        return [merge_of_differences(table, *self._differences[table])]

    def _run(self, script: Script, job_id: str | None = None) -> list[dict[str, Any]]:
        """Run the script, which is empty then; returns the rows of its last SELECT."""
        statements, parameters = script.take()
        return self._jobs.run(";\n".join(statements), parameters, job_id=job_id)

    def _commit(self, script: Script) -> None:
        try:
            self._run(script, f"st_kpi_publish_{self.id}")
        except WarehouseError as error:
            if _OTHER not in str(error):
                raise
            if (
                self._published_token() == self.id
            ):  # by a job that was told to have failed after its commit
                return
            raise WarehouseError(
                f"{_OTHER}, from rows that this one has not seen: nothing of it was published. Run it again."
            ) from None


def with_differences(table: str, columns: Sequence[str], differences: str) -> str:
    """The SELECT of the rows that the table has to have."""
    return (
        f"SELECT {quoted(columns)} FROM {table} AS stored WHERE NOT EXISTS"
        f" (SELECT 1 FROM {differences} AS changed WHERE changed.before > 0 AND {_same(columns)})\n"
        f"UNION ALL {rows_to_add(columns, differences)}"
    )


def merge_of_differences(table: str, columns: Sequence[str], differences: str) -> str:
    """The statement that gives it those rows: all that equal a difference go, and as many come as there have to be."""
    names = quoted(columns)
    return (
        f"MERGE {table} AS stored USING (\n"
        f"SELECT {names}, TRUE AS is_gone FROM {differences} WHERE before > 0\n"
        f"UNION ALL SELECT {names}, FALSE AS is_gone FROM ({rows_to_add(columns, differences)}) AS added\n"
        f") AS changed ON changed.is_gone AND {_same(columns)}\n"
        "WHEN MATCHED THEN DELETE\n"
        f"WHEN NOT MATCHED AND NOT changed.is_gone THEN INSERT ({names}) VALUES ({quoted(columns, 'changed')})"
    )


def _same(columns: Collection[str]) -> str:
    """That a stored row is one of the differences, as BigQuery can join by it."""
    return joinable(same_row(columns))


def _expiration() -> str:
    """The option of a CREATE TABLE that lets a shadow expire."""
    return f"OPTIONS(expiration_timestamp=TIMESTAMP '{expiry():%Y-%m-%d %H:%M:%S}+00')"


def _published(table: str) -> bool:
    """Whether builds alone write the table, by publishing: who reads it builds upon what another may publish meanwhile."""
    return table not in OPERATIONS and not table.startswith("st_raw.")
