"""What BigQuery has no transaction for: a build of many statements that is published whole or not at all.

Inside a transaction every table that is written gets a shadow in ``st_staging``, a copy or a new one, and all later
statements mean the shadow. At the end one script, a transaction of BigQuery's own, puts the rows of all shadows into
the tables; what was to be written to the operations tables is part of that script. A reader sees the old rows until
it commits; a transaction that fails or is killed leaves nothing but shadows, which expire.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from google.cloud.bigquery import ScalarQueryParameter, SchemaField

from st_kpi.errors import WarehouseError
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.schema import (
    PUBLICATIONS,
    add_columns,
    clauses,
    create,
    expiry,
    laid_out,
)
from st_kpi.warehouse.bigquery.values import Parameter, numbered, quoted, renamed, tables_in
from st_kpi.warehouse.system_tables import OPERATIONS, SCRATCH

_AT_ONCE = 8
_OTHER = "Another run has published since this one began"


class Transaction:
    """The shadows and the queue of one transaction; used by one thread."""

    def __init__(self, jobs: Jobs) -> None:
        self.id = uuid4().hex[:12]
        self._jobs = jobs
        self._shadows: dict[str, str] = {}
        self._queue: list[tuple[str, Sequence[Parameter]]] = []
        self._token: str | None = None

    def rewritten(self, sql: str) -> str:
        """The statement as it has to run inside the transaction."""
        if self._token is None and any(_published(table) for table in tables_in(sql)):
            self._begin()
        return renamed(sql, self._shadows)

    def has(self, table: str) -> bool:
        """Whether the table was written in this transaction."""
        return table in self._shadows

    def name_of(self, table: str) -> str:
        """The table as it has to be asked for inside the transaction."""
        return self._shadows.get(table, table)

    def new_shadow(self, table: str) -> str:
        """The name of the shadow that will be the table from now on; the caller makes it, with ``expiration``."""
        self._begin()
        return self._shadows.setdefault(table, self._shadow_name(table))

    def copy_to_shadow(self, table: str) -> None:
        """Give the table a shadow that has its rows, unless it has one."""
        if table not in self._shadows:
            self._begin()
            shadow = self._shadow_name(table)
            self._jobs.copy(table, shadow, f"{expiry():%Y-%m-%dT%H:%M:%SZ}")
            self._shadows[table] = shadow

    def defer(self, sql: str, parameters: Sequence[Parameter]) -> None:
        """Run the statement when the transaction ends, with all else that it publishes."""
        self._queue.append((sql, parameters))

    def publish(self) -> None:
        """Make everything visible at once; raises ``WarehouseError``, with nothing written, where another run did so before."""
        shadows = {t: s for t, s in self._shadows.items() if t not in SCRATCH}
        if not shadows and not self._queue:
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            columns = dict(zip(shadows, pool.map(self._prepare, shadows.items()), strict=True))
        statements, parameters = self._deferred()
        if shadows:
            statements += [
                f"UPDATE {PUBLICATIONS} SET token = @token_after, published_at = CURRENT_TIMESTAMP()"
                " WHERE token = @token_before",
                f"IF @@row_count <> 1 THEN RAISE USING MESSAGE = '{_OTHER}'; END IF",
            ]
            parameters.append(ScalarQueryParameter("token_before", "STRING", self._token))
            parameters.append(ScalarQueryParameter("token_after", "STRING", self.id))
        for table, shadow in shadows.items():
            if names := quoted(columns[table]):
                statements.append(f"DELETE FROM {table} WHERE TRUE")
                statements.append(f"INSERT INTO {table} ({names}) SELECT {names} FROM {shadow}")
        script = ";\n".join(["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"])
        self._run(script, parameters)
        for table, shadow in shadows.items():
            if not columns[table]:
                self._reshape(table, shadow)

    def discard(self) -> None:
        """Drop the shadows; what cannot be dropped now expires."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._jobs.drop, self._shadows.values()))

    def _begin(self) -> None:
        """Remember which publication this transaction builds upon."""
        if self._token is None:
            self._token = self._published_token()

    def _published_token(self) -> str:
        (row,) = self._jobs.rows(f"SELECT token FROM {PUBLICATIONS}")
        return str(row["token"])

    def _shadow_name(self, table: str) -> str:
        return f"st_staging.shadow_{self.id}_{table.replace('.', '_')}"

    def _deferred(self) -> tuple[list[str], list[Parameter]]:
        """The statements of the queue and their parameters, numbered so that they can stand in one script."""
        statements: list[str] = []
        parameters: list[Parameter] = []
        for number, (sql, own) in enumerate(self._queue):
            statements.append(numbered(sql, number))
            for parameter in own:
                parameter.name = f"{parameter.name}_{number}"
                parameters.append(parameter)
        return statements, parameters

    def _prepare(self, item: tuple[str, str]) -> tuple[str, ...]:
        """The columns to publish of a shadow, once its table can take them.

        None where the table has columns that the shadow has not or has otherwise: such a table is replaced whole.
        """
        name, shadow = item
        fields = self._fields(shadow)
        columns = tuple(field.name for field in fields)
        table = self._jobs.table(name)
        if table is None:
            create(self._jobs, laid_out(self._jobs, name, fields))
            return columns
        types = {field.name: field.field_type for field in fields}
        if any(types.get(field.name) != field.field_type for field in table.schema):
            return ()
        existing = {field.name for field in table.schema}
        if new := [field for field in fields if field.name not in existing]:
            add_columns(self._jobs, name, new)
        return columns

    def _fields(self, shadow: str) -> tuple[SchemaField, ...]:
        table = self._jobs.table(shadow)
        assert table is not None
        return tuple(table.schema)

    def _run(self, script: str, parameters: Sequence[Parameter]) -> None:
        try:
            self._jobs.run(script, parameters, job_id=f"st_kpi_publish_{self.id}")
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

    def _reshape(self, table: str, shadow: str) -> None:
        """Replace a table whose columns are others than before, at once but after the transaction."""
        layout = clauses(laid_out(self._jobs, table, self._fields(shadow)))
        self._jobs.run(f"CREATE OR REPLACE TABLE {table} {layout} AS SELECT * FROM {shadow}")


def expiration() -> str:
    """The option of a CREATE TABLE that lets a shadow expire."""
    return f"OPTIONS(expiration_timestamp=TIMESTAMP '{expiry():%Y-%m-%d %H:%M:%S}+00')"


def _published(table: str) -> bool:
    """Whether a transaction that reads the table builds upon what another may publish meanwhile."""
    return table not in OPERATIONS and not table.startswith("st_raw.")
